"""Which counters belong to a release or to two versions of a model, and when each weight began."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sluice_core.api.config import OperatorConfig, RoutingMode
from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice_core.api.v1alpha1.routing import Routing
from sluice_core.api.v1alpha1.servingruntime import ServingRuntime
from sluice_core.kernel import naming
from sluice_core.kernel.snapshot import Object, Revision
from sluice_core.parsing import podproblems
from sluice_core.render.traffic import timeouts
from sluice_core.rollout import steps
from sluice_core.situation import arms
from sluice_judge import state, timestamps
from sluice_judge.model import Answers, Arm, OwnCounters, Servers, Trial
from sluice_judge.presets import GatewayPreset
from sluice_judge.replay import record
from sluice_judge.samples import columns
from sluice_judge.state import Learnt

HISTORY_SECONDS: Final = 3600
"""The time before the release from which the stable version's own variation is learnt."""
EVER: Final = 0.0
CUT_SECONDS: Final = 1.0
"""A time in the status is cut to whole seconds: what it names happened before this much later."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What to record."""

    stable: str
    candidate: str
    weights: tuple[tuple[float, int], ...]
    """(seconds since the epoch, permille) of each change of the candidate's weight, oldest first."""
    seconds: int
    probes: tuple[tuple[float, int | None], ...] = ()
    """(seconds since the epoch, permille of the stable version) of the bake's probes, and None where they ended."""
    asks: bool = True
    """Whether the bake could probe."""
    until: float = math.inf
    """When the release ended, seconds since the epoch: later samples say nothing about it."""
    baseline: str | None = None
    """The revision of the release's baseline."""
    learnt: Learnt | None = None
    """What the judge learnt at its first look."""

    def moment(self, now: float) -> float:
        """When to ask Prometheus for, seconds since the epoch: samples after the end only make the window longer."""
        return min(now, self.until)


def of_release(rollout: ModelRollout, *, since: int | None = None, now: float) -> Recording:
    """The recording of its two versions, from an hour before it began.

    Raises `record.NothingRecorded` for a first version.
    """
    source, target = rollout.spec.source, rollout.spec.target
    if source is None:
        raise record.NothingRecorded(
            f"{rollout.metadata.name} is the first version, so there is nothing to compare it with; --aa compares it "
            "with itself"
        )
    asked = probes(rollout)
    end = rollout.status.end_time
    until = math.inf if end is None else _happened(end)
    probed = {time for time, _ in asked}
    changes = (change for change in step_weights(rollout, target.revision) if change[0] not in probed)
    return Recording(
        source.revision,
        target.revision,
        ((EVER, 0), *changes),
        _seconds(since, began(rollout), min(now, until), now),
        asked,
        asks=rollout.spec.capacity is not CapacityMode.RECREATE and rollout.spec.ab_test is None,
        until=until,
        baseline=rollout.spec.baseline_revision,
        learnt=state.load_learnt(rollout.status.learnt),
    )


def of_itself(stable: str, *, since: int | None) -> Recording:
    """The recording of one version, to compare with itself."""
    return Recording(stable, stable, (), since or HISTORY_SECONDS)


def of_two(
    rollouts: Sequence[ModelRollout], *, stable: str, against: str, since: int | None, now: float
) -> Recording | None:
    """The recording of the stable version and another, over all releases of the other; None where it has none.

    rollouts: newest first.
    """
    found = [rollout for rollout in reversed(rollouts) if against in revisions(rollout)]
    if not found:
        return None
    weights = tuple(change for rollout in found for change in weight_changes(rollout, against))
    oldest = min(began(rollout) for rollout in found)
    return Recording(stable, against, ((EVER, 0), *weights), since or back_to(oldest, now))


def weight_changes(rollout: ModelRollout, revision: str) -> Iterator[tuple[float, int]]:
    """When the weight of one of a release's two versions changed, and to how many permille."""
    status, candidate = rollout.status, rollout.spec.target.revision == revision
    yield from step_weights(rollout, revision)
    if status.end_time is not None:
        kept = (status.outcome is Outcome.PROMOTED) == candidate
        yield _happened(status.end_time), steps.WHOLE if kept else 0


def step_weights(rollout: ModelRollout, revision: str) -> Iterator[tuple[float, int]]:
    """The same without the end of the release."""
    candidate = rollout.spec.target.revision == revision
    for step in rollout.status.steps:
        yield _happened(step.start_time), step.permille if candidate else steps.WHOLE - step.permille


def _happened(time: str) -> float:
    return timestamps.seconds(time) + CUT_SECONDS


def probes(rollout: ModelRollout) -> tuple[tuple[float, int | None], ...]:
    """Probes of the bake, from the steps in the status."""
    found: list[tuple[float, int | None]] = []
    baking = False
    for step in rollout.status.steps:
        whole = step.permille >= steps.WHOLE
        if baking and whole is bool(found and found[-1][1] is not None):
            found.append((_happened(step.start_time), None if whole else steps.WHOLE - step.permille))
        baking = baking or whole
    return tuple(found)


