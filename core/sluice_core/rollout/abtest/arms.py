"""The arms of a test: their clocks and figures, and the reasons that end a single one."""

from typing import Any

from sluice_core.api.v1alpha1.modelrollout import ArmStatus, ModelRolloutStatus
from sluice_core.kernel.reasons import AnyReason, Reason
from sluice_core.kernel.snapshot import Revision
from sluice_core.rollout import clocks, fuse, patience, timeline
from sluice_core.rollout.abtest.comparison import WORSE, Comparison
from sluice_judge.judgement import Judgement


def measured(seen: Comparison) -> ModelRolloutStatus:
    """The status with the arms of this reconcile."""
    known = {arm.revision: arm for arm in seen.rollout.status.arms}
    arms = [
        _arm(known.get(arm.end.revision) or ArmStatus(name=arm.name, revision=arm.end.revision), seen)
        for arm in seen.rules.arms
    ]
    return seen.rollout.status.model_copy(update={"arms": arms})


def result(arm: ArmStatus) -> str:
    """`b: 1.21 times stable (1.04 to 1.4)`."""
    if arm.ratio is None:
        return f"{arm.name}: not enough users yet"
    return f"{arm.name}: {arm.ratio} times stable ({arm.ratio_low or '0'} to {arm.ratio_high or 'unknown'})"


def _arm(arm: ArmStatus, seen: Comparison) -> ArmStatus:
    """The arm with the clocks and figures of this reconcile; ended if evidence or its pods require it."""
    if arm.ended:
        return arm
    revision = seen.revisions.get(arm.revision)
    if revision is None:
        return _ended(arm, Reason.REVISION_LOST, f"the ControllerRevision {arm.revision} is gone")
    awaited = arm.ready_time is not None and not fuse.outage(seen.stable)
    loaded = patience.load_seconds(revision, seen.rollout.status.start_time, seen.now)
    ready = revision.ready_endpoints > 0
    update = clocks.readiness(arm, ready=ready, awaited=awaited, loaded=loaded, now=seen.now)
    judged = seen.judgements.get(arm.revision)
    if judged is not None and judged.next_state.text != arm.state:
        update |= {"state": judged.next_state.text, **_figures(judged)}
    arm = arm.model_copy(update=update)
    why = _fuse(arm, revision, seen) or _evidence_against(arm, judged, seen)
    return arm if why is None else _ended(arm, *why)


def _fuse(arm: ArmStatus, revision: Revision, seen: Comparison) -> tuple[AnyReason, str] | None:
    return fuse.blown(
        revision,
        "the arm",
        arm.unready_since,
        seen.now,
        before=seen.rollout.status.restarts_before,
        stable=seen.stable,
        patience=patience.granted(revision, arm, seen.loads, seen.stable),
    )


def _ended(arm: ArmStatus, reason: AnyReason, message: str) -> ArmStatus:
    return arm.model_copy(update={"ended": True, "reason": reason, "message": timeline.shortened(message)})


def _figures(judged: Judgement) -> dict[str, Any]:
    if not judged.sight.looked:
        return {}
    found, objectives = judged.separation, {"objectives": list(judged.objectives)}
    if found is None:
        return objectives
    return {
        **objectives,
        "verdict": found.verdict,
        "ratio": _number(found.ratio),
        "ratio_low": _bound(found.low),
        "ratio_high": _bound(found.high),
    }


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}"


def _bound(value: float | None) -> str | None:
    """A confidence sequence's bound, with enough digits to show on which side of 1 it is: that decides the verdict."""
    if value is None or value == 1:
        return _number(value)
    return next(text for digits in range(3, 18) if float(text := f"{value:.{digits}g}") != 1)


def _evidence_against(arm: ArmStatus, judged: Judgement | None, seen: Comparison) -> tuple[Reason, str] | None:
    against = judged.accusation.against if judged is not None else None
    if against is not None and not _spared(arm, seen):
        ground, message = against
        return Reason(ground), message
    if arm.verdict == WORSE:
        return Reason.WORSE_METRIC, result(arm)
    return None


def _spared(arm: ArmStatus, seen: Comparison) -> bool:
    """Whether a single pod is to be replaced first (see `gates.one_pod_is_bad`)."""
    return seen.bad_pod is not None and seen.bad_pod[0].end.revision == arm.revision
