"""What applying a manifest would do: the operator's own decision, on a hypothetical world."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kubectl_sluice.views.releases.history import way_of
from kubectl_sluice.views.releases.objectives import unwatched
from kubectl_sluice.views.releases.steps import StepView, step_views
from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment, ModelDeploymentSpec
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.api.v1alpha1.validation import ValidationStatus
from sluice_core.decide import decide
from sluice_core.decide.prepare import Findings
from sluice_core.kernel.snapshot import Revision, Snapshot
from sluice_core.rollout import baseline, comparing, patience, stepping, steps
from sluice_core.rollout.attempts import Refusal
from sluice_core.rollout.capacity import capacity, pods, shares
from sluice_core.situation import devices
from sluice_core.situation.devices import Devices
from sluice_core.situation.situation import Blocked, Situation, interpret
from sluice_core.views import words
from sluice_judge import timestamps


@dataclass(frozen=True, slots=True)
class Prospect:
    """The world as it would be right after the manifest is applied."""

    situation: Situation
    """The snapshot with the new release as the running one."""
    begun: ModelRollout | None
    refusal: Refusal | Blocked | None
    """Why nothing would be released although another version is requested."""
    superseded: str
    """The running release that would end, and how; or empty."""


@dataclass(frozen=True, slots=True)
class AcceleratorPlan:
    """Devices beyond those in use now."""

    resource: str
    """The extended resource; empty where only device claims are used, which cannot be counted."""
    per_pod: int
    extra: int
    """The most devices that the release needs beside those of the stable version."""
    free: int | None
    """Free devices that such pods may use; None where they could not be counted."""
    message: str


@dataclass(frozen=True, slots=True)
class PlanView:
    """The effects of applying a manifest."""

    name: str
    namespace: str
    exists: bool
    releases: bool
    """Whether a release would begin."""
    summary: str
    problem: str
    """Why the request would not be released; or empty."""
    superseded: str
    changes: tuple[str, ...]
    """Fields of the spec that differ from the current ones."""
    revision: str
    new_revision: bool
    """Whether it has never been created before."""
    serves: bool
    """Whether it is the stable version already."""
    way: str
    """How it would be released: the strategy, `first version` or `rollback`."""
    validation: str
    """The requests that it must answer well before any user's, or empty."""
    steps: tuple[StepView, ...]
    requests_per_second: float | None
    """The stable version's requests a second; None where unknown."""
    requests: int | None
    """Candidate requests that the weights need for their proofs; None where unknown."""
    seconds: int | None
    """Time to the last step, without the bake, people and mirrored requests; None where unknown."""
    bake_seconds: int
    forecast: str
    """The forecast in words."""
    late: bool
    """Whether the first weight cannot be decided in time, or may not be."""
    accelerators: AcceleratorPlan | None
    downtime: str
    """Effects that users notice; empty without any."""
    unwatched: str
    """What no objective counts, or empty."""
    uncompared: str
    """Latencies that no step, or only a later one, can compare; or empty."""
    baseline: str
    """The further pods of the stable version, or empty."""


def prospect(snapshot: Snapshot) -> Prospect:
    """The operator's first decision. snapshot: the current world, with the manifest as the deployment."""
    done = decide.progress(interpret(snapshot), Findings())
    ended = ""
    if done.again and done.statuses:
        rollout, status = done.statuses[0]
        ended = f"{rollout.metadata.name} would end {status.outcome}: {status.message}"
        done = decide.progress(done.situation, Findings())
    begun = _validated(done.begun)
    return Prospect(replace(done.situation, active=begun or done.situation.active), begun, done.refusal, ended)


def _validated(begun: ModelRollout | None) -> ModelRollout | None:
    """The release after its validation has passed: only then does it need pods and devices."""
    if begun is None or begun.spec.validation is None:
        return begun
    passed = ValidationStatus(passed=True)
    return begun.model_copy(update={"status": begun.status.model_copy(update={"validation": passed})})


def _validation(begun: ModelRollout) -> str:
    if begun.spec.validation is None:
        return ""
    batch = begun.spec.validation.batch
    limits = batch.objective
    allowed = [
        f"at most {limits.maximum} wrong" if limits.maximum is not None else "",
        f"no more than {limits.relative_tolerance} worse than stable's on the same rows"
        if limits.relative_tolerance is not None
        else "",
        f"{limits.ignore_below} wrong is negligible" if limits.ignore_below is not None else "",
    ]
    return (
        f"before any pod or request, a Job compares its answers to {batch.input.uri} with column {batch.labels}: "
        + "; ".join(part for part in allowed if part)
    )


