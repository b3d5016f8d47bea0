"""Weights on the route, in permille: the way from the observed to the desired state that loses no request.

A gateway may learn of a route before it knows the endpoints of a backend that is new in it, a complete swap in one
write (0/1000 to 1000/0) makes some gateways answer errors, and some name their series by the position of a backend. So
each write does one thing: it moves weights, or lets backends in, or lets them out.

    a new backend    a:1000        ──>  a:1000 b:0   … settle …  ──>  a:950 b:50
    a swap           a:0   b:1000  ──>  a:999  b:1   … settle …  ──>  a:1000 b:0  ──>  drained  ──>  a:1000

Where positions have a meaning (`positional`), no backend moves up: in the place of one that left, the stable version
stands a second time, without weight, until a new one takes that place.

    b promoted       a:0   b:1000  ──>  drained  ──>  b:0 b:1000  ──>  c:0 b:1000  … settle …  ──>  c:50 b:950

Such a gateway creates a place only for a backend with weight, and for some milliseconds its proxy has the old rules
with the new places, or the reverse: requests for a missing place fail. So a share begins and ends with a trace of one
in a thousand. Between weights above 0 no place is created or removed.

    a share begins   c:0   b:1000  ──>  c:1   b:999   … settle …  ──>  c:50   b:950
    a share ends     c:50  b:950   ──>  c:1   b:999   … settle …  ──>  c:0    b:1000
    a swap           c:0   b:1000  ──>  c:1   b:999   … settle …  ──>  c:999  b:1    … settle …  ──>  c:1000 b:0

No write gives more to a revision without ready endpoints while another one on the route has some: the giver keeps it,
and the rollback waits for the first pod.

    an abort         a:0   b:1000  ──>  … a gets a pod …  ──>  a:999  b:1   … settle …  ──>  a:1000 b:0

A route has at most `MOST_BACKENDS`. When it is full, new backends wait until drained ones have left.
"""

import itertools
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Final, TypeAlias

from sluice_core.kernel.snapshot import Route
from sluice_core.rollout.steps import WHOLE

Weights: TypeAlias = tuple[tuple[str, int], ...]
"""(revision, permille) in the order of the backendRefs; sums to WHOLE."""

TRACE: Final = 1
"""Permille: negligible if lost, and enough for the gateway to create the backend."""
MOST_BACKENDS: Final = 16
"""Most backends in a rule of a route, by the Gateway API; the API server refuses a route with more."""


@dataclass(frozen=True, slots=True)
class Target:
    """Weights to write now."""

    weights: Weights
    intermediate: bool
    """Whether the gateway must settle in this state before the desired one."""


def target(
    *,
    route: Route | None,
    shares: Mapping[str, int],
    leaving: frozenset[str],
    positional: bool,
    held: Set[str] = frozenset(),
    missing: Set[str] = frozenset(),
) -> Target:
    """The weights to write, given the current route.

    Args:
        route: as observed; None if it does not exist yet.
        shares: desired permille by revision, summing to WHOLE; the stable version first.
        leaving: revisions to remove from the route: drained or unknown ones.
        positional: whether backends keep their positions.
        held: revisions that must not get more than they have, if there is another one: without ready endpoints, or
            while the API server refuses the record of their release.
        missing: revisions without a Service, which no gateway can resolve.
    """
    observed = route.weights if route is not None else ()
    before = added(observed)
    # A backend that cannot be resolved spoils the whole route: it is removed at once, whatever its weight.
    broken = missing if route is not None and route.answered and not route.programmed else frozenset()
    gone = {name for name in leaving if name not in shares and (name in broken or not before.get(name))}
    serving = [name for name in {**shares, **before} if before.get(name) and name not in gone]
    serving.sort(key=missing.__contains__)  # the holder of others' shares should be one that the gateway can resolve
    holder = next((name for name in (*serving, *shares) if name in before), None)
    if holder is None:
        return Target(tuple(shares.items()), intermediate=False)
    kept = _without(observed, gone & broken, holder=holder, positional=positional)
    known = _among_known(kept, shares, holder)
    if not serving:  # the weights of all were removed: no requests can be lost
        return Target(_placed(kept, known), intermediate=False)
    goal = upheld(before, known, held)
    moved = _placed(kept, goal)
    if moved != observed:
        between = _between(before, goal, positional=positional)
        return Target(moved, False) if between is None else Target(_placed(kept, between), intermediate=True)
    arriving = [name for name in shares if name not in before][: _room(kept, positional=positional)]
    if arriving:
        return Target(_entered(kept, arriving, positional=positional), any(shares[name] for name in arriving))
    return Target(_without(kept, gone, holder=serving[0], positional=positional), intermediate=False)


def at_once(*, route: Route | None, shares: Mapping[str, int], leaving: frozenset[str], held: Set[str]) -> Target:
    """The weights of a Service, which selects other pods in one write: nothing has to settle, and there are no places.

    Args:
        route: from the Service; None if it does not exist yet.
        shares, leaving, held: as in `target`.
    """
    before = added(route.weights) if route is not None else {}
    goal = upheld(before, {name: shares.get(name, 0) for name in {**before, **shares}}, held)
    stay = {name for name, permille in goal.items() if permille or name in shares or name not in leaving}
    return Target(tuple((name, permille) for name, permille in goal.items() if name in stay), intermediate=False)


