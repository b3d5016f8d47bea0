"""The watched part of a model at rest: a few values, so that the model itself need not be read every minute."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.api.v1alpha1.rolloutpolicy import DriftWatch, StableWatch
from sluice_core.api.v1alpha1.watchstatus import WatchStatus
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Revision, Snapshot
from sluice_core.situation import arms
from sluice_core.situation.situation import Blocked, Situation
from sluice_core.watch import binsources
from sluice_core.watch.binsources import BinSource
from sluice_judge import timestamps
from sluice_judge.kind import Kind
from sluice_judge.kinds import kind_of
from sluice_judge.model import Arm
from sluice_judge.presets import GatewayPreset
from sluice_judge.samples import gatewayseries
from sluice_judge.schema.objectives import Objective
from sluice_judge.stats import edetector


@dataclass(frozen=True, slots=True)
class WatchedVersion:
    """A stable version, and what should not change."""

    namespace: str
    model: str
    arm: Arm
    preset: GatewayPreset
    kinds: tuple[Kind, ...]
    """The objectives that can be watched."""
    unwatched: str
    """Which requested objectives cannot be watched, and why; or empty."""
    scrape_interval_seconds: int
    threshold_log: float
    """ln of the minimum average number of minutes until a false alarm of the objectives, and of each of `bins`, which
    share the false alarms."""
    resting: bool
    """Whether a release compares versions now: nothing is counted meanwhile."""
    begins: float
    """Minutes that began before this time are not counted, because of a release. Seconds since the epoch."""
    bins: tuple[BinSource, ...] = ()
    """Counters that are compared with a reference."""
    state: str | None = field(default=None, compare=False)
    """The last written state, if it is this version's."""
    before: str | None = field(default=None, compare=False)
    """The last written state of the version before, if a release has just found this one as good."""
    written: float = field(default=0.0, compare=False)
    """Up to when it had been judged by then, seconds since the epoch; 0: nothing was written."""

    @property
    def revision(self) -> str:
        return self.arm.revision

    @property
    def place(self) -> tuple[str, str]:
        return self.namespace, self.model


def watched_version(situation: Situation) -> WatchedVersion | None:
    """None if the policy has no watch, or nothing is stable yet."""
    policy, stable, snapshot = situation.policy, situation.stable, situation.snapshot
    if isinstance(policy, Blocked) or policy.watch is None or stable is None:
        return None
    objectives = {each.name: each for each in snapshot.deployment.spec.rollout.objectives or policy.objectives}
    why = {name: _unwatchable(objectives.get(name), snapshot.preset) for name in policy.watch.objectives}
    found = [kind_of(objectives[name]) for name, problem in why.items() if not problem]
    kinds = tuple(kind for kind in found if kind.bins is None)
    bins = (*_observed(policy.watch, snapshot, stable), *_own(found, policy.watch, snapshot, stable))
    latest, written = situation.latest, snapshot.deployment.status.watch
    ended = latest.status.end_time if latest is not None else None
    known = written if written is not None and written.revision == stable.name else None
    return WatchedVersion(
        namespace=snapshot.namespace,
        model=snapshot.name,
        arm=arms.arm_of(stable, snapshot.route),
        preset=snapshot.preset,
        kinds=kinds,
        unwatched="; ".join(f"{name} is not watched: {problem}" for name, problem in why.items() if problem),
        scrape_interval_seconds=policy.scrape_interval_seconds,
        threshold_log=edetector.log_threshold(policy.watch.false_alarm_minutes)
        + math.log(max(1, bool(kinds) + len(bins))),
        resting=situation.active is not None,
        begins=timestamps.seconds(ended) if ended is not None else 0.0,
        bins=bins,
        state=known.state if known is not None else None,
        before=_before(latest, written),
        written=timestamps.seconds(known.time) if known is not None and known.time is not None else 0.0,
    )


def _before(latest: ModelRollout | None, written: WatchStatus | None) -> str | None:
    """What a person, or no comparison, has promoted may be worse than the version before."""
    if latest is None or written is None or latest.status.reason != Reason.PROMOTED or not latest.spec.analysed:
        return None
    source = latest.spec.source
    return written.state if source is not None and source.revision == written.revision else None


def _observed(watch: StableWatch, snapshot: Snapshot, stable: Revision) -> Iterator[BinSource]:
    """The observer's counters, against its reference."""
    observer = snapshot.deployment.spec.observer
    if watch.drift is None or observer is None:
        return
    label, tolerance = snapshot.config.query_namespace_label, watch.drift.tolerance_nats
    yield binsources.of_features(snapshot.namespace, snapshot.name, tolerance=tolerance, label=label)
    if observer.predictions:
        place = snapshot.namespace, snapshot.name
        yield binsources.of_answers(*place, stable.name, tolerance=tolerance, label=label)


def _own(kinds: Iterable[Kind], watch: StableWatch, snapshot: Snapshot, stable: Revision) -> Iterator[BinSource]:
    """Counters of objectives, against the version's own past."""
    place = snapshot.namespace, snapshot.name
    tolerance = (watch.drift or DriftWatch()).tolerance_nats
    for kind in kinds:
        if kind.bins is not None:
            label = snapshot.config.query_namespace_label
            yield binsources.of_objective(
                kind.name, kind.bins.selector, kind.bins.label, place, stable.name, tolerance=tolerance, label=label
            )


def _unwatchable(objective: Objective | None, preset: GatewayPreset) -> str:
    if objective is None:
        return "the model's own objectives have none of this name"
    kind = kind_of(objective)
    if kind.bins is not None:
        return kind.sampling.refused
    if not preset.requests:
        return "there is no gateway to count requests"
    if kind.watch is None:
        return "only a distribution, and a failureRatio or a latency with maximumMillis with source Gateway, is"
    if kind.feed == gatewayseries.LATENCY and not preset.latency_bucket:
        return "the gateway shows no response times"
    return ""
