"""The operator killed between any two writes, and restarted; two that write at once: always the same end.

The reconciler runs here against the real API server, but without watches: what it knows comes from lists alone, as after
a start, and as after a gap in which every event was lost.
"""

import asyncio
import json
import re
import time
from typing import Any, Final

import pytest

from sluice.adapters.clock import SystemClock
from sluice.adapters.devices import FreeDevices
from sluice.shell.cache.keys import Key
from sluice.shell.cache.store import Store
from sluice.shell.informer.lister import Relister
from sluice.shell.order.workqueue import Retry
from sluice_core import errors
from sluice_core.adapters import kube as kube_adapter
from sluice_core.api.config import OperatorConfig
from sluice_core.kernel import naming
from sluice_core.kernel.plan import Apply, Event, Ref, Write
from sluice_core.kernel.snapshot import Object
from sluice_judge.gateways import PRESETS
from tests.integration.operator.conftest import Connected, NewNode
from tests.integration.operator.node import ROUTE, Node
from tests.support import patience
from tests.support.away import make_reconciler
from tests.support.cases.objects import make_model
from tests.support.live.kube import true_conditions

SECOND: Final = "s3://models/digits/2"
REVISION: Final = re.compile(r"digits-[0-9a-f]{10}")
CHILDREN: Final = (
    ("apps/v1", "ControllerRevision"),
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("policy/v1", "PodDisruptionBudget"),
    (ROUTE, "HTTPRoute"),
    ("sluice.dev/v1alpha1", "ModelRollout"),
)
PASSES: Final = 60


class Killed(BaseException):
    """The process is gone; nothing of it may go on."""


class MortalCluster:
    """Passes writes on until its operator dies: before the next write, or after it but before the answer is seen."""

    def __init__(self, api: kube_adapter.Kube, lives: int, *, after: bool) -> None:
        self.api = api
        self.lives = lives
        self.after = after

    async def write(self, write: Write) -> Object | None:
        if self.lives == 0 and not self.after:
            raise Killed
        stored = await self.api.write(write)
        if self.lives == 0:
            raise Killed
        self.lives -= 1
        return stored

    async def read(self, ref: Ref) -> Object | None:
        return await self.api.read(ref)

    async def emit(self, about: Ref, event: Event) -> None:
        await self.api.emit(about, event)


class StormyCluster(MortalCluster):
    """Answers two of three writes with a conflict, and never dies."""

    def __init__(self, api: kube_adapter.Kube) -> None:
        super().__init__(api, 10_000, after=False)
        self.attempts = 0

    async def write(self, write: Write) -> Object | None:
        self.attempts += 1
        if self.attempts % 3:
            raise errors.Conflict("the object has been modified; please apply your changes to the latest version")
        return await super().write(write)


class Life:
    """One run of an operator, from its start to its end."""

    def __init__(self, api: kube_adapter.Kube, cluster: MortalCluster) -> None:
        clock = SystemClock()
        self.store = Store(OperatorConfig(domain="models.test"), PRESETS["contour"])
        self.relister = Relister(api, self.store, wake=lambda _: None, monotonic=clock.monotonic)
        self.reconciler = make_reconciler(self.store, cluster, clock, accelerators=FreeDevices(api))

    async def look(self, node: Node) -> None:
        """Learns everything by lists, and makes one reconcile."""
        await self.relister.refresh()
        result = await self.reconciler.reconcile(Key(node.namespace, "digits"))
        assert not isinstance(result, Retry) or result.at_most == Retry().at_most, "a defect; see the log"


def wanted(node: Node, **model: str) -> Object:
    """A model with more than one pod, which has every kind of child."""
    found = make_model(node.namespace, **model)
    found["spec"]["replicas"] = 2
    return found


