"""What versions answer, bin by bin."""

import dataclasses
import math
import random
import statistics
from collections.abc import Mapping
from typing import Final

import pytest

from kubectl_sluice.views.releases.objectives import objective_views
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_judge import accumulate, judge, processes
from sluice_judge import state as memory
from sluice_judge.gateways.none import NONE
from sluice_judge.judgement import Judgement
from sluice_judge.kind import Kind
from sluice_judge.kinds import kind_of
from sluice_judge.kinds.distribution import LONGEST_NAME, MOST_BINS, MOST_SERIES
from sluice_judge.look import LookRules
from sluice_judge.model import Arm, Trial
from sluice_judge.replay import lines, reading, record, replay
from sluice_judge.samples import columns, series
from sluice_judge.schema.objectives import Distribution, Objective
from sluice_judge.state import ObjectiveState
from sluice_judge.stats import combine
from tests.support.groups import replaced
from tests.support.simulated.prometheus import Prometheus
from tests.support.simulated.trials import CANDIDATE, ERRORS, LATENCY, STABLE, START, look, make_trial

ANSWERS: Final = Objective(name="answers", distribution=Distribution(bins='answers_total{revision="{{revision}}"}'))
KIND: Final = kind_of(ANSWERS)
USUAL: Final = {"ham": 0.5, "spam": 0.3, "eggs": 0.17, "bacon": 0.03}
OTHER_THAN_USUAL: Final = '!["ham", "spam", "eggs"]'
SPAM_GROWS: Final = {"ham": 0.25, "spam": 0.6, "eggs": 0.12, "bacon": 0.03}


def make(trial_of: Objective = ANSWERS, **changes: object) -> Trial:
    return make_trial(objectives=(trial_of,), preset=NONE, share_checked=False, **changes)


def answered(
    prometheus: Prometheus,
    dice: random.Random,
    revision: str,
    shares: Mapping[str, float],
    times: int,
    target: str = "",
) -> None:
    for name in dice.choices([*shares], [*shares.values()], k=times):
        prometheus.count(target or f"{revision}-pod", "answers_total", revision=revision, bin=name)


def released(
    candidate: Mapping[str, float],
    *,
    stable: Mapping[str, float] = USUAL,
    seed: int = 1,
    seconds: int = 300,
    rate: int = 20,
    share: float = 0.25,
    until: str = "",
) -> tuple[Prometheus, Trial, Judgement]:
    """Looks at each scrape of a step without a gateway. until: RollBack or Advance ends it."""
    dice, prometheus, targets = random.Random(seed), Prometheus(), [f"{STABLE}-pod", f"{CANDIDATE}-pod"]
    trial = make(permille=round(1000 * share))
    for second in range(-300, seconds, 5):
        ours = sum(dice.random() < share for _ in range(5 * rate)) if second > 0 else 0
        answered(prometheus, dice, STABLE, stable, 5 * rate - ours)
        answered(prometheus, dice, CANDIDATE, candidate, ours)
        prometheus.scrape(START + second, [], targets)
        if second < 0:
            continue
        trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)
        if until == "RollBack" and result.accusation.against:
            break
        if until == "Advance" and result.proof.complete:
            break
    return prometheus, trial, result


def test_questions_are_bound_to_the_version_and_the_namespace() -> None:
    assert KIND.sampling.questions(make()) == {
        "query/answers/S": 'answers_total{revision="digits-aaa",namespace="shop"}',
        "query/answers/C": 'answers_total{revision="digits-bbb",namespace="shop"}',
    }


@pytest.mark.parametrize(
    ("totals", "want"),
    [
        pytest.param({"ham": 99.0}, None, id="too few answers"),
        pytest.param(
            {"ham": 500.0, "spam": 300.0, "eggs": 170.0, "bacon": 30.0},
            ("eggs", ("ham", "spam", "eggs", OTHER_THAN_USUAL)),
            id="rare bins together",
        ),
        pytest.param({"!a": 500.0, "b": 500.0}, ("b", ("b", '!["b"]')), id="a name like that of the others"),
        pytest.param({"!a": 900.0}, None, id="nothing but such names"),
        pytest.param({"x" * (LONGEST_NAME + 1): 500.0, "b": 500.0}, ("b", ("b", '!["b"]')), id="a long name"),
    ],
)
def test_bins_are_chosen_by_what_the_stable_version_answered(
    totals: Mapping[str, float], want: tuple[str, tuple[str, ...]] | None
) -> None:
    tracks = [series.Track((columns.STABLE, name), "a", ((START, total),)) for name, total in totals.items()]
    tracks.append(series.Track((columns.CANDIDATE, "new"), "a", ((START, 1e6),)))

    assert KIND.tests.boundaries(series.samples_of(tracks, ()), sharing=1) == want


