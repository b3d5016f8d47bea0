"""Facts folded into conditions."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_core.api.v1alpha1.common import Condition, ConditionStatus
from sluice_core.kernel import conditions
from sluice_core.kernel.conditions import Fact, Facts
from sluice_core.kernel.reasons import ForeignReason, Reason
from sluice_judge import timestamps
from tests.support.cases.builders import NOW

WELL = Facts(
    ready=Fact(True, Reason.SERVING, "2 of 2 pods"),
    reconciling=Fact(False, Reason.RECONCILED),
    stalled=Fact(False, Reason.NOT_STALLED),
    current=Fact(True, Reason.CURRENT),
    routes_programmed=Fact(True, Reason.PROGRAMMED),
    capacity_available=Fact(True, Reason.SCHEDULED),
    runtime_current=Fact(True, Reason.CURRENT),
    metrics_available=Fact(None, Reason.NOTHING_TO_MEASURE),
    scaling_active=Fact(True, Reason.SCALING),
)


def summarised(facts: Facts, observed: list[Condition] | None = None, now: float = NOW) -> dict[str, Condition]:
    folded = conditions.summarise(facts, observed=observed or [], generation=3, now=now)
    return {condition.type: condition for condition in folded}


def test_a_well_model_is_current_in_the_terms_of_kstatus() -> None:
    got = {type_: (str(c.status), c.reason) for type_, c in summarised(WELL).items()}
    assert got == {
        "Ready": ("True", "Serving"),
        "Reconciling": ("False", "Reconciled"),
        "Stalled": ("False", "NotStalled"),
        "Current": ("True", "Current"),
        "RoutesProgrammed": ("True", "Programmed"),
        "CapacityAvailable": ("True", "Scheduled"),
        "RuntimeCurrent": ("True", "Current"),
        "MetricsAvailable": ("Unknown", "NothingToMeasure"),
        "ScalingActive": ("True", "Scaling"),
    }
    assert {c.observed_generation for c in summarised(WELL).values()} == {3}


@pytest.mark.parametrize(
    ("facts", "type_", "want"),
    [
        (
            replace(WELL, ready=Fact(False, Reason.PODS_NOT_READY, "no pod")),
            "Ready",
            ("False", "PodsNotReady", "no pod"),
        ),
        (
            replace(WELL, reconciling=Fact(True, Reason.ROLLOUT_RUNNING, "5 %")),
            "Reconciling",
            ("True", "RolloutRunning", "5 %"),
        ),
        (
            replace(WELL, stalled=Fact(True, Reason.INVALID_SPEC, "no")),
            "Stalled",
            ("True", "InvalidSpec", "no"),
        ),
        (WELL, "MetricsAvailable", ("Unknown", "NothingToMeasure", "")),
        (replace(WELL, current=Fact(False, Reason.ROLLED_BACK)), "Current", ("False", "RolledBack", "")),
    ],
)
def test_each_fact_becomes_its_condition(facts: Facts, type_: str, want: tuple[str, str, str]) -> None:
    condition = summarised(facts)[type_]
    assert (str(condition.status), condition.reason, condition.message) == want


def test_a_stalled_model_is_not_reconciling() -> None:
    facts = replace(
        WELL,
        reconciling=Fact(True, Reason.ROLLOUT_RUNNING),
        stalled=Fact(True, Reason.INVALID_SPEC, "spec.model"),
    )
    got = summarised(facts)
    assert (got["Reconciling"].status, got["Reconciling"].reason) == (ConditionStatus.FALSE, "Stalled")
    assert got["Ready"].status is ConditionStatus.TRUE


def test_a_transition_time_changes_with_the_status_only() -> None:
    first = conditions.summarise(WELL, observed=[], generation=1, now=NOW)
    changed = replace(
        WELL, ready=Fact(True, Reason.SCALED_TO_ZERO, "new message"), current=Fact(False, Reason.ROLLED_BACK)
    )
    later = summarised(changed, first, now=NOW + 90)
    assert later["Ready"].last_transition_time == timestamps.rfc3339(NOW)
    assert later["Ready"].message == "new message"
    assert later["Current"].last_transition_time == timestamps.rfc3339(NOW + 90)


FACTS: Any = st.builds(
    Fact,
    st.sampled_from([True, False, None]),
    st.sampled_from([*Reason]) | st.builds(ForeignReason, st.text(min_size=1, max_size=80)),
    st.text(max_size=1100),
)


@given(st.builds(Facts, *[FACTS] * 9, FACTS | st.none()))
def test_summarising_again_changes_nothing(facts: Facts) -> None:
    once = conditions.summarise(facts, observed=[], generation=1, now=NOW)
    assert conditions.summarise(facts, observed=once, generation=1, now=NOW + 60) == once
    said = [declared.type for declared in conditions.CONDITIONS if getattr(facts, declared.fact) is not None]
    assert [condition.type for condition in once] == said
    assert all(condition.reason and len(condition.message) <= conditions.MESSAGE_LIMIT for condition in once)
    assert not {"Reconciling", "Stalled"} <= {c.type for c in once if c.status is ConditionStatus.TRUE}


def test_a_long_message_is_cut_visibly() -> None:
    assert conditions.shortened("x" * 1025, 1024) == "x" * 1023 + "…"
    assert conditions.shortened("x" * 1024, 1024) == "x" * 1024
