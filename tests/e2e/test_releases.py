"""Releases under 100 requests a second: every way that one can end, and not one request lost.

One ModelDeployment and one load client for all tests; each test leaves a stable version and no running release.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from demo import digits, release
from demo.cluster import Cluster
from demo.counting import Tally
from demo.load import LoadClient
from tests.e2e.conftest import FAST_POLICY
from tests.support.live.scene import POLICY, Scene, uri, wait_until

NAME = "digits"
GOOD, OTHER_GOOD, THIRD_GOOD, FOURTH_GOOD = "2", "2b", "2c", "2d"
BY_RISK = "e2e-by-risk"
WRONG, FAILING_TENTH, SLOW, ALWAYS_FAILING = "3", "4", "5", "failing"
CAREFUL = (5, 100)
STRICTER = {
    SLOW: [{"name": "latency", "latency": {"source": "Gateway", "percentile": 95, "maximumMillis": 50}}],
    FAILING_TENTH: [
        {"name": "errors", "failureRatio": {"source": "Gateway", "events": "ServerErrors", "ignoreBelow": "2%"}}
    ],
}
"""Objectives for versions that are not bad enough for the policy, whose limits are those of a busy machine."""
PAUSE_SECONDS = 15.0
"""Longer than the proof of a good version and the step's minimum take."""

pytestmark = [pytest.mark.usefixtures("no_request_is_lost")]


@pytest.fixture(scope="module")
def traffic(scene: Scene, connect: Callable[..., LoadClient]) -> LoadClient:
    """100 requests a second to v1, which serves."""
    scene.deploy(NAME, "1")
    scene.wait_ready(NAME)
    client = scene.serving(NAME, connect(NAME))
    wait_until(lambda: client.counts().total.right > 200, "v1 answers")
    return client


@pytest.fixture(autouse=True)
def begins_at_rest(scene: Scene, traffic: LoadClient) -> None:
    """Each test begins with one version that serves and nothing under way, whatever the one before did."""
    newest = scene.rollouts(NAME)[-1]
    stable = scene.deployment(NAME)["status"]["stable"]["revision"]
    if stable != newest["spec"]["to"]["revision"]:
        serving = next(r for r in reversed(scene.rollouts(NAME)) if r["spec"]["to"]["revision"] == stable)
        scene.patch(NAME, {"model": {"uri": serving["spec"]["to"]["uri"]}})
    wait_until(lambda: not scene.deployment(NAME)["status"].get("candidate"), "no release is under way")


def stable_uri(scene: Scene) -> str:
    revision = scene.deployment(NAME)["status"]["stable"]["revision"]
    return next(str(r["spec"]["to"]["uri"]) for r in scene.rollouts(NAME) if r["spec"]["to"]["revision"] == revision)


def answered_by(traffic: LoadClient, scene: Scene, rollout: str) -> Tally:
    """What the candidate of a release has answered, by the client's own count."""
    return traffic.counts().of(scene.rollout(rollout)["spec"]["to"]["revision"])


def test_a_prediction_is_right(scene: Scene, tmp_path: Path) -> None:
    _, held_out = digits.split()
    body = tmp_path / "request.json"
    body.write_bytes(digits.infer_bodies(held_out)[0])
    gateway = f"--gateway={scene.cluster.gateway}"
    answer = json.loads(scene.plugin("predict", NAME, "-f", str(body), gateway, "--output=json"))
    assert digits.predicted_label(json.dumps(answer.get("answer", answer)).encode()) == held_out.labels[0], answer


@pytest.mark.parametrize(
    ("version", "objective", "most_requests"),
    [
        pytest.param(WRONG, "accuracy", 120, id="wrong answers"),
        pytest.param(FAILING_TENTH, "errors", 500, id="a tenth fails", marks=pytest.mark.slow),
        pytest.param(ALWAYS_FAILING, "errors", 100, id="nothing but errors"),
        # Each of its answers takes a processor for about 100 ms.
        pytest.param(SLOW, "latency", 200, id="slow answers", marks=pytest.mark.slow),
    ],
)
def test_a_bad_version_is_rolled_back(
    scene: Scene, traffic: LoadClient, version: str, objective: str, most_requests: int
) -> None:
    """The most requests that it may get at 5 %, fewer than one release in 10,000 gets more; the usual ones are lower.

    The judge alone, simulated: 444 requests at the 99.99 % quantile where a tenth fails (median 124), 106
    where half of the answers are wrong, 75 where all fail; the rest is what arrives until the route is written.
    docs/benchmarks.md has what is usual on a real cluster.
    """
    before = stable_uri(scene)
    rollout = scene.release(NAME, version, CAREFUL, STRICTER.get(version))
    status = scene.wait_outcome(rollout)
    assert status["outcome"] == "RolledBack"
    assert status["message"].startswith(f"{objective}: "), status["message"]
    assert stable_uri(scene) == before
    wait_until(lambda: scene.condition(NAME, "Ready").get("status") == "True", "still Ready")
    assert 0 < answered_by(traffic, scene, rollout).requests <= most_requests


