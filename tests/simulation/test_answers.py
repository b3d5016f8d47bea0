"""Answers of a stable version that move between releases: noticed and named, without a rollback."""

import random
from typing import Any, Final

import pytest

from sluice_judge.stats import referencebins
from tests.support.simulated import scenarios
from tests.support.simulated.controllers import Behaviour
from tests.support.simulated.scenarios import V1, V2
from tests.support.simulated.twins import made_once
from tests.support.simulated.watchedcluster import ERRORS, HOME, WatchedCluster

HOUR: Final = 3600.0
CLASSES: Final[dict[str, Any]] = {
    "name": "classes",
    "required": False,
    "distribution": {"bins": 'predictions_total{revision="{{revision}}"}'},
}
OBSERVER: Final = {"reference": {"name": "digits-reference"}, "predictions": True}
AGE: Final = {"<30": 50.0, "30 to 50": 30.0, ">=50": 20.0, "(missing)": 0.0}
OLD: Final = {"<30": 25.0, "30 to 50": 30.0, ">=50": 45.0, "(missing)": 0.0}
USUAL: Final = {"ham": 97.0, "spam": 3.0, "(other)": 0.0, "(missing)": 0.0}
WRONG: Final = {"ham": 40.0, "spam": 60.0, "(other)": 0.0, "(missing)": 0.0}
RENAMED: Final = {"HAM": 97.0, "SPAM": 3.0, "(other)": 0.0, "(missing)": 0.0}


