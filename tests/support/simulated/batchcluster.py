"""A small world for batch inference: Job controller and pods beside the API server, on a virtual clock.

It runs the real `observed`, `questions`, `decide` on a world that their own plans change, and checks with every
reconcile that a plan leads to a world in which nothing is left to do.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from sluice_core.api.config import OperatorConfig
from sluice_core.batch import decide, failure
from sluice_core.kernel import naming
from sluice_core.kernel.plan import Event, Plan, Ref
from sluice_core.kernel.rawobjects import JOB_NAME_LABEL
from sluice_core.parsing import batchsnapshot, indexes
from sluice_core.parsing.batchsnapshot import BatchWorld
from sluice_core.parsing.runstate import ShardProgress
from sluice_core.parsing.worlds import InvalidSpec
from sluice_core.render import workload
from sluice_core.render.jobs.batchjob import INDEX_LABEL
from sluice_judge import timestamps
from tests.support.cases import builders
from tests.support.simulated.apiserver import ApiServer, Object
from tests.support.simulated.shown import copied

START: Final = timestamps.seconds("2026-03-02T12:00:00Z")
NAMESPACE: Final = "ml"
RUNTIME: Final = builders.manifest(builders.make_runtime())


def batch(name: str = "churn", **spec: Any) -> Object:
    """A user's manifest: three parts of a data set through the stable version of digits."""
    wanted = {
        "modelDeploymentRef": {"name": "digits"},
        "input": {"uri": "s3://data/today", "format": "Parquet"},
        "output": {"uri": "s3://data/scores/{{run}}", "format": "Parquet"},
        "engine": {"shards": 3},
        **spec,
    }
    return {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "BatchInference",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {key: value for key, value in wanted.items() if value is not None},
    }


