"""What breaks, or is broken by hand, in the middle of a release on the real cluster; every request is counted.

Where Kubernetes itself takes the last pod of a version away, requests are lost until the gateway knows better: these
tests say how many there may be. Everywhere else there is none. The figures are in docs/faults.md.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import yaml

from demo import cluster as clusters
from demo import setup
from demo.cluster import Kind
from demo.load import LoadClient
from lab import controlplane, node, paths, processes
from tests.e2e import badinput
from tests.e2e.conftest import FAST_POLICY, GOOD
from tests.support.live.faulty import Fault, FaultyPrometheus
from tests.support.live.scene import Object, Scene, uri, wait_until

NAME = "steady"
FIRST, WRONG, FAILING_TENTH = "2", "3", "4"
VERSIONS = (FIRST, *(name.removeprefix("v") for name in GOOD))
RATE = 100
CANDIDATES_SHARE = 0.2
HELD: Object = {"canary": {"steps": [{"weight": 20, "pause": True}, {"weight": 100}]}}
"""The candidate keeps a fifth of the requests until a person says more."""
NOBODY, A_MOMENT, A_START = 0, 3.0, 20.0
"""For how many seconds an arm's requests may be lost: never; until the gateway knows that its pods are gone; until new pods are ready."""

CONTOUR = ("deployment/contour", "--namespace=projectcontour")
OPERATOR = f"--namespace={setup.OPERATOR_NAMESPACE}"
BLIND_SECONDS = 30.0
FIGHT_SECONDS = 30.0
API_AWAY_SECONDS = 120.0
NODE_AWAY_SECONDS = 20.0
UNREADY_SECONDS = 30
FALTERING, CHANGING = "e2e-faltering", "e2e-changing"
LAB = processes.ProcessFolder(paths.STATE)

pytestmark = [pytest.mark.disturbs, pytest.mark.slow]


@pytest.fixture(scope="module")
def traffic(scene: Scene, connect: Callable[..., LoadClient]) -> LoadClient:
    """100 requests a second to a version with two pods."""
    scene.deploy(NAME, FIRST, replicas=2)
    scene.wait_ready(NAME)
    client = scene.serving(NAME, connect(NAME, rate=RATE))
    wait_until(lambda: client.counts().total.right > 200, "the model answers")
    return client


@pytest.fixture(autouse=True)
def begins_at_rest(scene: Scene, traffic: LoadClient) -> None:
    """Each test begins with one version that the spec names and that serves with both pods."""
    scene.deploy(NAME, stable_version(scene), replicas=2)
    wait_until(lambda: scene.condition(NAME, "Current").get("status") == "True", "at rest")
    wait_until(lambda: not scene.deployment(NAME)["status"].get("candidate"), "no release is under way")
    stable = stable_revision(scene)
    wait_until(lambda: ready_replicas(scene, stable) == 2, "both pods are ready")


def stable_revision(scene: Scene) -> str:
    return str(scene.deployment(NAME)["status"]["stable"]["revision"])


def stable_version(scene: Scene) -> str:
    served = next(r for r in scene.rollouts(NAME) if r["spec"]["to"]["revision"] == stable_revision(scene))
    return next(version for version in VERSIONS if uri(version) == served["spec"]["to"]["uri"])


def good_version(scene: Scene) -> str:
    """One that does not serve now."""
    return next(version for version in VERSIONS[1:] if version != stable_version(scene))


def begin(scene: Scene, version: str, **spec: Object) -> str:
    """A release whose candidate has a fifth of the requests."""
    rollout = scene.begun(NAME, lambda: scene.deploy(NAME, version, replicas=2, **spec), version)
    scene.wait_weight(rollout, at_least=20)
    wait_until(lambda: sorted(weights(scene).values()) == [200, 800], "the route says so")
    return rollout


def candidate_of(scene: Scene, rollout: str) -> str:
    return str(scene.rollout(rollout)["spec"]["to"]["revision"])


