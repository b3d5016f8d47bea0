"""One ModelDeployment and its newest release, as a person wants to see them."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from kubectl_sluice.views.live import NOTHING_LIVE, AddressState, AddressView, Live, ago, is_seen, unseen_since
from kubectl_sluice.views.releases.arms import ABTestView, ab_test_view
from kubectl_sluice.views.releases.history import HistoryLine, history_line, way_of
from kubectl_sluice.views.releases.objectives import ObjectiveView, against, objective_views, unwatched
from kubectl_sluice.views.releases.steps import StepState, StepView, step_views
from kubectl_sluice.views.reports.drift import MovedView, moved_views
from sluice_core.api.v1alpha1.common import CapacityMode, ConditionStatus
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment, RevisionStatus
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.api.v1alpha1.rolloutspec import ReleaseEnd
from sluice_core.api.v1alpha1.variants import VariantStatus
from sluice_core.kernel.conditions import Type
from sluice_core.kernel.reasons import CALM, VALIDATES, Reason
from sluice_core.render import common
from sluice_core.rollout import steps
from sluice_core.views import words
from sluice_core.views.conditions import ConditionView, of_model

RECENT: Final = 5
WHOLE_PERCENT: Final = 100
"""How many ended releases are listed."""


class RevisionView(NamedTuple):
    """One revision that serves or may come to serve."""

    role: str
    """`stable`, `candidate`, or the name of an A/B test's arm."""
    revision: str
    uri: str
    version: str
    weight: str
    """Its share of the requests: `0.5 %`."""
    verified: str
    """The model's signer, or that there is no trusted one, in words; empty where it was not checked."""
    ready: int
    """Ready replicas, as the operator has written them."""
    replicas: int
    ready_now: int | None
    """Ready pods, from the pods themselves; None where they were not read."""
    pods_now: int | None

    @property
    def differs(self) -> bool:
        """Whether the pods differ from what the operator has written."""
        return self.ready_now is not None and self.ready_now != self.ready


class RolloutView(NamedTuple):
    """The newest release."""

    name: str
    way: str
    """How it is released: the strategy, `first version` or `rollback`."""
    running: bool
    replaces: bool
    """Whether another version served before it."""
    outcome: str
    """How it ended, or empty."""
    verdict: str
    reason: str
    message: str
    step: int
    """The step's number, from 1; 0 before any weight."""
    steps: tuple[StepView, ...]
    lead_permille: int | None
    """The weight of a smaller first step that limits the requests at risk."""
    permille: int
    """The candidate's weight in the route."""
    paused: bool
    warm: bool
    """Whether the previous version keeps its pods."""
    baking_seconds_left: float | None
    """None also while the bake probes."""
    probe_seconds_left: float | None
    """The most time that the probe may still take; None without one."""
    age_seconds: float
    """From its start to now, or to its end."""
    requests_needed: int | None
    eta_seconds: float | None
    """Until the next decision at the observed rate; None where unknown."""
    waits_for: str
    """What has to happen next, in words; empty once it has ended."""
    asked: str
    """A person's unhandled intent, in words, or empty."""
    objectives: tuple[ObjectiveView, ...]
    against: str
    """The evidence against the candidate of a running release, with its counts, or empty."""
    unwatched: str
    """What no objective of a running release counts, or empty."""
    ab_test: ABTestView | None

    @property
    def current_step(self) -> StepView | None:
        """The current step; None before the first, and once it has ended."""
        return next((step for step in self.steps if step.state is StepState.CURRENT), None)


class VariantView(NamedTuple):
    """A variant of the model with its benefit, or the reason for its absence."""

    name: str
    state: str
    words: str


class ReleaseView(NamedTuple):
    """Everything that `status` shows."""

    name: str
    namespace: str
    model_name: str
    url: str
    ready: bool
    current: bool
    seen: bool
    """Whether the operator has looked at the latest change of the spec."""
    headline: str
    address: AddressView | None
    """The result of a request to the URL; None where none was made."""
    written_seconds: float | None
    """How long ago the operator wrote what is shown; None where the object does not say."""
    now: tuple[str, ...]
    """Differences between the live state and what the operator has written."""
    revisions: tuple[RevisionView, ...]
    variants: tuple[VariantView, ...]
    rollout: RolloutView | None
    conditions: tuple[ConditionView, ...]
    """The conditions that are not as wanted."""
    watched: str
    """The result of the watch over the stable version while nothing is wrong; empty where there is none."""
    moved: tuple[MovedView, ...]
    """Features of its requests that differ from the reference."""
    last_rollouts: tuple[HistoryLine, ...]
    """Ended releases, newest first."""


def newest_first(rollouts: Sequence[ModelRollout]) -> tuple[ModelRollout, ...]:
    """The rollouts by sequence, newest first: creation times are in whole seconds."""
    return tuple(sorted(rollouts, key=lambda r: (r.spec.sequence, r.metadata.name), reverse=True))


