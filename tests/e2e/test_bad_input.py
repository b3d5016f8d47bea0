"""Bad input and broken surroundings on the real cluster: each is told in the status, with the remedy, and v1 goes on serving."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from demo.load import LoadClient
from demo.program import DemoError
from tests.e2e import badinput
from tests.e2e.badinput import CASES, SHORT_LIVED, Case
from tests.e2e.conftest import FAST_POLICY
from tests.support.live.scene import DEPLOYMENTS, Object, Scene, manifest, wait_until

GATEWAY = ("gateways.gateway.networking.k8s.io", "models", "--namespace=gateway")
ROLE = "sluice-operator"
QUIET_RATE = 2.0
"""Requests a second to each of the models."""
STARTED_TOGETHER = 5
SMALL = {"requests": {"cpu": "10m"}}
"""So that thirty models fit on two processors."""

pytestmark = pytest.mark.disturbs


@dataclass(frozen=True, slots=True)
class Finding:
    """What the cluster said about one case."""

    condition: Object
    events: frozenset[str]

    def problem(self, case: Case) -> str:
        """What is missing of what the case wants; empty when all is there."""
        reason, message = self.condition.get("reason", ""), self.condition.get("message", "")
        if reason != case.reason and case.reason not in message:
            return f"{case.condition} says {reason}: {message}; wanted reason {case.reason}"
        silent = [part for part in case.says if part not in message]
        if silent:
            return f"{case.condition}={reason} does not say {silent}: {message}"
        return "" if case.expected_event in self.events else f"no event {case.expected_event}: {sorted(self.events)}"


@pytest.fixture(scope="module")
def broken(scene: Scene) -> Iterator[Scene]:
    """The scene, with the broken things that the cases refer to."""
    badinput.prepare(scene)
    yield scene
    scene.tools.kubectl("delete", "servingruntimes.sluice.dev", *badinput.RUNTIMES, "--ignore-not-found")


def findings(scene: Scene) -> dict[str, Finding]:
    """Of every case, with two requests to the API server."""
    deployments = scene.tools.get(DEPLOYMENTS, scene.where)["items"]
    events = scene.tools.get("events", scene.where)["items"]
    wanted = {case.name: case.condition for case in CASES}
    return {
        name: Finding(
            next((c for c in one.get("status", {}).get("conditions", []) if c["type"] == wanted[name]), {}),
            frozenset(event["reason"] for event in events if event["involvedObject"]["name"] == name),
        )
        for one in deployments
        if (name := one["metadata"]["name"]) in wanted
    }


def problems(scene: Scene) -> dict[str, str]:
    found = findings(scene)
    return {case.name: text for case in CASES if (text := found[case.name].problem(case))}


@pytest.mark.slow
def test_every_case_is_told_while_the_stable_version_serves(
    broken: Scene, connect: Callable[..., LoadClient], record_property: Callable[[str, Any], None]
) -> None:
    serving = [case for case in CASES if not case.first]
    for group in range(0, len(serving), STARTED_TOGETHER):
        some = serving[group : group + STARTED_TOGETHER]
        broken.apply(*(manifest(case.name, "1", resources=SMALL) for case in some))
        for case in some:
            broken.wait_ready(case.name)
    clients = {case.name: connect(case.name, rate=QUIET_RATE) for case in serving}
    broken.apply(*(manifest(case.name, "1", **{"resources": SMALL, **case.given}) for case in CASES))

    last: dict[str, str] = {}

    def all_told() -> bool:
        last.clear()
        last.update(problems(broken))
        return not last

    try:
        wait_until(all_told, "every case is told")
    except AssertionError:
        listed = "\n".join(f"  {name}: {text}" for name, text in last.items())
        pytest.fail(f"{len(last)} of {len(CASES)} cases:\n{listed}")
    for name, finding in findings(broken).items():
        record_property(name, f"{finding.condition.get('reason')}: {finding.condition.get('message')}")
    not_ready = {case.name for case in serving if broken.condition(case.name, "Ready").get("status") != "True"}
    assert not_ready <= {"no-gateway", "same-host"}, "only where the address itself is wrong"
    counts = {name: client.counts().total for name, client in clients.items()}
    lost = {name: dict(total.problems) for name, total in counts.items() if total.lost}
    assert not lost
    assert all(total.right for total in counts.values())


@pytest.mark.slow
def test_an_objective_without_series_is_not_proven(broken: Scene) -> None:
    """It continues from the table above: the release waits at its first weight and says what is missing."""
    rollout = broken.rollouts("no-series")[-1]["metadata"]["name"]
    status = broken.wait_status(
        rollout,
        lambda status: (
            status.get("reason") == "GatheringEvidence"
            and any("no samples" in o.get("message", "") for o in status.get("objectives", []))
        ),
        "says that there are no samples",
    )
    assert (status["weight"], status["verdict"]) == (20, "Wait")
    assert "nobody_counts_this_total" in status["message"]
    assert "check that Prometheus scrapes it" in status["message"]


def test_a_runtime_may_go_while_it_is_used(broken: Scene) -> None:
    broken.deploy("orphan", "1", resources=SMALL, runtime={"name": SHORT_LIVED})
    broken.wait_ready("orphan")
    broken.tools.kubectl("delete", "servingruntimes.sluice.dev", SHORT_LIVED)
    told = broken.wait_condition(
        "orphan", "RuntimeCurrent", lambda found: found["status"] == "False", "RuntimeCurrent is False"
    )
    assert told["reason"] == "RuntimeNotFound"
    assert SHORT_LIVED in told["message"]
    assert "keeps running" in told["message"]
    broken.ask_for("orphan", "2")
    wait_until(lambda: broken.condition("orphan", "Stalled")["reason"] == "RuntimeNotFound", "Stalled")
    assert broken.condition("orphan", "Ready")["status"] == "True"


@pytest.mark.slow
def test_a_policy_may_go_while_it_is_used(broken: Scene) -> None:
    """The running release goes on by the rules that it began with; the next one has none to begin with."""
    policy = {**FAST_POLICY, "metadata": {"name": SHORT_LIVED}}
    broken.tools.apply(yaml.safe_dump(policy))
    broken.deploy("lawless", "1", resources=SMALL, rollout={"policyRef": {"name": SHORT_LIVED}})
    broken.wait_ready("lawless")
    rollout = broken.release("lawless", "2")
    broken.tools.kubectl("delete", "rolloutpolicies.sluice.dev", SHORT_LIVED)
    broken.wait_weight(rollout)
    assert broken.rollout_status(rollout).get("outcome") is None
    broken.ask_for("lawless", "2b")
    told = broken.wait_condition("lawless", "Stalled", lambda found: found["status"] == "True", "Stalled")
    assert told["reason"] == "PolicyNotFound"
    assert SHORT_LIVED in told["message"]
    assert broken.condition("lawless", "Ready")["status"] == "True"


REFUSED = (
    ("scheme", {"model": {"uri": "ftp://models/digits/1"}}, ("spec.model.uri", "use one of s3://bucket/path")),
    ("newline", {"model": {"uri": "s3://models/a\nb"}}, ("spec.model.uri",)),
    ("placeholder", {"model": {"uri": "s3://models/{{model.path}}"}}, ("spec.model.uri",)),
    ("shell", {"model": {"name": "$(reboot)"}}, ("spec.model.name",)),
    ("many", {"runtime": {"args": ["x" * 1024] * 1024}}, ("spec.runtime.args", "64")),
    ("huge", {"runtime": {"args": ["x" * 1024] * 4096}}, ("too large",)),
    ("hosts", {"routing": {"hostnames": [f"h{n}.example.com" for n in range(17)]}}, ("spec.routing.hostnames", "16")),
    ("volumes", {"volumes": [{"name": "root", "nfs": {"server": "files", "path": "/"}}]}, ("volumes",)),
)


@pytest.mark.parametrize(("name", "spec", "says"), REFUSED, ids=[entry[0] for entry in REFUSED])
def test_a_hostile_object_is_refused(scene: Scene, name: str, spec: Object, says: tuple[str, ...]) -> None:
    with pytest.raises(DemoError) as refused:
        scene.deploy(f"hostile-{name}", "1", **spec)
    for part in says:
        assert part in str(refused.value)
    assert not any(
        one["metadata"]["name"] == f"hostile-{name}" for one in scene.tools.get(DEPLOYMENTS, scene.where)["items"]
    )


def test_a_folder_of_the_node_is_refused_and_nothing_runs(scene: Scene) -> None:
    scene.deploy("hostile-folder", "1", volumes=[{"name": "root", "hostPath": {"path": "/"}}])
    told = scene.wait_condition("hostile-folder", "Stalled", lambda found: found.get("status") == "True", "Stalled")
    assert told["reason"] == "PodFieldNotAllowed"
    assert "spec.volumes: root" in told["message"]
    assert not [
        one
        for one in scene.tools.get("deployments", scene.where)["items"]
        if "hostile-folder" in one["metadata"]["name"]
    ]
    scene.tools.kubectl("delete", DEPLOYMENTS, "hostile-folder", scene.where)


@pytest.fixture
def closed_gateway(scene: Scene) -> Iterator[None]:
    """The Gateway takes routes of every namespace but this one."""
    ours = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [scene.namespace]}
    before = scene.tools.get(*GATEWAY)["spec"]["listeners"][0]["allowedRoutes"]
    closed = {"namespaces": {"from": "Selector", "selector": {"matchExpressions": [ours]}}}

    def allow(routes: Object) -> None:
        patch = [{"op": "replace", "path": "/spec/listeners/0/allowedRoutes", "value": routes}]
        scene.tools.kubectl("patch", *GATEWAY, "--type=json", f"--patch={json.dumps(patch)}")

    allow(closed)
    yield
    allow(before)


def test_a_route_that_is_not_accepted_is_told(scene: Scene, closed_gateway: None) -> None:
    scene.deploy("unrouted", "1", resources=SMALL)
    told = scene.wait_condition(
        "unrouted",
        "RoutesProgrammed",
        lambda found: found.get("reason") == "RouteNotAccepted",
        "RouteNotAccepted",
    )
    assert "gateway/models" in told["message"]
    assert "Accepted" in told["message"]
    assert scene.condition("unrouted", "Ready")["reason"] == "RouteNotAccepted"
    assert any(event["reason"] == "RouteNotAccepted" for event in scene.events("unrouted"))


@pytest.fixture
def less_permission(scene: Scene) -> Iterator[None]:
    """The operator may no longer create or change workloads."""
    before = scene.tools.get("clusterrole", ROLE)
    rules = [
        {**rule, "verbs": [v for v in rule["verbs"] if v not in ("create", "patch")]}
        if "deployments" in rule["resources"]
        else rule
        for rule in before["rules"]
    ]
    patch = [{"op": "replace", "path": "/rules", "value": rules}]
    scene.tools.kubectl("patch", "clusterrole", ROLE, "--type=json", f"--patch={json.dumps(patch)}")
    yield
    patch[0]["value"] = before["rules"]
    scene.tools.kubectl("patch", "clusterrole", ROLE, "--type=json", f"--patch={json.dumps(patch)}")


@pytest.mark.slow
def test_a_missing_permission_is_told(scene: Scene, less_permission: None) -> None:
    scene.deploy("forbidden", "1", resources=SMALL)
    told = scene.wait_condition("forbidden", "Stalled", lambda found: found.get("status") == "True", "Stalled")
    assert told["reason"] == "Forbidden"
    assert "ClusterRole" in told["message"]
    assert any(event["reason"] == "Forbidden" for event in scene.events("forbidden"))