def ready_replicas(scene: Scene, revision: str) -> int:
    return int(scene.tools.get("deployment", revision, scene.where).get("status", {}).get("readyReplicas", 0))


def weights(scene: Scene) -> dict[str, int]:
    rule = scene.tools.get("httproute", NAME, scene.where)["spec"]["rules"][0]
    return {backend["name"]: backend["weight"] for backend in rule["backendRefs"]}


def give_weights(scene: Scene, given: dict[str, int]) -> None:
    """As a person with kubectl does, or another controller."""
    patch = [
        {"op": "replace", "path": f"/spec/rules/0/backendRefs/{index}/weight", "value": weight}
        for index, weight in enumerate(given.values())
    ]
    scene.tools.kubectl("patch", "httproute", NAME, scene.where, "--type=json", f"--patch={json.dumps(patch)}")


def passed(seconds: float) -> None:
    """Lets the clock run; the requests go on meanwhile."""
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > until or None, "time passes", seconds=seconds + 10)


@contextmanager
def at_most_lost(traffic: LoadClient, seconds: float, share: float = 1.0) -> Iterator[None]:
    """Not more than an arm with this share of the requests gets in so many seconds; shows how many it were."""
    before = traffic.counts().total
    yield
    wait_until(lambda: traffic.counts().total.requests > before.requests, "requests go on")
    after = traffic.counts().total
    lost = after.lost - before.lost
    print(f"\nlost {lost} of {after.requests - before.requests}: {dict(after.problems)}")
    assert lost <= seconds * RATE * share, dict(after.problems)


@contextmanager
def none_lost(traffic: LoadClient) -> Iterator[None]:
    with at_most_lost(traffic, NOBODY):
        yield


# --- The route and the Deployments, changed by hand -------------------------------------------------------------------


def test_a_route_edited_by_hand_is_put_back(scene: Scene, traffic: LoadClient) -> None:
    with none_lost(traffic):
        rollout = begin(scene, good_version(scene), rollout=HELD)
        ours = weights(scene)
        began = time.monotonic()
        give_weights(scene, dict.fromkeys(ours, 500))
        wait_until(lambda: weights(scene) == ours, "our weights are back")
        print(f"\nput back after {time.monotonic() - began:.1f} s")
        [event] = [one for one in scene.events(NAME) if one["reason"] == "DriftCorrected"]
        assert "changed by somebody else" in event["message"]
        assert scene.rollout_status(rollout).get("outcome") is None
        scene.plugin("abort", NAME)
        assert scene.wait_outcome(rollout)["outcome"] == "Aborted"


def test_a_deployment_scaled_down_by_hand_comes_back(scene: Scene, traffic: LoadClient) -> None:
    stable = stable_revision(scene)

    def replicas() -> int:
        return int(scene.tools.get("deployment", stable, scene.where)["spec"]["replicas"])

    with none_lost(traffic):
        scene.tools.kubectl("scale", f"deployment/{stable}", scene.where, "--replicas=1")
        wait_until(lambda: replicas() == 2, "put back")
        passed(8)  # a pod that was told to go still answers for 5 s
        wait_until(lambda: ready_replicas(scene, stable) == 2, "both pods are ready")


