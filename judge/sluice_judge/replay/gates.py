"""The verdict on a replayed release, in the order of a canary's gates: the file has no people, pods or gateway."""

import math
from typing import assert_never

from sluice_judge import timestamps, words
from sluice_judge.grounds import Ground
from sluice_judge.judgement import Judgement
from sluice_judge.replay.course import Course
from sluice_judge.schema.policy import JudgedPolicy, OnDeadline, Stepping
from sluice_judge.schema.verdict import Verdict
from sluice_judge.stats import planning


def verdict(policy: JudgedPolicy, course: Course, judged: Judgement, time: float) -> tuple[Verdict, Ground, str]:
    """The verdict, its reason, and a message for a person. time: of the line, seconds."""
    if course.begun is None:
        return Verdict.WAIT, Ground.GATHERING_EVIDENCE, "the candidate has no weight yet"
    if judged.accusation.against is not None:
        return Verdict.ROLL_BACK, *judged.accusation.against
    if course.probe is not None:
        share = f"{course.probe.share:g} % of the requests go back to the stable version"
        return Verdict.PROBE, Ground.PROBING_STABLE, f"{share}, and the bake stands still; {judged.proof.missing}"
    in_step = time - course.step_begun - course.probed_seconds
    if judged.accusation.asks:
        return (
            Verdict.PROBE,
            Ground.PROBING_STABLE,
            f"{judged.accusation.asks}; the stable version is to be asked what it shows now",
        )
    if course.state.baking:
        left = policy.bake_seconds - in_step
        if left > 0:
            return Verdict.WAIT, Ground.BAKING, f"the old version stays warm for {words.duration(left)} more"
        late = time - course.begun >= policy.progress_deadline_seconds
        doubt = "" if judged.accusation.clean else judged.accusation.doubt
        unseen = judged.unseen(
            idle=course.idle,
            bake_end=time + left,
            bake_seconds=policy.bake_seconds,
            scrape_seconds=policy.scrape_interval_seconds,
        )
        kept = f"{unseen} seen" if unseen else doubt
        if kept and late:
            return _at_deadline(policy, kept, Ground.PROMOTED)
        if kept:
            return Verdict.WAIT, Ground.BAKING, f"at 100 %, until more is known; {kept}"
        return Verdict.ADVANCE, Ground.PROMOTED, "the bake is over without evidence against the new version"
    enough = judged.proven
    silent_since = judged.sight.idle_since
    if enough or silent_since is not None:
        left = _minimum_seconds(policy, course.weight) - in_step
        if course.permille >= _proving_permille(policy):
            left = max(left, policy.minimum_seconds - (time - course.begun))
        if left > 0:
            return Verdict.WAIT, Ground.MINIMUM_TIME, f"the step lasts {words.duration(left)} more"
        if enough or silent_since is None:
            return Verdict.ADVANCE, Ground.PROVEN, "every required objective is proven"
        return (
            Verdict.ADVANCE,
            Ground.IDLE,
            f"no request since {timestamps.rfc3339(silent_since)}: nobody can be harmed",
        )
    if time - course.begun >= policy.progress_deadline_seconds:
        return _at_deadline(policy, judged.proof.missing, Ground.DEADLINE_EXCEEDED)
    return Verdict.WAIT, Ground.GATHERING_EVIDENCE, judged.proof.missing


def _proving_permille(policy: JudgedPolicy) -> int:
    """The share of the last step before 100 %."""
    if policy.stepping is Stepping.AUTO:
        return planning.PROVING
    return max((step.weight * 10 for step in policy.steps[:-1]), default=0)


def _minimum_seconds(policy: JudgedPolicy, weight: float) -> float:
    if policy.stepping is Stepping.AUTO:
        return 0
    return next((step.minimum_seconds for step in policy.steps if math.isclose(step.weight, weight)), 0)


def _at_deadline(policy: JudgedPolicy, missing: str, promoted: Ground) -> tuple[Verdict, Ground, str]:
    """missing: what the release waited for; promoted: the reason where the policy promotes it."""
    after = f"no decision after {policy.progress_deadline_seconds} s"
    match policy.on_deadline:
        case OnDeadline.HOLD:
            return Verdict.WAIT, Ground.DEADLINE_EXCEEDED, f"{after}; {missing}"
        case OnDeadline.PROMOTE:
            return Verdict.ADVANCE, promoted, f"{after}: promoted"
        case OnDeadline.ROLL_BACK:
            return Verdict.ROLL_BACK, Ground.DEADLINE_EXCEEDED, f"{after}: rolled back"
        case _ as unreachable:
            assert_never(unreachable)
