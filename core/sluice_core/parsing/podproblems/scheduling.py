"""A pod that fits on no node, or that its node has refused."""

import re
from typing import Final

from sluice_core.kernel import rawobjects
from sluice_core.kernel.pods import Problem
from sluice_core.kernel.rawobjects import Object
from sluice_core.kernel.reasons import PodReason, Reason
from sluice_core.parsing.podproblems import podstate

CLAIMS: Final = (
    "check spec.resourceClaims and their ResourceClaims, add a node with such a device, or set spec.rollout.capacity to "
    "ShrinkStable or Recreate"
)
SCHEDULING_REMEDIES: Final = (
    ("ersistent", "create the PersistentVolumeClaim in the model's namespace, or correct spec.model.uri"),
    ("esourceclaim", CLAIMS),
    ("resource claim", CLAIMS),
    ("allocate all claims", CLAIMS),
    (
        "Insufficient",
        "lower spec.resources.requests, or add a node that has so much free (kubectl describe nodes: Allocated resources)",
    ),
    ("taint", "add the toleration to spec.tolerations, or a node without the taint"),
    ("affinity", "check spec.nodeSelector and spec.affinity against the labels of the nodes"),
    ("selector", "check spec.nodeSelector and spec.affinity against the labels of the nodes"),
)
_NODES: Final = re.compile(r"0/(\d+) nodes are available: (.*?)\.?(?:,? (?:no new claims|preemption)\b.*)?$")


def pod_rejected(pod: Object, _now: float) -> Problem | None:
    """The kubelet refused or evicted it."""
    status = pod.get("status", {})
    if status.get("phase") != rawobjects.Phase.FAILED:
        return None
    return Problem(
        podstate.camel(status.get("reason")) or Reason.POD_FAILED,
        f"pod {podstate.name(pod)}: {podstate.quoted(status.get('message') or 'failed')}; check the node's free resources",
    )


def unschedulable(pod: Object, _now: float) -> Problem | None:
    scheduled = podstate.condition(pod, "PodScheduled")
    if scheduled.get("status") != "False" or scheduled.get("reason") != PodReason.UNSCHEDULABLE:
        return None
    text = " ".join(str(scheduled.get("message") or "").split())
    remedy = next((advice for word, advice in SCHEDULING_REMEDIES if word in text), "add a node that fits")
    return Problem(PodReason.UNSCHEDULABLE, f"no node for pod {podstate.name(pod)}{_why(pod, text)}; {remedy}")


def _why(pod: Object, text: str) -> str:
    """The scheduler's message about the nodes, with the pod's requests and without preemption."""
    found = _NODES.match(text)
    if found is None:
        return f": {podstate.quoted(text)}"
    nodes, reasons = found.groups()
    shown = ", ".join(_with_request(pod, reason) for reason in reasons.split(", "))
    return f" (0 of {nodes}): {podstate.quoted(shown)}"


def _with_request(pod: Object, reason: str) -> str:
    asked = _asked(pod, reason.rpartition("Insufficient ")[2]) if "Insufficient " in reason else ""
    return f"{reason} (it asks for {asked})" if asked else reason


def _asked(pod: Object, resource: str) -> str:
    """The sum of its containers' requests, as written: `4 + 100m`."""
    containers = pod.get("spec", {}).get("containers") or ()
    requests = (((each.get("resources") or {}).get("requests") or {}).get(resource) for each in containers)
    return " + ".join(str(request) for request in requests if request)
