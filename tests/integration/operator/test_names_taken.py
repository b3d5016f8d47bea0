"""A real API server: what the operator writes is created, or is the very object that it has seen; nothing else."""

from typing import Any, Final

import pytest

from sluice_core import errors
from sluice_core.adapters import kube as kube_adapter
from sluice_core.kernel.plan import Apply, Patch, Ref
from tests.integration.operator.conftest import Connected
from tests.integration.operator.node import ROUTE, Node
from tests.integration.operator.test_faults import Life, MortalCluster
from tests.support.cases.objects import make_model, merged
from tests.support.live.kube import true_conditions

PASSES: Final = 12
NOBODYS: Final = "00000000-0000-0000-0000-000000000000"
POD: Final = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
SPECS: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("apps/v1", "Deployment"): {"spec": {"selector": {"matchLabels": {"app": "x"}}, "template": POD}},
    ("apps/v1", "ControllerRevision"): {"revision": 1, "data": {"a": "b"}},
    ("v1", "Service"): {"spec": {"selector": {"app": "x"}, "ports": [{"port": 80}]}},
    ("policy/v1", "PodDisruptionBudget"): {"spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "x"}}}},
    ("autoscaling/v2", "HorizontalPodAutoscaler"): {
        "spec": {"maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}}
    },
    (ROUTE, "HTTPRoute"): {"spec": {"hostnames": ["a.example.com"], "rules": []}},
    (ROUTE, "GRPCRoute"): {"spec": {"hostnames": ["b.example.com"], "rules": []}},
}
"""Kinds that this API server serves; a custom resource is like any other."""
every_kind = pytest.mark.parametrize(("api_version", "kind"), SPECS, ids=[kind for _, kind in SPECS])


def manifest(node: Node, api_version: str, kind: str, **annotations: str) -> dict[str, Any]:
    metadata = {"name": "digits", "namespace": node.namespace, "annotations": annotations}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **SPECS[api_version, kind]}


@every_kind
def test_what_is_there_is_not_created_again(connected: Connected, node: Node, api_version: str, kind: str) -> None:
    theirs = manifest(node, api_version, kind, theirs="yes")
    node.kube.apply(theirs, manager="helm").raise_for_status()
    before = node.kube.get(theirs)

    async def play(api: kube_adapter.Kube) -> None:
        with pytest.raises(errors.Conflict):
            await api.write(Apply(manifest(node, api_version, kind, ours="yes")))
        found = await api.read(Ref(api_version, kind, "digits", node.namespace))
        assert found is not None
        assert found["metadata"]["uid"] == before["metadata"]["uid"]

    connected(play)
    assert node.kube.get(theirs)["metadata"] == before["metadata"]


@every_kind
def test_an_object_is_created_and_then_only_that_one_written(
    connected: Connected, node: Node, api_version: str, kind: str
) -> None:
    """What an apply leaves out is gone, although it was set when the object was created: a POST would have kept it."""

    async def play(api: kube_adapter.Kube) -> None:
        created = await api.write(Apply(manifest(node, api_version, kind, first="yes")))
        assert created is not None
        uid = created["metadata"]["uid"]
        applied = await api.write(Apply(manifest(node, api_version, kind, second="yes"), uid))
        assert applied is not None
        assert applied["metadata"]["uid"] == uid
        assert applied["metadata"]["annotations"] == {"second": "yes"}
        change = {"metadata": {"annotations": {"third": "yes"}}}
        other = Ref(api_version, kind, "digits", node.namespace, NOBODYS)
        for write in (Apply(manifest(node, api_version, kind), NOBODYS), Patch(other, change)):
            with pytest.raises(errors.Conflict):
                await api.write(write)

    connected(play)


def test_what_is_gone_is_not_written_under_its_old_uid(connected: Connected, node: Node) -> None:
    async def play(api: kube_adapter.Kube) -> None:
        with pytest.raises(errors.Conflict):
            await api.write(Apply(manifest(node, "v1", "Service"), NOBODYS))
        assert await api.read(Ref("v1", "Service", "digits", node.namespace)) is None

    connected(play)


@pytest.mark.parametrize(("api_version", "kind"), [("policy/v1", "PodDisruptionBudget"), (ROUTE, "HTTPRoute")])
def test_a_model_whose_child_s_name_is_taken_says_whose_it_is(
    connected: Connected, node: Node, api_version: str, kind: str
) -> None:
    theirs = manifest(node, api_version, kind, theirs="yes")
    model = merged(make_model(node.namespace), {"spec": {"replicas": 2}})  # one pod alone has no budget
    node.kube.apply(theirs, manager="helm").raise_for_status()
    before = node.kube.get(theirs)

    async def play(api: kube_adapter.Kube) -> None:
        node.kube.apply(model, manager="user").raise_for_status()
        life = Life(api, MortalCluster(api, 10_000, after=False))
        for _ in range(PASSES):
            await life.look(node)
            node.play()
        conditions = node.kube.get(model)["status"]["conditions"]
        stalled = next(each for each in conditions if each["type"] == "Stalled")
        assert (stalled["status"], stalled["reason"]) == ("True", "NameTaken")
        assert "belongs to whoever writes it as helm" in stalled["message"]
        assert node.kube.get(theirs)["metadata"] == before["metadata"]

        node.kube.http.delete(f"{node.kube.path(theirs)}/digits").raise_for_status()
        for _ in range(PASSES):
            await life.look(node)
            node.play()
        assert "Ready" in true_conditions(node.kube.get(model))

    connected(play)
