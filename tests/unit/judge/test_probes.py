"""The bake asks: what the judge says of a version that has all requests, and of a probe."""

import json

import pytest

from sluice_judge import accumulate
from sluice_judge.judgement import Judgement
from sluice_judge.kinds import kinds_of
from sluice_judge.model import Trial
from sluice_judge.schema.objectives import Events, FailureRatio, Objective
from sluice_judge.state import ObjectiveState
from sluice_judge.stats.evidence import Counts
from tests.support.groups import replaced
from tests.support.simulated.prometheus import Prometheus
from tests.support.simulated.trials import CANDIDATE, ERRORS, STABLE, START, look, make_trial
from tests.unit.judge.test_judge import begun, run

LONE = Objective(name="lone", failure_ratio=FailureRatio(events=Events.SERVER_ERRORS, maximum="2%"))
BAKE = {"step": 4, "baking": True, "route_generation": 9, "permille": 1000}
PROBE = {"step": 5, "baking": False, "probing": True, "route_generation": 10, "permille": 500}
AGAIN = {"step": 6, "baking": True, "probing": False, "route_generation": 11, "permille": 1000}


def baked(objective: Objective = ERRORS, *, asks: bool = True, **changes: object) -> tuple[Prometheus, Trial]:
    """A version that was as good as stable, a minute into its bake."""
    prometheus, trial = begun(objectives=(objective,), asks=asks, **changes)
    trial, _ = run(prometheus, trial, begin=5, end=60)
    trial, judged = run(prometheus, trial, begin=65, end=120, stable=0, candidate=100, **BAKE)
    assert (judged.accusation.asks, judged.accusation.against) == ("", None)
    return prometheus, trial


def process(trial: Trial, key: str) -> dict[str, object] | None:
    found = json.loads(trial.last.state or "")["obj"]["errors"]["e"].get(key)
    assert found is None or isinstance(found, dict)
    return found


def test_what_speaks_against_it_in_the_bake_ends_no_release_but_asks() -> None:
    prometheus, trial = baked()
    trial, judged = run(prometheus, trial, begin=125, end=125, stable=0, candidate=100, bad=20)

    assert judged.accusation.asks.startswith("errors: candidate 20 of ")
    assert "by what the stable version showed" in judged.accusation.asks
    assert judged.accusation.against is None
    assert judged.accusation.rollback_log < 0
    assert judged.accusation.bake_log >= judged.accusation.threshold_log
    assert not judged.next_state.counts_only


@pytest.mark.parametrize("objective", [ERRORS, LONE], ids=["a comparison", "a lone limit"])
def test_where_nobody_is_asked_the_limit_has_its_part_of_the_budget(objective: Objective) -> None:
    prometheus, trial = baked(objective, asks=False)
    _, judged = run(prometheus, trial, begin=125, end=145, stable=0, candidate=100, bad=20)

    assert judged.accusation.asks == ""
    assert judged.accusation.against is not None


def test_a_probe_bets_the_bakes_part_on_the_comparison_and_it_goes_on_in_the_next_one() -> None:
    prometheus, trial = baked()
    assert process(trial, "probe") is None
    trial, _ = run(prometheus, trial, begin=125, end=150, stable=50, candidate=50, **PROBE)
    first = process(trial, "probe")
    whole = process(trial, "worse") or process(trial, "worseNotable")
    assert first is not None
    assert whole is not None
    assert first["k"] == 4, "the interval of the change is no evidence"
    trial, _ = run(prometheus, trial, begin=155, end=180, stable=0, candidate=100, **AGAIN)
    assert process(trial, "probe") == first
    trial, _ = run(prometheus, trial, begin=185, end=200, stable=50, candidate=50, **{**PROBE, "step": 7})
    later = process(trial, "probe")
    assert later is not None
    assert later["k"] == 6