def test_a_better_version_is_promoted(scene: Scene, traffic: LoadClient) -> None:
    rollout = scene.release(NAME, GOOD)
    status = scene.wait_outcome(rollout)
    assert (status["outcome"], status["reason"]) == ("Promoted", "Promoted")
    assert [step["permille"] for step in status["steps"]] == [200, 500, 1000]
    counted = {one["name"] for one in status["objectives"] if one["candidate"]["requests"]}
    assert counted == {"errors", "latency", "accuracy"}
    assert stable_uri(scene).endswith(f"/{GOOD}")
    revision = scene.rollout(rollout)["spec"]["to"]["revision"]
    before = traffic.counts()
    wait_until(lambda: traffic.counts().of(revision).requests - before.of(revision).requests > 200, "serves")
    assert traffic.counts().of(revision).requests - before.of(revision).requests == pytest.approx(
        traffic.counts().total.requests - before.total.requests, rel=0.1
    )


@pytest.fixture
def by_risk(lab: Cluster, scene: Scene) -> Iterator[str]:
    """The policy, with shares by what is at risk."""
    spec = {**FAST_POLICY["spec"], "stepping": "Auto", "maximumRequestsAtRisk": 60}
    lab.tools.apply(yaml.safe_dump({**FAST_POLICY, "metadata": {"name": BY_RISK}, "spec": spec}))
    yield BY_RISK
    scene.patch(NAME, {"rollout": {"policyRef": {"name": POLICY}}})
    lab.tools.kubectl("delete", "rolloutpolicies.sluice.dev", BY_RISK)


def test_shares_are_chosen_by_what_is_at_risk(scene: Scene, by_risk: str) -> None:
    """Half of 60 requests in two seconds are 15 % of 100 a second, and 10 % is the largest first share."""
    rollout = {"policyRef": {"name": by_risk}, "canary": None, "objectives": None}
    change = {"model": {"uri": uri(FOURTH_GOOD)}, "rollout": rollout}
    status = scene.wait_outcome(scene.begun(NAME, lambda: scene.patch(NAME, change), FOURTH_GOOD))
    assert (status["outcome"], status["reason"]) == ("Promoted", "Promoted")
    first, *others = [step["permille"] for step in status["steps"]]
    assert first == status["leadPermille"] == 100
    assert others == [500, 1000]


def test_a_pause_holds_the_weight_and_an_abort_takes_it_away(scene: Scene, traffic: LoadClient) -> None:
    """Whichever step it is when the pause is answered: on a busy machine the first one may be over."""
    before = stable_uri(scene)
    steps = [*({"weight": weight, "minimumSeconds": 10} for weight in (20, 40, 60, 80)), {"weight": 100}]
    change = {"model": {"uri": uri(OTHER_GOOD)}, "rollout": {"canary": {"steps": steps}}}
    rollout = scene.begun(NAME, lambda: scene.patch(NAME, change), OTHER_GOOD)
    scene.wait_weight(rollout)
    scene.plugin("pause", NAME)
    paused_at = scene.rollout_status(rollout)["weight"]
    proven_by = time.monotonic() + PAUSE_SECONDS
    wait_until(lambda: time.monotonic() > proven_by or None, "the pause", seconds=PAUSE_SECONDS + 5)
    status = scene.rollout_status(rollout)
    assert (status["reason"], status["weight"]) == ("Paused", paused_at)
    scene.plugin("resume", NAME)
    scene.wait_weight(rollout, at_least=paused_at + 1)
    scene.plugin("abort", NAME, "--note=enough")
    status = scene.wait_outcome(rollout)
    assert (status["outcome"], status["reason"], status["weight"]) == ("Aborted", "Aborted", 0)
    assert "enough" in status["message"]
    assert stable_uri(scene) == before


@pytest.mark.slow
def test_an_aborted_version_is_tried_again_only_on_request(scene: Scene) -> None:
    first = scene.release(NAME, OTHER_GOOD)
    scene.wait_weight(first)
    scene.plugin("abort", NAME)
    scene.wait_outcome(first)
    current = scene.wait_condition(
        NAME,
        "Current",
        lambda found: found["reason"] == "Aborted",
        "the condition says why it is not current",
    )
    assert "kubectl sluice retry" in current["message"]
    second = scene.begun(NAME, lambda: scene.plugin("retry", NAME), OTHER_GOOD)
    assert scene.rollout(second)["spec"]["attempt"] == scene.rollout(first)["spec"]["attempt"] + 1
    scene.wait_weight(second)


@pytest.mark.slow
def test_a_release_gives_way_to_the_next_intent(scene: Scene) -> None:
    """A→B→C, then A→B→A."""
    before = stable_uri(scene)
    first = scene.release(NAME, OTHER_GOOD)
    scene.wait_weight(first)
    second = scene.release(NAME, THIRD_GOOD)
    assert scene.wait_outcome(first)["outcome"] == "Superseded"
    assert scene.rollout(second)["spec"]["from"]["uri"] == before
    scene.wait_weight(second)
    scene.patch(NAME, {"model": {"uri": before}})
    assert scene.wait_outcome(second)["outcome"] == "Superseded"
    assert stable_uri(scene) == before
    assert scene.rollouts(NAME)[-1]["metadata"]["name"] == second, "going back is no release"
    wait_until(lambda: scene.condition(NAME, "Current").get("status") == "True", "Current again")


def test_old_versions_are_cleaned_away(scene: Scene) -> None:
    """After the drain one Deployment is left, and it is the stable version's."""

    def running() -> list[str]:
        items = scene.tools.get("deployments.apps", scene.where)["items"]
        return [item["metadata"]["name"] for item in items]

    stable = scene.deployment(NAME)["status"]["stable"]["revision"]
    wait_until(lambda: running() == [stable], "only the stable version runs")
    assert release.objectives_of(scene.rollouts(NAME)[-1]["status"]), "the record of the last release stays"
