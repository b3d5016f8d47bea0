"""Fake nodes for measuring with many objects: kwok plays their kubelets, nothing runs behind their Pods.

A Pod gets there by `nodeSelector: {sluice-lab/fake: "true"}` and a toleration for the taint `kwok.x-k8s.io/node`.
"""

import json
from pathlib import Path
from typing import Final

from lab import console, gotools, lifecycle, network, node, paths, processes

LABEL: Final = "sluice-lab/fake"
TAINT: Final = "kwok.x-k8s.io/node"
PODS_PER_NODE: Final = 1000
PROCESS: Final = "kwok"

# What a fake node and its Pods do, in kwok's own definitions: become Ready at once, renew leases, end when deleted.
STAGES: Final = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
)
_FOLDER: Final = processes.ProcessFolder(paths.STATE)


def ensure(nodes: int) -> None:
    """Bring the running lab to exactly this many fake nodes; 0 ends kwok."""
    lifecycle.require_running("kwok")
    gotools.ensure("kwok")
    existing = set(node.kubectl("get", "nodes", f"--selector={LABEL}", "--output=name").split())
    wanted = {f"node/{_name(index)}" for index in range(nodes)}
    if nodes:
        with console.step(f"{nodes} fake nodes"):
            _start()
            items = {"apiVersion": "v1", "kind": "List", "items": [fake_node(index) for index in range(nodes)]}
            node.kubectl("apply", "--server-side", "--filename=-", text=json.dumps(items))
            node.kubectl("wait", "nodes", f"--selector={LABEL}", "--for=condition=Ready", "--timeout=60s")
    if surplus := existing - wanted:
        node.kubectl("delete", *sorted(surplus))
    if not nodes:
        _FOLDER.stop(PROCESS)


def fake_node(index: int) -> dict[str, object]:
    """A Node object without a machine behind it; kwok fills in its status."""
    labels = {
        LABEL: "true",
        "kubernetes.io/hostname": _name(index),
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
    }
    room = {"cpu": "1000", "memory": "4Ti", "ephemeral-storage": "4Ti", "pods": str(PODS_PER_NODE)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": _name(index), "labels": labels},
        "spec": {"taints": [{"key": TAINT, "value": "fake", "effect": "NoSchedule"}]},
        "status": {"capacity": room, "allocatable": room},
    }


def _start() -> None:
    stages = paths.STATE / "kwok-stages.yaml"
    stages.write_text("\n---\n".join((_stage_folder() / name).read_text() for name in STAGES))
    _FOLDER.start(
        PROCESS,
        [
            gotools.program("kwok"),
            f"--kubeconfig={node.PLANE.kubeconfig('kwok')}",
            f"--config={stages}",
            f"--manage-nodes-with-label-selector={LABEL}=true",
            f"--cidr={network.FAKE_POD_RANGE}",
            # Without leases, which these stages count on, the nodes are NotReady after a minute, and their Pods with them.
            "--node-lease-duration-seconds=40",
            "--v=WARN",
        ],
    )
    _FOLDER.require_running(PROCESS)


def _stage_folder() -> Path:
    return gotools.module_folder("kwok", "sigs.k8s.io/kwok") / "kustomize" / "stage"


def _name(index: int) -> str:
    return f"fake-{index:03}"
