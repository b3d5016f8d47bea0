"""What a replay says of a recorded verdict."""

import json

import pytest

from kubectl_sluice.views.releases import evidenceplot, proof
from kubectl_sluice.views.releases.proof import ReplayedMoment, ReplayedRelease
from sluice_core.kernel.reasons import Reason
from sluice_judge.replay import lines
from sluice_judge.replay.replay import Evidence, Scrape
from sluice_judge.schema.verdict import Verdict
from tests.unit.plugin.views.builders import make_rollout

WAITS = Verdict.WAIT, Reason.GATHERING_EVIDENCE
WORSE = Verdict.ROLL_BACK, Reason.WORSE_THAN_STABLE
OVER = Verdict.ROLL_BACK, Reason.OVER_LIMIT


def scrape(time: float, weight: float, verdict: tuple[Verdict, Reason]) -> Scrape:
    return Scrape(time, weight, *verdict, "because", {"errors": Evidence(1.0, 0.5)}, 1.0)


@pytest.mark.parametrize(
    ("outcome", "reason", "verdicts", "same", "want"),
    [
        ("RolledBack", "WorseThanStable", [WAITS, WORSE], True, "1m05s after its first requests"),
        ("RolledBack", "WorseThanStable", [WAITS, WAITS], False, "do not say so"),
        ("RolledBack", "WorseThanStable", [WAITS, OVER], False, "but for OverLimit, not WorseThanStable"),
        ("RolledBack", "CandidateDown", [WAITS, WAITS], None, "would not roll it back"),
        ("RolledBack", "CandidateDown", [WAITS, WORSE], None, "would roll it back for WorseThanStable"),
        ("RolledBack", "RefusesRequests", [WAITS, WAITS], None, "would not roll it back"),
        ("Promoted", "Promoted", [WAITS, WAITS], True, "nothing in the counters"),
        ("Promoted", "Promoted", [WAITS, WORSE], False, "roll it back for WorseThanStable"),
        ("Promoted", "PromotedByPerson", [WAITS, WAITS], None, "not ended by its counters"),
        ("Aborted", "Aborted", [WAITS, WAITS], None, "not ended by its counters"),
        (None, "GatheringEvidence", [WAITS, WAITS], True, "The same so far"),
        (None, "GatheringEvidence", [WAITS, WORSE], False, "Not the same"),
        (None, "", [], None, "no counters"),
    ],
)
def test_the_same_or_not(
    outcome: str | None, reason: str, verdicts: list[tuple[Verdict, Reason]], same: bool | None, want: str
) -> None:
    rollout = make_rollout(outcome=outcome, reason=reason, **({"endTime": "2026-03-01T12:01:00Z"} if outcome else {}))
    scrapes = [scrape(100, 0, WAITS), *(scrape(200 + 65 * n, 5, each) for n, each in enumerate(verdicts))]
    found, sentence = proof._compared(rollout, scrapes if verdicts else [])
    assert found is same
    assert want in sentence


@pytest.mark.parametrize(("asks", "verdict"), [(True, "Probe: "), (False, "RollBack: WorseThanStable: ")])
def test_a_bake_that_cannot_probe_is_replayed_as_such(asks: bool, verdict: str) -> None:
    arms = [(500 * k, 50, 500 * k, 0) for k in range(1, 11)]
    arms += [(5000, 100, 5000 + 1000 * k, 300 * k) for k in range(1, 5)]
    texts = [
        json.dumps(
            {
                "time": 5.0 * k,
                "objective": "errors",
                "weight": weight,
                "stable": {"requests": stable, "failures": 0},
                "candidate": {"requests": requests, "failures": failures},
            }
        )
        for k, (stable, weight, requests, failures) in enumerate(arms)
    ]
    objective = {"name": "errors", "failureRatio": {"events": "ServerErrors", "ignoreBelow": "0.5%"}}
    rollout = make_rollout(rules={"objectives": [objective], "scrapeIntervalSeconds": 5})
    assert proof.replayed(rollout, [*texts, lines.bake_wire(asks=asks)]).replayed.startswith(verdict)


def test_the_rules_are_those_that_the_release_took() -> None:
    rollout = make_rollout(rules={"bakeSeconds": 77, "steps": [{"mirrorPercent": 20}, {"weight": 10}, {"weight": 100}]})
    policy = proof.policy_of(rollout)
    assert [step.weight for step in policy.steps] == [10, 100]
    assert policy.bake_seconds == 77
    assert policy.objectives == rollout.spec.objectives


def test_long_replays_are_thinned_and_end_with_the_last_moment() -> None:
    moments = [ReplayedMoment(float(n), 5.0, 0.0, {}, {}) for n in range(1001)]
    found = proof._thinned(moments)
    assert len(found) <= proof.MOST_POINTS
    assert found[-1] == moments[-1]
    assert list(found) == sorted(found, key=lambda moment: moment.seconds)


def test_a_picture_names_what_others_have_named_as_text() -> None:
    moments = tuple(ReplayedMoment(float(n), 5.0, 9.0, {"<b>": -1.0}, {"<b>": 99.0}) for n in range(3))
    view = ReplayedRelease(True, "", "", "", moments, 2.0, 1.3)
    for picture in (evidenceplot.against(view), evidenceplot.advance(view)):
        assert "<b>" not in picture
        assert "style" not in picture
        assert "nan" not in picture
    assert evidenceplot.against(ReplayedRelease(None, "", "", "", (), 2.0, 1.3)).startswith("<svg")
