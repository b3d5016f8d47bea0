"""Controllers of Kubernetes and its extensions: pods, endpoints, Jobs, autoscalers, programmed routes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sluice_core.kernel import naming
from sluice_core.kernel.plan import Ref
from sluice_core.render import scaledobject
from tests.support.simulated.apiserver import ApiServer, Object


@dataclass(frozen=True)
class Behaviour:
    """A model's behaviour: probabilities per request."""

    error: float = 0.0
    slow: float = 0.0
    wrong: float = 0.05
    breaks: float = 0.0
    """Answers that the route's limit cuts after they began."""
    rejects: float = 0.0
    """Requests that are answered with 400."""
    ready: bool = True


def pod_labels(deployment: Mapping[str, Any]) -> Mapping[str, str]:
    """Labels of a Deployment's pods; by default its own."""
    template = deployment["spec"].get("template") or {}
    return {**deployment["metadata"]["labels"], **(template.get("metadata") or {}).get("labels", {})}


@dataclass
class Controllers(ApiServer):
    """The API server with its controllers; each turn advances them by one step."""

    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    """By revision or model URI; all others behave well."""
    ready_seconds: float = 3.0
    programmed_seconds: float = 1.0
    grpc_later_seconds: float = 0.0
    """GRPCRoutes are programmed this much later than HTTPRoutes."""
    prometheus_up: bool = True
    labelled_rows: int = 2000
    """Rows of the validation data set; each shard of a Job has its part of them."""
    job_seconds: float = 3.0
    job_failures: dict[str, str] = field(default_factory=dict)
    """Last words of Jobs that fail, by model URI."""
    scored: list[str] = field(default_factory=list)
    """The revisions that Jobs have sent rows to, in order."""
    keda: bool = True
    """Whether the cluster has KEDA."""
    in_flight: int = 0
    """Requests in flight to every Deployment that KEDA scales."""
    ready: dict[str, int] = field(default_factory=dict)
    """Ready pods by revision."""
    refused: set[str] = field(default_factory=set)
    """Deployments whose pods the API server refuses to create, as with a ResourceQuota."""
    _pending: dict[tuple[str, str], float] = field(default_factory=dict)
    """When each operation in progress is done."""

    def run_controllers(self) -> None:
        self._run_keda()
        self.run_pods()
        self._run_jobs()
        self._program_route()

    def collect(self, gone: Ref) -> None:
        match gone.kind:
            case "ScaledObject":
                self.objects.pop(("HorizontalPodAutoscaler", f"keda-hpa-{gone.name}"), None)
            case "Deployment":
                self.ready.pop(gone.name, None)
            case "Job":
                for key in [key for key in self.objects if key[0] == "Pod" and key[1].startswith(f"{gone.name}-")]:
                    del self.objects[key]
            case "Service":
                self.objects.pop(("EndpointSlice", gone.name), None)

    def _run_keda(self) -> None:
        """KEDA: keeps the bounds, holds this many requests in flight for each pod, and scales idle models to zero."""
        for scaled in self.of_kind("ScaledObject") if self.keda else ():
            metadata, spec = scaled["metadata"], scaled["spec"]
            deployment = self.objects.get(("Deployment", spec["scaleTargetRef"]["name"]))
            if deployment is None:
                continue
            paused = metadata.get("annotations", {}).get(scaledobject.ANNOTATION_PAUSED)
            least, most = spec["minReplicaCount"], spec["maxReplicaCount"]
            told = {"type": "ScalingActive", "status": str(self.prometheus_up)}
            if paused is not None:
                deployment["spec"]["replicas"] = int(paused)
            elif self.prometheus_up:
                needed = -(-self.in_flight // int(spec["triggers"][0]["metadata"]["threshold"]))
                deployment["spec"]["replicas"] = min(most, max(least, needed))
            else:
                deployment["spec"]["replicas"] = min(most, max(least, deployment["spec"]["replicas"]))
                told["message"] = "unable to get external metric"
            name = f"keda-hpa-{metadata['name']}"
            self.objects["HorizontalPodAutoscaler", name] = {
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": name, "namespace": metadata["namespace"], "labels": metadata["labels"]},
                "spec": {"scaleTargetRef": spec["scaleTargetRef"]},
                "status": {"conditions": [told]},
            }

    def behaviour(self, revision: str) -> Behaviour:
        pinned = self.objects.get(("ControllerRevision", revision))
        uri = pinned["data"]["uri"] if pinned else ""
        return self.behaviours.get(revision) or self.behaviours.get(uri, Behaviour())

    def run_pods(self) -> None:
        for (kind, name), deployment in list(self.objects.items()):
            if kind != "Deployment":
                continue
            replicas = deployment["spec"]["replicas"]
            status = deployment.setdefault("status", {})
            if name in self.refused:
                status["conditions"] = [
                    {
                        "type": "ReplicaFailure",
                        "status": "True",
                        "reason": "FailedCreate",
                        "message": "exceeded quota: small",
                    }
                ]
                continue
            if status.get("readyReplicas", 0) != replicas and self.behaviour(name).ready:
                starts = replicas > status.get("readyReplicas", 0)
                due = self._pending.setdefault((name, str(replicas)), self.now + self.ready_seconds * starts)
                if self.now >= due:
                    status["readyReplicas"] = replicas
                    status["replicas"] = replicas
                    self.ready[name] = replicas
                    self._pending.pop((name, str(replicas)))
        for service in self.of_kind("Service"):
            self.set_endpoints(service)

    def _run_jobs(self) -> None:
        """Jobs that send a labelled data set to a version; tests end the others themselves."""
        for job in self.of_kind("Job"):
            name = job["metadata"]["name"]
            if naming.LABEL_REVISION not in job["metadata"]["labels"] or job.get("status"):
                continue
            if self.now < self._pending.setdefault(("Job", name), self.now + self.job_seconds):
                continue
            revision = job["metadata"]["labels"][naming.LABEL_REVISION]
            uri = self.objects["ControllerRevision", revision]["data"]["uri"]
            self.scored.append(revision)
            for shard in range(job["spec"]["completions"]):
                self._score(job, shard, uri)
            job["status"] = {
                "conditions": [{"type": "Failed" if uri in self.job_failures else "Complete", "status": "True"}]
            }

    def _score(self, job: Mapping[str, Any], shard: int, uri: str) -> None:
        """The pod of a shard, with its output."""
        name, failure = job["metadata"]["name"], self.job_failures.get(uri)
        rows = self.labelled_rows // job["spec"]["completions"]
        wrong = round(rows * self.behaviours.get(uri, Behaviour()).wrong)
        report = {"shard": shard, "read": rows, "written": 0, "failed": 0, "wrong": wrong, "seconds": 1.5}
        end = {"exitCode": 42, "message": failure} if failure else {"exitCode": 0, "message": json.dumps(report)}
        labels = {"batch.kubernetes.io/job-name": name, "batch.kubernetes.io/job-completion-index": str(shard)}
        self.store(
            {
                "kind": "Pod",
                "metadata": {
                    "name": f"{name}-{shard}-x",
                    "namespace": "default",
                    "labels": {**job["spec"]["template"]["metadata"]["labels"], **labels},
                },
                "spec": {"containers": [{"name": "batch", "image": "batch"}]},
                "status": {
                    "phase": "Failed" if failure else "Succeeded",
                    "containerStatuses": [{"name": "batch", "state": {"terminated": end}}],
                },
            }
        )

    def set_endpoints(self, service: Mapping[str, Any]) -> None:
        name = service["metadata"]["name"]
        pods = [f"{revision}-{i}" for revision in self._selected(service) for i in range(self.ready.get(revision, 0))]
        self.objects["EndpointSlice", name] = {
            "kind": "EndpointSlice",
            "metadata": {
                "name": name,
                "namespace": "default",
                "labels": {**service["metadata"]["labels"], "kubernetes.io/service-name": name},
            },
            "endpoints": [{"addresses": [pod], "conditions": {"ready": True}} for pod in pods],
        }

    def _selected(self, service: Mapping[str, Any]) -> list[str]:
        """The revisions with pods that the Service selects."""
        selector = service["spec"]["selector"]
        if naming.LABEL_REVISION in selector:
            return [selector[naming.LABEL_REVISION]]
        return [
            name
            for (kind, name), deployment in self.objects.items()
            if kind == "Deployment" and selector.items() <= pod_labels(deployment).items()
        ]

    def never_starts(self, revision: str, replicas: int) -> None:
        """This many pods of a revision do not become ready, until it `recovers`."""
        self._pending[revision, str(replicas)] = float("inf")

    def recovers(self, *names: str) -> None:
        """Restarts operations in progress, as if newly requested: all, or these."""
        for key in [key for key in self._pending if not names or key[0] in names]:
            del self._pending[key]

    def crash(self, revision: str, *, pods: int | None = None) -> None:
        """All pods of a revision, or this many, vanish and do not return until it `recovers`."""
        replicas = self.objects["Deployment", revision]["spec"]["replicas"]
        left = 0 if pods is None else max(0, self.ready.get(revision, 0) - pods)
        self.ready[revision] = left
        self.never_starts(revision, replicas)
        self.objects["Deployment", revision].setdefault("status", {})["readyReplicas"] = left
        self.run_pods()

    def restarted(self, revision: str, times: int, *, ready: bool = True) -> None:
        """The pod of a revision reports this many restarts; not ready: Kubernetes waits before the next start."""
        waits: Object = {} if ready else {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}}
        pod = {
            "kind": "Pod",
            "metadata": {
                "name": f"{revision}-x7k2p",
                "namespace": "default",
                "labels": naming.owned_labels("digits", revision),
            },
            "spec": {"containers": [{"name": "server", "image": "triton"}]},
        }
        self.store(pod)["status"] = {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"name": "server", "ready": ready, "restartCount": times, **waits}],
        }

    def restored(self, backup: dict[tuple[str, str], Object]) -> None:
        """Restores all objects from a backup; pods without an owner there end, and missing ones start."""
        self.objects = backup
        for revision in [name for name in self.ready if ("Deployment", name) not in backup]:
            del self.ready[revision]
        for deployment in self.of_kind("Deployment"):
            ready = min(self.ready.get(deployment["metadata"]["name"], 0), deployment["spec"]["replicas"])
            deployment["status"] = {"readyReplicas": ready, "replicas": ready}
        self.recovers()
        self.run_pods()

    def _program_route(self) -> None:
        for route in (*self.of_kind("HTTPRoute"), *self.of_kind("GRPCRoute")):
            metadata = route["metadata"]
            generation = metadata["generation"]
            named = f"{route['kind']}/{metadata['name']}"
            takes = self.programmed_seconds + self.grpc_later_seconds * (route["kind"] == "GRPCRoute")
            due = self._pending.setdefault((named, str(generation)), self.now + takes)
            if self.now < due:
                continue
            conditions = [
                {"type": t, "status": "True", "reason": t, "observedGeneration": generation}
                for t in ("Accepted", "ResolvedRefs")
            ]
            route["status"] = {"parents": [{"parentRef": route["spec"]["parentRefs"][0], "conditions": conditions}]}

    def has_endpoint(self, service: str) -> bool:
        slice_ = self.objects.get(("EndpointSlice", service))
        return bool(slice_ and slice_["endpoints"])