@dataclass
class BatchCluster(ApiServer):
    """State of the simulated world."""

    now: float = START
    runtimes: tuple[Object, ...] = (RUNTIME,)
    answers: dict[str, ShardProgress] = field(default_factory=dict)
    """Answers of running pods, by name."""
    spark_operator: bool = False
    """Whether SparkApplications are served."""
    config: OperatorConfig = field(default_factory=OperatorConfig)
    grace: bool = False
    """Whether pods of a deleted Job still run, until `pods_end`."""
    events: list[Event] = field(default_factory=list)
    requeue_after: float | None = None

    # --- the API server -------------------------------------------------------------------------------------------

    def collect(self, gone: Ref) -> None:
        for pod in self.pods(gone.name):
            pod["metadata"]["deletionTimestamp"] = timestamps.rfc3339(self.now)
        if not self.grace:
            self.pods_end()

    def pods_end(self) -> None:
        """Removes terminating pods."""
        gone = [key for key, object_ in self.objects.items() if object_["metadata"].get("deletionTimestamp")]
        for key in gone:
            del self.objects[key]

    # --- the model ------------------------------------------------------------------------------------------------

    def model_serves(self, uri: str = "s3://models/digits/1", *, candidate: bool = False, **spec: Any) -> str:
        """Makes another revision of the ModelDeployment digits its stable version, or its candidate; its name."""
        deployment = builders.make_model_deployment(uri=uri, spec=spec)
        number = 1 + sum(kind == "ControllerRevision" for kind, _ in self.objects)
        revision = workload.new_revision(deployment, builders.make_runtime(), OperatorConfig(), number)
        pinned = workload.desired_controller_revision(revision, deployment)
        self.objects["ControllerRevision", revision.name] = pinned
        known = self.objects.get(("ModelDeployment", "digits"), {}).get("status", {})
        side = "candidate" if candidate else "stable"
        raw = builders.manifest(deployment)
        raw["status"] = {**known, side: {"revision": revision.name}}
        self.objects["ModelDeployment", "digits"] = raw
        return revision.name

    # --- Job controller and kubelet -------------------------------------------------------------------------------

    def run_jobs(self) -> None:
        """Starts the pods of all Jobs that are not suspended, and ends those of the others."""
        for job in list(self.of_kind("Job")):
            name, spec = job["metadata"]["name"], job["spec"]
            if spec.get("suspend") or job.get("status", {}).get("conditions"):
                for pod in [pod for pod in self.pods(name) if pod["status"]["phase"] == "Running"]:
                    del self.objects["Pod", pod["metadata"]["name"]]
                continue
            for index in range(spec["completions"]):
                if not any(_index(pod) == index and pod["status"]["phase"] != "Failed" for pod in self.pods(name)):
                    self.start_pod(job, index)

    def start_pod(self, job: Object, index: int) -> None:
        name = job["metadata"]["name"]
        template = job["spec"]["template"]
        labels = template["metadata"]["labels"] | {JOB_NAME_LABEL: name, INDEX_LABEL: str(index)}
        self.store(
            {
                "kind": "Pod",
                "metadata": {"name": f"{name}-{index}-{self.made + 1}", "namespace": NAMESPACE, "labels": labels},
                "spec": {"containers": [{"name": "batch", "image": "batch"}]},
                "status": {
                    "phase": "Running",
                    "podIP": f"10.0.0.{self.made + 1}",
                    "containerStatuses": [{"name": "batch", "state": {"running": {}}}],
                },
            }
        )

    def pod(self, run: str, index: int) -> Object:
        """The pod of a running shard."""
        return next(pod for pod in self.pods(run) if _index(pod) == index and pod["status"]["phase"] == "Running")

    def says(
        self, run: str, index: int, *, read: int, total: int | None = None, splits: tuple[int, int] = (0, 4)
    ) -> None:
        """Sets the answer of a shard's running pod from now on."""
        done, whole = splits
        answer = ShardProgress(index, whole, done, total, read=read, written=read, failed=0)
        self.answers[self.pod(run, index)["metadata"]["name"]] = answer

    def shard_ends(self, run: str, index: int, rows: int = 100, failed: int = 0) -> None:
        """A shard is done."""
        pod = self.pod(run, index)
        said = {"shard": index, "read": rows, "written": rows - failed, "failed": failed, "seconds": 1.0}
        pod["status"] = _ended("Succeeded", 0, json.dumps(said))
        status = self.objects["Job", run].setdefault("status", {})
        done = {*indexes.parsed(status.get("completedIndexes", "")), index}
        status["completedIndexes"] = indexes.written(done)
        if len(done) == self.objects["Job", run]["spec"]["completions"]:
            self.job_ends(run, "Complete")

    def shard_fails(self, run: str, index: int, message: str, code: int = 1) -> None:
        """The pod of a shard fails; with 42 the whole Job does."""
        self.pod(run, index)["status"] = _ended("Failed", code, message)
        if code == 42:
            self.job_ends(run, "Failed", "PodFailurePolicy")

    def job_ends(self, run: str, how: str, reason: str = "") -> None:
        condition = {"type": how, "status": "True", "lastTransitionTime": timestamps.rfc3339(self.now)}
        self.objects["Job", run].setdefault("status", {})["conditions"] = [{**condition, "reason": reason}]
        self.run_jobs()

    # --- the operator ---------------------------------------------------------------------------------------------

    def plan(self, name: str = "churn") -> Plan:
        """One decision on the current world."""
        world = self.world(name)
        seen = batchsnapshot.observed(world)
        if isinstance(seen, InvalidSpec):
            return failure.invalid_spec_plan(world, seen)
        asked = {one.pod for one in decide.questions(seen)}
        return decide.decide(seen, {pod: answer for pod, answer in self.answers.items() if pod in asked})

    def reconcile(self, name: str = "churn") -> None:
        """Decides and applies until nothing is left to do, which must be after two reconciles."""
        for _ in range(3):
            plan = self.plan(name)
            self.requeue_after = plan.requeue_after
            if not plan.writes:
                assert not plan.events, "what changes nothing is no news"
                return
            for write in plan.writes:
                self.apply(write)
            self.events.extend(plan.events)
        raise AssertionError(f"no fixpoint: {plan.because} {plan.writes}")

    def run(self, seconds: float, step: float = 10.0) -> None:
        """Lets time pass for the world and the operator."""
        end = self.now + seconds
        while self.now < end:
            self.now += step
            self.step()

    def step(self) -> None:
        """Immediate consequences."""
        self.run_jobs()
        self.reconcile()
        self.run_jobs()
        self.reconcile()

    def world(self, name: str) -> BatchWorld:
        raw = self.objects["BatchInference", name]
        model = (raw["spec"].get("modelDeploymentRef") or {}).get("name")
        world = BatchWorld(
            now=self.now,
            batch=raw,
            owned=tuple(
                object_
                for object_ in self.objects.values()
                if object_["metadata"].get("labels", {}).get(naming.LABEL_BATCH) == name
            ),
            model=self.objects.get(("ModelDeployment", model)),
            pinned=tuple(self.of_kind("ControllerRevision")),
            runtimes=self.runtimes,
            config=self.config,
            spark_operator=self.spark_operator,
        )
        return BatchWorld(**{name: copied(getattr(world, name)) for name in BatchWorld.__slots__})

    # --- looking --------------------------------------------------------------------------------------------------

    def pods(self, run: str) -> Iterator[Object]:
        return (pod for pod in self.of_kind("Pod") if pod["metadata"]["labels"].get(JOB_NAME_LABEL) == run)

    def jobs(self) -> list[str]:
        return sorted(job["metadata"]["name"] for job in self.of_kind("Job"))

    def status(self, name: str = "churn") -> Object:
        found: Object = self.objects["BatchInference", name].get("status", {})
        return found

    def run_name(self) -> str:
        return str(self.status()["run"]["name"])

    def condition(self, type_: str = "Complete") -> tuple[str, str]:
        """(status, reason)."""
        found = next(c for c in self.status()["conditions"] if c["type"] == type_)
        return found["status"], found["reason"]

    def message(self) -> str:
        return next(str(c["message"]) for c in self.status()["conditions"] if c["type"] == "Complete")

    def told(self, reason: str) -> list[str]:
        return [event.message for event in self.events if event.reason == reason]


def make_cluster(**spec: Any) -> BatchCluster:
    """A cluster with a model that serves, in which a user has just applied a BatchInference."""
    cluster = BatchCluster()
    cluster.model_serves()
    cluster.user_applies(batch(**spec))
    cluster.step()
    return cluster


def _ended(phase: str, code: int, message: str) -> Object:
    state = {"terminated": {"exitCode": code, "message": message}}
    return {"phase": phase, "containerStatuses": [{"name": "batch", "state": state}]}


def _index(pod: Object) -> int:
    return int(pod["metadata"]["labels"][INDEX_LABEL])
