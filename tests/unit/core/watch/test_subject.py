"""What is watched of a model, and which objectives cannot be."""

import dataclasses
import math
from typing import Any

import pytest

from sluice_core.kernel.reasons import Reason
from sluice_core.situation.situation import Blocked, Situation
from sluice_core.watch.subject import WatchedVersion, watched_version
from sluice_judge.kinds import kind_of
from sluice_judge.schema.objectives import Objective
from tests.support.cases import builders
from tests.support.cases.moments import CANDIDATE, STABLE, THIRD
from tests.support.cases.situations import make_release, make_situation, promoted

ERRORS: dict[str, Any] = {"name": "errors", "failureRatio": {"events": "ServerErrors", "maximum": "2%"}}
LATENCY: dict[str, Any] = {"name": "latency", "latency": {"percentile": 95, "maximumMillis": 50}}
CLASSES: dict[str, Any] = {
    "name": "classes",
    "required": False,
    "distribution": {"bins": 'predictions_total{revision="{{revision}}"}'},
}
QUERY: dict[str, Any] = {
    "name": "accuracy",
    "failureRatio": {
        "source": "Query",
        "total": 'feedback_total{revision="{{revision}}"}',
        "failures": 'wrong_total{revision="{{revision}}"}',
        "maximum": "10%",
    },
}


def policy(*names: str) -> dict[str, Any]:
    return {"objectives": [ERRORS, LATENCY, QUERY], "watch": {"objectives": list(names)}}


def watched(situation: Situation) -> WatchedVersion:
    version = watched_version(situation)
    assert version is not None
    return version


def test_nothing_is_watched_without_a_watch_a_policy_or_a_stable_version() -> None:
    situation = make_situation(promoted(), policy=policy("errors"))
    assert watched_version(make_situation(promoted())) is None
    assert watched_version(dataclasses.replace(situation, policy=Blocked(Reason.POLICY_NOT_FOUND, ""))) is None
    assert watched_version(dataclasses.replace(situation, stable=None)) is None
    assert watched_version(situation) is not None


def test_a_stable_version_at_rest() -> None:
    version = watched(make_situation(promoted(), policy=policy("errors")))
    assert (version.place, version.revision) == ((builders.NAMESPACE, builders.NAME), STABLE.name)
    assert (version.resting, version.begins, version.state) == (False, builders.NOW - 3600, None)
    assert version.unwatched == ""


@pytest.mark.parametrize(
    ("release", "inherits"),
    [
        pytest.param({"status": {"reason": "Promoted"}}, True, id="found as good"),
        pytest.param({"status": {"reason": "PromotedByPerson"}}, False, id="promoted by a person"),
        pytest.param({"status": {"reason": "Promoted"}, "analysed": False}, False, id="not compared"),
        pytest.param({"status": {"reason": "Promoted"}, "source": THIRD}, False, id="after another version"),
    ],
)
def test_only_what_a_release_has_compared_inherits_of_the_version_before(
    release: dict[str, Any], inherits: bool
) -> None:
    ended = make_release(**{**release, "status": {"outcome": "Promoted", **release["status"]}})
    situation = make_situation(promoted(), ended, stable=CANDIDATE, policy=policy("errors"))
    deployment = builders.make_model_deployment(status={"watch": {"revision": STABLE.name, "state": "known"}})
    snapshot = dataclasses.replace(situation.snapshot, deployment=deployment)
    version = watched(dataclasses.replace(situation, snapshot=snapshot))
    assert (version.state, version.before) == (None, "known" if inherits else None)


def test_a_release_that_runs_lets_it_rest() -> None:
    assert watched(make_situation(promoted(), make_release(CANDIDATE), policy=policy("errors"))).resting


def test_what_cannot_be_watched_is_said_by_name() -> None:
    version = watched(make_situation(promoted(), policy=policy("errors", "latency", "accuracy")))
    assert [kind.name for kind in version.kinds] == ["errors", "latency"]
    assert version.unwatched == (
        "accuracy is not watched: only a distribution, and a failureRatio or a latency with maximumMillis with source Gateway, is"
    )


def test_a_latency_without_a_limit_is_not_watched() -> None:
    """Each version would be looked at by a boundary of its own."""
    relative = kind_of(
        Objective.model_validate({"name": "latency", "latency": {"percentile": 95, "relativeTolerance": "10%"}})
    )
    assert relative.watch is None


def test_a_gateway_without_response_times() -> None:
    situation = make_situation(promoted(), policy=policy("latency"))
    preset = dataclasses.replace(builders.PRESET, latency_bucket="")
    version = watched(dataclasses.replace(situation, snapshot=dataclasses.replace(situation.snapshot, preset=preset)))
    assert version.unwatched == "latency is not watched: the gateway shows no response times"


