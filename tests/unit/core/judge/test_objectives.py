"""Which tests an objective has, and how they are combined."""

import math

import pytest

from sluice.api.v1alpha1.common import Events, FailureRatio, Latency
from sluice.core.judge import objectives
from sluice.core.judge.objectives import Role
from sluice.stats import eprocess, evidence


def shape(rules: objectives.Rules) -> dict[str, list[tuple[str, float]]]:
    """By role: (kind of test, its null)."""
    found: dict[str, list[tuple[str, float]]] = {}
    for term in rules.terms:
        test = term.test
        relative = isinstance(test, evidence.RelativeTest)
        null = test.null_ratio if isinstance(test, evidence.RelativeTest) else getattr(test, "limit", math.nan)
        found.setdefault(term.role.value, []).append(("F1" if relative else "F3/4", round(null, 6)))
    return found


@pytest.mark.parametrize(
    ("given", "want"),
    [
        pytest.param(
            FailureRatio(events=Events.SERVER_ERRORS, maximum="2%", ignore_below="0.5%", relative_tolerance="25%"),
            {
                "rollback": [("F1", 1.25), ("F3/4", 0.005)],
                "advance": [("F1", 1.5), ("F3/4", 0.005)],
                "hard": [("F3/4", 0.02), ("F1", 1.0)],
            },
            id="all three",
        ),
        pytest.param(
            FailureRatio(events=Events.SERVER_ERRORS, relative_tolerance="50%"),
            {"rollback": [("F1", 1.5)], "advance": [("F1", 2.0)]},
            id="tolerance alone",
        ),
        pytest.param(
            FailureRatio(events=Events.SERVER_ERRORS, maximum="10%"),
            {"rollback": [("F3/4", 0.1)], "advance": [("F3/4", 0.1)]},
            id="maximum alone",
        ),
        pytest.param(
            FailureRatio(events=Events.SERVER_ERRORS, ignore_below="1%"),
            {"rollback": [("F1", 1.25), ("F3/4", 0.01)], "advance": [("F1", 1.5), ("F3/4", 0.01)]},
            id="ignoreBelow alone takes the default tolerance",
        ),
        pytest.param(
            FailureRatio(events=Events.SERVER_ERRORS, maximum="10%", relative_tolerance="25%"),
            {"rollback": [("F1", 1.25)], "advance": [("F1", 1.5)], "hard": [("F3/4", 0.1), ("F1", 1.0)]},
            id="maximum beside tolerance never proves",
        ),
    ],
)
def test_failure_rules(given: FailureRatio, want: dict[str, list[tuple[str, float]]]) -> None:
    assert shape(objectives.failure_rules(given)) == want


@pytest.mark.parametrize(
    ("given", "want"),
    [
        (
            Latency(percentile=95, maximum_millis=50),
            {"rollback": [("F3/4", 0.05)], "advance": [("F3/4", 0.05)]},
        ),
        (
            Latency(relative_tolerance="25%"),
            {"rollback": [("F1", 1.25)] * 2, "advance": [("F1", 1.5), ("F3/4", 0.05)]},
        ),
        (
            Latency(percentile=99, maximum_millis=50, relative_tolerance="25%"),
            {
                "rollback": [("F1", 1.25)] * 2,
                "advance": [("F1", 1.5), ("F3/4", 0.01)],
                "hard": [("F3/4", 0.01), ("F1", 1.0)],
            },
        ),
    ],
)
def test_latency_rules(given: Latency, want: dict[str, list[tuple[str, float]]]) -> None:
    assert shape(objectives.latency_rules(given, ("10", "50"))) == want


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
    assert objectives.judged_boundary(given, totals) == want


def test_watched_boundaries_are_finite_sorted_and_few() -> None:
    known = tuple(f"{value:g}" for value in (*range(1, 41), math.inf))
    latency = Latency(relative_tolerance="25%", ignore_below_millis=5)

    assert objectives.watched_boundaries(latency, known, latencies=1)[:2] == ("5", "6")
    assert "inf" not in objectives.watched_boundaries(latency, known, latencies=1)
    assert len(objectives.watched_boundaries(latency, known, latencies=16)) <= objectives.MOST_BOUNDARIES // 16 + 1


def test_rollback_needs_worse_and_notable() -> None:
    rules = objectives.failure_rules(
        FailureRatio(events=Events.SERVER_ERRORS, ignore_below="50%", relative_tolerance="25%")
    )
    processes = {term.key: eprocess.start(term.test) for term in rules.terms}
    counts = evidence.Counts(100, 40, 900, 0)
    processes = {key: process.observe(counts, dispersion=1.0) for key, process in processes.items()}

    assert processes["worse"].log_evidence > 10
    assert objectives.role_log(rules, processes, Role.ROLLBACK) < 0
    assert objectives.role_log(rules, {}, Role.ROLLBACK) == 0
    assert objectives.role_log(rules, {}, Role.ADVANCE) == pytest.approx(0)
    assert objectives.role_log(rules, {}, Role.HARD) == 0