def release_view(
    deployment: ModelDeployment, rollouts: Sequence[ModelRollout], *, now: float, live: Live = NOTHING_LIVE
) -> ReleaseView:
    """The view of a ModelDeployment with its ModelRollouts (any order) at `now`, seconds since the epoch."""
    name, status = deployment.metadata.name, deployment.status
    ordered = newest_first(rollouts)
    rollout = _rollout(ordered[0], now) if ordered else None
    revisions = _revisions(deployment, ordered, live)
    differences = _differences(deployment, revisions, live, now)
    headline = _headline(deployment, rollout, live)
    return ReleaseView(
        name=name,
        namespace=deployment.metadata.namespace,
        model_name=common.served_name(deployment),
        url=status.url or "",
        ready=_is_true(deployment, Type.READY),
        current=_is_true(deployment, Type.CURRENT),
        seen=is_seen(deployment),
        headline=unseen_since(deployment, live, now=now)
        or (f"{headline} (as the operator wrote{ago(live, now=now)})" if differences else headline),
        address=live.address,
        written_seconds=None if live.written is None else max(now - live.written, 0.0),
        now=differences,
        revisions=revisions,
        variants=tuple(map(_variant, status.variants)),
        rollout=rollout,
        conditions=of_model(deployment, ordered[0] if ordered else None, now=now),
        watched=_watched(deployment),
        moved=moved_views(status.watch),
        last_rollouts=tuple(history_line(r, now=now) for r in ordered if r.status.outcome is not None)[:RECENT],
    )


def _variant(status: VariantStatus) -> VariantView:
    from sluice_core.situation import variants  # a slow import, and few models have any

    return VariantView(status.name, str(status.state), variants.words(status))


def _watched(deployment: ModelDeployment) -> str:
    """Problems of the watch are among the conditions."""
    every = deployment.status.conditions
    calm = (c.message for c in every if c.type == Type.HEALTHY and CALM in Reason.of(c.reason).marks)
    return next(calm, "")


def _is_true(deployment: ModelDeployment, type_: str) -> bool:
    return any(c.type == type_ and c.status is ConditionStatus.TRUE for c in deployment.status.conditions)


def _headline(deployment: ModelDeployment, rollout: RolloutView | None, live: Live) -> str:
    unready = "" if _is_true(deployment, Type.READY) else _unready(deployment, live)
    if rollout is not None and rollout.running:
        told = _release_headline(rollout) + (f"; against it: {rollout.against}" if rollout.against else "")
        return f"{unready}; {told}" if unready and rollout.replaces else told
    if unready:
        return unready
    if _is_true(deployment, Type.CURRENT):
        return "serves the requested version"
    return "serves, but not the requested version"


def _unready(deployment: ModelDeployment, live: Live) -> str:
    """The words for a model that is not ready: whether any version with requests answers."""
    status = deployment.status
    versions = [each for each in (status.stable, status.candidate, *status.arms) if each is not None]
    answers = any(each.weight > 0 and each.ready_replicas > 0 for each in versions)
    answers = answers or any(count.ready > 0 for count in (live.pods or {}).values())
    others = (
        sum(each.weight for each in versions) < WHOLE_PERCENT
    )  # until stable has a pod, the abandoned version answers
    return "not ready" if status.stable is None or answers or others else "DOWN, no version answers"


def _release_headline(rollout: RolloutView) -> str:
    paused = ", paused" if rollout.paused else ""
    if rollout.probe_seconds_left is not None:
        return (
            f"the bake asks the stable version: the candidate has {steps.percent(rollout.permille)} for at most "
            f"{words.span(rollout.probe_seconds_left)} more{paused}"
        )
    if rollout.baking_seconds_left is not None:
        left = words.span(rollout.baking_seconds_left)
        if not rollout.warm:
            return f"at 100 %, the bake lasts {left} more, and the old version has no pods{paused}"
        return f"at 100 %, the old version stays warm for {left} more{paused}"
    if rollout.step == 0:
        validates = VALIDATES in Reason.of(rollout.reason).marks
        starting = "the candidate is starting" if rollout.ab_test is None else "the arms of the A/B test are starting"
        return "the candidate answers labelled data first" if validates else starting
    if rollout.ab_test is not None and rollout.ab_test.winner is None:
        running = sum(not arm.ended for arm in rollout.ab_test.arms)
        return f"A/B test of {words.plural(running, 'arm')} on {rollout.ab_test.metric}{paused}"
    current = rollout.current_step
    gets = f", {current.gets}" if current is not None else ""
    return f"releasing: step {rollout.step} of {len(rollout.steps)}{gets}{paused}"


def _differences(
    deployment: ModelDeployment, revisions: Sequence[RevisionView], live: Live, now: float
) -> tuple[str, ...]:
    wrote = f"the operator wrote{ago(live, now=now)}"
    pods = [
        f"{each.revision}: {each.ready_now} of {words.plural(each.pods_now or 0, 'pod')} ready; {wrote}: {each.ready} of "
        f"{each.replicas}"
        for each in revisions
        if each.differs
    ]
    answers = live.address is not None and live.address.state is AddressState.ANSWERS
    if live.address is not None and answers and not _is_true(deployment, Type.READY):
        pods.append(f"the address: {live.address.words}; {wrote}: not ready")
    return tuple(pods)


