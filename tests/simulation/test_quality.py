"""The example that scores answers: its own program counts, and its own policy judges whole releases."""

import math
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from kubectl_sluice.manifests import admission
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_judge.schema.verdict import ObjectiveStatus
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster, Server
from tests.support.simulated.controllers import Behaviour
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import V1
from tests.support.simulated.trials import STABLE

EXAMPLE: Final = Path(__file__).parents[2] / "manifests" / "examples" / "answer-scores.yaml"
OBJECTS: Final[dict[str, Any]] = {each["kind"]: each for each in yaml.safe_load_all(EXAMPLE.read_text())}
GOOD, BAD = "The sun is a star.", "the the the the the the the the the"
FASTER, FASTER_AND_WORSE = "hf://acme/assistant-2", "hf://acme/assistant-3"
BEHAVIOURS: Final = {V1: Behaviour(wrong=0.005), FASTER: Behaviour(wrong=0.005), FASTER_AND_WORSE: Behaviour(wrong=0.2)}
FIRST_TOKEN_SECONDS: Final = {V1: 0.08, FASTER: 0.04, FASTER_AND_WORSE: 0.04}
"""Mean time to first token by model URI; one request's is exponential."""
TOKEN_SECONDS: Final = 0.02
LES: Final = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8, math.inf)
METRICS: Final = {
    "port": 8080,
    "preset": "OpenTelemetryGenAI",
    "streams": "streams_total{ {{pods}} }",
    "brokenStreams": "broken_streams_total{ {{pods}} }",
}
SHORT: Final = {"steps": [{"weight": 20}, {"weight": 100}], "bakeSeconds": 60, "maximumRequestsAtRisk": 0}
"""In addition to the example's objectives, so that a release takes minutes."""


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


def test_malformed_scores_make_no_series() -> None:
    scores = program()
    with pytest.raises(ValueError, match="revision"):
        scores["score"]({"revision": 'x"} 1\ny{a="', "answer": GOOD})
    for number in range(200):
        scores["score"]({"revision": f"other-{number}", "answer": GOOD})
    assert len(scores["metrics"]().splitlines()) == 1 + 100


def test_the_api_server_takes_its_policy() -> None:
    assert list(admission.violations(RolloutPolicySpec, OBJECTS["RolloutPolicy"]["spec"], path="spec")) == []


@dataclass
class Graded(Cluster):
    """A language model's world: pods count like their servers, and the example scores a share of the users' answers."""

    scores: dict[str, Any] = field(default_factory=program)

    def _count_answers(self, server: Server) -> None:
        super()._count_answers(server)
        uri = self.objects["ControllerRevision", server.revision]["data"]["uri"]
        pod = ("pod", f"{server.revision}-0")
        for (_, _, correct), times in server.answers.items():
            self.count("streams_total", pod, job="servers", times=times)
            self.count("broken_streams_total", pod, job="servers", times=0)
            first = [self.random.expovariate(1 / FIRST_TOKEN_SECONDS[uri]) for _ in range(times)]
            self._count_times("time_to_first_token", pod, first)
            self._count_times("time_per_output_token", pod, [TOKEN_SECONDS] * times)
            for _ in range(times if correct is not None else 0):
                if self.random.random() < self.scores["SHARE"]:
                    self.scores["score"]({"revision": server.revision, "answer": GOOD if correct else BAD})

    def _count_times(self, name: str, pod: tuple[str, str], seconds: list[float]) -> None:
        for le in LES:
            bound = ("le", "+Inf" if le == math.inf else f"{le:g}")
            inside = sum(each <= le for each in seconds)
            self.count(f"gen_ai_server_{name}_seconds_bucket", pod, bound, job="servers", times=inside)

    def _scrape(self) -> None:
        for family in text_string_to_metric_families(self.scores["metrics"]()):
            for name, labels, value, *_ in family.samples:
                self.prometheus.gauge("scores-0", name, value, job="scores", namespace="default", **labels)
        super()._scrape()


