"""Objectives on the model server's own histograms."""

import dataclasses
from typing import Final

import pytest

from kubectl_sluice.views.releases.objectives import objective_views
from sluice_judge import accumulate, judge, processes
from sluice_judge.gateways.none import NONE
from sluice_judge.judgement import Judgement
from sluice_judge.kinds import kind_of, servertimes
from sluice_judge.model import OwnCounters, ServerTimes, Trial
from sluice_judge.replay import lines, reading, record
from sluice_judge.samples import series
from sluice_judge.samples.columns import Amounts
from sluice_judge.schema.objectives import Latency, Objective, Source
from sluice_judge.state import ObjectiveState, State, dump, load
from sluice_judge.stats import evidence, mixture
from tests.support.groups import replaced
from tests.support.simulated.prometheus import Prometheus
from tests.support.simulated.trials import CANDIDATE, STABLE, START, look, make_trial

FIRST: Final = Objective(
    name="first", latency=Latency(source=Source.SERVER, measure="TimeToFirstToken", relative_tolerance="25%")
)
BETWEEN: Final = Objective(
    name="between", latency=Latency(source=Source.SERVER, measure="InterTokenLatency", relative_tolerance="25%")
)
LES: Final = (0.1, 0.3, 1.0)
PROMPTS: Final = (16, 64, 256, 1024)


def counters(revision: str, *, label: str = "", prompts: bool = False, computed: str = "") -> OwnCounters:
    pods = f'{{namespace="shop",pod=~"{revision}-.*"}}'
    names = ("TimeToFirstToken", "InterTokenLatency", "TimePerOutputToken")
    return OwnCounters(
        where="ServingRuntime chat",
        histograms=tuple(ServerTimes(name, f"{name}_bucket{pods}", 1000.0, label, computed) for name in names),
        prompt_tokens=f"prompt_tokens_bucket{pods}" if prompts else "",
    )


def trial_of(
    *objectives: Objective, label: str = "", prompts: bool = False, computed: str = "", **changes: object
) -> Trial:
    return make_trial(
        objectives=objectives,
        own=counters(STABLE, label=label, prompts=prompts, computed=computed),
        candidate_own=counters(CANDIDATE, label=label, prompts=prompts, computed=computed),
        **changes,
    )


def first_tokens(
    prometheus: Prometheus, revision: str, seconds: float, times: int = 1, *, prompt: int = 0, pod: str = "p"
) -> None:
    """How many first tokens after so many seconds. prompt: its length, where the histogram tells it."""
    target, labels = f"{revision}-{pod}", {"pod": f"{revision}-{pod}"} | ({"prompt": str(prompt)} if prompt else {})
    for le in (*map(str, LES), "+Inf"):
        inside = times if seconds <= float(le) else 0
        prometheus.count(target, "TimeToFirstToken_bucket", inside, le=le, **labels)


def asked(prometheus: Prometheus, revision: str, tokens: int, times: int = 1) -> None:
    """How many prompts of a length."""
    for le in (*map(str, PROMPTS), "+Inf"):
        inside = times if tokens <= float(le) else 0
        prometheus.count(f"{revision}-p", "prompt_tokens_bucket", inside, le=le, pod=f"{revision}-p")


@pytest.mark.parametrize(
    ("amounts", "want"),
    [
        pytest.param({"300": 80.0, "inf": 100.0}, (100, 20), id="not told apart"),
        pytest.param({"300~16": 8.0, "inf~16": 10.0, "inf~64": 5.0}, (15, 7), id="of all lengths"),
        pytest.param({"16~prompt": 3.0, "inf~prompt": 9.0, "inf": 2.0}, (2, 2), id="prompts are no answers"),
        pytest.param({}, (0, 0), id="nothing"),
    ],
)
def test_requests_and_events(amounts: Amounts, want: tuple[float, float]) -> None:
    assert kind_of(FIRST).counting.requests_and_events(amounts, "300") == want


def test_each_length_is_compared_within_itself() -> None:
    counts = kind_of(FIRST).counting.counts(
        {"300~16": 8.0, "inf~16": 10.0, "inf~64": 5.0}, {"inf~64": 7.0, "300~64": 6.0}, "300"
    )
    assert dataclasses.astuple(counts)[:4] == (15, 7, 7, 1)
    assert counts.parts == (evidence.Counts(10, 2, 0, 0), evidence.Counts(5, 5, 7, 1))


def test_prompts_are_told_apart_by_powers_of_four() -> None:
    amounts = {"16~prompt": 3.0, "50~prompt": 5.0, "100~prompt": 6.0, "inf~prompt": 9.0, "inf": 2.0}
    assert servertimes.PromptLengths().of(amounts) == {"2": 5.0, "3": 1.0, "inf": 3.0}


def test_what_is_recorded_is_not_told_apart() -> None:
    written = lines.counters(kind_of(FIRST), {"300~16": 8.0, "inf~16": 10.0, "inf~64": 5.0, "inf~prompt": 9.0})
    assert (written.requests, written.buckets) == (15.0, {"300": 8.0})