def _revisions(deployment: ModelDeployment, ordered: Sequence[ModelRollout], live: Live) -> tuple[RevisionView, ...]:
    uris = {end.revision: end.uri for r in reversed(ordered) for end in _ends(r)}
    status = deployment.status
    exact = _exact_weights(ordered[0]) if ordered and ordered[0].status.outcome is None else {}
    arms = [
        ("stable", status.stable),
        ("candidate", status.candidate),
        *((_arm_name(a, ordered), a) for a in status.arms),
    ]
    return tuple(_revision(role, arm, uris.get(arm.revision, ""), exact, live) for role, arm in arms if arm is not None)


def _ends(rollout: ModelRollout) -> tuple[ReleaseEnd, ...]:
    """Every version that a release concerns."""
    arms = [arm.end for arm in rollout.spec.ab_test.arms] if rollout.spec.ab_test is not None else []
    return tuple(end for end in (rollout.spec.source, rollout.spec.target, *arms) if end is not None)


def _arm_name(arm: RevisionStatus, ordered: Sequence[ModelRollout]) -> str:
    rules = ordered[0].spec.ab_test if ordered else None
    names = {each.end.revision: each.name for each in rules.arms} if rules is not None else {}
    return f"arm {names[arm.revision]}" if arm.revision in names else "arm"


def _exact_weights(running: ModelRollout) -> dict[str, int]:
    """Weights in permille by revision, where a release splits the traffic in two."""
    source, target = running.spec.source, running.spec.target
    if source is None or running.spec.ab_test is not None:
        return {}
    return {source.revision: steps.WHOLE - running.status.permille, target.revision: running.status.permille}


def _revision(role: str, arm: RevisionStatus, uri: str, exact: Mapping[str, int], live: Live) -> RevisionView:
    """The status has whole percent only; the exact weight replaces it, unless the route has yet to follow."""
    permille = exact.get(arm.revision, arm.weight * 10)
    if abs(permille - arm.weight * 10) >= 10:
        permille = arm.weight * 10
    pods = live.pods_of(arm.revision)
    return RevisionView(
        role=role,
        revision=arm.revision,
        uri=uri,
        version=arm.model_version or "",
        verified=words.verified(arm.verification),
        weight=steps.percent(permille),
        ready=arm.ready_replicas,
        replicas=arm.replicas,
        ready_now=None if pods is None else pods.ready,
        pods_now=None if pods is None else pods.total,
    )


def _rollout(rollout: ModelRollout, now: float) -> RolloutView:
    status = rollout.status
    running = status.outcome is None
    began = words.seconds_of(status.start_time or rollout.metadata.creation_timestamp)
    ended = words.seconds_of(status.end_time) if status.end_time else now
    objectives = objective_views(status.objectives, rollout.spec.objectives)
    test = ab_test_view(rollout)
    return RolloutView(
        name=rollout.metadata.name,
        way=way_of(rollout),
        running=running,
        replaces=rollout.spec.source is not None,
        outcome=str(status.outcome or ""),
        verdict=str(status.verdict or ""),
        reason=status.reason,
        message=status.message,
        step=status.step,
        steps=step_views(rollout, now=now) if test is None or test.winner is not None else (),
        lead_permille=status.lead_permille,
        permille=status.permille,
        paused=status.paused,
        warm=rollout.spec.capacity is not CapacityMode.RECREATE,
        baking_seconds_left=_left(status.bake_end_time, now) if running and status.probe is None else None,
        probe_seconds_left=_left(status.probe.deadline_time, now) if status.probe is not None else None,
        age_seconds=max(ended - began, 0.0),
        requests_needed=status.requests_needed if running else None,
        eta_seconds=_left(status.estimated_completion_time, now) if running else None,
        waits_for=status.message or status.reason if running else "",
        asked=_asked(rollout),
        objectives=objectives if running else tuple(o._replace(requests_needed=None) for o in objectives),
        against=against(objectives) if running and rollout.spec.ab_test is None else "",
        unwatched=unwatched(rollout.spec.objectives) if running and rollout.spec.source is not None else "",
        ab_test=test,
    )


def _left(moment: str | None, now: float) -> float | None:
    """Seconds until then, 0 once it has passed; None where unknown."""
    return max(words.seconds_of(moment) - now, 0.0) if moment else None


def _asked(rollout: ModelRollout) -> str:
    intent, observed = rollout.spec.intent, rollout.status.observed_intent
    if intent is None or (observed is not None and observed.request_time == intent.request_time):
        return ""
    return f"{intent.action} requested by {intent.requested_by} at {intent.request_time}, not handled yet"