@pytest.mark.parametrize(("sharing", "want"), [(1, MOST_BINS), (2, MOST_BINS // 2), (100, 1)])
def test_bins_are_bounded_in_number(sharing: int, want: int) -> None:
    """Where none is above ignoreBelow, the largest are looked at all the same."""
    tracks = [series.Track((columns.STABLE, f"bin{at:03}"), "a", ((START, 100.0),)) for at in range(100)]
    chosen = KIND.tests.boundaries(series.samples_of(tracks, ()), sharing=sharing)

    assert chosen is not None
    assert len(chosen[1]) == want + 1


@pytest.mark.parametrize(
    ("boundary", "want"),
    [("spam", (100, 30)), ("new", (100, 0)), (None, (100, 0)), (OTHER_THAN_USUAL, (100, 5)), ("![]", (100, 100))],
)
def test_requests_and_events(boundary: str | None, want: tuple[float, float]) -> None:
    assert KIND.counting.requests_and_events({"ham": 65.0, "spam": 30.0, "bacon": 4.0, "!x": 1.0}, boundary) == want


def test_a_class_that_grows_is_named_and_rolled_back() -> None:
    _, _, result = released(SPAM_GROWS, until="RollBack")
    [view] = objective_views(result.objectives, [ANSWERS])

    assert result.accusation.against is not None
    assert "in bin spam (5" in result.accusation.decisive
    assert (view.counts, view.state) == ("in bin spam", "worse")
    assert result.objectives[0].boundary_millis is None


def test_a_class_from_30_to_60_percent_is_found_in_200_candidate_requests() -> None:
    """Median of 15 releases at 5 % of 50 requests/s; those of the first interval count, and are no evidence."""
    ends = [released(SPAM_GROWS, seed=seed, rate=50, share=0.05, until="RollBack")[2] for seed in range(15)]
    requests = [end.requests.candidate for end in ends]

    assert all(end.accusation.against for end in ends)
    assert statistics.median(requests) <= 200


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        pytest.param({"ham": 0.7, "eggs": 0.27, "bacon": 0.03}, "in bin spam (0.0%)", id="a class vanishes"),
        pytest.param({**USUAL, "ham": 0.3, "toast": 0.2}, "in rare bins (", id="a class that nobody knew"),
        pytest.param({"ham": 0.5, "SPAM": 0.3, "eggs": 0.17, "bacon": 0.03}, "in ", id="one bin was renamed"),
    ],
)
def test_bins_of_one_version_are_a_difference(candidate: Mapping[str, float], words: str) -> None:
    _, _, result = released(candidate, until="RollBack")

    assert result.accusation.against is not None
    assert words in result.accusation.decisive


def test_an_equal_version_is_proven_bin_by_bin() -> None:
    _, _, result = released(USUAL, seconds=900, until="Advance")

    assert result.proof.complete
    assert result.accusation.against is None


def test_a_version_is_not_proven_while_one_of_its_bins_is_far_off() -> None:
    """Eggs 1.6 times as often, the others within the tolerance."""
    _, _, result = released({"ham": 0.44, "spam": 0.258, "eggs": 0.272, "bacon": 0.03}, seconds=900)

    assert not result.proof.complete


def test_bins_that_were_all_renamed_are_not_compared() -> None:
    _, _, result = released({name.upper(): share for name, share in USUAL.items()})

    assert result.accusation.rollback_log < 0.1
    assert not result.proof.complete
    assert result.sight.blind == (
        "answers: no bin of digits-bbb (BACON, EGGS, HAM, SPAM) is one of digits-aaa (bacon, eggs, ham, spam), so nothing "
        "is compared; give the bins their old names, or promote by hand"
    )


def test_bins_that_nobody_answered_yet_are_no_other_bins() -> None:
    """Clients of Prometheus may begin with all bins at 0."""
    prometheus = Prometheus()
    answered(prometheus, random.Random(1), STABLE, USUAL, 500)
    prometheus.count(f"{CANDIDATE}-pod", "answers_total", 0, revision=CANDIDATE, bin="toast")
    prometheus.scrape(START, [], [f"{STABLE}-pod", f"{CANDIDATE}-pod"])

    assert note(prometheus, make()) == ""


def test_the_bake_says_that_it_does_not_watch() -> None:
    _, trial, _ = released(USUAL, seconds=60)
    prometheus = Prometheus()
    answered(prometheus, random.Random(1), CANDIDATE, USUAL, 500)
    answered(prometheus, random.Random(1), STABLE, USUAL, 500)
    prometheus.scrape(START + 65, [], [f"{STABLE}-pod", f"{CANDIDATE}-pod"])
    _, result = look(replaced(trial, now=START + 65.6, baking=True, step=2, permille=1000), prometheus)

    assert result.proof.missing == (
        "answers: not watched during the bake, since shares can only be compared with the stable version's"
    )


def note(prometheus: Prometheus, trial: Trial) -> str:
    answers = prometheus.answer(judge.questions(trial), trial.now)
    return KIND.sampling.note(trial, KIND.sampling.samples(trial, answers, ()))


def test_a_stable_version_that_counts_no_bins_is_named() -> None:
    prometheus = Prometheus()
    answered(prometheus, random.Random(1), CANDIDATE, USUAL, 50)
    prometheus.scrape(START, [], [f"{CANDIDATE}-pod"])

    assert note(prometheus, make()) == (
        'digits-aaa does not count bins (answers_total{revision="digits-aaa",namespace="shop"} has no series with the label '
        "bin), so nothing can be compared; set required: false for this release, or promote by hand"
    )


def test_pods_that_do_not_count_are_told() -> None:
    prometheus = Prometheus()
    for revision in (STABLE, CANDIDATE):
        answered(prometheus, random.Random(1), revision, USUAL, 500)
    prometheus.scrape(START, [], [f"{STABLE}-pod", f"{CANDIDATE}-pod"])

    assert note(prometheus, make()) == ""
    assert (
        note(prometheus, make(candidate=Arm(CANDIDATE, CANDIDATE, 80, pods=3)))
        == "only 1 of 3 ready pods of digits-bbb count bins"
    )


def test_who_counts_for_both_versions_is_no_pod() -> None:
    prometheus = Prometheus()
    for revision in (STABLE, CANDIDATE):
        answered(prometheus, random.Random(1), revision, USUAL, 500, target="client")
    prometheus.scrape(START, [], ["client"])

    assert note(prometheus, make(candidate=Arm(CANDIDATE, CANDIDATE, 80, pods=3))) == ""


def test_too_many_series_are_not_looked_at() -> None:
    assert KIND.sampling.most_series(make()) == MOST_SERIES
    assert KIND.sampling.note(make(), None).startswith("more than 2048 series match answers_total{")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"relative_tolerance": "50%"}, "distribution.relativeTolerance: must be more than 0% and below 50%"),
        ({"relative_tolerance": "0%"}, "distribution.relativeTolerance: must be more than 0% and below 50%"),
        ({"bins": 'answers_total{job="a"}'}, "distribution.bins: must select one version"),
    ],
)
def test_what_the_api_server_took_before_is_not_asked_and_says_why(changes: dict[str, str], words: str) -> None:
    limits = ANSWERS.distribution
    assert limits is not None
    objective = Objective(name="answers", distribution=limits.model_copy(update=changes))
    trial = make_trial(objectives=(objective,))

    assert kind_of(objective).sampling.refused.startswith(words)
    assert kind_of(objective).sampling.note(trial, None).startswith(words)
    assert not [question for question in judge.questions(trial) if "answers" in question.key]