def test_words() -> None:
    assert kind_of(FIRST).words.event("300") == "slower than 300 ms"
    assert [kind_of(each).words.unit for each in (FIRST, BETWEEN)] == ["requests", "tokens"]


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        pytest.param(
            {"candidate_own": OwnCounters(where="ServingRuntime other", histograms=(ServerTimes("EndToEnd", "b"),))},
            "ServingRuntime other maps no histogram TimeToFirstToken (it has EndToEnd); name its series in "
            "spec.metrics.histograms, or judge with source Gateway",
            id="the candidate's",
        ),
        pytest.param(
            {"own": OwnCounters()},
            "its ServingRuntime maps no histogram TimeToFirstToken (it has none); name its series in "
            "spec.metrics.histograms, or judge with source Gateway",
            id="the stable version's",
        ),
    ],
)
def test_a_histogram_that_nobody_maps_is_not_asked_for(changes: dict[str, object], want: str) -> None:
    trial = replaced(trial_of(FIRST), **changes)
    kind = kind_of(FIRST)
    assert kind.sampling.hidden(trial) == kind.sampling.note(trial, None) == want
    assert not any(question.key.startswith("server/") for question in judge.questions(trial))


def test_without_a_measure_it_is_refused() -> None:
    kind = kind_of(Objective(name="x", latency=Latency(source=Source.SERVER, relative_tolerance="25%")))
    assert kind.sampling.refused == kind.sampling.hidden(trial_of(FIRST)) == kind.sampling.note(trial_of(FIRST), None)
    assert kind.sampling.refused.startswith("latency.measure: source Server needs one")


def test_more_series_than_can_be_looked_at() -> None:
    track = series.Track(("C", "inf"), "t", ((1.0, 1.0),))
    shown = series.Samples((track,) * 4001, {"t": (1.0,)})
    kind, trial = kind_of(FIRST), trial_of(FIRST)
    assert kind.sampling.too_many(trial, shown)
    assert kind.sampling.note(trial, None).startswith("more than 4000 series match TimeToFirstToken_bucket")


def test_different_boundaries_cannot_be_compared() -> None:
    prometheus = Prometheus()
    first_tokens(prometheus, STABLE, 0.2)
    prometheus.count(f"{CANDIDATE}-p", "TimeToFirstToken_bucket", 1, le="0.7", pod=f"{CANDIDATE}-p")
    prometheus.scrape(START, ["a"], [f"{STABLE}-p", f"{CANDIDATE}-p"])
    trial = trial_of(FIRST, now=START + 0.6)
    kind = kind_of(FIRST)
    shown = kind.sampling.samples(trial, prometheus.answer(judge.questions(trial), trial.now), ())
    assert (shown.tracks, shown.newest) == ((), START)
    assert "have different boundaries" in kind.sampling.note(trial, shown)


def test_pods_that_were_replaced_count_no_more() -> None:
    prometheus = Prometheus()
    for pod in ("p", "q"):
        first_tokens(prometheus, STABLE, 0.2, pod=pod)
    prometheus.scrape(START, ["a"], [f"{STABLE}-p", f"{STABLE}-q"])
    trial = trial_of(FIRST, now=START + 0.6)
    shown = kind_of(FIRST).sampling.samples(
        trial, prometheus.answer(judge.questions(trial), trial.now), (f"{STABLE}-q",)
    )
    assert len(shown.times) == 1


def released(
    prometheus: Prometheus,
    trial: Trial,
    *,
    seconds: int = 300,
    every: int = 5,
    slow: float = 0.9,
    long: tuple[int, int] = (0, 0),
) -> Judgement:
    """10 requests/s at equal weights; the candidate's pods are scraped by themselves.

    slow: seconds to the first token of the candidate. long: in how many of five prompts of either version (stable's,
    candidate's) are four times as long, and take as long.
    """
    result = None
    times = trial.servers.own.histograms[0]
    for second in range(-600, seconds):
        for revision, usual, many in ((STABLE, 0.2, long[0]), (CANDIDATE, slow, long[1])):
            if revision == CANDIDATE and second <= 0:
                continue
            for index in range(5):
                prompt = 256 if index < many else 64
                first_tokens(
                    prometheus,
                    revision,
                    0.9 if index < many else usual,
                    prompt=prompt if times.prompt_label or times.computed_label else 0,
                )
                asked(prometheus, revision, prompt)
        prometheus.request(STABLE, times=5)
        if second > 0:
            prometheus.request(CANDIDATE, times=5)
        for phase, pod in ((0, f"{STABLE}-p"), (3, f"{CANDIDATE}-p")):
            if second % every == phase:
                prometheus.scrape(START + second, (), [pod])
        if second % 5 == 0:
            prometheus.scrape(START + second, others=())
        if second % 5 == 0 and second >= 0:
            trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)
    assert result is not None
    return result