@pytest.mark.parametrize(
    ("observer", "drift", "names", "tolerance", "alarms"),
    [
        pytest.param(True, {}, ["errors"], 0.025, 2, id="beside an objective: half of the promise each"),
        pytest.param(True, {"tolerance": "0.2"}, [], 0.1, 1, id="alone"),
        pytest.param(False, {}, ["errors"], None, 1, id="nobody counts features"),
        pytest.param(True, None, ["errors"], None, 1, id="nobody wants to know"),
    ],
)
def test_features_are_watched_where_there_is_an_observer_and_the_policy_says_so(
    observer: bool, drift: dict[str, str] | None, names: list[str], tolerance: float | None, alarms: int
) -> None:
    wanted = {"objectives": names, **({} if drift is None else {"drift": drift})}
    situation = make_situation(promoted(), policy={"objectives": [ERRORS], "watch": wanted})
    spec = {"observer": {"reference": {"name": "digits-reference"}}} if observer else {}
    deployment = builders.make_model_deployment(spec=spec)
    version = watched(
        dataclasses.replace(situation, snapshot=dataclasses.replace(situation.snapshot, deployment=deployment))
    )
    assert [source.tolerance for source in version.bins] == ([] if tolerance is None else [tolerance])
    assert version.threshold_log == pytest.approx(math.log(90 * 1440 * alarms))


def with_spec(situation: Situation, **spec: Any) -> Situation:
    snapshot = dataclasses.replace(situation.snapshot, deployment=builders.make_model_deployment(spec=spec))
    return dataclasses.replace(situation, snapshot=snapshot)


@pytest.mark.parametrize(
    ("predictions", "drift", "names", "sources", "alarms"),
    [
        pytest.param(True, {}, ["errors"], ["features", "answers"], 3, id="a third of the promise each"),
        pytest.param(False, {}, [], ["features"], 1, id="nobody asks for answers"),
        pytest.param(True, None, ["errors", "classes"], ["objective/classes"], 2, id="an objective that counts bins"),
        pytest.param(True, {}, ["classes"], ["features", "answers", "objective/classes"], 3, id="all that have bins"),
    ],
)
def test_answers_are_watched_by_the_observer_and_by_objectives(
    predictions: bool, drift: dict[str, str] | None, names: list[str], sources: list[str], alarms: int
) -> None:
    wanted = {"objectives": names, **({} if drift is None else {"drift": drift})}
    situation = make_situation(promoted(), policy={"objectives": [ERRORS, CLASSES], "watch": wanted})
    observer = {"reference": {"name": "digits-reference"}, "predictions": predictions}
    version = watched(with_spec(situation, observer=observer))
    assert [source.name for source in version.bins] == sources
    assert [kind.name for kind in version.kinds] == [name for name in names if name == "errors"]
    assert version.threshold_log == pytest.approx(math.log(90 * 1440 * alarms))
    assert version.unwatched == ""
    assert all(STABLE.name in source.counters for source in version.bins if source.name != "features")


def test_a_distribution_needs_no_gateway() -> None:
    situation = make_situation(promoted(), policy={"objectives": [CLASSES], "watch": {"objectives": ["classes"]}})
    preset = dataclasses.replace(builders.PRESET, requests="")
    version = watched(dataclasses.replace(situation, snapshot=dataclasses.replace(situation.snapshot, preset=preset)))
    assert [source.title for source in version.bins] == ["classes"]


@pytest.mark.parametrize(
    ("revision", "state"), [pytest.param(STABLE.name, "{}", id="its own"), pytest.param("other", None, id="another's")]
)
def test_only_the_state_of_this_version_counts(revision: str, state: str | None) -> None:
    situation = make_situation(promoted(), policy=policy("errors"))
    deployment = builders.make_model_deployment(status={"watch": {"revision": revision, "state": "{}"}})
    found = dataclasses.replace(situation, snapshot=dataclasses.replace(situation.snapshot, deployment=deployment))
    assert watched(found).state == state


def test_a_model_with_objectives_of_its_own() -> None:
    situation = make_situation(promoted(), policy=policy("errors"))
    spec = {"rollout": {"objectives": [LATENCY]}}
    deployment = builders.make_model_deployment(spec=spec)
    version = watched(
        dataclasses.replace(situation, snapshot=dataclasses.replace(situation.snapshot, deployment=deployment))
    )
    assert (version.kinds, version.unwatched) == (
        (),
        "errors is not watched: the model's own objectives have none of this name",
    )


def test_without_a_gateway_nobody_counts() -> None:
    situation = make_situation(promoted(), policy=policy("errors"))
    preset = dataclasses.replace(builders.PRESET, requests="")
    version = watched(dataclasses.replace(situation, snapshot=dataclasses.replace(situation.snapshot, preset=preset)))
    assert version.unwatched == "errors is not watched: there is no gateway to count requests"
