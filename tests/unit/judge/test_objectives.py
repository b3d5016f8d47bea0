"""Which tests a failure ratio has, and how tests are combined."""

import pytest

from sluice_judge import objectives
from sluice_judge.objectives import Role
from sluice_judge.schema.objectives import Events, FailureRatio, Goal, Source
from sluice_judge.stats import eprocess, evidence


def shape(rules: objectives.Rules) -> dict[str, list[tuple[object, ...]]]:
    """By role: (kind of test, its nulls)."""
    found: dict[str, list[tuple[object, ...]]] = {}
    for term in rules.terms:
        test = term.test
        name = {
            evidence.RelativeTest: "F1",
            evidence.AbsoluteTest: "F3/4",
            evidence.JointTest: "F1 and F3",
            evidence.LimitTest: "limit",
        }[type(test)]
        nulls = (getattr(test, "null_ratio", None), getattr(test, "limit", None))
        found.setdefault(term.role.value, []).append((name, *(round(null, 6) for null in nulls if null is not None)))
    return found


@pytest.mark.parametrize(
    ("given", "want"),
    [
        pytest.param(
            FailureRatio(events=Events.SERVER_ERRORS, maximum="2%", ignore_below="0.5%", relative_tolerance="25%"),
            {
                "rollback": [("F1 and F3", 1.25, 0.005)],
                "advance": [("F1", 1.5), ("F3/4", 0.005)],
                "hard": [("F1 and F3", 1.25, 0.02)],
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
            {"rollback": [("limit", 0.1)], "advance": [("F3/4", 0.1)]},
            id="maximum alone",
        ),
        pytest.param(
            FailureRatio(events=Events.SERVER_ERRORS, ignore_below="1%"),
            {"rollback": [("F1 and F3", 1.25, 0.01)], "advance": [("F1", 1.5), ("F3/4", 0.01)]},
            id="ignoreBelow alone takes the default tolerance",
        ),
        pytest.param(
            FailureRatio(events=Events.SERVER_ERRORS, maximum="10%", relative_tolerance="25%"),
            {"rollback": [("F1", 1.25)], "advance": [("F1", 1.5)], "hard": [("F1 and F3", 1.25, 0.1)]},
            id="maximum beside tolerance never proves",
        ),
    ],
)
def test_failure_rules(given: FailureRatio, want: dict[str, list[tuple[object, ...]]]) -> None:
    assert shape(objectives.failure_rules(given)) == want


@pytest.mark.parametrize("tolerance", [None, "0%", "50%", "80%"])
def test_nobody_guesses_a_tolerance_of_good_outcomes(tolerance: str | None) -> None:
    """25 % would let an accuracy of 95 % fall to 80 %, and who may say it is the API server."""
    given = FailureRatio(source=Source.QUERY, goal=Goal.HIGHER, relative_tolerance=tolerance)
    assert objectives.failure_rules(given).terms == ()
    assert not objectives.higher_is_judged(given)


def test_good_outcomes_are_judged_within_their_tolerance() -> None:
    given = FailureRatio(source=Source.QUERY, goal=Goal.HIGHER, relative_tolerance="10%")
    assert shape(objectives.failure_rules(given)) == {"rollback": [("F1", 0.9)], "advance": [("F1", 0.8)]}


def test_rollback_needs_worse_and_notable() -> None:
    rules = objectives.failure_rules(
        FailureRatio(events=Events.SERVER_ERRORS, ignore_below="50%", relative_tolerance="25%")
    )
    counts = evidence.Counts(100, 40, 900, 0)
    logs = {term.key: eprocess.start(term.test).observe(counts, dispersion=1.0).log_evidence for term in rules.terms}

    assert eprocess.start(evidence.relative_up(1.25)).observe(counts, dispersion=1.0).log_evidence > 10
    assert objectives.combined(rules, logs, Role.ROLLBACK) < 0
    assert objectives.combined(rules, {}, Role.ROLLBACK) == 0
    assert objectives.combined(rules, {}, Role.ADVANCE) == pytest.approx(0)
    assert objectives.combined(rules, {}, Role.HARD) == 0


@pytest.mark.parametrize(("limit", "edge"), [(0.01, 0.02), (0.25, 0.5), (0.64, 0.8), (1.0, None)])
def test_a_bake_is_seen_enough_once_about_twice_its_limit_is_ruled_out(limit: float, edge: float | None) -> None:
    tests = [term.test for term in objectives.baked_terms(limit, by_pods=False)]
    assert tests == ([] if edge is None else [evidence.absolute_good(edge)])