@pytest.mark.parametrize("every", [pytest.param(5, id="as the gateway"), pytest.param(30, id="less often")])
def test_slow_first_tokens_are_found(every: int) -> None:
    result = released(Prometheus(), trial_of(FIRST), every=every)
    [view] = objective_views(result.objectives, [FIRST])
    assert result.accusation.rollback_log > result.accusation.threshold_log
    assert result.accusation.decisive.startswith("first: candidate ")
    assert "slower than 300 ms (100.0%), stable 0 of" in result.accusation.decisive
    assert (view.counts, view.state) == ("slower than 300 ms", "worse")
    known = load(result.next_state.text)
    assert known is not None
    assert known.feeds["server/TimeToFirstToken"].every == (30 if every == 30 else 0)


def test_an_equal_version_is_proven() -> None:
    result = released(Prometheus(), trial_of(FIRST), slow=0.2)
    assert result.proof.complete
    assert result.accusation.rollback_log < 1


def test_longer_prompts_are_no_evidence_where_only_their_lengths_are_known() -> None:
    """The candidate's users ask longer questions, which take longer on both versions."""
    result = released(Prometheus(), trial_of(FIRST, prompts=True), slow=0.2, long=(1, 4))
    assert result.accusation.rollback_log < 0
    assert not result.proof.complete
    assert result.objectives[0].message.startswith("first: the versions get prompts of unlike lengths")


def test_without_lengths_they_are_taken_for_a_worse_version() -> None:
    result = released(Prometheus(), trial_of(FIRST), slow=0.2, long=(1, 4))
    assert result.accusation.rollback_log > result.accusation.threshold_log


def test_longer_prompts_are_compared_with_long_ones_where_they_are_told_apart() -> None:
    result = released(Prometheus(), trial_of(FIRST, label="prompt"), slow=0.2, long=(1, 4))
    assert result.accusation.rollback_log < 1
    assert result.proof.complete


def test_a_colder_cache_is_compared_by_what_was_computed() -> None:
    """At a share at which caches are unlike; labels of both kinds are there."""
    trial = trial_of(FIRST, label="prompt", computed="prompt")
    own = dataclasses.replace(trial.servers.own, prefix_cache=True)
    trial = replaced(trial, own=own, permille=100)
    assert kind_of(FIRST).sampling.by_computed(trial)
    assert released(Prometheus(), trial, slow=0.2, long=(1, 4)).proof.complete
    assert released(Prometheus(), trial, slow=0.9, long=(1, 4)).accusation.against is not None


def test_what_was_computed_comes_before_the_lengths_of_prompts() -> None:
    trial = trial_of(FIRST, prompts=True)
    own = dataclasses.replace(trial.servers.own, computed_tokens="computed_bucket")
    assert "computed_bucket" not in kind_of(FIRST).sampling.questions(replaced(trial, own=own)).values()
    both = replaced(trial, own=own, candidate_own=own)
    assert list(kind_of(FIRST).sampling.questions(both).values()).count("computed_bucket") == 2


def test_slow_first_tokens_are_found_among_longer_prompts() -> None:
    result = released(Prometheus(), trial_of(FIRST, label="prompt"), slow=0.9, long=(1, 4))
    assert result.accusation.rollback_log > result.accusation.threshold_log


def test_it_is_judged_without_a_gateway() -> None:
    result = released(Prometheus(), trial_of(FIRST, preset=NONE, share_checked=False))
    assert result.accusation.rollback_log > result.accusation.threshold_log


def test_it_is_recorded() -> None:
    prometheus = Prometheus()
    trial = trial_of(FIRST, label="prompt")
    released(prometheus, trial, seconds=60)
    trial = dataclasses.replace(trial, now=START + 60)
    answers = prometheus.answer(record.questions(trial, seconds=300), trial.now)
    [*_, last] = reading.read(list(record.recorded(trial, answers, seconds=300))).lines
    assert last.candidate.buckets is not None
    assert last.candidate.requests == pytest.approx(275, abs=30)
    assert last.candidate.buckets == {"1000": last.candidate.requests}


def test_what_unlike_prompts_took_off_stays_at_a_new_step() -> None:
    """A step's table is of one share of the requests; the evidence against the candidate goes on over all of them."""
    kind = kind_of(FIRST)
    mixed = {"2": (40.0, 10.0), "3": (10.0, 40.0)}
    state = ObjectiveState(boundary="300", boundaries=("300",), mix=mixed)
    lost = mixture.log_ratio(mixed)
    before, advance = processes.evidence_of(processes.rules(kind, state), state)
    after = accumulate.at_new_step(kind, state)
    then, anew = processes.evidence_of(processes.rules(kind, after), after)
    assert (before.rollback, advance, then.rollback, anew) == pytest.approx((-lost, -lost, -lost, 0.0))
    assert (after.mix, after.unlike) == ({}, pytest.approx(lost))
    both = State(
        1.0,
        1,
        1,
        None,
        objectives={"before": state, "after": after},
        feeds={"server/x": series.Feed("t", 2.0, every=30.0)},
    )
    assert load(dump(both)) == both
