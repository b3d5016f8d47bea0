"""What is watched of a model at rest: a few values, so that nobody has to look at the model itself every minute."""

import math
from dataclasses import dataclass, field

from sluice.api.v1alpha1.common import Objective
from sluice.api.v1alpha1.rolloutpolicy import StableWatch
from sluice.core.judge import gatewayseries
from sluice.core.judge.kind import Kind
from sluice.core.judge.kinds import kind_of
from sluice.core.judge.model import Arm
from sluice.core.kernel import timestamps
from sluice.core.kernel.presets import GatewayPreset
from sluice.core.kernel.snapshot import Snapshot
from sluice.core.situation import arms
from sluice.core.situation.situation import Blocked, Situation
from sluice.stats import edetector


@dataclass(frozen=True, slots=True)
class WatchedFeatures:
    """How what an observer counts is held against its reference."""

    tolerance: float
    """How far requests may be from it, as relative entropy in nats."""
    namespace_label: str
    """The label by which Prometheus says whose a series is; empty: none does."""


@dataclass(frozen=True, slots=True)
class WatchedVersion:
    """A stable version, and what is to stay as it is."""

    namespace: str
    model: str
    arm: Arm
    preset: GatewayPreset
    kinds: tuple[Kind, ...]
    """The objectives that can be watched."""
    unwatched: str
    """Which of those that are asked for cannot be watched, and why; or empty."""
    scrape_interval_seconds: int
    threshold_log: float
    """ln of how many minutes it takes on average, at least, until a false alarm of the objectives, and of the features: half
    of the false alarms each where both are watched."""
    resting: bool
    """Whether a release compares versions now: nothing is counted meanwhile."""
    begins: float
    """Minutes that began before this time are not counted: a release was under way. Seconds since the epoch."""
    drift: WatchedFeatures | None = None
    """None: nobody counts its features, or nobody wants to know."""
    state: str | None = field(default=None, compare=False)
    """What was written of it last; only of this version."""
    written: float = field(default=0.0, compare=False)
    """Up to when it had been looked at by then, seconds since the epoch; 0: nothing was written."""

    @property
    def revision(self) -> str:
        return self.arm.revision

    @property
    def place(self) -> tuple[str, str]:
        return self.namespace, self.model


def watched_version(situation: Situation) -> WatchedVersion | None:
    """None where the policy has no watch, or nothing is stable yet."""
    policy, stable, snapshot = situation.policy, situation.stable, situation.snapshot
    if isinstance(policy, Blocked) or policy.watch is None or stable is None:
        return None
    objectives = {each.name: each for each in snapshot.deployment.spec.rollout.objectives or policy.objectives}
    why = {name: _unwatchable(objectives.get(name), snapshot.preset) for name in policy.watch.objectives}
    kinds = tuple(kind_of(objectives[name]) for name, problem in why.items() if not problem)
    drift = _features(policy.watch, snapshot)
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
        + (math.log(2) if kinds and drift is not None else 0.0),
        resting=situation.active is not None,
        begins=timestamps.seconds(ended) if ended is not None else 0.0,
        drift=drift,
        state=known.state if known is not None else None,
        written=timestamps.seconds(known.time) if known is not None and known.time is not None else 0.0,
    )


def _features(watch: StableWatch, snapshot: Snapshot) -> WatchedFeatures | None:
    if watch.drift is None or snapshot.deployment.spec.observer is None:
        return None
    return WatchedFeatures(watch.drift.tolerance_nats, snapshot.config.query_namespace_label)


def _unwatchable(objective: Objective | None, preset: GatewayPreset) -> str:
    if objective is None:
        return "the model's own objectives have none of this name"
    if not preset.requests:
        return "there is no gateway to count requests"
    kind = kind_of(objective)
    if kind.watched is None or kind.feed not in gatewayseries.FEEDS:
        return "only a failureRatio, or a latency with maximumMillis, with source Gateway is"
    if kind.feed == gatewayseries.LATENCY and not preset.latency_bucket:
        return "the gateway shows no response times"
    return ""
