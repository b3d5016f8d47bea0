"""Which conditions are worth an event."""

from sluice.api.v1alpha1.common import Condition, ConditionStatus
from sluice.api.v1alpha1.modeldeployment import ModelDeploymentStatus
from sluice.core.decide import report

NOW = "2026-03-01T12:00:00Z"


def status(*conditions: tuple[str, ConditionStatus, str]) -> ModelDeploymentStatus:
    made = [
        Condition(type=type_, status=value, reason=reason, last_transition_time=NOW)
        for type_, value, reason in conditions
    ]
    return ModelDeploymentStatus(conditions=made)


def test_a_condition_that_turns_bad_is_told_once() -> None:
    bad = status(("Stalled", ConditionStatus.TRUE, "RuntimeNotFound"))
    assert [event.reason for event in report.events(ModelDeploymentStatus(), bad)] == ["RuntimeNotFound"]
    assert list(report.events(bad, bad)) == []


def test_a_condition_of_another_version_is_neither_good_nor_bad() -> None:
    foreign = status(("Enchanted", ConditionStatus.FALSE, "Unknown"), ("Cursed", ConditionStatus.TRUE, "Unknown"))
    assert list(report.events(foreign, foreign)) == []
    assert list(report.events(ModelDeploymentStatus(), foreign)) == []