@pytest.mark.parametrize("harm", ["scale", "delete"])
@pytest.mark.parametrize(
    ("arm", "seconds", "share"), [("stable", A_START, 1.0), ("candidate", A_MOMENT, CANDIDATES_SHARE)]
)
def test_a_deployment_that_loses_all_pods_by_hand_comes_back(
    scene: Scene, traffic: LoadClient, harm: str, arm: str, seconds: float, share: float
) -> None:
    """Nobody is sent to the candidate instead of stable; the candidate's share goes to stable meanwhile."""
    rollout = begin(scene, good_version(scene), rollout=HELD)
    stable, candidate = stable_revision(scene), candidate_of(scene, rollout)
    harmed = stable if arm == "stable" else candidate
    before = scene.tools.get("deployment", harmed, scene.where)
    with at_most_lost(traffic, seconds, share):
        if harm == "scale":
            scene.tools.kubectl("scale", f"deployment/{harmed}", scene.where, "--replicas=0")
        else:
            scene.tools.kubectl("delete", f"deployment/{harmed}", scene.where, "--wait=false")

        def again() -> bool:
            [found] = [
                one
                for one in scene.tools.get("deployments", scene.where)["items"]
                if one["metadata"]["name"] == harmed and "deletionTimestamp" not in one["metadata"]
            ] or [before]
            same_pods = found["metadata"]["uid"] == before["metadata"]["uid"] and harm == "delete"
            ready = found.get("status", {}).get("readyReplicas", 0) == found["spec"]["replicas"]
            return not same_pods and ready and found["spec"]["replicas"] == before["spec"]["replicas"]

        passed(2)
        wait_until(again, "its pods are ready again")
        wait_until(lambda: weights(scene) == {stable: 800, candidate: 200}, "the weights of before")
        passed(3)
    assert scene.rollout_status(rollout).get("outcome") is None
    with none_lost(traffic):
        scene.plugin("resume", NAME)
        assert scene.wait_outcome(rollout)["outcome"] == "Promoted"


def test_a_rival_that_always_writes_other_weights_decides_nothing(scene: Scene, traffic: LoadClient) -> None:
    with none_lost(traffic):
        rollout = begin(scene, good_version(scene))
        ours, changes = weights(scene), 0
        before, until = scene.rollout_status(rollout), time.monotonic() + FIGHT_SECONDS
        generation = scene.tools.get("httproute", NAME, scene.where)["metadata"]["generation"]
        while time.monotonic() < until:
            give_weights(scene, dict.fromkeys(ours, 500))
            changes += 1
        after = scene.rollout_status(rollout)
        assert (after["step"], after.get("outcome")) == (before["step"], None)
        writes = scene.tools.get("httproute", NAME, scene.where)["metadata"]["generation"] - generation
        print(f"\n{changes} changes by the rival, {writes} generations of the route")
        assert any(one["reason"] == "DriftCorrected" for one in scene.events(NAME))
        assert scene.wait_outcome(rollout)["outcome"] == "Promoted"


# --- Gateway, node, API server ----------------------------------------------------------------------------------------


@pytest.fixture
def no_contour(scene: Scene) -> Iterator[Callable[[int], None]]:
    """Stops (0) and starts (1) the gateway's controller; Envoy goes on by what it was told last."""

    def scale(replicas: int) -> None:
        scene.tools.kubectl("scale", *CONTOUR, f"--replicas={replicas}")
        scene.tools.kubectl("rollout", "status", *CONTOUR, "--timeout=240s")

    yield scale
    scale(1)


def test_a_release_waits_for_a_gateway_controller_that_is_away(
    scene: Scene, traffic: LoadClient, no_contour: Callable[[int], None]
) -> None:
    with none_lost(traffic):
        rollout = begin(scene, good_version(scene))
        no_contour(0)
        status = scene.wait_status(rollout, lambda status: status["step"] == 2, "decides on 50 %")
        scene.wait_status(
            rollout,
            lambda status: status["reason"] in ("RouteChanging", "RouteNotProgrammed"),
            "waits for the route",
        )
        told = scene.wait_condition(
            NAME,
            "RoutesProgrammed",
            lambda found: found["status"] != "True",
            "RoutesProgrammed is not True",
        )
        assert "controller is running" in told["message"]
        passed(20)
        assert scene.rollout_status(rollout)["step"] == status["step"]
        print(f"\n{told['status']} {told['reason']}: {told['message']}")
        no_contour(1)
        assert scene.wait_outcome(rollout)["outcome"] == "Promoted"


