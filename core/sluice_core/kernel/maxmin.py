"""Max-min fairness: over a limit the largest holder gives first, so that none gives for one that holds more."""

from collections.abc import Mapping


def giver(held: Mapping[str, int], who: str, more: int = 0) -> str:
    """The holder that must give so that `who` may have `more`: the largest one then; among equals, `who` itself."""
    wanted = held.get(who, 0) + more
    most = max(held, key=held.__getitem__, default=who)
    return most if held.get(most, wanted) > wanted else who