def test_words() -> None:
    assert KIND.events(None) == "in bin ?"
    assert (KIND.words.event("spam"), KIND.bins and KIND.bins.named("spam")) == ("in bin spam", "spam")
    assert (KIND.words.event(OTHER_THAN_USUAL), KIND.words.event("rare bins")) == ("in rare bins", "in rare bins")
    assert KIND.traits.judged_on_copies


def test_while_nothing_is_known_it_waits_for_the_bins() -> None:
    prometheus = Prometheus()
    answered(prometheus, random.Random(1), STABLE, USUAL, 50)
    prometheus.scrape(START - 5, [], [f"{STABLE}-pod"])
    answered(prometheus, random.Random(1), STABLE, USUAL, 50)
    prometheus.scrape(START, [], [f"{STABLE}-pod"])
    _, result = look(make(now=START + 0.6), prometheus)

    assert result.proof.missing == "answers: waiting for requests of the stable version, to choose the bins to compare"


def test_the_state_is_bounded_and_comes_back() -> None:
    """As many bins as there may be, with long names, beside the default latency's boundaries."""
    names = [f"{at:02}".ljust(LONGEST_NAME, "x") for at in range(MOST_BINS)]
    state = _after(KIND, dict.fromkeys(names, 1 / MOST_BINS), seed=1, scrapes=30)
    whole = memory.State(START, 1, 0, None, objectives={"answers": state})
    written = memory.dump(whole)

    assert len(written) < 0.7 * memory.LARGEST
    assert memory.load(written) == whole


