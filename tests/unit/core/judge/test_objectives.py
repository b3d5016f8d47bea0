"""Which tests a failure ratio has, and how tests are combined."""

import math

import pytest

from sluice.api.v1alpha1.common import Events, FailureRatio
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


def test_rollback_needs_worse_and_notable() -> None:
    rules = objectives.failure_rules(
        FailureRatio(events=Events.SERVER_ERRORS, ignore_below="50%", relative_tolerance="25%")
    )
    counts = evidence.Counts(100, 40, 900, 0)
    logs = {term.key: eprocess.start(term.test).observe(counts, dispersion=1.0).log_evidence for term in rules.terms}

    assert logs["worse"] > 10
    assert objectives.combined(rules, logs, Role.ROLLBACK) < 0
    assert objectives.combined(rules, {}, Role.ROLLBACK) == 0
    assert objectives.combined(rules, {}, Role.ADVANCE) == pytest.approx(0)
    assert objectives.combined(rules, {}, Role.HARD) == 0
