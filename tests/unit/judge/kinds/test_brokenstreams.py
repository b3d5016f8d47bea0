"""Objectives on streams that the model server broke."""

import dataclasses
from typing import Final

import pytest

from sluice_judge import judge
from sluice_judge.judgement import Judgement
from sluice_judge.kinds import kind_of
from sluice_judge.model import OwnCounters, Trial
from sluice_judge.samples import series
from sluice_judge.schema.objectives import Events, FailureRatio, Objective, Source
from tests.support.groups import replaced
from tests.support.simulated.prometheus import Prometheus
from tests.support.simulated.trials import CANDIDATE, STABLE, START, look, make_trial

BROKEN: Final = Objective(
    name="streams",
    failure_ratio=FailureRatio(
        source=Source.SERVER, events=Events.BROKEN_STREAMS, maximum="2%", ignore_below="0.5%", relative_tolerance="25%"
    ),
)


def counters(revision: str) -> OwnCounters:
    pods = f'namespace="shop",pod=~"{revision}-.*"'
    return OwnCounters(streams=f"streams_total{{{pods}}}", broken_streams=f'streams_total{{outcome="Broken",{pods}}}')


def trial_of(**changes: object) -> Trial:
    usual = {"own": counters(STABLE), "candidate_own": counters(CANDIDATE), "objectives": (BROKEN,)}
    return make_trial(**usual | changes)


def released(broken: dict[str, int], *, ended: str = "Broken") -> Judgement:
    """Five minutes of 20 streams a scrape for each of two pods. broken: how many of them, by pod."""
    prometheus, trial = Prometheus(), trial_of()
    pods = [f"{revision}-{pod}" for revision in (STABLE, CANDIDATE) for pod in ("p", "q")]
    for second in range(-300, 300, 5):
        for pod in pods:
            bad = broken.get(pod, 0) if second > 0 else 0
            prometheus.count(pod, "streams_total", 20 - bad, outcome="Complete", pod=pod)
            prometheus.count(pod, "streams_total", bad, outcome=ended, pod=pod)
        prometheus.request(STABLE, times=40)
        prometheus.request(CANDIDATE, times=40)
        prometheus.scrape(START + second, others=pods)
        if second >= 0:
            trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)
    return result


def test_a_version_that_breaks_streams_is_found() -> None:
    result = released({f"{CANDIDATE}-p": 1, f"{CANDIDATE}-q": 1})
    assert result.accusation.rollback_log > result.accusation.threshold_log
    assert "broken (5.0%)" in result.accusation.decisive
    assert result.accusation.bad_pod == ""


def test_what_clients_end_is_not_broken() -> None:
    result = released({f"{CANDIDATE}-p": 5, f"{CANDIDATE}-q": 5}, ended="Cancelled")
    assert result.accusation.rollback_log < 0
    assert result.proof.complete


def test_one_pod_that_breaks_them_is_told() -> None:
    assert released({f"{CANDIDATE}-q": 4}).accusation.bad_pod == f"{CANDIDATE}-q"


@pytest.mark.parametrize("lacking", ["own", "candidate_own"])
def test_a_server_that_does_not_count_streams(lacking: str) -> None:
    trial = replaced(trial_of(), **{lacking: OwnCounters(where="ServingRuntime chat")})
    kind = kind_of(BROKEN)
    assert kind.sampling.note(trial, None) == (
        "ServingRuntime chat does not say how its server counts streams, and those that it broke; name the series in "
        "spec.metrics.streams and brokenStreams, or remove the objective"
    )
    assert kind.own.series(trial) == ()
    assert not any(question.key.startswith("server/") for question in judge.questions(trial))


def test_what_it_says() -> None:
    kind, trial = kind_of(BROKEN), trial_of()
    shown = series.Samples((series.Track(("C", "total"), "t", ((1.0, 1.0),)),) * 4001, {"t": (1.0,)})
    assert (kind.words.unit, kind.sampling.refused, kind.traits.judged_on_copies) == ("streams", "", True)
    assert kind.sampling.too_many(trial, shown)
    assert kind.sampling.note(trial, None).startswith("more than 4000 series match streams_total")
    assert kind.sampling.note(trial, series.Samples((), {})).startswith("no samples: streams_total")
    assert [each.what for each in kind.own.series(trial)] == ["total", "events"]
