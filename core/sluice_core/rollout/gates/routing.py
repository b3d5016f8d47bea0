"""Requirements on the gateway before its counters are interpreted."""

from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Paths, Route
from sluice_core.rollout import fuse, patience, steps
from sluice_core.rollout.moment import Decision, Effect, Moment
from sluice_core.rollout.routing import weights
from sluice_judge.schema.verdict import Verdict


def route_not_programmed(moment: Moment) -> Decision | None:
    route, wanted = moment.route, moment.paths
    if route is None or wanted is None or moment.route_message:
        return Decision(
            Verdict.WAIT, Reason.ROUTE_NOT_PROGRAMMED, moment.route_message or "the route does not exist yet"
        )
    on_its_way = weights.on_its_way(_goal(moment))
    if not route.answered:
        return Decision(Verdict.WAIT, Reason.ROUTE_CHANGING, on_its_way if route.used else route.message)
    if not route.programmed:
        return Decision(Verdict.WAIT, Reason.ROUTE_NOT_PROGRAMMED, route.message)
    if not patience.exposes(route.weight(moment.candidate.name), moment.rollout.status, moment.now):
        return _carries(moment, route) or Decision(
            Verdict.WAIT,
            Reason.ROUTE_CHANGING,
            weights.waits_for_room(route, [moment.candidate.name]) or on_its_way,
        )
    if (route.paths.mirror, route.paths.preview) != (wanted.mirror, wanted.preview) or _service_missing(moment, wanted):
        return Decision(
            Verdict.WAIT, Reason.ROUTE_CHANGING, "the routes of mirrored and preview requests are on their way"
        )
    return None


def _goal(moment: Moment) -> str:
    """The target of the route; a step may be copies or a preview instead of a share."""
    permille, step = moment.rollout.status.permille, moment.current
    if permille or step is None or step.permille:
        return steps.percent(permille)
    return "the preview" if step.preview else step.words


def _carries(moment: Moment, route: Route) -> Decision | None:
    """The requests that the candidate has taken over from the stable version, which has no pod."""
    carried, stable = route.weight(moment.candidate.name), moment.stable
    if stable is None or not fuse.outage(stable) or carried <= moment.rollout.status.permille:
        return None
    return Decision(
        Verdict.WAIT,
        Reason.CANDIDATE_CARRIES,
        f"no pod of {stable.name} is ready; until one is, {moment.candidate.name} gets {steps.percent(carried)} of the "
        "requests, as many as its pods bear, and nothing of it is evidence for a minute",
    )


def _service_missing(moment: Moment, wanted: Paths) -> bool:
    """Whether copies or previews are due, but their Service has no endpoint yet."""
    step = moment.current
    return step is not None and (bool(step.mirror_percent), step.preview) != (bool(wanted.mirror), bool(wanted.preview))


def split_mismatch(moment: Moment) -> Decision | None:
    """The gateway does not follow the route; it is written once more, then the release is held."""
    judged = moment.judgement
    if judged is None or not judged.split_mismatch:
        return None
    remedy = (
        "check for other routes with the same host name, and check the gateway's log"
        if moment.rollout.status.split_mismatch_since is not None
        else "the route is written once more"
    )
    return Decision(
        Verdict.WAIT,
        Reason.SPLIT_MISMATCH,
        f"{judged.split_mismatch}; {remedy}",
        effect=Effect.NOTES_SPLIT_MISMATCH,
        counts=True,
    )
