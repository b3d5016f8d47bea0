"""Limits of a shared Service (`routing: Service`)."""

from collections.abc import Iterator

from sluice_core.api.v1alpha1.common import CapacityMode, Strategy
from sluice_core.kernel.snapshot import Revision
from sluice_core.situation.situation import Situation

REMEDY = "use another strategy, or a gateway (the operator's config.routing: Gateway)"


def refused(situation: Situation, target: Revision) -> str:
    """Why the release is impossible as the spec says, with the remedy; empty if it is possible."""
    problem = next(_problems(situation, target), "")
    return f"{problem}; {REMEDY}" if problem else ""


def _problems(situation: Situation, target: Revision) -> Iterator[str]:
    spec, stable = situation.snapshot.deployment.spec, situation.stable
    wanted = spec.rollout
    if wanted.strategy is Strategy.AB_TEST:
        yield "spec.rollout.strategy: ABTest needs a gateway, which keeps each user with an arm"
    if wanted.strategy is Strategy.SHADOW or wanted.shadow is not None:
        yield "spec.rollout.shadow: without a gateway, requests cannot be copied"
    if spec.routing.candidate_header is not None:
        yield "spec.routing.candidateHeader: without a gateway, headers have no effect"
    if wanted.capacity is CapacityMode.SHRINK_STABLE:
        yield (
            "spec.rollout.capacity: ShrinkStable would change the shares; without a gateway, use Auto, Surge or "
            "Recreate"
        )
    one_port = stable is None or (stable.port, stable.grpc_port) == (target.port, target.grpc_port)
    if wanted.strategy is Strategy.CANARY and wanted.capacity is not CapacityMode.RECREATE and not one_port:
        yield (
            f"spec.rollout.strategy: {target.runtime} answers on another port than {stable.runtime if stable else ''}, "
            "and one Service cannot lead to both; use BlueGreen or Recreate"
        )