def plan_view(found: Prospect, findings: Findings, *, today: ModelDeployment | None) -> PlanView:
    """The plan in figures. findings: the forecast and the free devices; today: the current ModelDeployment."""
    snapshot = found.situation.snapshot
    begun = _with_forecast(found.begun, findings)
    target = found.situation.revision(begun.spec.target.revision) if begun is not None else None
    asked = target or (found.situation.requested if isinstance(found.situation.requested, Revision) else None)
    views = step_views(begun, now=snapshot.now) if begun is not None and begun.spec.source is not None else ()
    forecast = findings.forecast
    return PlanView(
        name=snapshot.name,
        namespace=snapshot.namespace,
        exists=today is not None,
        releases=begun is not None,
        summary=_summary(found, begun, today),
        problem=f"{found.refusal.reason}: {found.refusal.message}" if found.refusal is not None else "",
        superseded=found.superseded,
        changes=changes(today.spec, snapshot.deployment.spec) if today is not None else (),
        revision=asked.name if asked is not None else "",
        new_revision=asked is not None and snapshot.revision(asked.name) is None,
        serves=asked is not None and asked == found.situation.stable,
        way=way_of(begun) if begun is not None else "",
        validation=_validation(begun) if begun is not None else "",
        steps=views,
        requests_per_second=(forecast.rate or None) if forecast is not None else None,
        requests=_total([view.planned_requests for view in views if _proves(view)]),
        seconds=_total([_seconds(view) for view in views[:-1]]),
        bake_seconds=begun.spec.bake_seconds if begun is not None and begun.spec.source is not None else 0,
        forecast=forecast.message if forecast is not None else "",
        late=begun is not None and _is_late(begun, views),
        accelerators=_accelerators(found.situation, begun, target, findings.devices) if begun and target else None,
        downtime=_downtime(found.situation, begun),
        unwatched=unwatched(begun.spec.objectives) if begun is not None and begun.spec.source is not None else "",
        uncompared=comparing.unfair(begun.spec) if begun is not None else "",
        baseline=baseline.words(begun.spec) if begun is not None else "",
    )


def changes(before: ModelDeploymentSpec, after: ModelDeploymentSpec) -> tuple[str, ...]:
    """Fields that differ, with their path and both values; named items of a list one by one."""
    return tuple(_differences("spec", before.to_wire(), after.to_wire()))


def _differences(path: str, before: Any, after: Any) -> list[str]:
    if before == after:
        return []
    old, new = _fields(before), _fields(after)
    if (new and (old or before is None)) or (old and after is None):
        keys = list(dict.fromkeys((*old, *new)))
        return [line for key in keys for line in _differences(f"{path}{key}", old.get(key), new.get(key))]
    return [f"{path}: {_shown(before)} -> {_shown(after)}"]


def _fields(value: Any) -> Mapping[str, Any]:
    """A value's parts by path suffix; empty where it is shown as a whole."""
    if isinstance(value, Mapping):
        return {f".{key}": value[key] for key in sorted(value)}
    if isinstance(value, list) and value and all(isinstance(each, Mapping) and "name" in each for each in value):
        return {f"[{each['name']}]": {key: each[key] for key in each if key != "name"} for each in value}
    return {}


def _shown(value: Any) -> str:
    return "unset" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _with_forecast(begun: ModelRollout | None, findings: Findings) -> ModelRollout | None:
    if begun is None or findings.forecast is None:
        return begun
    return begun.model_copy(update={"status": stepping.planned(begun.status, findings.forecast)})


def _summary(found: Prospect, begun: ModelRollout | None, today: ModelDeployment | None) -> str:
    stable = found.situation.stable
    if begun is not None and begun.spec.source is None:
        return f"the first version, {begun.spec.target.uri}, would serve as soon as it is ready"
    if begun is not None and begun.spec.ab_test is not None:
        arms = words.listed([f"{arm.name} ({arm.end.uri}, {arm.weight} %)" for arm in begun.spec.ab_test.arms])
        return f"an A/B test of {arms} against {begun.spec.target.uri} would begin, on {begun.spec.ab_test.metric}"
    if begun is not None and begun.spec.source is not None:
        return f"{begun.spec.source.uri} -> {begun.spec.target.uri} would be released by {begun.spec.strategy}"
    if found.refusal is not None:
        return "nothing would be released"
    if found.situation.active is not None:
        return f"{found.situation.active.metadata.name} would continue unchanged"
    if today is not None and not changes(today.spec, found.situation.snapshot.deployment.spec):
        return "nothing would change"
    serving = f"{stable.name} keeps serving" if stable is not None else "nothing serves"
    return f"no release: no pod would change, and {serving}; the changes would take effect at once"


