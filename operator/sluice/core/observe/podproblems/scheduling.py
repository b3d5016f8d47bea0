"""A pod that no node takes, or that its node has refused."""

from typing import Final

from sluice.core.kernel import rawobjects
from sluice.core.kernel.pods import Problem
from sluice.core.kernel.rawobjects import Object
from sluice.core.kernel.reasons import PodReason, Reason
from sluice.core.observe.podproblems import podstate

CLAIMS: Final = (
    "check spec.resourceClaims and their ResourceClaims, add a node with such a device, or set spec.rollout.capacity to "
    "ShrinkStable or Recreate"
)
SCHEDULING_REMEDIES: Final = (
    ("ersistent", "create the PersistentVolumeClaim in the model's namespace, or correct spec.model.uri"),
    ("esourceclaim", CLAIMS),
    ("resource claim", CLAIMS),
    ("allocate all claims", CLAIMS),
    ("Insufficient", "lower spec.resources.requests, or add a node that has the missing resources"),
    ("taint", "add the toleration to spec.tolerations, or a node without the taint"),
    ("affinity", "check spec.nodeSelector and spec.affinity against the labels of the nodes"),
    ("selector", "check spec.nodeSelector and spec.affinity against the labels of the nodes"),
)


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
    text = podstate.quoted(scheduled.get("message"))
    remedy = next((advice for word, advice in SCHEDULING_REMEDIES if word in text), "add a node that fits")
    return Problem(PodReason.UNSCHEDULABLE, f"no node for pod {podstate.name(pod)}: {text}; {remedy}")
