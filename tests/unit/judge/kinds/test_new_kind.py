"""A kind needs nothing but its file: one that is made here is asked for, judged, told, recorded and replayed."""

import dataclasses
from collections.abc import Mapping
from typing import Final

import pytest

from kubectl_sluice.views.releases.objectives import objective_views
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_judge import judge, kinds
from sluice_judge.gateways.none import NONE
from sluice_judge.judgement import Judgement
from sluice_judge.kind import Kind, Sampling, own_feed, unseen
from sluice_judge.kinds import kind_of
from sluice_judge.model import Answers, Trial
from sluice_judge.replay import reading, record, replay
from sluice_judge.samples import columns, scraped, selectors, series
from sluice_judge.schema.objectives import Latency, Objective
from tests.support.simulated.prometheus import Prometheus
from tests.support.simulated.trials import CANDIDATE, STABLE, START, look, make_trial

SELECTOR: Final = 'infer_bucket{revision="{{revision}}"}'
SERVER: Final = Objective(name="server", latency=Latency(percentile=95, maximum_millis=50))


def of(objective: Objective) -> Kind | None:
    """Response times by the model server's own histogram, in seconds."""
    if objective.name != "server":
        return None
    own = MeasuredTimes(own_feed(objective.name))
    return dataclasses.replace(
        kind_of(objective.model_copy(update={"name": "gateway"})), objective=objective, sampling=own
    )


@dataclasses.dataclass(frozen=True, slots=True)
class MeasuredTimes(Sampling):
    def hidden(self, trial: Trial) -> str:
        return ""

    def questions(self, trial: Trial) -> Mapping[str, str]:
        sides = columns.sides(trial).items()
        return {f"{self.feed}/{arm}": selectors.filled_by_user(trial, SELECTOR, side) for arm, side in sides}

    def samples(self, trial: Trial, answers: Answers, gone: tuple[str, ...]) -> series.Samples:
        tracks = [
            series.Track(
                (arm, columns.boundary_millis(found.labels["le"], 1000)), scraped.target(found.labels), found.points
            )
            for arm in columns.sides(trial)
            for found in scraped.series_of(answers, f"{self.feed}/{arm}")
        ]
        return series.samples_of(tracks, ())

    def note(self, trial: Trial, shown: series.Samples | None) -> str:
        return unseen(trial, shown or series.Samples((), {}), self.questions(trial)[f"{self.feed}/C"])


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "KINDS", (of, *kinds.KINDS))


def released(prometheus: Prometheus) -> tuple[Trial, Judgement]:
    """Ten minutes without a gateway, in which one in five answers of the candidate is slow."""
    trial = make_trial(objectives=(SERVER,), preset=NONE, share_checked=False)
    for second in range(-300, 300, 5):
        for revision, slow in ((STABLE, 0), (CANDIDATE, 4 if second > 0 else 0)):
            for le, inside in (("0.01", 20 - slow), ("0.05", 20 - slow), ("0.25", 20), ("+Inf", 20)):
                prometheus.count("pod", "infer_bucket", inside, revision=revision, le=le)
        prometheus.scrape(START + second, ["pod"])
        if second >= 0:
            trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)
    return trial, result


def test_it_is_judged() -> None:
    _, result = released(Prometheus())
    [view] = objective_views(result.objectives, [SERVER])

    assert result.accusation.rollback_log > result.accusation.threshold_log
    assert result.accusation.decisive.startswith(
        "server: candidate 236 of 1180 slower than 50 ms (20.0%), stable 0 of 1180"
    )
    assert (view.counts, view.state) == ("slower than 50 ms", "worse")


def test_what_keeps_it_from_being_seen_is_told() -> None:
    trial = make_trial(objectives=(SERVER,), preset=NONE, share_checked=False)
    result = judge.judge(trial, Prometheus().answer(judge.questions(trial), START))

    assert result.sight.blind == (
        f'server: no samples: infer_bucket{{revision="{CANDIDATE}",namespace="shop"}}; check that Prometheus '
        "scrapes it and that the labels are right"
    )


def test_it_is_recorded_and_replayed() -> None:
    prometheus = Prometheus()
    trial, _ = released(prometheus)
    answers = prometheus.answer(record.questions(trial, seconds=300), trial.now)
    written = list(record.recorded(trial, answers, seconds=300))
    *_, last = replay.replay(reading.read(written), RolloutPolicySpec(objectives=[SERVER]))

    assert (last.verdict, last.reason) == ("RollBack", "OverLimit")