@pytest.fixture
def lab_only(scene: Scene) -> None:
    """For what is done to processes of this machine."""
    if scene.cluster.kind is not Kind.LAB:
        pytest.skip("only the lab's own processes may be stopped")


def test_an_api_server_that_is_away_for_two_minutes(
    scene: Scene, traffic: LoadClient, lab_only: None, no_contour: Callable[[int], None]
) -> None:
    """Contour ends without one, and would be started again only after up to five minutes: a new pod has not to wait."""
    with none_lost(traffic):
        rollout = begin(scene, good_version(scene))
        restarts = operator_restarts(scene)
        LAB.stop("kube-apiserver", grace_seconds=1)
        try:
            passed(API_AWAY_SECONDS)
        finally:
            controlplane.start_api(node.PLANE)
        began = time.monotonic()
        no_contour(0)
        no_contour(1)
        print(f"\nthe gateway's controller runs again after {time.monotonic() - began:.0f} s")
        status = scene.wait_outcome(rollout)
        print(f"\nended {time.monotonic() - began:.0f} s after the API server's return")
        assert status["outcome"] == "Promoted"
        assert [step["permille"] for step in status["steps"]] == [200, 500, 1000]
        assert operator_restarts(scene) == restarts


def operator_restarts(scene: Scene) -> int:
    pods = scene.tools.get("pods", OPERATOR, "--selector=app.kubernetes.io/name=sluice")["items"]
    return sum(one["restartCount"] for pod in pods for one in pod["status"]["containerStatuses"])


def test_a_node_that_is_not_ready_for_a_while(scene: Scene, traffic: LoadClient, lab_only: None) -> None:
    """The only node: Kubernetes takes every endpoint away, so nothing answers, and neither version is to blame."""
    rollout = begin(scene, good_version(scene), rollout=HELD)
    stable, candidate = stable_revision(scene), candidate_of(scene, rollout)
    kubelet = LAB.find("kubelet")
    assert kubelet is not None
    before = traffic.counts().total
    os.kill(kubelet.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: not node.is_ready(), "the node is not Ready")
        wait_until(lambda: scene.condition(NAME, "Ready")["status"] != "True", "not Ready")
        passed(NODE_AWAY_SECONDS)
        assert weights(scene) == {stable: 800, candidate: 200}, "no endpoint is no reason to move anybody"
    finally:
        os.kill(kubelet.pid, signal.SIGCONT)
    wait_until(lambda: scene.condition(NAME, "Ready")["status"] == "True", "Ready again")
    after = traffic.counts().total
    print(f"\nlost {after.lost - before.lost} of {after.requests - before.requests} while there was no endpoint")
    scene.plugin("resume", NAME)
    passed(5)
    with none_lost(traffic):
        assert scene.wait_outcome(rollout)["outcome"] == "Promoted"


# --- Versions and rules -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def faltering(scene: Scene) -> Iterator[None]:
    """A server that says that it is not ready any more half a minute after it was; it goes on answering."""
    triton = scene.tools.get("servingruntimes.sluice.dev", "triton")["spec"]
    script = (
        f"now=$(cut -d. -f1 /proc/uptime); [ -e /dev/shm/since ] || echo $now > /dev/shm/since; "
        f"[ $((now - $(cat /dev/shm/since))) -lt {UNREADY_SECONDS} ]"
    )
    probe = {"exec": {"command": ["sh", "-c", script]}, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 1}
    triton["containers"][0]["readinessProbe"] = probe
    scene.tools.apply(badinput.runtimes({FALTERING: triton}))
    yield
    scene.tools.kubectl("delete", "servingruntimes.sluice.dev", FALTERING, "--ignore-not-found")