async def served(api: kube_adapter.Kube, node: Node, *, lives: int, after: bool = False) -> tuple[int, dict[str, Any]]:
    """Serves a first version with an operator that dies once; returns how many writes it had left, and the end."""
    model = wanted(node)
    node.kube.apply(model, manager="user").raise_for_status()
    cluster = MortalCluster(api, lives, after=after)
    life = Life(api, cluster)
    for _ in range(PASSES):
        try:
            await life.look(node)
        except Killed:
            cluster = MortalCluster(api, 10_000, after=False)
            life = Life(api, cluster)
            continue
        node.play()
        if {"Ready", "Current"} <= true_conditions(node.kube.get(model)) and await rests(life, cluster, node):
            return lives - cluster.lives, ending(node)
    raise AssertionError(f"not served after {PASSES} passes: {node.kube.get(model).get('status')}")


async def rests(life: Life, cluster: MortalCluster, node: Node) -> bool:
    """Whether a reconcile writes nothing any more."""
    before = cluster.lives
    await life.look(node)
    return cluster.lives == before


def ending(node: Node) -> dict[str, Any]:
    """What there is in the end, without what differs between namespaces (revisions are named by them) and moments."""
    found: dict[str, Any] = {}
    for api_version, kind in CHILDREN:
        for item in node.objects(api_version, kind):
            body = item.get("spec", item.get("data"))
            text = REVISION.sub("REVISION", json.dumps(body, sort_keys=True).replace(node.namespace, "NAMESPACE"))
            name = REVISION.sub("REVISION", item["metadata"]["name"])
            found[f"{kind}/{name}"] = _without_addresses(json.loads(text))
    return found


def _without_addresses(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in ("clusterIP", "clusterIPs")}


@pytest.mark.parametrize(
    "after", [pytest.param(False, id="before-write"), pytest.param(True, id="before-answer", marks=pytest.mark.slow)]
)
def test_killed_between_any_two_writes_it_ends_in_the_same_state(
    connected: Connected, new_node: NewNode, after: bool
) -> None:
    async def play(api: kube_adapter.Kube) -> None:
        writes, want = await served(api, new_node(), lives=10_000)
        assert {name.partition("/")[0] for name in want} == {kind for _, kind in CHILDREN}
        assert writes >= len(CHILDREN)
        for lives in range(writes):
            _, end = await served(api, new_node(), lives=lives, after=after)
            assert end == want, f"killed after {lives} writes"

    connected(play)


def test_two_that_write_at_once_end_in_the_same_state(connected: Connected, new_node: NewNode) -> None:
    async def play(api: kube_adapter.Kube) -> None:
        _, want = await served(api, new_node(), lives=10_000)
        node = new_node()
        model = wanted(node)
        node.kube.apply(model, manager="user").raise_for_status()
        clusters = [MortalCluster(api, 10_000, after=False) for _ in range(2)]
        lives = [Life(api, cluster) for cluster in clusters]
        for _ in range(PASSES):
            await asyncio.gather(*(life.look(node) for life in lives))
            node.play()
            resting = [await rests(life, cluster, node) for life, cluster in zip(lives, clusters, strict=True)]
            if all(resting) and {"Ready", "Current"} <= true_conditions(node.kube.get(model)):
                break
        assert ending(node) == want

    connected(play)


def test_a_storm_of_conflicts_ends_in_the_same_state(connected: Connected, new_node: NewNode) -> None:
    """Every reconcile is broken off at its first or second write, and goes on from what the last one has reached."""

    async def play(api: kube_adapter.Kube) -> None:
        writes, want = await served(api, new_node(), lives=10_000)
        node = new_node()
        model = wanted(node)
        node.kube.apply(model, manager="user").raise_for_status()
        cluster = StormyCluster(api)
        life = Life(api, cluster)
        for _ in range(3 * PASSES):
            await life.look(node)
            node.play()
            if {"Ready", "Current"} <= true_conditions(node.kube.get(model)) and await rests(life, cluster, node):
                break
        assert ending(node) == want
        assert cluster.attempts <= 4 * writes, "what was written is not written again"

    connected(play)


