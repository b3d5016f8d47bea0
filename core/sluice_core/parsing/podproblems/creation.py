"""Pods that the API server does not let a Deployment create."""

import re
from typing import Final

from sluice_core.kernel.pods import Problem
from sluice_core.kernel.rawobjects import Object
from sluice_core.kernel.reasons import PodReason
from sluice_core.parsing.podproblems import podstate

_REFUSED_POD: Final = re.compile(r'pods? "[^"]*" is forbidden: ')
LIMIT_RANGE: Final = (
    "keep spec.resources within the LimitRange of the namespace, and the downloader's (storageInitializer.resources of "
    "the configuration) as well"
)
CREATION_REMEDIES: Final = (
    ("exceeded quota", "raise the ResourceQuota of the namespace, or lower spec.replicas or spec.resources"),
    ("failed quota", "set in spec.resources what the ResourceQuota of the namespace demands"),
    ("usage per", LIMIT_RANGE),
    ("max limit to request ratio", LIMIT_RANGE),
    ("LimitRange", LIMIT_RANGE),
    ("service account", "create the ServiceAccount, or correct spec.serviceAccountName"),
    (
        "hostPath",
        "allow hostPath volumes in the namespace, or use a claim: for storageInitializer.cache of the configuration, and in "
        "spec.volumes",
    ),
    ("PriorityClass", "create the PriorityClass, or correct spec.priorityClassName"),
    ("PodSecurity", "make the ServingRuntime's containers meet the namespace's pod security standard"),
)


def creation_problem(deployment: Object) -> Problem | None:
    """Why the API server refuses to create the Deployment's pods: there is no pod then that could report it."""
    failure = podstate.condition(deployment, "ReplicaFailure")
    if failure.get("status") != "True":
        return None
    text = podstate.quoted(_REFUSED_POD.sub("", failure.get("message") or ""))
    remedy = creation_remedy(text) or "see what it says"
    return Problem(
        podstate.camel(failure.get("reason")) or PodReason.FAILED_CREATE, f"pods cannot be created: {text}; {remedy}"
    )


def creation_remedy(refusal: str) -> str | None:
    """What to do if the API server refuses to create a pod; None if its message is not known."""
    return next((advice for word, advice in CREATION_REMEDIES if word in refusal), None)