def test_who_is_worse_in_a_probe_is_rolled_back_in_three_scrapes() -> None:
    prometheus, trial = baked()
    trial, _ = run(prometheus, trial, begin=125, end=125, stable=50, candidate=50, bad=50, **PROBE)
    trial, soon = run(prometheus, trial, begin=130, end=135, stable=50, candidate=50, bad=50)
    _, judged = run(prometheus, trial, begin=140, end=145, stable=50, candidate=50, bad=50)

    assert soon.accusation.against is None
    assert judged.accusation.against is not None


def test_a_limit_that_only_asks_is_not_the_maximum() -> None:
    """2 % would end a release; to compare with stable costs nothing, so it is asked about far less."""
    fine = ERRORS.model_copy(
        update={
            "failure_ratio": FailureRatio(
                events=Events.SERVER_ERRORS, maximum="2%", ignore_below="0.5%", relative_tolerance="25%"
            )
        }
    )
    asked, ended = (
        json.loads(baked(fine, asks=asks)[1].last.state or "")["obj"]["errors"]["p"] for asks in (True, False)
    )
    assert 0.005 <= asked < 0.01
    assert ended == 0.02


@pytest.mark.parametrize(
    ("seen", "limit"),
    [((1618, 1), 0.002), ((1618, 12), 0.03), ((20_000, 1), 0.0006)],
    ids=["with the hour before", "enough events", "enough requests"],
)
def test_a_limit_that_only_asks_is_no_upper_bound_of_a_handful_of_requests(seen: tuple[int, int], limit: float) -> None:
    rare = ERRORS.model_copy(update={"failure_ratio": FailureRatio(events=Events.SERVER_ERRORS, ignore_below="0.01%")})
    state = ObjectiveState(total=Counts(0, 0, *seen), before=(18_000, 9), asks=True)

    baked = accumulate.at_bake(kinds_of(make_trial(objectives=(rare,)))[0], state)

    assert baked.bake_limit is not None
    assert limit / 2 < baked.bake_limit < limit


def test_while_most_answers_of_stable_fail_a_version_with_none_is_not_accused() -> None:
    """1.25 times 80 % are all of them."""
    prometheus, trial = baked(answer_seconds=30.0)
    trial, _ = run(prometheus, trial, begin=125, end=125, stable=50, stable_bad=40, candidate=50, bad=50, **PROBE)
    _, judged = run(prometheus, trial, begin=130, end=155, stable=50, stable_bad=40, candidate=50, bad=50)

    assert judged.accusation.against is None


@pytest.mark.parametrize(("bad", "found"), [(50, True), (10, False)], ids=["hardly an answer", "some errors"])
def test_while_errors_of_before_may_come_good_answers_tell(bad: int, *, found: bool) -> None:
    prometheus, trial = baked(answer_seconds=30.0)
    trial, _ = run(prometheus, trial, begin=125, end=125, stable=50, candidate=50, bad=bad, **PROBE)
    trial, soon = run(prometheus, trial, begin=130, end=155, stable=50, candidate=50, bad=bad)
    _, late = run(prometheus, trial, begin=160, end=190, stable=50, candidate=50, bad=bad)

    assert (soon.accusation.against is not None) is found
    assert late.accusation.against is not None


def test_time_outs_of_both_from_before_the_probe_accuse_nobody() -> None:
    """The candidate's own come at once, those of stable's first requests after the route's time-out."""
    prometheus, trial = baked(answer_seconds=30.0)
    trial, _ = run(prometheus, trial, begin=125, end=150, stable=10, candidate=50, bad=40, **PROBE)
    trial, judged = run(prometheus, trial, begin=155, end=400, stable=50, stable_bad=40, candidate=50, bad=40)

    assert judged.accusation.against is None


def test_after_a_probe_the_limit_is_what_stable_shows_now_and_the_bakes_test_begins_anew() -> None:
    prometheus, trial = baked()
    trial, asked = run(prometheus, trial, begin=125, end=125, stable=0, candidate=100, bad=10)
    assert asked.accusation.asks
    both = {"stable": 100, "candidate": 100, "bad": 10, "stable_bad": 10}
    trial, judged = run(prometheus, trial, begin=130, end=200, **both, **PROBE)
    assert judged.accusation.against is None
    trial, judged = run(prometheus, trial, begin=205, end=300, stable=0, candidate=100, bad=10, **AGAIN)

    limit = json.loads(trial.last.state or "")["obj"]["errors"]["p"]
    assert 0.1 < limit < 0.25
    assert (judged.accusation.asks, judged.accusation.against) == ("", None)
    _, worse = run(prometheus, trial, begin=305, end=310, stable=0, candidate=100, bad=50)
    assert worse.accusation.asks


