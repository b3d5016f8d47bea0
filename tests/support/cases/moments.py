"""Moments of a release, and of an A/B test, for the tests of the gates: a quiet one, and changes of it.

A change is a mapping of fields, `status`, `spec`, `judged`, `control`, `candidate` and `stable` going one level deeper:

make_moment({"status": {"paused": True}}, {"intent": make_intent(Action.ABORT)})
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.api.v1alpha1.intent import Action, Intent
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.api.v1alpha1.rolloutspec import ABTestRules
from sluice_core.api.v1alpha1.strategies import Assignment, OnWinner
from sluice_core.kernel.reasons import PodReason, Reason
from sluice_core.kernel.snapshot import Paths, Pod, Problem, Revision, Route
from sluice_core.rollout.abtest.comparison import Comparison
from sluice_core.rollout.capacity.model import Capacity
from sluice_core.rollout.freeze import Frozen
from sluice_core.rollout.moment import Decision, Moment
from sluice_judge import timestamps
from sluice_judge.judgement import Accusation, CountedRequests, Judgement, NextState, Proof, Sight
from tests.support.cases import builders
from tests.support.cases.builders import NOW
from tests.support.groups import replaced

STABLE: Final = builders.make_revision(uri="s3://models/digits/1", number=1)
CANDIDATE: Final = builders.make_revision(uri="s3://models/digits/2", number=2)
THIRD: Final = builders.make_revision(uri="s3://models/digits/3", number=3)
REPLICAS: Final = 4
FROZEN: Final = Frozen("sale", 'freeze window "sale"', NOW + 600)
CRASHING: Final = Problem(PodReason.CRASH_LOOP_BACK_OFF, "the server exits with code 1")

Change: TypeAlias = Mapping[str, Any]


def at(seconds: float) -> str:
    """The moment this many seconds from now, as the API writes it."""
    return timestamps.rfc3339(NOW + seconds)


def fields(decision: Decision | None) -> tuple[str, str, int | None, str | None] | None:
    """(verdict, reason, step, outcome) of a decision; its message is for people."""
    if decision is None:
        return None
    return decision.verdict, decision.reason, decision.step, decision.outcome


def make_intent(action: Action, **more: Any) -> Intent:
    """An intent of alice's, from now."""
    return Intent(action=action, requested_by="alice", request_time=at(0), **more)


def make_judgement(**changes: Any) -> Judgement:
    """Requests are counted, without a verdict yet. changes: also of the groups' fields, by their names."""
    quiet = Judgement(
        objectives=(),
        accusation=Accusation(0.0, 3.0, 0.0, Reason.WORSE_THAN_STABLE, "errors: 1 of 100 failed"),
        proof=Proof(complete=False, missing="errors: 200 requests more", requests_needed=200, eta_seconds=60.0),
        sight=Sight(),
        requests=CountedRequests(100, 900, 100, 900, scrapes=5),
        next_state=NextState("{}"),
        next_look_seconds=5.0,
    )
    return replaced(quiet, **changes)


def make_pod(restarts: int = 0, problem: Problem | None = None, *, name: str = "pod-0") -> Pod:
    """A pod, not ready if it has a problem."""
    return Pod(name, ready=problem is None, restarts=restarts, terminating=False, problem=problem)


def running(revision: Revision, ready: int = REPLICAS, **changes: Any) -> Revision:
    """The revision with this many ready pods of four."""
    settled = {"replicas": REPLICAS, "ready_replicas": ready, "ready_endpoints": ready}
    return replace(revision, **{**settled, **changes})


def make_capacity(mode: CapacityMode = CapacityMode.SURGE, wait: str = "") -> Capacity:
    return Capacity(REPLICAS, REPLICAS, wait, mode)


def make_route(candidate_permille: int = 50, **changes: Any) -> Route:
    """A route that works as specified."""
    weights = ((STABLE.name, 1000 - candidate_permille), (CANDIDATE.name, candidate_permille))
    return replace(Route(Paths(weights), generation=1, programmed=True), **changes)


