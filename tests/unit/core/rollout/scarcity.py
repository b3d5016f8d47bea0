"""Releases on few devices, as the tests of capacity speak of them."""

from dataclasses import replace
from typing import Any

from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel.snapshot import Paths, Pod, Revision, Route, Snapshot
from sluice_core.rollout import steps
from sluice_core.situation.devices import Devices
from sluice_core.situation.situation import Situation
from tests.support.cases import builders

GPU = "nvidia.com/gpu"
STABLE = builders.make_revision(uri="s3://models/digits/1", number=1)
CANDIDATE = builders.make_revision(uri="s3://models/digits/2", number=2)


def with_devices(revision: Revision, *, count: int = 1, resource: str = GPU, **spec: Any) -> Revision:
    """The revision, whose server asks for devices."""
    template = dict(revision.template)
    server, *others = template["spec"]["containers"]
    limited = {**server, "resources": {"limits": {resource: count}}}
    return replace(
        revision, template={**template, "spec": {**template["spec"], **spec, "containers": [limited, *others]}}
    )


def make_pods(number: int, *, terminating: int = 0) -> tuple[Pod, ...]:
    """Pods that run, and some that end."""
    return tuple(
        Pod(name=f"pod-{index}", ready=index < number, restarts=0, terminating=index >= number)
        for index in range(number + terminating)
    )


def running(revision: Revision, number: int, *, terminating: int = 0) -> Revision:
    """The revision with so many ready pods."""
    return replace(
        revision,
        replicas=number,
        ready_replicas=number,
        ready_endpoints=number,
        pods=make_pods(number, terminating=terminating),
    )


def make_release(
    *, mode: CapacityMode = CapacityMode.AUTO, weights: tuple[int, ...] = (50, 100), **arguments: Any
) -> ModelRollout:
    """A release with steps of these weights."""
    given_steps = arguments.pop("steps", None) or [{"weight": weight} for weight in weights]
    return builders.make_rollout(
        source=arguments.pop("source", STABLE), target=CANDIDATE, capacity=mode, steps=given_steps, **arguments
    )


def make_situation(
    release: ModelRollout,
    *,
    stable: Revision | None,
    candidates: tuple[Revision, ...],
    replicas: int = 4,
    leaving: tuple[Revision, ...] = (),
    permille: int = 0,
    programmed: bool = True,
    spec: dict[str, Any] | None = None,
) -> Situation:
    """A release that stands where its status and the revisions say; `permille` is the first candidate's on the route."""
    deployment = builders.make_model_deployment(spec={"replicas": replicas, **(spec or {})})
    serving = stable if stable is not None else candidates[0]
    weights = ((serving.name, steps.WHOLE - permille), (candidates[0].name, permille)) if permille else ()
    snapshot = Snapshot(
        now=builders.NOW,
        config=builders.CONFIG,
        preset=builders.PRESET,
        deployment=deployment,
        runtimes=(),
        policies=(),
        revisions=tuple(r for r in (stable, *candidates, *leaving) if r is not None),
        rollouts=(release,),
        route=Route(Paths(weights or ((serving.name, steps.WHOLE),)), generation=1, programmed=programmed),
        gateway_exists=True,
        gateway_message="",
        gateway_api=True,
        hostnames=(),
        hostname_taken=None,
    )
    return Situation(
        snapshot=snapshot,
        requested=candidates[0],
        stable=stable,
        active=release if release.status.outcome is None else None,
        latest=release,
        policy=builders.make_policy().spec,
        policy_name="default",
    )


def make_devices(*free: int, stable: int = 4, candidate: int = 0, **fields: Any) -> Devices:
    """Free devices of each node, and how many pods of each side have theirs."""
    return Devices(free_by_node=free, scheduled={STABLE.name: stable, CANDIDATE.name: candidate}, **fields)