def test_a_deletion_in_a_gap_without_watches_is_noticed(connected: Connected, new_node: NewNode) -> None:
    async def play(api: kube_adapter.Kube) -> None:
        node = new_node()
        _, want = await served(api, node, lives=10_000)
        life = Life(api, MortalCluster(api, 10_000, after=False))
        await life.look(node)
        service = node.objects("v1", "Service")[0]
        node.kube.http.delete(f"{node.kube.path(service)}/{service['metadata']['name']}").raise_for_status()
        await life.look(node)
        assert ending(node) == want
        assert node.objects("v1", "Service")[0]["metadata"]["uid"] != service["metadata"]["uid"]

    connected(play)


@pytest.mark.parametrize("releases", ["kept", "lost"])
def test_a_backup_without_statuses_has_the_stable_version_in_its_mark(
    connected: Connected, node: Node, releases: str
) -> None:
    """The older version is still there, and drains: without the mark it would be taken for the stable one."""

    async def play(api: kube_adapter.Kube) -> None:
        await served(api, node, lives=10_000)
        [first] = node.objects("apps/v1", "ControllerRevision")
        second = await promoted(api, node)
        marks = {each["metadata"]["name"]: each for each in node.objects("apps/v1", "ControllerRevision")}
        assert mark(marks[first["metadata"]["name"]]) == "1"
        assert mark(marks[second]) == "2"
        assert marks[first["metadata"]["name"]]["data"] == first["data"], "a mark leaves what is pinned as it is"
        lose_statuses(node, rollouts_too=releases == "lost")
        life = Life(api, MortalCluster(api, 10_000, after=False))
        await settled(life, node)
        status = node.kube.get(make_model(node.namespace))["status"]
        assert (status["stable"]["revision"], status["stable"]["weight"]) == (second, 100)
        assert "rollout" not in status, "nothing is released anew"
        assert {"Ready", "Current"} <= true_conditions({"status": status})

    connected(play)


async def promoted(api: kube_adapter.Kube, node: Node) -> str:
    """A second version that serves; its revision."""
    revision = await ended(api, node, outcome="Promoted", permille=1000, weight=100, reason="PromotedByPerson")
    await settled(Life(api, MortalCluster(api, 10_000, after=False)), node)
    return revision


async def ended(api: kube_adapter.Kube, node: Node, **outcome: Any) -> str:
    """The release of a second version, whose end is written here, since nothing judges it; its revision."""
    node.kube.apply(wanted(node, uri=SECOND), manager="user").raise_for_status()
    life = Life(api, MortalCluster(api, 10_000, after=False))
    await life.look(node)
    await life.look(node)
    [rollout] = [one for one in node.objects("sluice.dev/v1alpha1", "ModelRollout") if one["spec"]["sequence"] == 2]
    node.kube.patch(rollout, {"status": outcome}, subresource="/status").raise_for_status()
    return str(rollout["spec"]["to"]["revision"])


async def settled(life: Life, node: Node) -> None:
    """Until the model is as its spec says, and the route, which takes real time, has come to the stable version."""
    deadline = time.monotonic() + patience.HANG_SECONDS
    while time.monotonic() < deadline:
        await life.look(node)
        node.play()
        model = node.kube.get(make_model(node.namespace))
        stable = model["status"].get("stable") or {}
        if {"Ready", "Current"} <= true_conditions(model) and stable.get("weight") == 100:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"not settled: {node.kube.get(make_model(node.namespace)).get('status')}")


def mark(pinned: dict[str, Any]) -> str:
    return str(pinned["metadata"].get("annotations", {}).get(naming.ANNOTATION_STABLE_SINCE))


