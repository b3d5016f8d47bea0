"""The operator's Pod from outside: its own metrics, its memory, and the API server's counts of its requests."""

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from demo import setup
from demo.program import Tools
from tests.support.live.scene import wait_until

DEPLOYMENT: Final = "deployment/sluice"
WHERE: Final = f"--namespace={setup.OPERATOR_NAMESPACE}"
LEASE: Final = "sluice-operator"
METRICS_PORT: Final = 9090
MEBIBYTE: Final = 2**20
READ_VERBS: Final = ("get", "list", "watch")
WRITE_VERBS: Final = ("create", "update", "patch", "delete", "deletecollection")
SCHEMA: Final = "sluice-bench-"


@dataclass(frozen=True, slots=True)
class Sample:
    """The operator's own metrics at one moment."""

    cpu_seconds: float
    rss_bytes: float
    writes: dict[tuple[str, str], float]
    """Successful writes by (kind, verb) since its start; without events and leases."""

    @property
    def rss_mebibytes(self) -> float:
        return self.rss_bytes / MEBIBYTE


def restart(tools: Tools) -> None:
    """A fresh process, so that memory has no history; returns once it leads."""
    tools.kubectl("rollout", "restart", DEPLOYMENT, WHERE)
    tools.kubectl("rollout", "status", DEPLOYMENT, WHERE, "--timeout=120s")
    wait_until(lambda: leader(tools) in _running(tools), "the new operator leads", seconds=60)


def leader(tools: Tools) -> str:
    """The Pod that leads: the holder of the Lease."""
    return str(tools.get("lease", LEASE, WHERE)["spec"].get("holderIdentity") or "")


def _running(tools: Tools) -> set[str]:
    pods = tools.get("pods", WHERE, "--selector=app.kubernetes.io/name=sluice")["items"]
    return {pod["metadata"]["name"] for pod in pods if not pod["metadata"].get("deletionTimestamp")}


def metrics(tools: Tools, pod: str) -> Iterator[Any]:
    """Its metrics, as prometheus_client parses them."""
    for family in text_string_to_metric_families(_text(tools, pod)):
        yield from family.samples


def _text(tools: Tools, pod: str) -> str:
    path = f"/api/v1/namespaces/{setup.OPERATOR_NAMESPACE}/pods/{pod}:{METRICS_PORT}/proxy/metrics"
    return tools.kubectl("get", "--raw", path)


def sample(tools: Tools, pod: str) -> Sample:
    values: dict[str, float] = {}
    writes: dict[tuple[str, str], float] = {}
    for one in metrics(tools, pod):
        if one.name == "sluice_api_writes_total":
            writes[one.labels["kind"], one.labels["verb"]] = one.value
        elif not one.labels:
            values[one.name] = one.value
    return Sample(values["process_cpu_seconds_total"], values["process_resident_memory_bytes"], writes)


def peak_rss_mebibytes(tools: Tools, pod: str) -> float:
    """The peak resident memory since the process began, by the kernel's count."""
    status = tools.kubectl("exec", pod, WHERE, "--", "cat", "/proc/1/status")
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    if found is None:
        raise ValueError(f"{pod}: /proc/1/status has no VmHWM")
    return int(found.group(1)) / 1024


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests of the operator's service account that the API server has executed."""

    leases: int
    writes: int
    """Creations, patches, deletions and events; without leases."""
    reads: int
    """Lists, watches and single reads; without leases."""

    def __sub__(self, other: "Requests") -> "Requests":
        return Requests(self.leases - other.leases, self.writes - other.writes, self.reads - other.reads)


@contextlib.contextmanager
def counted_requests(tools: Tools) -> Iterator[None]:
    """Makes the API server count this service account's requests separately: a FlowSchema for each of the three kinds.

    They stay on the priority level that service accounts have anyway, so that nothing gets faster or slower.
    """
    tools.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": _flow_schemas(_account(tools))}))
    try:
        yield
    finally:
        names = [f"flowschemas/{SCHEMA}{kind}" for kind in ("leases", "writes", "reads")]
        tools.kubectl("delete", *names, "--ignore-not-found")


def requests(tools: Tools) -> Requests:
    """Counts since the API server's start; only within `counted_requests`."""
    pattern = re.compile(
        rf'^apiserver_flowcontrol_dispatched_requests_total{{flow_schema="{SCHEMA}(\w+)",[^}}]*}} (\S+)$', re.MULTILINE
    )
    found = {kind: int(float(count)) for kind, count in pattern.findall(tools.kubectl("get", "--raw", "/metrics"))}
    return Requests(found.get("leases", 0), found.get("writes", 0), found.get("reads", 0))


def _account(tools: Tools) -> str:
    return tools.kubectl("get", DEPLOYMENT, WHERE, "--output=jsonpath={.spec.template.spec.serviceAccountName}")


def _flow_schemas(account: str) -> list[dict[str, Any]]:
    rules = {
        "leases": {"verbs": ["*"], "apiGroups": ["coordination.k8s.io"], "resources": ["leases"]},
        "writes": {"verbs": list(WRITE_VERBS), "apiGroups": ["*"], "resources": ["*"]},
        "reads": {"verbs": list(READ_VERBS), "apiGroups": ["*"], "resources": ["*"]},
    }
    subject = {"kind": "ServiceAccount", "serviceAccount": {"name": account, "namespace": setup.OPERATOR_NAMESPACE}}
    return [
        {
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "FlowSchema",
            "metadata": {"name": f"{SCHEMA}{kind}"},
            "spec": {
                "priorityLevelConfiguration": {"name": "workload-low"},
                "matchingPrecedence": 50 + order,  # the first that matches takes the request
                "distinguisherMethod": {"type": "ByUser"},
                "rules": [
                    {
                        "subjects": [subject],
                        "resourceRules": [{**rule, "clusterScope": True, "namespaces": ["*"]}],
                    }
                ],
            },
        }
        for order, (kind, rule) in enumerate(rules.items())
    ]
