"""Proofs that a rate is below a limit (F4), from the totals of a step: requests may hang longer than good answers take.

    scrape          1     2     3     4     5
    answered      100   100   100   100   100     since the step began
    in flight       6     3     2     5     4     of all requests of the candidate
    failed          0     0     1     0     0

Those sent until scrape 3 are 300 and, if no more of them came back since, 2 that still hang: at most 1 + 2 of them fail,
for the others are answered. So far back as the scrape that proves most, these are counted as failures. Later requests do
not count, though their failures do: what is compared is never more than what the requests until then will have shown.
The requests of a scrape are all answered once the gauge has been at 0 since, or after the route's limit.

The evidence of all requests sent until a scrape is an e-process; each of these is at most its value at an earlier moment,
so that none of them, and not the largest of all, exceeds 1/beta more often than it. A bet that starts later (F2) counts
the requests sent since: its stake is worth less by those that are answered only after it.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Final

from sluice_judge.state import Sent
from sluice_judge.stats import eprocess, evidence

MOST_AWAITED: Final = 24
"""Scrapes whose requests are remembered apart; with more, neighbours become one."""


@dataclasses.dataclass(frozen=True, slots=True)
class AnsweredSince:
    """What the candidate answered between two scrapes."""

    time: float
    requests: float
    events: float
    before: float | None
    """The most of its requests in flight when the interval began; None: unknown."""
    hanging: float | None
    """The least of its requests in flight since the last scrape that is awaited; None: unknown."""
    unanswered: float | None
    """Those at the end."""
    dispersion: float


def observed(
    process: eprocess.EProcess, awaited: Sequence[Sent], seen: AnsweredSince, *, older: float, answer_seconds: float
) -> tuple[eprocess.EProcess, tuple[Sent, ...]]:
    """The process and what it awaits, one scrape further.

    older: answers to so many requests of before the step may be among these. answer_seconds: an answer comes within
    this time, if ever.
    """
    process = _started(process, awaited, seen)
    entries = [dataclasses.replace(sent, unanswered=_least(sent.unanswered, seen.hanging)) for sent in awaited]
    counted = max(0.0, seen.requests - older)
    entries.append(Sent(seen.time, counted, seen.unanswered, round(seen.dispersion, 6)))
    process = _with(process, 0.0, seen.events, seen.dispersion)
    answered = [
        index for index, sent in enumerate(entries) if sent.unanswered == 0 or seen.time - sent.time >= answer_seconds
    ]
    done = answered[-1] + 1 if answered else 0
    for sent in entries[:done]:
        process = _with(process, sent.requests, 0.0, sent.dispersion)
    return process, _thinned(entries[done:])


def _started(process: eprocess.EProcess, awaited: Sequence[Sent], seen: AnsweredSince) -> eprocess.EProcess:
    """With a bet that starts now: for it, requests of before must not count, though their answers come later."""
    if process.scrapes == 0:
        return process.staked((0.0,) * len(process.log_wealths))
    if seen.before is None:
        return process
    earlier = seen.before + math.fsum(sent.requests for sent in awaited)
    gains = _gains(process.test, earlier, 0.0, seen.dispersion)
    return process.staked([-gain for gain in gains])


def log_evidence(process: eprocess.EProcess, awaited: Sequence[Sent]) -> float:
    """The largest evidence so far back as any scrape, with what still hangs as failures; natural logarithm."""
    most = process.log_evidence
    for sent in awaited:
        process = _with(process, sent.requests, 0.0, sent.dispersion)
        if sent.unanswered is not None:
            hanging = _with(process, sent.unanswered, sent.unanswered, sent.dispersion)
            most = max(most, hanging.log_evidence)
    return most


def compared(process: eprocess.EProcess, hanging: float, share: float, dispersion: float) -> eprocess.EProcess:
    """A comparison (F1) with requests that hang beyond stable's as failures of the candidate: while traffic grows, these
    are of more requests than the failures that have come. share: its share of the requests, 0..1."""
    if not hanging or not 0 < share < 1:
        return process
    counts = evidence.Counts(hanging, hanging, hanging * (1 - share) / share, 0.0)
    return process.observe(counts, dispersion=dispersion, largest=0.0)


def _with(process: eprocess.EProcess, requests: float, events: float, dispersion: float) -> eprocess.EProcess:
    return process.multiplied(_gains(process.test, requests, events, dispersion))


def _gains(test: evidence.SequentialTest, requests: float, events: float, dispersion: float) -> Sequence[float]:
    found = test.log_increments(evidence.Counts(requests, events, 0.0, 0.0), dispersion)
    return found or (0.0,) * len(test.alternatives)


def _least(known: float | None, seen: float | None) -> float | None:
    each = [value for value in (known, seen) if value is not None]
    return min(each, default=None)


def _thinned(entries: Sequence[Sent]) -> tuple[Sent, ...]:
    """With the requests of one scrape counted at a later one, where there are too many."""
    kept = list(entries)
    while len(kept) > MOST_AWAITED:
        index = min(range(len(kept) - 1), key=lambda at: kept[at + 1].time - kept[at].time)
        first, second = kept[index], kept[index + 1]
        most = max(first.dispersion, second.dispersion)
        kept[index : index + 2] = [
            dataclasses.replace(second, requests=first.requests + second.requests, dispersion=most)
        ]
    return tuple(kept)
