"""Objectives on the gateway's response times."""

import math

import pytest

from sluice_judge import accumulate, objectives, processes
from sluice_judge.kinds import kind_of, latency
from sluice_judge.look import LookRules
from sluice_judge.samples import series
from sluice_judge.samples.columns import Amounts
from sluice_judge.schema.objectives import Latency, Objective
from sluice_judge.state import ObjectiveState
from tests.unit.judge.test_objectives import shape

SLOW = kind_of(Objective(name="latency", latency=Latency(percentile=95, maximum_millis=50)))


@pytest.mark.parametrize(
    ("amounts", "want"),
    [
        pytest.param({"50": 80.0, "inf": 100.0}, (100, 20), id="slower than the boundary"),
        pytest.param({"inf": 7.0}, (7, 7), id="no bucket below: all slower"),
        pytest.param({}, (0, 0), id="nothing"),
    ],
)
def test_requests_and_events(amounts: Amounts, want: tuple[float, float]) -> None:
    assert SLOW.counting.requests_and_events(amounts, "50") == want


def test_words_name_the_boundary() -> None:
    assert SLOW.words.event("50") == SLOW.events("50") == "slower than 50 ms"


@pytest.mark.parametrize(
    ("given", "want"),
    [
        (
            Latency(percentile=95, maximum_millis=50),
            {"rollback": [("limit", 0.05)], "advance": [("F3/4", 0.05)]},
        ),
        (
            Latency(relative_tolerance="25%"),
            {"rollback": [("F1", 1.25)] * 2, "advance": [("F1", 1.5), ("F3/4", 0.05)]},
        ),
        (
            Latency(relative_tolerance="25%", ignore_below="0.5%"),
            {"rollback": [("F1 and F3", 1.25, 0.005)] * 2, "advance": [("F1", 1.5), ("F3/4", 0.005)]},
        ),
        (
            Latency(percentile=99, maximum_millis=50, relative_tolerance="25%"),
            {
                "rollback": [("F1", 1.25)] * 2,
                "advance": [("F1", 1.5), ("F3/4", 0.01)],
                "hard": [("F1 and F3", 1.25, 0.01)],
            },
        ),
    ],
)
def test_latency_rules(given: Latency, want: dict[str, list[tuple[str, float]]]) -> None:
    assert shape(latency.latency_rules(given, ("10", "50"))) == want


@pytest.mark.parametrize(
    ("ignore_below", "accused"),
    [pytest.param(None, True, id="any share counts"), pytest.param("0.5%", False, id="ignored")],
)
def test_a_negligible_share_of_slow_requests_accuses_nobody_at_any_boundary(
    ignore_below: str | None, *, accused: bool
) -> None:
    """1 in 10,000 of stable's requests is slower than 250 ms, and 1 in 500 of the candidate's."""
    kind = kind_of(Objective(name="latency", latency=Latency(relative_tolerance="25%", ignore_below=ignore_below)))
    state = ObjectiveState(boundary="100", boundaries=("50", "100", "250"))
    for second in range(0, 1200, 5):
        counted = {
            **{("S", le): 10_000.0 for le in ("50", "100", "inf")},
            **{("C", le): 500.0 for le in ("50", "100", "inf")},
            ("S", "250"): 9999.0,
            ("C", "250"): 499.0,
        }
        tick = series.Tick(float(second), counted, counted)
        state = accumulate.observe(kind, state, (tick,), LookRules())
    against, proof = processes.evidence_of(processes.rules(kind, state), state)
    assert (against.rollback > math.log(100)) is accused
    assert proof > math.log(20), "as good at the judged boundary either way"


@pytest.mark.parametrize(
    ("ignore_below", "want"),
    [pytest.param(None, (), id="without"), pytest.param("0.5%", (0.005,), id="with")],
)
def test_the_bakes_limit_does_not_fall_below_what_is_negligible(
    ignore_below: str | None, want: tuple[float, ...]
) -> None:
    given = Latency(relative_tolerance="25%", ignore_below=ignore_below)
    assert latency.latency_rules(given, ("50",)).floors == want


@pytest.mark.parametrize(
    ("given", "totals", "want"),
    [
        (Latency(percentile=95, maximum_millis=50), {"25": 1, "50": 1, "100": 1, "inf": 1}, "50"),
        (Latency(percentile=95, maximum_millis=60), {"25": 1, "50": 1, "100": 1, "inf": 1}, "100"),
        (Latency(percentile=95, maximum_millis=500), {"25": 1, "100": 1, "inf": 1}, "100"),
        (Latency(relative_tolerance="25%"), {"5": 10, "50": 989, "100": 991, "500": 1000, "inf": 1000}, "100"),
        (Latency(relative_tolerance="25%"), {"5": 10, "50": 20, "inf": 1000}, "50"),
        (Latency(relative_tolerance="25%"), {"5": 99, "50": 99, "inf": 99}, None),
        (Latency(percentile=95, maximum_millis=50), {}, None),
    ],
)
def test_judged_boundary(given: Latency, totals: dict[str, float], want: str | None) -> None:
    assert latency.judged_boundary(given, totals) == want


def test_watched_boundaries_are_finite_sorted_and_few() -> None:
    known = tuple(f"{value:g}" for value in (*range(1, 41), math.inf))
    limits = Latency(relative_tolerance="25%", ignore_below_millis=5)

    assert latency.watched_boundaries(limits, known, sharing=1)[:2] == ("5", "6")
    assert "inf" not in latency.watched_boundaries(limits, known, sharing=1)
    assert len(latency.watched_boundaries(limits, known, sharing=16)) <= latency.MOST_BOUNDARIES // 16 + 1


def test_a_probe_looks_at_the_judged_boundary_and_at_fast_answers() -> None:
    limits = Latency(percentile=95, relative_tolerance="25%")
    terms = objectives.probe_terms(latency.latency_rules(limits, ("25", "50")))
    assert [(term.key, term.boundary, term.answers) for term in terms] == [
        ("probe", None, False),
        ("probeAnswers", None, True),
    ]
    assert objectives.probe_terms(latency.latency_rules(limits, ())) == (), "as long as no boundary is known"
