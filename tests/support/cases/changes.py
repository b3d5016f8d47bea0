"""Changes of the quiet moment of `make_moment`, named after events."""

from typing import Any, Final

from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.api.v1alpha1.intent import Action
from sluice_core.api.v1alpha1.validation import ValidationStatus
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Paths
from sluice_core.rollout.validation import Finding, State
from tests.support.cases import moments
from tests.support.cases.moments import CANDIDATE, Change, at, make_intent, make_pod, make_route


def finding(state: State) -> Finding:
    return Finding(ValidationStatus(), state, f"it is {state}")


def asked(action: Action, **more: Any) -> Change:
    return {"intent": make_intent(action, **more)}


def ready(pods: int) -> Change:
    return {"candidate": {"ready_endpoints": pods}}


def unready(seconds: float) -> Change:
    return {"status": {"unreadySince": at(-seconds)}, **ready(0)}


def restarted(candidate: int, *, stable: int) -> Change:
    """How often the server of a pod of each version has restarted."""
    return {"candidate": {"pods": (make_pod(candidate),)}, "stable": {"pods": (make_pod(stable, name="stable-0"),)}}


def restarted_before(times: int, pod: str = "pod-0") -> Change:
    """How often the server of a pod had restarted when the release began."""
    return {"status": {"restartsBefore": [{"pod": pod, "restarts": times}]}}


def too_late(what: str) -> Change:
    return {"spec": {"onDeadline": what}, "status": {"deadlineTime": at(0)}}


def in_step(*weights: int, step: int = 1, **status: Any) -> Change:
    """Where the steps with these weights were entered, and how the last of them differs from the usual one."""
    records = [{"permille": weight * 10, "startTime": at(-60)} for weight in weights]
    last = records[-1]["permille"] if records else 0
    return {"status": {"step": step, "steps": records, "permille": last, **status}}


def step_rules(**rules: Any) -> Change:
    """The first step with further rules."""
    return {"spec": {"steps": [{"weight": 5, **rules}, {"weight": 50}, {"weight": 100}]}}


LAST: Final[Change] = {"spec": {"steps": [{"weight": 50}, {"weight": 100}]}, **in_step(50), **ready(4)}
NOT_BEGUN: Final = {**in_step(step=0, readyTime=None), "judged": None}
SECOND_DECIDED: Final[Change] = in_step(5, step=2)
BAKING: Final[Change] = {
    **in_step(5, 50, 100, step=3, bakeEndTime=at(10)),
    "route": make_route(1000),
    "paths": Paths(make_route(1000).weights),
}
PROBE: Final = {
    "permille": 500,
    "stablePods": 2,
    "why": "errors: 9 of 10 failed",
    "startTime": at(-60),
    "deadlineTime": at(840),
}
PROBING: Final[Change] = {
    **in_step(5, 50, 100, 50, step=3, bakeEndTime=at(10), probe=PROBE),
    "route": make_route(500),
    "paths": Paths(make_route(500).weights),
}
PROBED: Final[Change] = {"status": {"probe": {**PROBE, "deadlineTime": at(0)}}}
ACCUSED: Final[Change] = {"judged": {"asks": "errors: 9 of 10 failed"}}
NO_STABLE_POD: Final[Change] = {"stable": {"ready_endpoints": 0}}
ACCUSED_ALONE: Final[Change] = {**ACCUSED, **NO_STABLE_POD}
BAKED: Final[Change] = {"status": {**BAKING["status"], "bakeEndTime": at(0)}}
PREVIEW: Final[Change] = {
    "spec": {"steps": [{"preview": True}, {"weight": 100}]},
    "status": {"permille": 0, "steps": [{"preview": True, "startTime": at(-60)}]},
    "route": make_route(0, paths=Paths(make_route(0).weights, preview=CANDIDATE.name)),
    "paths": Paths(make_route(0).weights, preview=CANDIDATE.name),
}
TAKEN_DOWN: Final[Change] = {"stable": {"replicas": 0, "ready_endpoints": 0}}
FIRST: Final[Change] = {"spec": {"source": None, "steps": [{"weight": 100}]}, "stable": None}
PAUSED: Final[Change] = {"status": {"paused": True}}
FROZEN: Final[Change] = {"frozen": moments.FROZEN}
WORSE: Final[Change] = {"judged": {"rollback_log": 3.0}}
BASELINE_DOUBTED: Final[Change] = {"control": {"doubt": "against it so far: errors"}}
BASELINE_WORSE: Final[Change] = {"control": {"doubt": "against it so far: errors", "rollback_log": 3.0}}
BAD_POD: Final[Change] = {"judged": {"bad_pod": "pod-0"}}
BLIND: Final[Change] = {"judged": {"blind": "Prometheus does not answer"}}
NOT_LOOKED: Final[Change] = {"judged": {"looked": False}}
MISMATCH: Final[Change] = {"judged": {"split_mismatch": "50 of 100 requests instead of 5 %"}}
PROVEN: Final[Change] = {"judged": {"complete": True, "scrapes": 2}}
IDLE: Final[Change] = {"judged": {"idle_since": 0.0}}
FAILED_OFFLINE: Final[Change] = {"validation": finding(Reason.VALIDATION_FAILED)}
SCORING: Final[Change] = {"validation": finding(Reason.VALIDATING)}
STABLE_LOST: Final[Change] = {"stable": None}
NO_ROOM: Final[Change] = {"capacity": moments.make_capacity(wait="0 of 4 devices are free")}
RAMPS: Final[Change] = {"capacity": moments.make_capacity(CapacityMode.SHRINK_STABLE)}
NO_ROUTE: Final[Change] = {"route": None}
CRASHING: Final[Change] = {"candidate": {"ready_endpoints": 0, "pods": (make_pod(problem=moments.CRASHING),)}}