def _after(
    kind: Kind, shares: Mapping[str, float], *, seed: int, scrapes: int, candidate: Mapping[str, float] | None = None
) -> ObjectiveState:
    """The accumulators after so many scrapes of 250 requests at 25 %."""
    dice = random.Random(seed)
    tracks = [series.Track((columns.STABLE, name), "a", ((START, 1e4 * share),)) for name, share in shares.items()]
    state = accumulate.with_boundary(kind, ObjectiveState(), series.samples_of(tracks, ()), sharing=1)
    rules = LookRules(largest=combine.largest_scrape(0.01, 1))
    for scrape in range(scrapes):
        seen: dict[series.Column, float] = {}
        for arm, of, times in ((columns.STABLE, shares, 188), (columns.CANDIDATE, candidate or shares, 62)):
            for name in dice.choices([*of], [*of.values()], k=times):
                seen[arm, name] = seen.get((arm, name), 0.0) + 1
        state = accumulate.observe(kind, state, [series.Tick(START + 5.0 * scrape, seen, seen)], rules)
    return state


def test_equal_versions_are_not_rolled_back() -> None:
    """60 releases of ten minutes at 25 %: none, where 1 % are allowed."""
    ends = [_after(KIND, USUAL, seed=seed, scrapes=120) for seed in range(60)]
    found = [processes.evidence_of(processes.rules(KIND, end), end)[0] for end in ends]

    assert sum(combine.rollback_log_evidence([one]) >= math.log(100) for one in found) == 0


def test_it_is_recorded_and_replayed() -> None:
    prometheus, trial, _ = released(SPAM_GROWS, seconds=120)
    answers = prometheus.answer(record.questions(trial, seconds=120), trial.now)
    written = list(record.recorded(trial, answers, seconds=120))
    *_, last = replay.replay(reading.read(written), RolloutPolicySpec(objectives=[ANSWERS]))

    assert '"bins": {' in written[-1]
    assert (last.verdict, last.reason) == ("RollBack", "WorseThanStable")


@pytest.mark.parametrize("bins", ["[]", '{"spam": -1}', '{"spam": "many"}'])
def test_recorded_bins_are_numbers(bins: str) -> None:
    with pytest.raises(lines.Unreadable, match=r"line 1: stable\.bins"):
        reading.read([f'{{"time": 0, "objective": "a", "weight": 5, "stable": {{"bins": {bins}}}, "candidate": {{}}}}'])


def test_a_version_with_other_objectives_is_judged_beside_it() -> None:
    trial = make_trial(objectives=(ERRORS, LATENCY, ANSWERS))

    assert {question.key for question in judge.questions(trial)} >= {"query/answers/S", "query/answers/C"}


def test_a_version_against_itself_is_not_rolled_back() -> None:
    """As `kubectl sluice calibrate` replays it: every other scrape is one half's."""
    prometheus, trial, _ = released(USUAL, seconds=600, share=0.0)
    itself = replaced(trial, candidate=trial.stable, permille=500)
    answers = prometheus.answer(record.questions(itself, seconds=600), itself.now)
    written = list(record.recorded(itself, answers, seconds=600))
    *_, last = replay.replay(reading.read(written), RolloutPolicySpec(objectives=[ANSWERS]))

    assert last.verdict != "RollBack"
    assert abs(last.against) < 1