def test_a_candidate_that_becomes_unready_is_taken_out(scene: Scene, traffic: LoadClient, faltering: None) -> None:
    stable = stable_revision(scene)
    with at_most_lost(traffic, A_MOMENT, CANDIDATES_SHARE):
        rollout = begin(scene, good_version(scene), rollout=HELD, runtime={"name": FALTERING})
        scene.wait_status(rollout, lambda status: status["reason"] == "CandidateNotReady", "unready")
        assert weights(scene)[stable] == 1000
        status = scene.wait_outcome(rollout)
    assert (status["outcome"], status["reason"]) == ("RolledBack", "ModelNotReady"), (
        "what ails the pod, where it is known"
    )
    assert "no ready pod for 60 s" in status["message"]
    assert scene.condition(NAME, "Ready")["status"] == "True"


def test_a_fix_for_a_bad_stable_version_is_not_blocked(scene: Scene, connect: Callable[..., LoadClient]) -> None:
    """Stable fails in every tenth request, twice what is negligible by the policy."""
    name = "patient"
    errors_alone = FAST_POLICY["spec"]["objectives"][:1]
    scene.deploy(name, FAILING_TENTH, rollout={"objectives": errors_alone})
    scene.wait_ready(name)
    client = connect(name)
    wait_until(lambda: client.counts().total.failed > 50, "stable fails")
    with none_lost(client):
        rollout = scene.release(name, FIRST, objectives=errors_alone)
        assert scene.wait_outcome(rollout)["outcome"] == "Promoted"
    client.stop()
    scene.tools.kubectl("delete", "modeldeployments.sluice.dev", name, scene.where, "--wait=false")


@pytest.fixture
def changing_policy(scene: Scene) -> Iterator[Callable[[Object], None]]:
    """A policy of the test's own, and how to change it."""

    def apply(changes: Object) -> None:
        policy = {**FAST_POLICY, "metadata": {"name": CHANGING}, "spec": {**FAST_POLICY["spec"], **changes}}
        scene.tools.apply(yaml.safe_dump(policy))

    apply({})
    yield apply
    scene.tools.kubectl("delete", "rolloutpolicies.sluice.dev", CHANGING, "--ignore-not-found")


def test_a_policy_changed_in_the_middle_leaves_the_release_its_own_rules(
    scene: Scene, traffic: LoadClient, changing_policy: Callable[[Object], None]
) -> None:
    """By the new rules any version is rolled back at once, as models are not right in all but one of 1,000 answers."""
    strict = [
        one if one["name"] != "accuracy" else {**one, "failureRatio": {**one["failureRatio"], "maximum": "0.1%"}}
        for one in FAST_POLICY["spec"]["objectives"]
    ]
    with none_lost(traffic):
        rollout = begin(scene, good_version(scene), rollout={"policyRef": {"name": CHANGING}})
        rules = scene.rollout(rollout)["spec"]
        changing_policy({"objectives": strict, "bakeSeconds": 3600})
        assert scene.wait_outcome(rollout)["outcome"] == "Promoted"
        assert scene.rollout(rollout)["spec"] == rules


def test_objectives_that_contradict_promote_nothing(scene: Scene, traffic: LoadClient) -> None:
    """Few answers may be wrong, and few may be right: each version is over one of the two limits, whatever comes."""
    total = next(one for one in FAST_POLICY["spec"]["objectives"] if one["name"] == "accuracy")["failureRatio"]
    few_right = {**total, "maximum": "30%", "failures": total["failures"].replace('"false"', '"true"')}
    objectives = [{"name": "few-wrong", "failureRatio": total}, {"name": "few-right", "failureRatio": few_right}]
    with none_lost(traffic):
        rollout = begin(scene, good_version(scene), rollout={"objectives": objectives})
        status = scene.wait_status(
            rollout, lambda status: "both versions are over" in status.get("message", ""), "waits"
        )
        assert "few-right: " in status["message"], status["message"]
        assert sorted(weights(scene).values()) == [200, 800], "to go back would not help"
        scene.plugin("abort", NAME)
        assert scene.wait_outcome(rollout)["outcome"] == "Aborted"
    print(f"\n{status['message']}")