def upheld(before: Mapping[str, int], goal: Mapping[str, int], held: Set[str]) -> Mapping[str, int]:
    """`goal`, without any more for `held` revisions: what they do not get stays where it is.

    before: permille as observed, of any sum; goal: permille of the revisions that stay on the route, summing to WHOLE.
    """
    whole = sum(before.get(name, 0) for name in goal)
    if not whole or all(name in held for name in goal):
        return goal
    had = {name: before.get(name, 0) * WHOLE // whole for name in goal}
    given = {name: min(permille, had[name]) if name in held else permille for name, permille in goal.items()}
    left = WHOLE - sum(given.values())
    # Revisions that answer come first. They also get the rounding remainder.
    keepers = sorted(goal, key=lambda name: (name in held, -had[name]))
    for name in keepers:
        kept = min(left, max(0, had[name] - given[name]))
        given[name] += kept
        left -= kept
    return {**given, keepers[0]: given[keepers[0]] + left}


def on_its_way(shares: str) -> str:
    """The message from the first write of a transition to the last: it takes several, each confirmed by the gateway."""
    return f"the route is on its way to {shares}; if this lasts, see whether the gateway's controller is running"


def is_on_its_way(route: Route, name: str, permille: int) -> bool:
    """Whether a revision does not have its weight yet, and only because of the gateway."""
    return route.weight(name) != permille and not waits_for_room(route, [name])


def waits_for_room(route: Route, names: Iterable[str]) -> str:
    """Why revisions that should be on the route are not yet, or empty."""
    there = {name for name, _ in route.weights}
    outside = [name for name in names if name not in there]
    if not outside or len(route.weights) < MOST_BACKENDS:
        return ""
    return (
        f"the route has {MOST_BACKENDS} backends, as many as it may have; {', '.join(outside)} must wait until one of "
        "them has drained (spec.drainSeconds)"
    )


def added(weights: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Permille by revision; one in two places counts once."""
    total: dict[str, int] = {}
    for name, permille in weights:
        total[name] = total.get(name, 0) + permille
    return total


def _without(weights: Weights, gone: Set[str], *, holder: str, positional: bool) -> Weights:
    """The remaining backends. `holder`, which serves, holds the places of those that left, except behind the last
    remaining one.
    """
    if not positional:
        return tuple((name, permille) for name, permille in added(weights).items() if name not in gone)
    held = tuple((holder, 0) if name in gone else (name, permille) for name, permille in weights)
    return held[: max(_places(held).values()) + 1]


def _places(weights: Weights) -> dict[str, int]:
    """The place of each revision: of several, the one with the most weight."""
    best = {name: max(permille for other, permille in weights if other == name) for name, _ in weights}
    return {name: weights.index((name, permille)) for name, permille in best.items()}


def _placed(weights: Weights, goal: Mapping[str, int]) -> Weights:
    """Every backend in its place, with the weights of `goal`."""
    places = _places(weights)
    return tuple((name, goal[name] if places[name] == index else 0) for index, (name, _) in enumerate(weights))


def _among_known(kept: Weights, shares: Mapping[str, int], first: str) -> Mapping[str, int]:
    """The goal for the backends that are in the route; `first` has the shares of the others until they are."""
    wanted = {name: shares.get(name, 0) for name, _ in kept}
    return wanted | {first: wanted[first] + WHOLE - sum(wanted.values())}


def _between(before: Mapping[str, int], goal: Mapping[str, int], *, positional: bool) -> Mapping[str, int] | None:
    """The intermediate state before `goal`; None if there is none."""
    had = {name: before.get(name, 0) for name in goal}
    if not positional:
        swap = not any(had[name] and goal[name] for name in goal)
        return _traced(goal, [name for name in goal if had[name]]) if swap else None
    rising = [name for name in goal if goal[name] > TRACE and not had[name]]
    # Weights that are not ours, and do not sum to the whole, are restored directly.
    if rising and sum(had.values()) == WHOLE:
        return _traced(had, rising)
    falling = [name for name in goal if had[name] > TRACE and not goal[name]]
    return _traced(goal, falling) if falling else None


def _traced(permille: Mapping[str, int], names: list[str]) -> Mapping[str, int]:
    """With a trace for each of `names`, which have nothing; the largest share gives it."""
    largest = max(permille, key=lambda name: permille[name])
    return {**permille, **dict.fromkeys(names, TRACE), largest: permille[largest] - TRACE * len(names)}


def _room(kept: Weights, *, positional: bool) -> int:
    """How many new backends the route can take: in held places, and after the others."""
    return MOST_BACKENDS - (len(added(kept)) if positional else len(kept))


def _entered(kept: Weights, arriving: list[str], *, positional: bool) -> Weights:
    """With the new backends, still without weight: in held places, then after the others."""
    places = _places(kept)
    held = [index for index, (name, _) in enumerate(kept) if positional and places[name] != index]
    free = itertools.chain(held, itertools.count(len(kept)))
    entered = dict(enumerate(kept)) | {next(free): (name, 0) for name in arriving}
    return tuple(entered.values())
