"""Max-min fairness: over a limit whoever holds most gives first, so that nobody gives for one that holds more."""

from collections.abc import Mapping


def giver(held: Mapping[str, int], who: str, more: int = 0) -> str:
    """Who gives so that `who` may have so much more: whoever holds most then; of equals `who` itself."""
    wanted = held.get(who, 0) + more
    most = max(held, key=held.__getitem__, default=who)
    return most if held.get(most, wanted) > wanted else who