def released(uri: str, *, without: str = "") -> tuple[Graded, ModelRollout]:
    """The end of the release of a second version, judged by the example's objectives without one."""
    policy = deepcopy(OBJECTS["RolloutPolicy"])
    policy["spec"] |= SHORT
    policy["spec"]["objectives"] = [each for each in policy["spec"]["objectives"] if each["name"] != without]
    cluster = begun(uri, Graded(behaviours=dict(BEHAVIOURS), scrape_seconds=15), policy, served_seconds=180)
    cluster.run(1800, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    return cluster, cluster.newest()


def begun(uri: str, cluster: Graded, policy: dict[str, Any], *, served_seconds: int) -> Graded:
    """The begin of the release of a second version, judged by this policy."""
    runtime = deepcopy(scenarios.RUNTIME)
    runtime["spec"] |= {"protocols": ["OpenAI"], "timeouts": {"request": "0s"}, "metrics": METRICS}
    for shared in (policy, runtime, scenarios.GATEWAY):
        cluster.shared[shared["kind"], shared["metadata"]["name"]] = shared
    judged: dict[str, Any] = {"rollout": {"policyRef": {"name": policy["metadata"]["name"]}}}
    check = Laws(cluster).check
    cluster.user_applies(scenarios.manifest(V1, **judged))
    cluster.run(served_seconds, check=check)
    cluster.user_applies(scenarios.manifest(uri, **judged))
    cluster.run(1, check=check)
    assert len(cluster.rollouts()) == 2
    return cluster


def test_a_version_that_is_faster_and_worse_is_rolled_back() -> None:
    cluster, rollout = released(FASTER_AND_WORSE)
    assert rollout.status.outcome is Outcome.ROLLED_BACK
    assert rollout.status.message.startswith("quality: candidate "), rollout.status.message
    assert cluster.weights() == {cluster.rollouts()[0].spec.target.revision: 1000, rollout.spec.target.revision: 0}
    assert cluster.lost == 0


def test_without_the_scores_it_is_promoted() -> None:
    """No other objective of the example sees what is wrong with it."""
    _, rollout = released(FASTER_AND_WORSE, without="quality")
    assert rollout.status.outcome is Outcome.PROMOTED, rollout.status.message
    assert_faster(rollout)


def test_a_version_that_is_faster_and_as_good_is_promoted() -> None:
    cluster, rollout = released(FASTER)
    assert rollout.status.outcome is Outcome.PROMOTED, rollout.status.message
    assert_faster(rollout)
    assert objective(rollout, "quality").candidate.requests > 100, "scored, and not promoted unseen"
    assert cluster.weights()[rollout.spec.target.revision] == 1000
    assert cluster.lost == 0


def told() -> list[tuple[float, float, str, float]]:
    """The example's table: share of bad answers, SHARE, relativeTolerance, hours."""
    lines = EXAMPLE.read_text().partition("hours until 100 %\n")[2].partition("apiVersion")[0].splitlines()
    rows = [line.removeprefix("#").split() for line in lines]
    return [(float(bad.rstrip("%")) / 100, float(share), most, float(hours)) for bad, share, most, hours, *_ in rows]


@pytest.mark.slow
@pytest.mark.parametrize(("bad", "share", "tolerance", "hours"), told())
def test_the_hours_that_the_example_tells(bad: float, share: float, tolerance: str, hours: float) -> None:
    policy = deepcopy(OBJECTS["RolloutPolicy"])
    (quality,) = (each for each in policy["spec"]["objectives"] if each["name"] == "quality")
    quality["failureRatio"]["relativeTolerance"] = tolerance
    equal = {V1: Behaviour(wrong=bad), FASTER: Behaviour(wrong=bad)}
    world = Graded(behaviours=equal, scrape_seconds=15)
    world.scores["SHARE"] = share
    begun(FASTER, world, policy, served_seconds=1800)
    world.run(3)
    planned = [step.seconds for step in world.newest().status.plan or ()]
    assert sum(seconds or 0 for seconds in planned) / 3600 == pytest.approx(hours, rel=0.1)


def objective(rollout: ModelRollout, name: str) -> ObjectiveStatus:
    return next(each for each in rollout.status.objectives if each.name == name)


def assert_faster(rollout: ModelRollout) -> None:
    """The share of late first tokens is significantly smaller than the stable version's."""
    assert float(objective(rollout, "first-token").ratio_high or "inf") < 1