# --- Prometheus -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def faulty(scene: Scene) -> Iterator[FaultyPrometheus]:
    """The operator asks through a proxy of ours, for the rest of the module."""
    chart = str(clusters.ROOT / "charts" / "sluice")

    def ask(url: str) -> None:
        value = f"--set-string=config.prometheusUrl={url}"
        scene.tools.helm("upgrade", setup.RELEASE, chart, OPERATOR, "--reuse-values", value, "--wait", "--timeout=240s")

    with FaultyPrometheus.running(scene.cluster.prometheus) as proxy:
        ask(f"http://{scene.cluster.own_address}:{proxy.port}")
        yield proxy
        ask("http://prometheus.monitoring:9090")


@pytest.fixture
def prometheus(faulty: FaultyPrometheus) -> Iterator[FaultyPrometheus]:
    """It behaves, before and after each test."""
    faulty.misbehave(Fault.NONE)
    yield faulty
    faulty.misbehave(Fault.NONE)


@pytest.mark.parametrize("fault", [Fault.SLOW, Fault.NAN, Fault.EMPTY], ids=lambda fault: fault.value)
def test_a_prometheus_of_no_use_moves_nothing(
    scene: Scene, traffic: LoadClient, prometheus: FaultyPrometheus, fault: Fault
) -> None:
    with none_lost(traffic):
        rollout = begin(scene, good_version(scene))
        prometheus.misbehave(fault)
        before = scene.wait_status(rollout, lambda status: status["verdict"] == "Blind", "Blind")
        passed(BLIND_SECONDS)
        after = scene.rollout_status(rollout)
        told = scene.condition(NAME, "MetricsAvailable")
        assert (told["status"], told["reason"]) == ("False", "MetricsUnavailable")
        print(f"\n{told['message']}")
        assert (after["verdict"], after["weight"], after.get("outcome")) == ("Blind", before["weight"], None)
        assert prometheus.questions > 0
        began = time.monotonic()
        if fault is Fault.SLOW:  # a person need not wait for its answers
            scene.plugin("abort", NAME)
            assert scene.wait_outcome(rollout)["outcome"] == "Aborted"
            print(f"\naborted after {time.monotonic() - began:.1f} s")
        else:
            prometheus.misbehave(Fault.NONE)
            assert scene.wait_outcome(rollout)["outcome"] == "Promoted"


def test_a_counter_of_nan_proves_nothing_and_blinds_no_other_objective(
    scene: Scene, traffic: LoadClient, prometheus: FaultyPrometheus
) -> None:
    with none_lost(traffic):
        prometheus.misbehave(Fault.ONE_NAN)
        rollout = begin(scene, good_version(scene))
        passed(BLIND_SECONDS)
        status = scene.rollout_status(rollout)
        assert (status["verdict"], status["reason"], status["weight"]) == ("Wait", "GatheringEvidence", 20)
        assert "accuracy" in status["message"], status["message"]
        print(f"\n{status['message']}")
        prometheus.misbehave(Fault.NONE)
        assert scene.wait_outcome(rollout)["outcome"] == "Promoted"


@pytest.mark.parametrize("fault", [Fault.TWICE, Fault.RESET], ids=lambda fault: fault.value)
@pytest.mark.parametrize(("bad", "outcome"), [(False, "Promoted"), (True, "RolledBack")], ids=["good", "wrong"])
def test_distorted_counters_change_no_verdict(
    scene: Scene, traffic: LoadClient, prometheus: FaultyPrometheus, fault: Fault, bad: bool, outcome: str
) -> None:
    with none_lost(traffic):
        version = WRONG if bad else good_version(scene)
        if fault is Fault.TWICE:
            prometheus.misbehave(fault)
        rollout = begin(scene, version)
        if fault is Fault.RESET:
            prometheus.misbehave(fault, now=time.time())
        status = scene.wait_outcome(rollout)
    assert status["outcome"] == outcome, status["message"]
    if bad:
        assert status["message"].startswith("accuracy: ")
