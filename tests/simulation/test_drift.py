"""Requests that move away from the reference, with the same model: noticed and named, without a rollback."""

import random
from typing import Any, Final

import pytest

from tests.support.simulated import scenarios
from tests.support.simulated.controllers import Behaviour
from tests.support.simulated.scenarios import V1, V2
from tests.support.simulated.twins import made_once
from tests.support.simulated.watchedcluster import ERRORS, HOME, WatchedCluster

HOUR = 3600.0
OBSERVER: dict[str, Any] = {"reference": {"name": "digits-reference"}}
YOUNG: Final = {"<30": 50.0, "30 to 50": 30.0, ">=50": 20.0, "(missing)": 0.0}
OLD: Final = {"<30": 25.0, "30 to 50": 30.0, ">=50": 45.0, "(missing)": 0.0}
LANDS: Final = {"de": 80.0, "fr": 20.0, "(other)": 0.0, "(missing)": 0.0}


class Observed(WatchedCluster):
    """A cluster whose observer counts two requests a second."""

    def __init__(self, *, watch: dict[str, Any] | None = None, target: str = "observer", **settings: Any) -> None:
        super().__init__(target)
        policy = {"objectives": [ERRORS], "watch": {"objectives": ["errors"], "drift": {}, **(watch or {})}}
        settings = {"requests_per_second": 20, **settings}
        self.cluster = scenarios.serving_cluster(policy_changes=policy, spec={"observer": OBSERVER}, **settings)
        self.reference = {"age": YOUNG, "land": LANDS}
        self.inputs = {"age": YOUNG, "land": LANDS}
        self._random = random.Random(7)
        self._shows()

    def _shows(self) -> None:
        for feature, bins in self.reference.items():
            for name, share in bins.items():
                labels = {**HOME, "feature": feature, "bin": name}
                self.cluster.prometheus.gauge(self.target, "sluice_observer_reference_rows", 1000 * share, **labels)
                self.cluster.prometheus.count(self.target, "sluice_observed_total", 0, **labels)

    def restarts(self, reference: dict[str, dict[str, float]] | None = None) -> None:
        """Replaces the observer's pod: its counters begin at 0, perhaps with another reference."""
        self.reference = reference or self.reference
        self.cluster.prometheus.counters.pop(self.target, None)
        self._shows()

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.cluster.run(1)
            for feature, bins in self.inputs.items() if self.is_up else ():
                for name in self._random.choices(list(bins), list(bins.values()), k=2):
                    labels = {**HOME, "feature": feature, "bin": name}
                    self.cluster.prometheus.count(self.target, "sluice_observed_total", 1, **labels)


@made_once
def learnt(**settings: Any) -> Observed:
    observed = Observed(**settings)
    observed.run(2700)
    return observed


def test_inputs_that_move_are_named_without_a_rollback() -> None:
    observed = learnt(watch={"onAlarm": "RollBack"})
    assert observed.healthy["reason"] == "Steady"
    assert "2 features are as in the reference" in observed.healthy["message"]
    rollouts = len(observed.cluster.rollouts())
    began = observed.cluster.now
    observed.inputs["age"] = OLD
    while not observed.moved and observed.cluster.now < began + 1800:
        observed.run(10)
    assert observed.cluster.now - began < 900
    assert observed.moved == ["age"]
    assert (observed.healthy["status"], observed.healthy["reason"]) == ("False", "InputsMoved")
    observed.run(HOUR)
    told = [event for event in observed.cluster.events if event.reason == "InputsMoved"]
    assert [event.warning for event in told] == [True], "once, however long it lasts"
    assert len(observed.cluster.rollouts()) == rollouts
    assert observed.cluster.condition("Ready")["status"] == "True"


def test_while_nothing_happens_it_is_written_once_an_hour() -> None:
    observed = learnt()
    before = len(observed.cluster.writes)
    observed.run(2 * HOUR)
    assert len(observed.cluster.writes) - before == 2


def test_a_model_without_an_observer_is_not_asked_about() -> None:
    policy = {"objectives": [ERRORS], "watch": {"objectives": ["errors"], "drift": {}}}
    cluster = scenarios.serving_cluster(policy_changes=policy)
    cluster.run(300)
    asked = cluster.watch_asked
    cluster.run(60)
    assert cluster.watch_asked - asked == 3, (
        "as without drift: two of the gateway's counters, and whether it is scraped"
    )
    assert "drift" not in cluster.status()["watch"]


def test_an_observer_that_is_down_blinds_only_itself() -> None:
    observed = learnt()
    observed.goes_down()
    observed.run(900)
    assert "features are not watched: no series sluice_observed_total" in observed.healthy["message"]
    assert observed.healthy["reason"] == "Steady"
    observed.cluster.behaviours[V1] = Behaviour(error=0.1)
    observed.run(300)
    assert observed.healthy["reason"] == "WorseThanBefore"


@pytest.mark.parametrize(
    "reference", [None, {"age": {"<40": 65.0, ">=40": 35.0}}], ids=["restarted", "another reference"]
)
def test_counters_that_begin_again_are_no_move(reference: dict[str, dict[str, float]] | None) -> None:
    observed = learnt()
    for _ in range(6):
        observed.restarts(reference)
        if reference is not None:
            observed.inputs = dict(reference)
        observed.run(600)
        assert observed.moved == []
    assert observed.healthy["reason"] == "Steady"


def test_pods_without_counters_are_ignored_and_two_with_them_are_added_up() -> None:
    observed = learnt()
    second = "another"
    for name in YOUNG:
        observed.cluster.prometheus.count(second, "sluice_observed_total", 0, **HOME, feature="age", bin=name)
    observed.run(900)
    assert observed.moved == []
    assert "features are not watched" not in observed.healthy["message"]


def test_the_next_version_finds_it_again() -> None:
    observed = learnt()
    observed.inputs["age"] = OLD
    observed.run(900)
    assert observed.moved == ["age"]
    observed.cluster.user_applies(scenarios.manifest(V2, observer=OBSERVER))
    observed.run(60)
    observed.cluster.asks("Promote")
    observed.run(900)
    assert observed.cluster.status()["watch"]["revision"] == observed.cluster.newest().spec.target.revision
    observed.run(3600)
    assert observed.moved == ["age"]


def test_a_restarted_operator_goes_on_with_what_was_written() -> None:
    observed = learnt()
    observed.inputs["age"] = OLD
    observed.run(900)
    since = observed.cluster.status()["watch"]["drift"]["noticed"]
    observed.cluster.watched.clear()
    observed.cluster.remembered.clear()
    observed.cluster.reconcile()
    observed.run(300)
    assert observed.cluster.status()["watch"]["drift"]["noticed"] == since
    assert len([event for event in observed.cluster.events if event.reason == "InputsMoved"]) == 1


def test_features_alone_may_be_watched() -> None:
    observed = learnt(watch={"objectives": []})
    assert (observed.healthy["reason"], observed.healthy["message"]) == ("Steady", "2 features are as in the reference")


def test_another_tenant_cannot_speak_for_the_model_or_blind_it() -> None:
    """A tenant's own namespace may have any bins, by name and number."""
    observed = learnt()
    prometheus = observed.cluster.prometheus
    for number in range(5000):
        labels = {"namespace": "evil", "model": "digits", "feature": "age", "bin": f"b{number}"}
        prometheus.count("evil", "sluice_observed_total", 1, **labels)
    observed.run(300)
    assert observed.moved == []
    assert "features are not watched" not in observed.healthy["message"]
