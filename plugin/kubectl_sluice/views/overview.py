"""All models of a namespace, or of a cluster, in a line each."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kubectl_sluice.views.live import Live, live
from kubectl_sluice.views.releases.release import release_view
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel.rawobjects import Object
from sluice_core.parsing import ownkinds


class ModelLine(NamedTuple):
    """One model."""

    namespace: str
    name: str
    ready: bool
    current: bool
    headline: str
    serves: str
    """The source of the stable version; empty while nothing serves."""
    problem: str
    """The first condition that is not as wanted, or empty."""


def overview(deployments: Iterable[Object], rollouts: Iterable[ModelRollout], *, now: float) -> tuple[ModelLine, ...]:
    """The lines of all readable models, by namespace and name. rollouts: of all of them, in any order."""
    of: dict[tuple[str, str], list[ModelRollout]] = {}
    for rollout in rollouts:
        of.setdefault((rollout.metadata.namespace, rollout.spec.model_deployment), []).append(rollout)
    found: dict[tuple[str, str], ModelLine] = {}
    for raw in deployments:
        deployment = ownkinds.parsed_deployment(raw)
        if isinstance(deployment, ModelDeployment):
            name = (deployment.metadata.namespace, deployment.metadata.name)
            found[name] = _line(deployment, of.get(name, ()), live(raw, now=now), now)
    return tuple(found[name] for name in sorted(found))


def _line(deployment: ModelDeployment, rollouts: Sequence[ModelRollout], live: Live, now: float) -> ModelLine:
    view = release_view(deployment, rollouts, now=now, live=live)
    stable = next((each for each in view.revisions if each.role == "stable"), None)
    worst = next((f"{each.state} {each.reason}" for each in view.conditions), "")
    return ModelLine(
        namespace=view.namespace,
        name=view.name,
        ready=view.ready,
        current=view.current,
        headline=view.headline,
        serves=stable.uri if stable is not None else "",
        problem=worst,
    )