def _is_late(begun: ModelRollout, views: tuple[StepView, ...]) -> bool:
    """As in the forecast: each step alone against the deadline of the whole."""
    planned = [view.planned_seconds for view in views if _proves(view)]
    return any(seconds is None or seconds > begun.spec.progress_deadline_seconds for seconds in planned)


def _proves(view: StepView) -> bool:
    return 0 < view.permille < steps.WHOLE


def _seconds(view: StepView) -> int | None:
    if _proves(view) and view.planned_seconds is None:
        return None
    return max(view.planned_seconds or 0, view.minimum_seconds)


def _total(parts: list[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _accelerators(
    situation: Situation, begun: ModelRollout, target: Revision, free: Devices | None
) -> AcceleratorPlan | None:
    wanted = devices.extended_resource(target.template)
    uncounted = devices.uncounted(target.template)
    if wanted is None and uncounted:
        return AcceleratorPlan(resource="", per_pod=0, extra=0, free=None, message=uncounted)
    if wanted is None:
        return None
    resource, per_pod = wanted
    replicas = shares.whole(situation)
    counted = free if free is not None and not free.unknown else None
    mode = begun.spec.capacity
    if mode is CapacityMode.AUTO:
        surging = _extra_pods(begun, CapacityMode.SURGE, replicas)
        fits = counted is None or counted.pods_that_fit(per_pod) >= surging
        mode = CapacityMode.SURGE if fits else CapacityMode.SHRINK_STABLE
    extra = _extra_pods(begun, mode, replicas) * per_pod
    wait = capacity.plan(situation, free).wait
    notes = (
        f"{extra} more {resource} at the most ({mode})",
        f"{counted.free} free on {words.plural(counted.nodes, 'node')}" if counted is not None else "",
        f"free devices cannot be counted: {free.unknown}" if free is not None and free.unknown else "",
        f"it would wait: {wait}" if wait else "",
        uncounted,
    )
    return AcceleratorPlan(
        resource=resource,
        per_pod=per_pod,
        extra=extra,
        free=counted.free if counted is not None else None,
        message="; ".join(note for note in notes if note),
    )


def _extra_pods(begun: ModelRollout, mode: CapacityMode, replicas: int) -> int:
    """The most pods beyond those of the stable version."""
    if begun.spec.source is None:
        return replicas
    if mode is CapacityMode.RECREATE:
        return 0
    if mode is CapacityMode.SHRINK_STABLE:
        return pods.EXTRA
    if begun.spec.ab_test is not None:
        return sum(shares.pods_for(permille, replicas) for permille in begun.spec.ab_test.shares.values())
    return max(shares.pods_for(step.load_permille, replicas) for step in steps.steps(begun))


def _downtime(situation: Situation, begun: ModelRollout | None) -> str:
    if begun is None or begun.spec.source is None or begun.spec.capacity is not CapacityMode.RECREATE:
        return ""
    took = [
        timestamps.seconds(r.status.ready_time) - timestamps.seconds(r.status.start_time)
        for r in situation.snapshot.rollouts
        if r.status.ready_time and r.status.start_time
    ]
    last = f"; the last version took {words.span(took[-1])} to become ready" if took else ""
    return (
        f"the model does not answer from when the pods of {begun.spec.source.revision} end until those of "
        f"{begun.spec.target.revision} are ready{last}; it is given up after "
        f"{words.span(_given_up_seconds(situation, begun))} without a ready pod. The rollback has the same downtime, and "
        "no end while other pods have taken the room"
    )


def _given_up_seconds(situation: Situation, begun: ModelRollout) -> float:
    versions = [situation.revision(end.revision) for end in (begun.spec.target, begun.spec.source) if end is not None]
    known = [version for version in versions if version is not None]
    loads = patience.observed_loads(situation.snapshot.rollouts)
    return patience.to_start(known[0], loads, *known[1:]) if known else patience.START_SECONDS


def as_applied(manifest: Mapping[str, Any], today: Mapping[str, Any] | None) -> dict[str, Any]:
    """The manifest with the parts that only the API server knows: identity and status of the existing object."""
    kept = (today or {}).get("metadata", {})
    metadata = {**manifest["metadata"], **{key: kept[key] for key in ("uid", "creationTimestamp") if key in kept}}
    metadata["generation"] = int(kept.get("generation", 0)) + 1
    return {**manifest, "metadata": metadata, "status": (today or {}).get("status", {})}