def began(rollout: ModelRollout) -> float:
    """Seconds since the epoch."""
    return timestamps.seconds(rollout.status.start_time or rollout.metadata.creation_timestamp)


def back_to(moment: float, now: float) -> int:
    """Seconds to look back for a release that began at this moment."""
    return round(now - moment) + HISTORY_SECONDS


def _seconds(since: int | None, begin: float, end: float, now: float) -> int:
    """Seconds to look back from a release's end. since: from now."""
    if since is None:
        return back_to(begin, end)
    seconds = since - math.ceil(now - end)
    if seconds <= 0:
        raise record.NothingRecorded(
            f"the release ended {math.ceil(now - end)} s ago; --since must reach further back, or be left out"
        )
    return seconds


def revisions(rollout: ModelRollout) -> tuple[str, ...]:
    """The versions that a release splits the traffic between."""
    return tuple(end.revision for end in (rollout.spec.source, rollout.spec.target) if end is not None)


def trial(
    rollout: ModelRollout,
    wanted: Recording,
    *,
    config: OperatorConfig,
    preset: GatewayPreset,
    kept: Sequence[Revision],
    runtimes: Sequence[ServingRuntime],
    routing: Routing | None,
    pods: Sequence[Object] = (),
    now: float,
) -> Trial:
    """The trial to ask Prometheus about. kept: the pinned revisions, and runtimes: which say how servers count pod by
    pod; none where they may not be read. routing: the model's; None if unknown. pods: the model's, while it is
    released: afterwards its status says when they were ready."""
    grpc = speaking_grpc(kept)
    by_name = {revision.name: revision for revision in kept}
    namespace = rollout.metadata.namespace
    compared = record.trial_of(
        namespace=namespace,
        name=rollout.spec.model_deployment,
        stable=arm(wanted.stable, 0, grpc),
        candidate=arm(wanted.candidate, 0 if wanted.candidate == wanted.stable else 1, grpc),
        objectives=rollout.spec.objectives,
        preset=preset,
        namespace_label=config.query_namespace_label,
        now=wanted.moment(now),
        scrape_interval_seconds=rollout.spec.scrape_interval_seconds,
    )
    own, candidates = (
        arms.own_counters(runtimes, namespace, by_name[name]) if name in by_name else OwnCounters()
        for name in (wanted.stable, wanted.candidate)
    )
    baseline, baseline_own = None, OwnCounters()
    if wanted.baseline is not None:
        baseline = dataclasses.replace(arm(wanted.baseline, 0, grpc), ready=ready(pods, wanted.baseline))
        if wanted.stable in by_name:
            like_stable = dataclasses.replace(by_name[wanted.stable], name=wanted.baseline)
            baseline_own = arms.own_counters(runtimes, namespace, like_stable)
    asks = wanted.asks and config.routing is not RoutingMode.SERVICE
    gone = wanted.learnt.ready if wanted.learnt is not None else {}
    limit = 0.0
    if routing is not None:
        limit = timeouts.longest_answer_seconds(routing, [revision.timeouts for revision in kept])
    return dataclasses.replace(
        compared,
        stable=dataclasses.replace(compared.stable, ready=gone.get(columns.STABLE) or ready(pods, wanted.stable)),
        candidate=dataclasses.replace(
            compared.candidate, ready=gone.get(columns.CANDIDATE) or ready(pods, wanted.candidate)
        ),
        baseline=baseline,
        policy=dataclasses.replace(
            compared.policy,
            asks=asks,
            initial_dispersion=rollout.spec.initial_dispersion,
            new_pod_seconds=rollout.spec.new_pod_seconds,
            cache_fill_seconds=rollout.spec.cache_fill_seconds,
        ),
        gateway=dataclasses.replace(compared.gateway, answer_seconds=limit),
        servers=Servers(own=own, candidate_own=candidates, baseline_own=baseline_own),
    )


def lines(trial: Trial, answers: Answers, wanted: Recording) -> Iterator[str]:
    """The recorded lines, as `record.recorded`. answers: to `record.questions`."""
    return record.recorded(
        trial,
        answers,
        seconds=wanted.seconds,
        weights=wanted.weights,
        probes=wanted.probes,
        until=wanted.until,
        learnt=wanted.learnt,
    )


def ready(pods: Iterable[Object], revision: str) -> tuple[float, ...]:
    """When each pod of a version became ready, seconds since the epoch."""
    own = (pod for pod in pods if pod["metadata"].get("labels", {}).get(naming.LABEL_REVISION) == revision)
    return tuple(sorted(time for pod in own if (time := podproblems.ready_since(pod)) is not None))


def speaking_grpc(kept: Iterable[Revision]) -> frozenset[str]:
    """The revisions that also speak gRPC."""
    return frozenset(revision.name for revision in kept if revision.grpc_port is not None)


def arm(revision: str, position: int, grpc: frozenset[str]) -> Arm:
    """A candidate is the second backend of its route, for gateways that name series by position."""
    return Arm(
        revision=revision,
        service=naming.service_name(revision),
        port=naming.SERVICE_PORT,
        grpc_port=naming.GRPC_SERVICE_PORT if revision in grpc else None,
        position=position,
    )
