"""Weights on the route, in permille: what is wanted, and the way there that loses no request.

A gateway may learn of a route before it knows the endpoints of a backend that is new in it, a complete swap in one
write (0/1000 to 1000/0) makes some gateways answer errors, and some name their series by the position of a backend. So
every backend keeps its position, and there are two states to settle in:

    a new backend   1000     ──>  1000/0  … settle …  ──>  950/50
    a swap          1000/0   ──>  999/1   … settle …  ──>  0/1000  ──>  drained  ──>  the old one is removed
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from sluice.api.v1alpha1.modelrollout import ModelRollout
from sluice.core.snapshot import Revision, Route

WHOLE: Final = 1000
Weights: TypeAlias = tuple[tuple[str, int], ...]
"""(revision, permille) in the order of the backendRefs; sums to WHOLE."""


@dataclass(frozen=True, slots=True)
class Target:
    """Weights to write now."""

    weights: Weights
    intermediate: bool
    """The gateway must settle in this state before the wanted one."""


def wanted_shares(*, stable: Revision, candidate: Revision | None, rollout: ModelRollout | None) -> Mapping[str, int]:
    """The share of each side, without regard to the way there.

    An empty candidate gets nothing while stable has endpoints; an empty stable version changes nothing: traffic never
    fails over to an unproven one.
    """
    if candidate is None or rollout is None or rollout.spec.source is None:
        return {stable.name: WHOLE}
    share = rollout.status.weight * (WHOLE // 100)
    if candidate.ready_endpoints == 0 and stable.ready_endpoints > 0:
        share = 0
    if share == 0 and rollout.status.step == 0:
        return {stable.name: WHOLE}
    return {stable.name: WHOLE - share, candidate.name: share}


def target(*, route: Route | None, shares: Mapping[str, int], leaving: frozenset[str]) -> Target:
    """The weights to write, given the route as it is.

    Args:
        route: as observed; None when it does not exist yet.
        shares: wanted permille by revision, summing to WHOLE.
        leaving: revisions whose drain is over, to be removed from the route.
    """
    observed = route.weights if route is not None else ()
    order = [name for name, _ in observed if name in shares or name not in leaving]
    order += [name for name in shares if name not in order]
    final = tuple((name, shares.get(name, 0)) for name in order)
    if _with_new_backend(observed, final):
        before = dict(observed)
        return Target(tuple((name, before.get(name, 0)) for name in order), intermediate=True)
    if _complete_swap(observed, final):
        giving = [name for name, weight in observed if weight > 0]
        taking = next(name for name, weight in final if weight > 0)
        shared = dict.fromkeys(giving, 1) | {taking: WHOLE - len(giving)}
        return Target(tuple((name, shared.get(name, 0)) for name in order), intermediate=True)
    return Target(final, intermediate=False)


def _with_new_backend(observed: Weights, final: Weights) -> bool:
    """Whether a backend that the gateway does not know yet would get requests, while it can still serve without it.

    Where somebody else has changed the weights so that they no longer sum to the whole, putting them back comes first.
    """
    known = {name for name, _ in observed}
    kept = sum(weight for name, weight in observed if name in dict(final))
    return kept == WHOLE and any(weight > 0 and name not in known for name, weight in final)


def _complete_swap(observed: Weights, final: Weights) -> bool:
    before = {name for name, weight in observed if weight > 0}
    after = {name for name, weight in final if weight > 0}
    return bool(before) and before.isdisjoint(after)
