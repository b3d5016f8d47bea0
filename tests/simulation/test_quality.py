"""The example that scores answers: its own program counts, and its own policy judges."""

import dataclasses
import random
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from sluice.api import admission
from sluice.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice.core.judge.model import Judgement, OwnCounters, ServerTimes
from tests.support.prometheus import Prometheus
from tests.support.trials import CANDIDATE, STABLE, START, look, make_trial

EXAMPLE: Final = Path(__file__).parents[2] / "manifests" / "examples" / "answer-scores.yaml"
OBJECTS: Final = {each["kind"]: each for each in yaml.safe_load_all(EXAMPLE.read_text())}
POLICY: Final = RolloutPolicySpec.model_validate(OBJECTS["RolloutPolicy"]["spec"])
GOOD, BAD = "The sun is a star.", "the the the the the the the the the"
LES: Final = (0.05, 0.1, 0.25, 0.5, 1.0)


def program() -> dict[str, Any]:
    found: dict[str, Any] = {"__name__": "scores"}
    exec(OBJECTS["ConfigMap"]["data"]["scores.py"], found)  # noqa: S102 - the example's own program
    return found


@pytest.mark.parametrize(
    ("answer", "want"),
    [
        (GOOD, True),
        ("", False),
        ("  ", False),
        ("It ends in the middle of a", False),
        (BAD + ".", False),
        ("```\nprint(1)\n```", True),
    ],
)
def test_the_rule(answer: str, want: bool) -> None:
    assert program()["good"]("?", answer) is want


def test_what_it_counts_is_what_prometheus_reads() -> None:
    scores = program()
    for answer in (GOOD, GOOD, BAD):
        scores["score"]({"revision": STABLE, "answer": answer})
    assert scores["metrics"]().splitlines()[1:] == [
        f'answers_scored_total{{revision="{STABLE}",good="false"}} 1',
        f'answers_scored_total{{revision="{STABLE}",good="true"}} 2',
    ]


def test_who_sends_it_rubbish_makes_no_series() -> None:
    scores = program()
    with pytest.raises(ValueError, match="revision"):
        scores["score"]({"revision": 'x"} 1\ny{a="', "answer": GOOD})
    for number in range(200):
        scores["score"]({"revision": f"other-{number}", "answer": GOOD})
    assert len(scores["metrics"]().splitlines()) == 1 + 100


def test_the_api_server_takes_its_policy() -> None:
    assert list(admission.violations(RolloutPolicySpec, OBJECTS["RolloutPolicy"]["spec"], path="spec")) == []


def counters(revision: str) -> OwnCounters:
    pods = f'{{namespace="shop",pod=~"{revision}-.*"}}'
    return OwnCounters(
        histograms=tuple(
            ServerTimes(name, f"{name}_bucket{pods}", 1000.0) for name in ("TimeToFirstToken", "TimePerOutputToken")
        ),
        streams=f"streams_total{pods}",
        broken_streams=f"broken_total{pods}",
    )


def released(*, wrong: float, faster: float) -> Judgement:
    """A candidate whose first tokens take so many times as long, and whose answers are bad so often; stable's are in 5 %."""
    dice, prometheus, scores = random.Random(4), Prometheus(), program()
    trial = make_trial(
        objectives=tuple(POLICY.objectives),
        own=counters(STABLE),
        candidate_own=counters(CANDIDATE),
        share_checked=False,
    )
    counted: dict[tuple[str, bool], int] = {}
    for second in range(-600, 900, 5):
        for revision, bad, seconds in ((STABLE, 0.05, 0.2), (CANDIDATE, wrong, 0.2 * faster)):
            many = 25 if revision == STABLE or second > 0 else 0
            pod = f"{revision}-p"
            prometheus.request(revision, times=many)
            prometheus.count(pod, "streams_total", many, pod=pod)
            prometheus.count(pod, "broken_total", 0, pod=pod)
            for name, time in (("TimeToFirstToken", seconds), ("TimePerOutputToken", 0.03)):
                for le in (*map(str, LES), "+Inf"):
                    prometheus.count(pod, f"{name}_bucket", many if time <= float(le) else 0, le=le, pod=pod)
            for _ in range(many // 5):
                scores["score"]({"revision": revision, "answer": BAD if dice.random() < bad else GOOD})
        for key, number in scores["counted"].items():
            more = number - counted.get(key, 0)
            counted[key] = number
            labels = {"revision": key[0], "good": str(key[1]).lower()}
            prometheus.count("client", "answers_scored_total", more, **labels)
        prometheus.scrape(START + second, others=("client", f"{STABLE}-p", f"{CANDIDATE}-p"))
        if second >= 0:
            trial, result = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)
            if result.against is not None:
                break
    return result


def test_a_version_that_is_faster_and_worse_is_rolled_back() -> None:
    result = released(wrong=0.3, faster=0.5)
    assert result.against is not None
    assert result.against[1].startswith("quality: candidate ")


def test_a_version_that_is_faster_and_as_good_is_not() -> None:
    result = released(wrong=0.05, faster=0.5)
    assert result.against is None
    assert {each.name for each in result.objectives if each.proven} >= {"errors", "first-token", "throughput"}
