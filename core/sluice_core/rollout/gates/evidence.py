"""Reasons for a release to continue: the end of a bake or a preview, evidence, or no users to harm."""

import math

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.kernel import commands
from sluice_core.kernel.reasons import Reason
from sluice_core.rollout.gates import deadline, readiness, words
from sluice_core.rollout.moment import Decision, Effect, Moment, Release
from sluice_judge import timestamps
from sluice_judge.judgement import IDLE_BAKE_REQUESTS
from sluice_judge.schema.verdict import Verdict


def metrics_blind(release: Release) -> Decision | None:
    return Decision(Verdict.BLIND, Reason.METRICS_UNAVAILABLE, release.blind) if release.blind else None


def not_looked(moment: Moment) -> Decision | None:
    """The following gates decide on samples: if only an intent was to be answered, the last decision stands."""
    if moment.judgement is None or moment.judgement.sight.looked:
        return None
    status = moment.rollout.status
    return Decision(status.verdict or Verdict.WAIT, Reason.of(status.reason), status.message)


def bake_over(moment: Moment) -> Decision | None:
    """The bake begins once the gateway is seen to send everything: before, there is nothing to watch."""
    if not moment.baking:
        return None
    if moment.now < timestamps.seconds(moment.bake_end):
        doubt = (
            f"; {moment.judgement.accusation.doubt}"
            if moment.judgement is not None and moment.judgement.accusation.doubt
            else ""
        )
        return Decision(
            Verdict.WAIT,
            Reason.BAKING,
            (
                f"at 100 %; the bake lasts until {moment.bake_end}, and the old version has no pods"
                if moment.stable_is_down
                else f"at 100 %; the old version stays warm until {moment.bake_end}"
            )
            + doubt,
            effect=Effect.BEGINS_BAKE,
        )
    kept = _unseen(moment) or _accused(moment)
    if kept is not None:
        return deadline.applied(moment, kept.message) if deadline.over(moment) else kept
    message = "the bake is over without evidence against the new version"
    return Decision(Verdict.ADVANCE, Reason.PROMOTED, message, outcome=Outcome.PROMOTED)


def _unseen(moment: Moment) -> Decision | None:
    """Time alone shows nothing: a bake lasts until requests to its version were seen, and some of them lately."""
    judged, spec, idle = moment.judgement, moment.rollout.spec, moment.rollout.status.idle_advance
    if judged is None:
        came = f"0 of {IDLE_BAKE_REQUESTS} requests" if idle else ""
    else:
        came = judged.unseen(
            idle=idle,
            bake_end=timestamps.seconds(moment.bake_end),
            bake_seconds=spec.bake_seconds,
            scrape_seconds=spec.scrape_interval_seconds,
        )
    if not came:
        return None
    return Decision(Verdict.WAIT, Reason.BAKING_WITHOUT_TRAFFIC, f"{came} seen at 100 %", counts=True)


def _accused(moment: Moment) -> Decision | None:
    judged = moment.judgement
    if judged is None or judged.accusation.clean:
        return None
    return Decision(Verdict.WAIT, Reason.BAKING, f"at 100 %, until more is known; {judged.accusation.doubt}")


def preview_over(moment: Moment) -> Decision | None:
    """A preview ends by time: it may never be called, and evidence against green has ended it already."""
    if moment.current is None or not moment.current.preview:
        return None
    message = f"no evidence against it in {moment.requests_in_step} preview requests"
    if not moment.requests_in_step:
        message = "no request to the preview has been counted, so nothing is known about it: its first are users'"
    return _advance(moment, Reason.PREVIEW_OVER, message)


def evidence_says_advance(moment: Moment) -> Decision | None:
    judged = moment.judgement
    if judged is None or not judged.proven:
        return None
    return _advance(moment, Reason.PROVEN, "every required objective is proven")


def idle(moment: Moment) -> Decision | None:
    if moment.judgement is None or moment.judgement.sight.idle_since is None:
        return None
    message = f"no request since {timestamps.rfc3339(moment.judgement.sight.idle_since)}: nobody can be harmed"
    return _advance(moment, Reason.IDLE, message, Effect.ADVANCES_IDLE)


def waiting(moment: Moment) -> Decision:
    return Decision(Verdict.WAIT, Reason.GATHERING_EVIDENCE, words.missing(moment), counts=True)


def _advance(moment: Moment, reason: Reason, message: str, effect: Effect | None = None) -> Decision | None:
    """The next step, unless this one must last longer or waits for a person, or pods for the next are missing."""
    index = moment.rollout.status.step + 1
    if index > moment.last_step:
        return None
    held = _held(moment, message) if moment.current is not None else None
    if held is not None:
        return held
    following = moment.step_at(index)
    if not moment.may_enter(following):
        return readiness.scaling(moment, following, message)
    return Decision(Verdict.ADVANCE, reason, f"{message}; {words.gets(following)}", step=index, effect=effect)


def _first_weight(moment: Moment) -> float:
    """When the candidate got its first requests of users; infinitely long ago if it had none, as before a flip."""
    began = (record.start_time for record in moment.rollout.status.steps if record.permille > 0)
    return next(map(timestamps.seconds, began), -math.inf)


def _held(moment: Moment, message: str) -> Decision | None:
    """The step's own requirements beside evidence."""
    step = moment.step_at(moment.rollout.status.step)
    least = moment.step_began + step.minimum_seconds
    if moment.rollout.status.step + 1 == moment.last_step:
        least = max(least, _first_weight(moment) + moment.rollout.spec.minimum_seconds)
    if moment.now < least:
        until = timestamps.rfc3339(least)
        return Decision(Verdict.WAIT, Reason.MINIMUM_TIME, f"{message}; the step lasts until {until}", counts=True)
    seen = moment.requests_in_step
    if seen < step.minimum_requests and not (moment.judgement and moment.judgement.sight.idle):
        return Decision(
            Verdict.WAIT,
            Reason.MINIMUM_REQUESTS,
            f"{message}; {seen} of {step.minimum_requests} requests seen",
            counts=True,
        )
    if step.pause and moment.rollout.status.resumed_step < moment.rollout.status.step:
        return Decision(
            Verdict.WAIT,
            Reason.PAUSED_AT_STEP,
            f"{message}; this step waits for a person: {commands.for_release(moment.rollout, 'resume')}",
            counts=True,
        )
    return None
