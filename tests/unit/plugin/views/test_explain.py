"""Why it waits, and why it ended."""

from typing import Any

import pytest

from kubectl_sluice.views.releases import reasons
from kubectl_sluice.views.releases.explain import explain
from tests.unit.plugin.views import builders
from tests.unit.plugin.views.builders import T0, make_deployment, make_rollout
from tests.unit.plugin.views.test_arms import ARM, RULES


def said(status: dict[str, Any], *, conditions: list[dict[str, Any]] = builders.RELEASING) -> str:
    rollout = make_rollout(**status)
    found = explain(make_deployment(conditions=conditions), [rollout], rollout, now=T0 + 120)
    return "\n".join((*found.answer, *found.evidence, *found.problems, *found.next))


def test_a_release_that_waits_says_for_what_and_how_long() -> None:
    text = said(builders.RUNNING)
    for part in (
        "digits-2222222222-1 releases s3://models/digits/2 beside s3://models/digits/1 (Canary).",
        "It is in step 2 of 4 (25 %) for 1m00s, with 92 candidate requests.",
        "It waits: errors: 0.47 % of 212 requests, not proven.",
        "the absence of failures proves nothing",
        "failures: 1 of 212 (0.47%) for the candidate, 12 of 4,021 (0.30%) for stable; ratio 1.58x [0.2, 6.1]",
        "evidence that it is worse 10^0.11 against 10^2.00 (not reached)",
        "evidence that it is good enough 10^1.61 against 10^1.30 (passed): proven good",
        "at most 1% in the whole release",
        "passes a step with at most 5%",
        "kubectl sluice skip digits -n default",
    ):
        assert part in text


def test_a_release_that_was_rolled_back_says_what_decided_it() -> None:
    text = said(builders.BAD, conditions=builders.ROLLED_BACK)
    for part in (
        "It was rolled back in step 1 of 4, 1m00s after it began and 83 candidate requests: accuracy: 46 of 83 failed",
        "accuracy: failures: 46 of 83 (55.42%) for the candidate",
        "evidence that it is worse 10^4.75 against 10^2.00 (passed)",
        "Current=False for 1m00s, RolledBack: accuracy: 40 of 80 failed; do: kubectl sluice retry digits -n default",
        "retry this one: kubectl sluice retry digits -n default",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("status", "want"),
    [
        (
            {"verdict": "Blind", "reason": "MetricsUnavailable", "message": "Prometheus is away"},
            "It is blind: Prometheus",
        ),
        (
            {"verdict": "Wait", "reason": "PausedAtStep", "message": "waits"},
            "Continue: kubectl sluice resume digits -n default",
        ),
        ({"verdict": "Wait", "reason": "ObjectNotFound", "message": "no object s3://a"}, "It waits: no object s3://a."),
        ({}, "It has run for 2m00s and has no requests yet."),
        ({"outcome": "Promoted", "reason": "Promoted", "endTime": "2026-03-01T12:01:00Z"}, "It was promoted"),
    ],
)
def test_answers(status: dict[str, Any], want: str) -> None:
    assert want in said(status)


def test_a_validation_that_decided_says_by_which_counts() -> None:
    found = "s3://data/labelled: candidate 600 of 1000 rows wrong (60.0%)"
    text = said(
        {
            "outcome": "RolledBack",
            "reason": "ValidationFailed",
            "message": found,
            "endTime": "2026-03-01T12:01:00Z",
            "validation": {"message": found},
        },
        conditions=builders.ROLLED_BACK,
    )
    assert f"Validation on {found}." in text
    assert "it never had a request" in text
    assert "kubectl sluice retry digits -n default" in text


def test_an_ab_test_tells_its_arms() -> None:
    told = {"name": "b", "revision": ARM["revision"], "ratio": "1.08", "ratioLow": "1.02", "verdict": "Better"}
    rollout = make_rollout(rules=RULES, arms=[told], step=1)
    found = explain(make_deployment(conditions=builders.RELEASING), [rollout], rollout, now=T0)
    assert found.evidence == (
        "b (s3://models/digits/3, 40 % of the users): conversion 1.08x [1.02, inf] of stable's; better than stable.",
    )


def test_an_older_release_gets_no_advice() -> None:
    old = make_rollout(**builders.BAD)
    newest = make_rollout(sequence=2, attempt=2)
    found = explain(make_deployment(conditions=builders.ROLLED_BACK), [newest, old], old, now=T0)
    assert not found.next
    assert not found.problems


def test_without_a_release_the_conditions_explain() -> None:
    conditions = [builders.condition("Stalled", "True", "PolicyNotFound", "there is no RolloutPolicy x")]
    found = explain(make_deployment(conditions=conditions), [], None, now=T0)
    assert found.answer == ("digits has had no release yet.",)
    unseen = explain(make_deployment(observed=0), [], None, now=T0)
    assert unseen.answer[1].startswith(
        "The operator has not looked at it yet; see kubectl sluice doctor digits -n default"
    )
    assert "kubectl get rolloutpolicies.sluice.dev" in found.problems[0]


def test_every_meaning_is_a_sentence_with_the_name_filled_in() -> None:
    for reason in reasons.MEANINGS:
        meaning = reasons.meaning(reason, "digits", "team")
        assert meaning.means.endswith(".")
        assert not any("{" in text for text in meaning.then)
