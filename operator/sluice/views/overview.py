"""All models of a namespace, or of a cluster, in a line each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sluice.api.v1alpha1.modeldeployment import ModelDeployment
from sluice.api.v1alpha1.modelrollout import ModelRollout
from sluice.views.release import release_view


@dataclass(frozen=True, slots=True)
class ModelLine:
    """One model."""

    namespace: str
    name: str
    ready: bool
    current: bool
    headline: str
    serves: str
    """What the stable version was made from; empty while nothing serves."""
    problem: str
    """The first condition that is not as wanted, or empty."""


def overview(
    deployments: Iterable[ModelDeployment], rollouts: Iterable[ModelRollout], *, now: float
) -> tuple[ModelLine, ...]:
    """The lines, by namespace and name. rollouts: of all of them, in any order."""
    of: dict[tuple[str, str], list[ModelRollout]] = {}
    for rollout in rollouts:
        of.setdefault((rollout.metadata.namespace, rollout.spec.model_deployment), []).append(rollout)
    ordered = sorted(deployments, key=lambda each: (each.metadata.namespace, each.metadata.name))
    return tuple(_line(each, of.get((each.metadata.namespace, each.metadata.name), ()), now) for each in ordered)


def _line(deployment: ModelDeployment, rollouts: Sequence[ModelRollout], now: float) -> ModelLine:
    view = release_view(deployment, rollouts, now=now)
    stable = next((each for each in view.revisions if each.role == "stable"), None)
    worst = next((f"{each.type}={each.status} {each.reason}" for each in view.conditions), "")
    return ModelLine(
        namespace=view.namespace,
        name=view.name,
        ready=view.ready,
        current=view.current,
        headline=view.headline,
        serves=stable.uri if stable is not None else "",
        problem=worst,
    )
