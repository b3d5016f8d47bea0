"""How long a version may have no ready pod before it is given up: as long as its model may still be loading.

    stable was taken down ── `to_start` ──> given up       a node, images, download; then what its startup probe allows
    it was ready once ── `to_return` ──> given up          twice as long as it was seen to load
        └── its servers run on, and are not ready ── FUSE_SECONDS ──> given up

A pod's load time is recorded when the version is first ready, so the history of releases has it.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from sluice_core.api.v1alpha1.modelrollout import ArmStatus, ModelRollout, ModelRolloutStatus
from sluice_core.kernel.snapshot import Object, Revision
from sluice_core.rollout import fuse
from sluice_core.situation.record import promoted_revision
from sluice_judge import timestamps

START_SECONDS: Final = 600.0
"""Time for what no probe bounds: a node, the images, the download of the model."""
MARGIN: Final = 2.0
"""A pod may need this many times as long as one was seen to need."""
LONGEST_SECONDS: Final = 7200.0
"""Upper bound of waits derived from observations: the pod may have waited for something else."""
PERIOD_SECONDS: Final = 10
"""Kubernetes' default of a probe."""
FAILURE_THRESHOLD: Final = 3
"""Kubernetes' default of a probe."""


def granted(
    revision: Revision, version: ModelRolloutStatus | ArmStatus, loads: Mapping[str, float], stable: Revision | None
) -> float:
    """Seconds for a version without a ready pod; it only waits for its first one if stable was taken down.

    version: its status.
    """
    if version.ready_time is not None:
        return to_return(revision, version.unready_since, loads)
    return to_start(revision, loads, *((stable,) if stable is not None else ()))


def waits(
    rollout: ModelRollout,
    released: Iterable[Revision],
    stable: Revision | None,
    history: Sequence[ModelRollout],
    now: float,
) -> Iterator[float]:
    """Seconds until each version without a ready pod is given up or replaced; negative: since then.

    history: the model's releases, with the load times of its versions.
    """
    status = rollout.status
    if status.stable_unready_since is not None:
        yield timestamps.seconds(status.stable_unready_since) + fuse.FUSE_SECONDS - now
    versions: dict[str, ModelRolloutStatus | ArmStatus] = {promoted_revision(rollout): status}
    versions |= {arm.revision: arm for arm in status.arms}
    for revision in released:
        version = versions.get(revision.name)
        if version is not None and version.unready_since is not None:
            patience = granted(revision, version, observed_loads(history), stable)
            yield timestamps.seconds(version.unready_since) + patience - now


def to_start(revision: Revision, loads: Mapping[str, float], *others: Revision) -> float:
    """Seconds for a version without a ready pod to get one; `others` are versions of the same model."""
    seen = max(_to_load(known, loads) for known in (revision, *others))
    return max(START_SECONDS + startup_seconds(revision.template), seen)


def to_return(revision: Revision, unready_since: str | None, loads: Mapping[str, float]) -> float:
    """Seconds for a version that was ready to be ready again; more than a moment only if a pod is recreated."""
    if not loading(revision, unready_since):
        return fuse.FUSE_SECONDS
    return max(fuse.FUSE_SECONDS, _to_load(revision, loads))


def loading(revision: Revision, unready_since: str | None) -> bool:
    """Whether a version without a ready pod may be loading; not if each server has run since before that."""
    pods = [pod for pod in revision.pods if not pod.terminating]
    if not pods or unready_since is None:
        return True
    since = timestamps.seconds(unready_since)
    return any(pod.server_since is None or pod.server_since > since for pod in pods)


def exposes(permille: int, status: ModelRolloutStatus, now: float) -> bool:
    """Whether a candidate with this share on the route is exposed as its step says, and so is judged.

    Or to more, once the stable version has had no pod for so long that the candidate is judged by itself; a short
    outage says little about either.
    """
    since = status.stable_unready_since
    stands_in = since is not None and now - timestamps.seconds(since) >= fuse.FUSE_SECONDS
    return permille >= status.permille if stands_in else permille == status.permille


def startup_seconds(template: Object) -> float:
    """Time that the startup probes of a pod give its containers: sidecars one after the other, then all others at once.

    0 without probes.
    """
    spec = template.get("spec", {})
    init, others = (
        [_allowed_seconds(container.get("startupProbe")) for container in spec.get(field) or ()]
        for field in ("initContainers", "containers")
    )
    return sum(init) + max(others, default=0.0)


def observed_loads(rollouts: Iterable[ModelRollout]) -> dict[str, float]:
    """Seconds that a pod of each revision took to become ready: the longest that a release has seen."""
    loads: dict[str, float] = {}
    for rollout in rollouts:
        begun = rollout.status.start_time
        arms = ((arm.revision, _load(arm, begun)) for arm in rollout.status.arms)
        for revision, seconds in ((promoted_revision(rollout), _load(rollout.status, begun)), *arms):
            loads[revision] = max(seconds, loads.get(revision, 0.0))
    return loads


def load_seconds(revision: Revision, begun: str | None, now: float) -> int | None:
    """Load time of a revision's first ready pod; None if there is none, or it existed before the release."""
    seen = [pod.load_seconds for pod in revision.pods if pod.load_seconds is not None]
    if not seen or begun is None or min(seen) > now - timestamps.seconds(begun):
        return None
    return math.ceil(min(seen))


def _to_load(revision: Revision, loads: Mapping[str, float]) -> float:
    return min(MARGIN * loads.get(revision.name, 0.0), LONGEST_SECONDS)


def _load(version: ModelRolloutStatus | ArmStatus, begun: str | None) -> float:
    """The load time; for unobserved pods, the time from the beginning of the release."""
    if version.load_seconds is not None:
        return float(version.load_seconds)
    if version.ready_time is None or begun is None:
        return 0.0
    return max(0.0, timestamps.seconds(version.ready_time) - timestamps.seconds(begun))


def _allowed_seconds(probe: Any) -> float:
    if not isinstance(probe, Mapping):
        return 0.0
    tries = _number(probe, "failureThreshold", FAILURE_THRESHOLD)
    return float(_number(probe, "initialDelaySeconds", 0) + tries * _number(probe, "periodSeconds", PERIOD_SECONDS))


def _number(probe: Mapping[str, Any], name: str, default: int) -> int:
    """A number in a probe: the API server checks a ServingRuntime's containers only when it creates a pod from them."""
    value = probe.get(name)
    return value if isinstance(value, int) and value > 0 else default
