"""Everything that an operator does for one namespace, one after another: each right of it is used at least once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sluice_core.kernel import naming
from tests.integration.operator.node import ROUTE, Node
from tests.support.cases.objects import make_model, merged, policy
from tests.support.live.kube import Kube, true_conditions, wait_until

Object = dict[str, Any]

NOW: Final = "2026-03-01T12:00:00Z"
POLICY: Final = "rights"
SECRET: Final = "release-hooks"
SLUICE: Final = "sluice.dev/v1alpha1"
SCALED_OBJECT: Final = "keda.sh/v1alpha1"
SPARK: Final = "sparkoperator.k8s.io/v1beta2"
CHILDREN: Final = (
    ("apps/v1", "ControllerRevision"),
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("policy/v1", "PodDisruptionBudget"),
    (ROUTE, "HTTPRoute"),
    (ROUTE, "GRPCRoute"),
)


def the_policy() -> Object:
    """Short, and with somebody to notify."""
    told = [{"name": "hook", "urlSecretRef": {"name": SECRET}, "events": ["Promoted"]}]
    return policy({"bakeSeconds": 1, "notifications": told}, name=POLICY)


@dataclass
class Life:
    """What users do in a namespace, until the operator has done its part."""

    kube: Kube
    namespace: str
    spec: Object = field(default_factory=lambda: {"drainSeconds": 1, "rollout": {"policyRef": {"name": POLICY}}})

    @property
    def node(self) -> Node:
        return Node(self.kube, self.namespace)

    def run(self) -> None:
        self.serve()
        self.lose_a_label()
        for number in (2, 3):
            self.release(f"s3://models/digits/{number}")
        self._until(lambda: len(self.node.objects("apps/v1", "ControllerRevision")) == 2)
        self.scale()
        self.adopt()
        self.needs_devices()
        self.run_a_job()
        self.run_on_spark()

    def asks(self) -> None:
        self._apply(self._model())

    def stalled(self) -> str:
        """Reason and message of what keeps the model from anything; empty while nothing does."""
        conditions = self.kube.get(self._model()).get("status", {}).get("conditions", [])
        return next(
            (f"{c['reason']}: {c['message']}" for c in conditions if (c["type"], c["status"]) == ("Stalled", "True")),
            "",
        )

    def serve(self) -> None:
        self.asks()
        self._until(lambda: self._is_current() and not self.stalled())
        for api_version, kind in CHILDREN:
            assert self.node.objects(api_version, kind) or kind == "PodDisruptionBudget", kind  # of a second pod

    def lose_a_label(self) -> None:
        """Somebody takes the label off by which the operator sees a Service of its own; the name is taken then."""
        service = self.node.objects("v1", "Service")[0]
        self.kube.patch(service, {"metadata": {"labels": {naming.LABEL_OWNER: None}}}).raise_for_status()
        self._until(lambda: naming.LABEL_OWNER in self.kube.get(service)["metadata"].get("labels", {}))

    def release(self, uri: str) -> None:
        """A version one of whose pods is replaced; its promotion is written here, as nobody judges it."""
        self.spec = merged(self.spec, {"model": {"uri": uri}})
        self._apply(self._model())
        self._until(lambda: self._running() is not None)
        rollout = self._running()
        assert rollout is not None
        self._lose_a_pod(rollout)
        outcome = {"outcome": "Promoted", "permille": 1000, "weight": 100, "reason": "PromotedByPerson"}
        self.kube.patch(rollout, {"status": outcome}, subresource="/status").raise_for_status()
        self._until(lambda: self._is_current() and len(self.node.objects("apps/v1", "Deployment")) == 1)
        self._until(lambda: len(self.node.objects(SLUICE, "ModelRollout")) == 1)

    def scale(self) -> None:
        """By the cluster's own autoscaler, then by KEDA, then by nobody."""
        one: Object = {"minimumReplicas": 1, "maximumReplicas": 3}
        wanted = {
            "HorizontalPodAutoscaler": {**one, "target": {"metric": "CPU"}},
            "ScaledObject": {**one, "target": {"metric": "InFlightRequests", "value": 4}},
            "": None,
        }
        for kind, autoscaling in wanted.items():
            self._apply(merged(self._model(), {"spec": {"autoscaling": autoscaling}}))
            expected = {kind} - {""}
            self._until(lambda expected=expected: self._autoscalers() == expected)  # type: ignore[misc]

    def adopt(self) -> None:
        """The model is deleted without what belongs to it, and comes again."""
        model = self._model()
        options = {"propagationPolicy": "Orphan"}
        path = f"{self.kube.path(model)}/{model['metadata']['name']}"
        self.kube.http.request("DELETE", path, json=options).raise_for_status()
        self._until(lambda: self.kube.http.get(path).status_code == 404)
        self._apply(model)
        self._until(lambda: self._is_current() and all(self._is_owned(*kind) for kind in CHILDREN))

    def needs_devices(self) -> None:
        """Free ones are counted before a second version gets pods, and there are none; or nobody counts them."""
        large = merged(self._model(), {"metadata": {"name": "large"}})
        large["spec"]["accelerator"] = {"resource": "example.com/gpu", "count": 1}
        self._apply(large)
        self._until(lambda: {"Ready", "Current"} <= true_conditions(self.kube.get(large)))
        self._apply(merged(large, {"spec": {"model": {"uri": "s3://models/large/2"}}}))

        def decided() -> bool:
            query = {"labelSelector": f"{naming.LABEL_OWNER}=large"}
            probe = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": self.namespace}}
            found = self.kube.http.get(self.kube.path(probe), params=query).raise_for_status().json()["items"]
            return len(found) == 2 or "CapacityAvailable" not in true_conditions(self.kube.get(large))

        self._until(decided)
        self.kube.http.delete(f"{self.kube.path(large)}/large").raise_for_status()

    def run_a_job(self) -> None:
        batch = self._batch("once", {"shards": 1})
        job = self._held_and_let_go(batch, "batch/v1", "Job")
        ended = [
            {"type": type_, "status": "True", "lastTransitionTime": NOW, "lastProbeTime": NOW, "reason": "R"}
            for type_ in ("SuccessCriteriaMet", "Complete")
        ]
        counts = {"startTime": NOW, "completionTime": NOW, "succeeded": 1, "completedIndexes": "0"}
        self.kube.patch(job, {"status": {"conditions": ended, **counts}}, subresource="/status").raise_for_status()
        self._gone(job)

    def run_on_spark(self) -> None:
        batch = self._batch("sparks", {"type": "Spark", "executors": 1, "serviceAccountName": "spark"})
        application = self._held_and_let_go(batch, SPARK, "SparkApplication")
        ended = {"applicationState": {"state": "COMPLETED"}, "terminationTime": NOW}
        self.kube.patch(application, {"status": ended}).raise_for_status()
        self._gone(application)

    def without_routes(self) -> None:
        """With an operator that is started anew, for clusters without a gateway."""
        self._until(lambda: not any(self.node.objects(ROUTE, kind) for kind in ("HTTPRoute", "GRPCRoute")))

    def _model(self) -> Object:
        model = make_model(self.namespace)
        return {**model, "spec": merged(model["spec"], self.spec)}

    def _batch(self, name: str, engine: Object) -> Object:
        spec = {
            "model": {"format": "onnx", "uri": "s3://models/digits/1"},
            "input": {"uri": "s3://data/today", "format": "Parquet"},
            "output": {"uri": "s3://data/scores", "format": "Parquet"},
            "engine": engine,
            "ttlSecondsAfterFinished": 0,
        }
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": SLUICE, "kind": "BatchInference", "metadata": metadata, "spec": spec}

    def _held_and_let_go(self, batch: Object, api_version: str, kind: str) -> Object:
        """Applies it, and suspends what runs it for a moment; that object."""
        self._apply(batch)
        probe = {"apiVersion": api_version, "kind": kind, "metadata": {"namespace": self.namespace}}

        def runs() -> list[Object]:
            query = {"labelSelector": f"{naming.LABEL_BATCH}={batch['metadata']['name']}"}
            return list(self.kube.http.get(self.kube.path(probe), params=query).raise_for_status().json()["items"])

        wait_until(lambda: len(runs()) == 1)
        run = {**probe, **runs()[0]}
        for suspended in (True, False):
            self.kube.patch(batch, {"spec": {"suspend": suspended}}).raise_for_status()
            wait_until(lambda suspended=suspended: self.kube.get(run)["spec"].get("suspend") is suspended)  # type: ignore[misc]
        return run

    def _lose_a_pod(self, rollout: Object) -> None:
        """The judge has found that a pod of the candidate spoils its version."""
        revision = rollout["spec"]["to"]["revision"]
        labels = naming.owned_labels("digits", revision)
        metadata = {"name": "spoilt", "namespace": self.namespace, "labels": labels}
        container = {"name": "server", "image": "server"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
        self.kube.create(pod).raise_for_status()
        self.kube.patch(rollout, {"status": {"replacedPod": "spoilt"}}, subresource="/status").raise_for_status()
        self._gone(pod)

    def _running(self) -> Object | None:
        """The release that runs."""
        rollouts = self.node.objects(SLUICE, "ModelRollout")
        return next((each for each in rollouts if not each.get("status", {}).get("outcome")), None)

    def _is_current(self) -> bool:
        return {"Ready", "Current"} <= true_conditions(self.kube.get(self._model()))

    def _autoscalers(self) -> set[str]:
        kinds = (("autoscaling/v2", "HorizontalPodAutoscaler"), (SCALED_OBJECT, "ScaledObject"))
        return {kind for api_version, kind in kinds if self.node.objects(api_version, kind)}

    def _is_owned(self, api_version: str, kind: str) -> bool:
        uid = self.kube.get(self._model())["metadata"]["uid"]
        owners = [each["metadata"].get("ownerReferences") or [{}] for each in self.node.objects(api_version, kind)]
        return all(owner[0].get("uid") == uid for owner in owners) or kind == "ControllerRevision"

    def _apply(self, target: Object) -> None:
        self.kube.apply(target, manager="user").raise_for_status()

    def _gone(self, target: Object) -> None:
        path = f"{self.kube.path(target)}/{target['metadata']['name']}"
        self._until(lambda: self.kube.http.get(path).status_code == 404)

    def _until(self, holds: Callable[[], bool]) -> None:
        def played() -> bool:
            self.node.play()
            return holds()

        wait_until(played)