def lose_statuses(node: Node, *, rollouts_too: bool) -> None:
    """As after a restore that has brought no status back, and perhaps no ModelRollout either."""
    rollouts = node.objects("sluice.dev/v1alpha1", "ModelRollout")
    for target in (make_model(node.namespace), *rollouts):
        node.kube.patch(target, {"status": None}, subresource="/status").raise_for_status()
        assert node.kube.get(target)["status"] == {"observedGeneration": -1}, "as nobody has looked at it"
    for target in rollouts if rollouts_too else ():
        node.kube.http.delete(f"{node.kube.path(target)}/{target['metadata']['name']}").raise_for_status()


def test_a_model_that_is_deleted_leaves_the_store_and_is_not_written_again(
    connected: Connected, new_node: NewNode
) -> None:
    async def play(api: kube_adapter.Kube) -> None:
        node = new_node()
        await served(api, node, lives=10_000)
        cluster = MortalCluster(api, 10_000, after=False)
        life = Life(api, cluster)
        await life.look(node)
        model = wanted(node)
        node.kube.http.delete(f"{node.kube.path(model)}/digits").raise_for_status()
        await life.look(node)
        assert life.store.world(Key(node.namespace, "digits"), 0.0) is None
        assert cluster.lives == 10_000

    connected(play)


def test_a_model_that_is_replaced_goes_on_where_it_stood(connected: Connected, node: Node) -> None:
    async def play(api: kube_adapter.Kube) -> None:
        await served(api, node, lives=10_000)
        [first] = (each["metadata"]["name"] for each in node.objects("apps/v1", "ControllerRevision"))
        refused = await ended(api, node, outcome="RolledBack", reason="WorseThanStable", message="it is worse")
        life = Life(api, MortalCluster(api, 10_000, after=False))
        for _ in range(3):
            await life.look(node)
            node.play()
        model = wanted(node, uri=SECOND)
        delete_with_children(node, model)
        await life.look(node)  # notes until when it is remembered
        left = [each["metadata"] for version, kind in CHILDREN for each in node.objects(version, kind)]
        assert [each["name"] for each in left] == [first, f"{refused}-1"]
        assert [naming.ANNOTATION_FORGET_AFTER in each.get("annotations", {}) for each in left] == [True, False]

        node.kube.apply(model, manager="user").raise_for_status()
        for _ in range(PASSES):
            await life.look(node)
            node.play()
            if "Ready" in true_conditions(node.kube.get(model)):
                break
        status = node.kube.get(model)["status"]
        [current] = [each for each in status["conditions"] if each["type"] == "Current"]
        assert (status["stable"]["revision"], current["reason"]) == (first, "RolledBack")
        assert "it is worse" in current["message"]
        [route] = node.objects(ROUTE, "HTTPRoute")
        assert {ref["name"]: ref["weight"] for ref in route["spec"]["rules"][0]["backendRefs"]} == {first: 1000}
        assert [each["metadata"]["name"] for each in node.objects("apps/v1", "Deployment")] == [first]

    connected(play)


def delete_with_children(node: Node, model: dict[str, Any]) -> None:
    """As Kubernetes does; a bare API server collects no garbage."""
    uid = node.kube.get(model)["metadata"]["uid"]
    for target in (model, *(each for version, kind in CHILDREN for each in node.objects(version, kind))):
        owners = [owner["uid"] for owner in target["metadata"].get("ownerReferences", ())]
        if target is model or uid in owners:
            answer = node.kube.http.delete(f"{node.kube.path(target)}/{target['metadata']['name']}")
            assert answer.is_success or answer.status_code == 404, answer.text


def test_an_object_that_the_server_refuses_is_refused_with_field_and_reason(connected: Connected, node: Node) -> None:
    async def play(api: kube_adapter.Kube) -> None:
        metadata = {"name": "digits", "namespace": node.namespace}
        wrong = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 0}]}}
        with pytest.raises(errors.Refused, match=r"services/digits: 422 Invalid: .*spec\.ports\[0\]\.port"):
            await api.write(Apply(wrong))

    connected(play)