@pytest.mark.parametrize(("stable_bad", "accused"), [(30, False), (0, True)], ids=["an outage", "its own fault"])
def test_a_lone_limit_asks_whether_stable_keeps_it(stable_bad: int, *, accused: bool) -> None:
    prometheus, trial = baked(LONE)
    assert json.loads(trial.last.state or "")["obj"]["lone"]["p"] == 0.02
    trial, judged = run(prometheus, trial, begin=125, end=125, stable=0, candidate=100, bad=30)
    assert judged.accusation.asks
    assert judged.accusation.against is None
    both = {"stable": 100, "stable_bad": stable_bad, "candidate": 100, "bad": 30}
    _, judged = run(prometheus, trial, begin=130, end=200, **both, **PROBE)
    assert (judged.accusation.against is not None) is accused


@pytest.mark.parametrize(("stable_code", "accused"), [("404", False), ("200", True)], ids=["clients", "the version"])
def test_a_version_that_refuses_everything_in_the_bake_is_asked_about(stable_code: str, *, accused: bool) -> None:
    """Clients that begin to send invalid requests then are refused by both."""

    def refused(begin: int, **changes: object) -> Judgement:
        """The judgement after three scrapes, of which the first two are none of the new share alone."""
        nonlocal trial
        for second in (begin, begin + 5, begin + 10):
            prometheus.request(CANDIDATE, times=50, wrong=False, code="404")
            if changes["permille"] != 1000:
                prometheus.request(STABLE, times=50, wrong=False, code=stable_code)
            prometheus.scrape(START + second)
            trial, judged = look(replaced(trial, now=START + second + 0.6, **changes), prometheus)
        return judged

    prometheus, trial = begun(objectives=(ERRORS,), asks=True)
    trial, _ = run(prometheus, trial, begin=5, end=60)
    asked = refused(65, **BAKE)
    assert (asked.accusation.against, "refuses" in asked.accusation.asks) == (None, True)
    judged = refused(80, **PROBE)
    assert (judged.accusation.against is not None) is accused
    again = refused(95, **AGAIN)
    assert bool(again.accusation.asks) is accused, "what stable showed last counts"


def test_an_outage_before_the_bake_allows_nothing_in_it() -> None:
    prometheus, trial = begun(objectives=(ERRORS,), asks=True)
    trial, _ = run(prometheus, trial, begin=5, end=60, stable=100, candidate=100)
    outage = {"stable": 100, "candidate": 100, "bad": 90, "stable_bad": 90}
    trial, _ = run(prometheus, trial, begin=65, end=75, **outage)
    trial, _ = run(prometheus, trial, begin=80, end=90, stable=0, candidate=100, **BAKE)

    assert json.loads(trial.last.state or "")["obj"]["errors"]["p"] < 0.03


def test_requests_to_the_stable_version_show_nothing_of_a_candidate_in_its_bake() -> None:
    prometheus, trial = baked()
    _, judged = run(prometheus, trial, begin=125, end=400, stable=1, candidate=0)
    unseen = judged.unseen(idle=False, bake_end=START + 400, bake_seconds=200, scrape_seconds=5)

    assert unseen.startswith("no request since")


def test_whatever_may_have_begun_a_probe_is_proven_in_it() -> None:
    optional = ERRORS.model_copy(update={"required": False})
    prometheus, trial = baked(optional)
    trial, judged = run(prometheus, trial, begin=125, end=140, stable=5, candidate=5, **PROBE)
    assert not judged.proof.complete
    _, judged = run(prometheus, trial, begin=145, end=200, stable=500, candidate=500)
    assert judged.proof.complete