def make_moment(*changes: Change) -> Moment:
    """The first of three steps (5, 50 and 100 %), a minute in, with pods and a route: evidence is being gathered."""
    merged = _merged(*changes)
    stable = merged.pop("stable", {})
    judged, control = merged.pop("judged", {}), merged.pop("control", None)
    quiet: dict[str, Any] = {
        "now": NOW,
        "rollout": _release(merged.pop("spec", {}), merged.pop("status", {})),
        "stable": None if stable is None else running(STABLE, **stable),
        "candidate": running(CANDIDATE, **merged.pop("candidate", {})),
        "route": make_route(),
        "route_message": "",
        "paths": Paths(make_route().weights),
        "replicas": REPLICAS,
        "capacity": make_capacity(),
        "frozen": None,
        "judgement": None if judged is None else make_judgement(**judged),
        "control": None if control is None else make_judgement(**control),
        "intent": None,
        "loads": {},
    }
    return Moment(**{**quiet, **merged})


def make_comparison(*changes: Change) -> Comparison:
    """Two arms with 20 % each, a minute in, with pods and a route: their metric does not separate them yet.

    `arm` changes the status of the first one, `arms` of both; `revision` the state of the first one.
    """
    merged = _merged(*changes)
    rules = make_test_rules(**merged.pop("rules", {}))
    revisions = {CANDIDATE.name: running(CANDIDATE, **merged.pop("revision", {})), THIRD.name: running(THIRD)}
    weights = ((STABLE.name, 600), (CANDIDATE.name, 200), (THIRD.name, 200))
    judged = merged.pop("judged", {})
    quiet: dict[str, Any] = {
        "now": NOW,
        "rollout": _test(rules, merged.pop("status", {}), merged.pop("arm", {}), merged.pop("arms", {})),
        "rules": rules,
        "stable": running(STABLE),
        "revisions": revisions,
        "route": Route(Paths(weights), generation=1, programmed=True),
        "route_message": "",
        "replicas": REPLICAS,
        "waits_for": "",
        "frozen": None,
        "judgements": {CANDIDATE.name: make_judgement(**judged), THIRD.name: make_judgement()},
        "intent": None,
        "loads": {},
    }
    return Comparison(**{**quiet, **merged})


def make_test_rules(**changes: Any) -> ABTestRules:
    arms = [
        {"name": name, "weight": 20, "to": builders.make_end(arm)} for name, arm in (("b", CANDIDATE), ("c", THIRD))
    ]
    rules = {
        "arms": arms,
        "assignment": Assignment(),
        "metric": "conversion",
        "maximumSeconds": 3600,
        "onWinner": OnWinner.REPORT,
    }
    return ABTestRules.model_validate({**rules, **changes})


def _merged(*changes: Change) -> dict[str, Any]:
    """All changes in one; later ones win, and mappings are merged."""
    merged: dict[str, Any] = {}
    for change in changes:
        for name, value in change.items():
            both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
            merged[name] = {**merged[name], **value} if both else value
    return merged


def _release(spec: Change, status: Change) -> ModelRollout:
    begun = {
        "startTime": at(-90),
        "deadlineTime": at(3000),
        "readyTime": at(-70),
        "step": 1,
        "permille": 50,
        "weight": 5,
        "steps": [{"permille": 50, "startTime": at(-60)}],
    }
    wanted = {"source": STABLE, "steps": [{"weight": 5}, {"weight": 50}, {"weight": 100}], **spec}
    return builders.make_rollout(target=CANDIDATE, status={**begun, **status}, **wanted)


def _test(rules: ABTestRules, status: Change, arm: Change, arms: Change) -> ModelRollout:
    first = {"name": "b", "revision": CANDIDATE.name, "readyTime": at(-70), **arms, **arm}
    second = {"name": "c", "revision": THIRD.name, "readyTime": at(-70), **arms}
    begun = {"startTime": at(-60), "deadlineTime": at(3000), "step": 1, "arms": [first, second]}
    return builders.make_rollout(
        target=STABLE,
        source=STABLE,
        strategy="ABTest",
        steps=[{"weight": 100}],
        abTest=rules.to_wire(),
        status={**begun, **status},
    )
