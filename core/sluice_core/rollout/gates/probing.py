"""The beginning and end of a probe in the bake."""

from sluice_core.api.v1alpha1.intent import Action
from sluice_core.kernel.reasons import Reason
from sluice_core.rollout import probe, steps
from sluice_core.rollout.gates import words
from sluice_core.rollout.moment import Decision, Effect, Moment
from sluice_judge import timestamps
from sluice_judge.schema.verdict import Verdict


def accused_in_the_bake(moment: Moment) -> Decision | None:
    """With all requests on one version, evidence against it may be the fault of both: stable is probed for comparison."""
    why, given = _accusation(moment), probe.stable_permille(moment)
    promoted = moment.intent is not None and moment.intent.action is Action.PROMOTE
    if not why or not given or moment.blind or promoted:
        return None
    return Decision(
        Verdict.PROBE,
        Reason.PROBING_STABLE,
        f"{why}; {steps.percent(given)} of the requests go back to the stable version, to see what it shows now",
        effect=Effect.BEGINS_PROBE,
    )


def stable_cannot_answer(moment: Moment) -> Decision | None:
    """Requests do not wait for a decision."""
    asked = moment.rollout.status.probe
    if asked is None or moment.stable is None or moment.stable.ready_endpoints >= asked.stable_pods:
        return None
    ready = moment.stable.ready_endpoints
    return _over(moment, f"{ready} of the {asked.stable_pods} pods that the stable version needs for it are ready")


def stable_awaited(moment: Moment) -> Decision | None:
    """No version is promoted on an accusation, and without a pod stable can be neither probed nor rolled back to."""
    why = _accusation(moment)
    if not why:
        return None
    message = f"{why}; the stable version has no pod that could be asked, so the release waits for one"
    return Decision(Verdict.PROBE, Reason.PROBING_STABLE, message)


def probe_over(moment: Moment) -> Decision | None:
    """Proven, or the time has expired: nothing was shown against the candidate."""
    asked, judged = moment.rollout.status.probe, moment.judgement
    if asked is None:
        return None
    if judged is not None and judged.proven:
        return _over(moment, "the candidate is proven as good as the stable version is now")
    if moment.now >= timestamps.seconds(asked.deadline_time):
        return _over(moment, f"nothing was proven either way until {asked.deadline_time}")
    return Decision(
        Verdict.PROBE,
        Reason.PROBING_STABLE,
        f"the stable version has {steps.percent(steps.WHOLE - asked.permille)} of the requests again, until "
        f"{asked.deadline_time} at the latest: {words.missing(moment)}",
        effect=Effect.PROBES,
        counts=True,
    )


def _accusation(moment: Moment) -> str:
    return moment.judgement.accusation.asks if moment.baking and moment.judgement is not None else ""


def _over(moment: Moment, why: str) -> Decision:
    return Decision(
        Verdict.ADVANCE,
        Reason.PROBE_OVER,
        f"{why}; {words.gets(moment.step_at(moment.last_step))} again, and the bake goes on with a limit from what the "
        "stable version shows now",
        step=moment.last_step,
        effect=Effect.ENDS_PROBE,
    )
