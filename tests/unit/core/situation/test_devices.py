"""Free devices, counted from raw nodes, pods and quotas."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from sluice_core.kernel import naming
from sluice_core.situation import devices
from sluice_core.situation.devices import Devices, DevicesQuestion

GPU = "nvidia.com/gpu"
MIG = "nvidia.com/mig-1g.10gb"
QUESTION = DevicesQuestion(GPU, 1, "ml", "digits")
ANYWHERE = {"operator": "Exists"}

Raw = dict[str, Any]


def make_node(name: str = "a", *, allocatable: Mapping[str, str] | None = None, **spec: Any) -> Raw:
    labels = spec.pop("labels", {})
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {"allocatable": {"cpu": "4", **({GPU: "4"} if allocatable is None else allocatable)}},
    }


def make_pod(
    gpus: int | None = 1,
    *,
    node: str | None = "a",
    phase: str = "Running",
    resource: str = GPU,
    model: str | None = None,
    revision: str = "digits-1",
    namespace: str = "ml",
    terminating: bool = False,
    unschedulable: bool = False,
    **spec: Any,
) -> Raw:
    limits = {} if gpus is None else {resource: str(gpus)}
    labels = {} if model is None else naming.owned_labels(model, revision)
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}] if unschedulable else []
    return {
        "metadata": {"namespace": namespace, "labels": labels, **({"deletionTimestamp": "x"} if terminating else {})},
        "spec": {
            "containers": [{"name": "server", "resources": {"limits": limits}}],
            **({"nodeName": node} if node is not None else {}),
            **spec,
        },
        "status": {"phase": phase, "conditions": conditions},
    }


def free(
    nodes: Sequence[Raw], pods: Sequence[Raw] = (), quotas: Sequence[Raw] = (), question: DevicesQuestion = QUESTION
) -> Devices:
    return devices.count(question, nodes, pods, quotas)


@pytest.mark.parametrize(
    ("name", "pods", "want"),
    [
        ("nothing runs", [], (4,)),
        ("one runs", [make_pod(1)], (3,)),
        ("one that ends still holds", [make_pod(2, terminating=True)], (2,)),
        ("one that has ended holds nothing", [make_pod(2, phase="Succeeded"), make_pod(1, phase="Failed")], (4,)),
        ("somewhere else", [make_pod(2, node="b")], (4,)),
        ("without devices", [make_pod(None)], (4,)),
        ("of another resource", [make_pod(2, resource=MIG)], (4,)),
        ("a larger init container", [make_pod(1, initContainers=[
            {"resources": {"limits": {GPU: "3"}}}])], (1,)),
        ("a sidecar", [make_pod(1, initContainers=[
            {"restartPolicy": "Always", "resources": {"requests": {GPU: "1"}}}])], (2,)),
        ("more than the node has left", [make_pod(4), make_pod(1)], (0,)),
    ],
)  # fmt: skip
def test_pods_hold_devices(name: str, pods: list[Raw], want: tuple[int, ...]) -> None:
    assert free([make_node()], pods).free_by_node == want, name


@pytest.mark.parametrize(
    ("name", "node", "question", "usable"),
    [
        ("plain", make_node(), QUESTION, True),
        ("no plugin", make_node(allocatable={}), QUESTION, False),
        ("plugin gone", make_node(allocatable={GPU: "0"}), QUESTION, True),
        ("cordoned", make_node(unschedulable=True), QUESTION, False),
        ("tainted", make_node(taints=[{"key": GPU, "effect": "NoSchedule"}]), QUESTION, False),
        ("soft taint", make_node(taints=[{"key": GPU, "effect": "PreferNoSchedule"}]), QUESTION, True),
        ("tolerated", make_node(taints=[{"key": GPU, "value": "yes", "effect": "NoSchedule"}]),
         DevicesQuestion(GPU, 1, "ml", "digits", tolerations=({"key": GPU, "value": "yes"},)), True),
        ("other label", make_node(labels={"gpu": "a100"}),
         DevicesQuestion(GPU, 1, "ml", "digits", {"gpu": "l4"}), False),
        ("selected", make_node(labels={"gpu": "l4", "zone": "a"}),
         DevicesQuestion(GPU, 1, "ml", "digits", {"gpu": "l4"}), True),
        ("MIG slices are another resource", make_node(allocatable={MIG: "7"}), QUESTION, False),
        ("asked for MIG slices", make_node(allocatable={MIG: "7"}), DevicesQuestion(MIG, 1, "ml", "digits"), True),
    ],
)  # fmt: skip
def test_only_nodes_that_the_pods_may_run_on_count(
    name: str, node: Raw, question: DevicesQuestion, usable: bool
) -> None:
    assert free([node], question=question).nodes == (1 if usable else 0), name


@pytest.mark.parametrize(
    ("toleration", "taint", "want"),
    [
        (ANYWHERE, {"key": "a", "effect": "NoSchedule"}, True),
        ({"key": "a", "operator": "Exists"}, {"key": "a", "value": "b", "effect": "NoSchedule"}, True),
        ({"key": "a", "operator": "Exists"}, {"key": "b", "effect": "NoSchedule"}, False),
        ({"key": "a", "value": "b"}, {"key": "a", "value": "b", "effect": "NoExecute"}, True),
        ({"key": "a", "value": "c"}, {"key": "a", "value": "b", "effect": "NoExecute"}, False),
        ({"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoExecute"}, False),
        ({"key": "a"}, {"key": "a", "effect": "NoSchedule"}, True),
    ],
)
def test_tolerations_follow_kubernetes_rule(toleration: Raw, taint: Raw, want: bool) -> None:
    assert devices.tolerates(toleration, taint) is want


@pytest.mark.parametrize(
    ("name", "count", "found", "want"),
    [
        ("several nodes", 1, Devices(free_by_node=(1, 2)), 3),
        ("a pod's devices are on one node", 2, Devices(free_by_node=(1, 1, 3)), 1),
        ("others are about to take some", 1, Devices(free_by_node=(3,), claimed=2), 1),
        ("a claim of one spoils a pair", 2, Devices(free_by_node=(4,), claimed=1), 1),
        ("never below none", 1, Devices(free_by_node=(1,), claimed=5), 0),
        ("a quota", 2, Devices(free_by_node=(8,), quota_left=5), 2),
        ("no node", 1, Devices(), 0),
    ],
)
def test_pods_that_fit(name: str, count: int, found: Devices, want: int) -> None:
    assert found.pods_that_fit(count) == want, name


def test_pods_of_others_that_wait_for_a_node_have_a_claim_unless_they_fit_nowhere() -> None:
    pods = [
        make_pod(2, node=None, phase="Pending"),
        make_pod(1, node=None, phase="Pending", unschedulable=True),
        make_pod(1, node=None, phase="Pending", model="digits"),
        make_pod(1, node=None, phase="Pending", model="digits", namespace="other"),
    ]
    assert free([make_node()], pods).claimed == 3


def test_our_placed_pods_are_counted_by_revision() -> None:
    pods = [
        make_pod(model="digits", revision="digits-1"),
        make_pod(model="digits", revision="digits-1"),
        make_pod(model="digits", revision="digits-1", terminating=True),
        make_pod(model="digits", revision="digits-2"),
        make_pod(model="digits", revision="digits-2", node=None),
        make_pod(model="letters", revision="letters-1"),
    ]
    assert free([make_node()], pods).scheduled == {"digits-1": 2, "digits-2": 1}


@pytest.mark.parametrize(
    ("name", "quotas", "want"),
    [
        ("none", [], None),
        ("of another resource", [{"spec": {"hard": {"cpu": "4"}}}], None),
        ("some left", [{"spec": {"hard": {f"requests.{GPU}": "4"}}, "status": {"used": {f"requests.{GPU}": "3"}}}], 1),
        ("not counted yet", [{"spec": {"hard": {f"requests.{GPU}": "4"}}}], 4),
        ("the tightest counts", [{"spec": {"hard": {f"requests.{GPU}": "1k"}}},
                                 {"spec": {"hard": {f"requests.{GPU}": "2"}}}], 2),
        ("a scoped one may not be about these pods", [
            {"spec": {"hard": {f"requests.{GPU}": "0"}, "scopes": ["BestEffort"]}}], None),
    ],
)  # fmt: skip
def test_quotas_limit_what_may_be_asked_for(name: str, quotas: list[Raw], want: int | None) -> None:
    assert free([make_node()], quotas=quotas).quota_left == want, name


@pytest.mark.parametrize(
    ("containers", "want"),
    [
        ([{}], None),
        ([{"resources": {"limits": {"cpu": "1", "memory": "1Gi", "hugepages-2Mi": "4Mi"}}}], None),
        ([{"resources": {"limits": {"example.kubernetes.io/x": "1"}}}], None),
        ([{"resources": {"limits": {GPU: "2"}}}], (GPU, 2)),
        ([{"resources": {"limits": {GPU: "1"}}}, {"resources": {"limits": {GPU: "2"}}}], (GPU, 3)),
        ([{"resources": {"limits": {MIG: "1", "amd.com/gpu": "0"}}}], (MIG, 1)),
    ],
)
def test_the_resource_that_a_pod_template_asks_for(containers: list[Raw], want: tuple[str, int] | None) -> None:
    assert devices.extended_resource({"spec": {"containers": containers}}) == want


@pytest.mark.parametrize(
    ("found", "count", "pods", "profile", "want"),
    [
        (Devices(free_by_node=(1, 0, 0)), 2, 1, "nvidia-l4",
         "needs 2 nvidia.com/gpu with profile nvidia-l4; 1 free on 3 nodes"),
        (Devices(free_by_node=(0,)), 1, 3, None, "needs 3 nvidia.com/gpu; 0 free on 1 node"),
        (Devices(), 1, 1, None, "needs 1 nvidia.com/gpu; no node that the pods may run on has any"),
        (Devices(free_by_node=(1, 1)), 2, 1, None,
         "needs 2 nvidia.com/gpu; 2 free on 2 nodes, but not 2 for each pod on one node"),
        (Devices(free_by_node=(2,), claimed=2), 1, 1, None,
         "needs 1 nvidia.com/gpu; 2 free on 1 node; pods waiting for a node claim 2"),
        (Devices(free_by_node=(4,), quota_left=0), 1, 1, None,
         "needs 1 nvidia.com/gpu; 4 free on 1 node; the ResourceQuota of namespace ml leaves 0"),
    ],
)  # fmt: skip
def test_the_sentence_says_what_is_needed_and_what_is_there(
    found: Devices, count: int, pods: int, profile: str | None, want: str
) -> None:
    assert devices.missing(DevicesQuestion(GPU, count, "ml", "digits"), found, pods, profile) == want


def test_a_sidecars_devices_count() -> None:
    def container(number: int, **more: str) -> Raw:
        return {"resources": {"limits": {GPU: str(number), "cpu": "1"}}, **more}

    sidecar, before = container(2, restartPolicy="Always"), container(5)
    template = {"spec": {"initContainers": [sidecar, before], "containers": [container(1), {}]}}
    assert devices.extended_resource(template) == (GPU, 5)
    template["spec"]["initContainers"] = [sidecar]
    assert devices.extended_resource(template) == (GPU, 3)


def test_claimed_devices_are_not_counted_and_that_is_said() -> None:
    claims = [{"name": "gpu", "resourceClaimTemplateName": "g"}, {"name": "nic", "resourceClaimName": "n"}]
    assert "(gpu, nic) cannot be counted" in devices.uncounted({"spec": {"resourceClaims": claims}})
    assert devices.uncounted({"spec": {}}) == ""
