"""The users of each arm of an A/B test, as header matches of the Gateway API.

Cookie: the first answer sets it, later requests carry it. Header: the arm follows from the last two letters or digits
of an identifier, a hash that any gateway can compute:

    x-user-id: 7f3a-…-94c1  ──> "c1" ──> of the 36 × 36 pairs each arm has its share, dealt in an order that depends on
                                         the test, so that two tests in a row divide the users differently

Users of an arm that has ended or has no ready pod go to the stable version. No other user's arm changes then.
"""

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Final

from sluice_core.api.v1alpha1.rolloutspec import ABTestRules
from sluice_core.api.v1alpha1.strategies import AssignmentType

DIGITS: Final = "0123456789"
ALPHABETS: Final = (DIGITS, "abcdef", "ghijklmnopqrstuvwxyz")
"""Decimal, hexadecimal and other identifiers: the pairs of each are distributed evenly."""
OTHER: Final = "[^0-9A-Za-z]*"
"""What may stand between and after the two, such as the hyphens of a UUID."""
WHOLE: Final = 100
"""Weights of arms are percent."""


def homes(test: ABTestRules, arms: Sequence[str]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """(revision, alternative header matches) for each of `arms`, the stable version first.

    Patterns match the whole value, and are anchored for gateways that search for them.
    """
    stable = arms[0]
    # The revision that a user was dealt to, mapped to the one that serves the user now.
    home = {arm.end.revision: arm.end.revision if arm.end.revision in arms else stable for arm in test.arms}
    home[stable] = stable
    if test.assignment.type is AssignmentType.COOKIE:
        for revision in arms:
            dealt = [name for name, serves in home.items() if serves == revision]
            yield revision, [_match("Cookie", _cookie_pattern(test.assignment.name, name)) for name in dealt]
        return
    pairs = dealt_pairs(test, stable)
    for revision in arms:
        own = {pair for pair, name in pairs.items() if home[name] == revision}
        if own:
            yield revision, [_match(test.assignment.name, _ending_pattern(own))]


def dealt_pairs(test: ABTestRules, stable: str) -> Mapping[str, str]:
    """The revision of every ending of two letters or digits, in lower case.

    Dealt so that after any number of pairs each revision has its share to within about one pair, and exactly so after
    every 100: decimal identifiers are divided exactly, hexadecimal ones to within one of 256 endings.
    """
    shares = {arm.end.revision: arm.weight for arm in test.arms}
    return _dealt(tuple({**shares, stable: WHOLE - sum(shares.values())}.items()))


@functools.lru_cache(maxsize=64)
def _dealt(shares: tuple[tuple[str, int], ...]) -> Mapping[str, str]:
    """Cached, since every reconcile of a running test asks for it."""
    owed = {revision: 0 for revision, _ in shares}
    dealt = {}
    for pair in _pairs(salt=" ".join(owed)):
        for revision, share in shares:
            owed[revision] += share
        takes = max(owed, key=lambda revision: owed[revision])
        owed[takes] -= WHOLE
        dealt[pair] = takes
    return dealt


def _pairs(salt: str) -> Iterator[str]:
    """All pairs, by alphabets, shuffled within."""
    by_alphabets = sorted(product(range(len(ALPHABETS)), repeat=2), key=lambda places: (max(places), places))
    for first, second in by_alphabets:
        pairs = [one + other for one, other in product(ALPHABETS[first], ALPHABETS[second])]
        yield from sorted(pairs, key=lambda pair: hashlib.sha256(f"{salt} {pair}".encode()).digest())


def _match(header: str, pattern: str) -> dict[str, str]:
    return {"type": "RegularExpression", "name": header, "value": pattern}


def _cookie_pattern(name: str, value: str) -> str:
    """Needs no escaping: both are letters, digits and hyphens."""
    return f"^(?:.*; *)?{name}={value}(?:;.*)?$"


def _ending_pattern(pairs: set[str]) -> str:
    """Values whose last two letters or digits are in `pairs`; a single one counts as if preceded by 0."""
    seconds: dict[str, str] = {}
    for pair in sorted(pairs):
        seconds[pair[0]] = seconds.get(pair[0], "") + pair[1]
    endings = "|".join(f"{first}{OTHER}[{second}]" for first, second in seconds.items())
    alone = f"|{OTHER}[{seconds['0']}]" if "0" in seconds else ""
    return f"(?i)^(?:.*(?:{endings}){alone}){OTHER}$"