class Answering(WatchedCluster):
    """A cluster whose observer counts two requests a second, and their answers; so do the pods themselves."""

    def __init__(self, *, watch: dict[str, Any] | None = None, observer: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.observer = observer or OBSERVER
        wanted = {"objectives": ["errors"], "drift": {}} if watch is None or "objectives" not in watch else {}
        policy = {"objectives": [ERRORS, CLASSES], "watch": {**wanted, **(watch or {})}}
        self.cluster = scenarios.serving_cluster(
            policy_changes=policy, spec={"observer": self.observer}, requests_per_second=20
        )
        self.inputs, self.reference, self.answers = AGE, USUAL, USUAL
        self.has_answers = True
        self._random = random.Random(7)
        self.shows()

    @property
    def stable(self) -> str:
        return str(self.cluster.status()["stable"]["revision"])

    def shows(self) -> None:
        """Replaces the observer's pod, whose counters begin at 0."""
        prometheus = self.cluster.prometheus
        prometheus.counters.pop("observer", None)
        for name, share in AGE.items():
            labels = {**HOME, "feature": "age", "bin": name}
            prometheus.gauge("observer", "sluice_observer_reference_rows", 1000 * share, **labels)
            prometheus.count("observer", "sluice_observed_total", 0, **labels)
        for name, share in self.reference.items() if self.has_answers else ():
            labels = {**HOME, "revision": self.stable, "feature": "class", "bin": name}
            prometheus.gauge("observer", "sluice_observer_reference_answer_rows", 1000 * share, **labels)
            prometheus.count("observer", "sluice_observed_answers_total", 0, **labels)

    def run(self, seconds: float) -> None:
        count = self.cluster.prometheus.count
        for _ in range(int(seconds)):
            self.cluster.run(1)
            for name in self._drawn(self.inputs) if self.is_up else ():
                count("observer", "sluice_observed_total", 1, **HOME, feature="age", bin=name)
            for name in self._drawn(self.answers):
                if self.is_up and self.has_answers:
                    labels = {**HOME, "revision": self.stable, "feature": "class", "bin": name}
                    count("observer", "sluice_observed_answers_total", 1, **labels)
                count("client", "predictions_total", 1, namespace="default", revision=self.stable, bin=name)

    def _drawn(self, shares: dict[str, float]) -> list[str]:
        return self._random.choices(list(shares), list(shares.values()), k=2)


@made_once
def learnt(**settings: Any) -> Answering:
    answering = Answering(**settings)
    answering.run(2700)
    return answering


def test_answers_that_move_without_inputs_are_named_without_a_rollback() -> None:
    answering = learnt(watch={"onAlarm": "RollBack"})
    assert answering.healthy["reason"] == "Steady"
    assert "2 features are as in the reference" in answering.healthy["message"]
    rollouts, began = len(answering.cluster.rollouts()), answering.cluster.now
    answering.answers = WRONG
    while not answering.moved and answering.cluster.now < began + 1800:
        answering.run(10)
    assert answering.cluster.now - began < 600
    assert answering.moved == ["answer class"]
    assert (answering.healthy["status"], answering.healthy["reason"]) == ("False", "InputsMoved")
    assert "not as in the reference: answer class since" in answering.healthy["message"]
    answering.run(HOUR)
    [told] = [event for event in answering.cluster.events if event.reason == "InputsMoved"]
    assert "answer class" in told.message
    assert len(answering.cluster.rollouts()) == rollouts


def test_inputs_that_move_are_not_taken_for_answers() -> None:
    answering = learnt()
    answering.inputs = OLD
    answering.run(1200)
    assert answering.moved == ["age"]
    answering.answers = WRONG
    answering.run(1200)
    assert answering.moved == ["age", "answer class"]


def test_an_observer_without_predictions_is_not_asked_for_answers() -> None:
    answering = learnt(observer={"reference": {"name": "digits-reference"}})
    answering.answers = WRONG
    answering.run(1200)
    assert answering.moved == []
    assert "1 feature is as" in answering.healthy["message"]


def test_a_release_in_between_starts_anew() -> None:
    """Answers of the version before accuse no other; neither does the observer's pod that still sends requests to
    it."""
    answering = learnt()
    before = answering.stable
    answering.cluster.user_applies(scenarios.manifest(V2, observer=OBSERVER))
    answering.run(60)
    answering.cluster.asks("Promote")
    answering.run(600)
    assert answering.stable != before
    answering.shows()
    for name, share in WRONG.items():
        labels = {**HOME, "revision": before, "feature": "class", "bin": name}
        answering.cluster.prometheus.gauge("late", "sluice_observer_reference_answer_rows", 1000.0, **labels)
        answering.cluster.prometheus.count("late", "sluice_observed_answers_total", 100 * share, **labels)
    answering.run(2700)
    assert answering.moved == []
    assert answering.cluster.status()["watch"]["revision"] == answering.stable
    answering.answers = WRONG
    answering.run(900)
    assert answering.moved == ["answer class"]


def test_an_observer_that_is_down_blinds_only_what_it_counts() -> None:
    answering = learnt()
    answering.goes_down()
    answering.run(900)
    message = answering.healthy["message"]
    assert "features are not watched: no series sluice_observed_total" in message
    assert "answers are not watched: no series sluice_observed_answers_total" in message
    assert answering.healthy["reason"] == "Steady"
    answering.cluster.behaviours[V1] = Behaviour(error=0.1)
    answering.run(300)
    assert answering.healthy["reason"] == "WorseThanBefore"


def test_a_reference_without_answers_blinds_the_answers_alone() -> None:
    answering = Answering()
    answering.has_answers = False
    answering.shows()
    answering.cluster.prometheus.samples.clear()
    answering.run(2700)
    assert "answers are not watched: no series" in answering.healthy["message"]
    assert "whether its reference has answers" in answering.healthy["message"]
    answering.inputs = OLD
    answering.run(900)
    assert answering.moved == ["age"]


def test_bins_that_another_reference_names_otherwise_are_no_move() -> None:
    answering = learnt()
    answering.reference = answering.answers = RENAMED
    answering.shows()
    answering.run(2700)
    assert answering.moved == []
    assert "are not watched" not in answering.healthy["message"]
    answering.answers = {"HAM": 40.0, "SPAM": 60.0}
    answering.run(900)
    assert answering.moved == ["answer class"]


@pytest.fixture
def short_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(referencebins, "DAY_SECONDS", HOUR)


@pytest.mark.usefixtures("short_day")
@pytest.mark.parametrize("moved", [WRONG, RENAMED], ids=["more often", "renamed"])
def test_a_distribution_is_held_against_the_first_day_of_its_version(moved: dict[str, float]) -> None:
    answering = Answering(watch={"objectives": ["errors", "classes"]})
    answering.run(HOUR / 2)
    assert "what classes show on the first day is going to be their reference" in answering.healthy["message"]
    answering.run(HOUR)
    assert "1 feature is as in the reference" in answering.healthy["message"]
    answering.answers = moved
    answering.run(900)
    assert answering.moved == ["classes"]
    answering.cluster.watched.clear()
    answering.cluster.remembered.clear()
    answering.run(900)
    assert answering.moved == ["classes"], "what an operator goes on with that was restarted"


@pytest.mark.usefixtures("short_day")
def test_a_distribution_of_the_next_version_has_a_first_day_of_its_own() -> None:
    answering = Answering(watch={"objectives": ["classes"]})
    answering.run(1.5 * HOUR)
    answering.cluster.user_applies(scenarios.manifest(V2, observer=OBSERVER))
    answering.run(60)
    answering.cluster.asks("Promote")
    answering.run(600)
    answering.answers = WRONG
    answering.run(2 * HOUR)
    assert answering.moved == [], "it has always answered so"
    assert "1 feature is as in the reference" in answering.healthy["message"]
    answering.answers = USUAL
    answering.run(900)
    assert answering.moved == ["classes"]
