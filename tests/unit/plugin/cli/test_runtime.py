"""`runtime check`: the life of a trial, and that nothing of it is left whatever happens."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.cli import app
from kubectl_sluice.cli.kube import cluster, temporary
from kubectl_sluice.cli.profiling import runtimecheck
from kubectl_sluice.offline import conformance
from sluice_core.adapters.kinds import Resource
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel import naming
from sluice_core.render import workload
from tests.support.cases.builders import make_container, make_model_deployment, make_revision, make_runtime, manifest
from tests.unit.plugin.cli.fakes import FakeCluster, Raw

PROBE = {"httpGet": {"path": "/ready", "port": 8000}}
CONTAINER = make_container(startupProbe=PROBE, livenessProbe=PROBE, securityContext={"readOnlyRootFilesystem": True})
RUNTIME = make_runtime(containers=[CONTAINER], metrics={"port": 8002})
NAME = "triton-check"
COMMAND = ("runtime", "check", "triton", "--uri=s3://models/digits/1")
SERVER = {"event": "server"}
METRICS = {"event": "metrics", "problem": "", "series": ["up"]}


@dataclass
class TrialCluster(FakeCluster):
    """An operator and a kubelet that do at once what is asked for."""

    condition: Raw = field(
        default_factory=lambda: {"type": "Ready", "status": "True", "reason": "Ready", "message": ""}
    )
    wrong_is_ready: bool = False
    told: list[Raw] = field(default_factory=lambda: [SERVER, METRICS])
    """What the client says before its stream; one that says `failed` has none."""
    lost: int = 0
    made: list[str] = field(default_factory=list)
    numbers: Any = field(default_factory=itertools.count)

    async def create(self, kind: Resource, wanted: Raw) -> Raw:
        name = wanted["metadata"]["name"]
        self.made.append(name)
        stored = {**wanted, "kind": kind.kind}
        if kind.kind == ModelDeployment.kind:
            stored["status"] = {"conditions": [{**self.condition, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
            self.objects.append(stored)
            deployment = ModelDeployment.model_validate(wanted)
            revision = make_revision(deployment=deployment, runtime=RUNTIME)
            self.objects.append(workload.desired_controller_revision(revision, deployment))
            for _ in range(conformance.REPLICAS):
                self._add_pod()
        else:
            self.objects.append({**stored, "status": _pod_status(name.endswith("-wrong") and self.wrong_is_ready)})
        return stored

    async def delete(self, kind: Resource, namespace: str, name: str) -> None:
        if kind.kind == ModelDeployment.kind:
            self.objects = [each for each in self.objects if each["kind"] == "ServingRuntime"]
            return
        [gone] = [each for each in self.objects if each["kind"] == kind.kind and each["metadata"]["name"] == name]
        self.objects.remove(gone)
        if kind.kind == "Pod" and naming.LABEL_OWNER in gone["metadata"]["labels"]:
            self._add_pod()

    async def fetch_log(self, namespace: str, pod: str, container: str) -> str:
        elapsed = next(self.numbers)
        stream = {
            "event": "stream",
            "elapsed": elapsed,
            "settled": elapsed,
            "sent": 9,
            "lost": self.lost,
            "problem": "cut",
        }
        events = self.told if any(each["event"] == "failed" for each in self.told) else [*self.told, stream]
        return "\n".join(map(json.dumps, events))

    def _add_pod(self) -> None:
        metadata = {
            "name": f"{NAME}-{next(self.numbers)}",
            "namespace": "default",
            "labels": naming.owned_labels(NAME),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }
        spec = {"terminationGracePeriodSeconds": 20, "containers": [CONTAINER]}
        self.objects.append({"kind": "Pod", "metadata": metadata, "spec": spec, "status": _pod_status(True)})


def _pod_status(ready: bool) -> Raw:
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"}]
    return {"podIP": "10.0.0.1", "conditions": conditions if ready else []}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(runtimecheck, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(runtimecheck, "WATCH_SECONDS", 0.05)
    monkeypatch.setattr(runtimecheck, "WATCH_TIMES", 0)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> TrialCluster:
    there = TrialCluster([manifest(RUNTIME)])

    @contextlib.asynccontextmanager
    async def connected(_: object) -> AsyncIterator[kubectl.Kubectl]:
        yield there.typed

    monkeypatch.setattr(cluster, "connected", connected)
    return there


def run(*more: str) -> Any:
    return CliRunner().invoke(app.app, [*COMMAND, *more], standalone_mode=False)


def left(there: TrialCluster) -> list[str]:
    return [each["kind"] for each in there.objects]


def states(result: Any) -> dict[str, str]:
    return {check["name"]: check["state"] for check in json.loads(result.stdout)}


def test_all_is_looked_at_and_nothing_is_left(there: TrialCluster) -> None:
    result = run("--output=json")
    assert result.return_value == 0, result.output
    assert {name: state for name, state in states(result).items() if state != "ok"} == {}
    assert left(there) == ["ServingRuntime"]
    kinds = [name.rpartition("-")[2] for name in there.made]
    assert kinds == ["check", "wrong", "client", "client"]


def test_a_table_with_remedies_and_exit_status_1(there: TrialCluster) -> None:
    there.wrong_is_ready, there.lost = True, 2
    result = run()
    assert result.return_value == 1
    assert "wrong model     FAIL" in result.output
    assert "2 of 9 requests lost" in result.output
    assert "→ raise spec.drain.preStopSeconds" in result.output
    assert left(there) == ["ServingRuntime"]


def test_a_server_that_is_not_asked_is_not_restarted(there: TrialCluster) -> None:
    there.told = [{"event": "failed", "reason": "NoPayload", "problem": "no metadata"}, METRICS]
    found = states(run("--output=json"))
    assert (found["prediction"], found["metrics"], found["drain"], found["end"]) == (
        "skipped",
        "ok",
        "skipped",
        "skipped",
    )


def test_one_that_is_never_ready_says_why(there: TrialCluster) -> None:
    there.condition = {"type": "Stalled", "status": "True", "reason": "DownloadFailed", "message": "no such bucket"}
    result = run()
    assert result.return_value == 1
    assert "DownloadFailed: no such bucket" in result.output
    assert there.made == [NAME]
    assert left(there) == ["ServingRuntime"]


def test_keep_leaves_all_and_the_next_check_removes_it(there: TrialCluster) -> None:
    assert "left in place; to delete it: kubectl delete modeldeployment" in run("--keep").output
    assert "ModelDeployment" in left(there)
    assert "left behind by an earlier check" in run().output
    assert left(there) == ["ServingRuntime"]


def test_a_deployment_of_somebody_else_is_not_touched(there: TrialCluster) -> None:
    theirs = manifest(make_model_deployment(name=NAME, namespace="default"))
    there.objects.append(theirs)
    result = run()
    assert result.return_value == 1
    assert "that no check created; use another namespace" in result.output
    assert theirs in there.objects


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("runtime", "check", "triton"), "pass a model with --uri"),
        (("runtime", "check", "tritn", "--uri=s3://a/b"), "there is no ServingRuntime 'tritn'; there are: triton"),
    ],
)
def test_wrong_words(there: TrialCluster, arguments: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(app.app, arguments, standalone_mode=False)
    assert result.return_value == 1
    assert said in result.output
    assert there.made == []


FILE = """
apiVersion: sluice.dev/v1alpha1
kind: ModelDeployment
metadata: {name: chat}
spec:
  model: {format: onnx, uri: "s3://models/chat/2"}
  resources: {limits: {memory: 8Gi}}
"""


def test_a_model_of_a_file_is_tried_with_its_resources(there: TrialCluster, tmp_path: Path) -> None:
    file = tmp_path / "chat.yaml"
    file.write_text(FILE)
    result = CliRunner().invoke(
        app.app, ["runtime", "check", "triton", f"--file={file}", "--keep"], standalone_mode=False
    )
    assert result.return_value == 0, result.output
    [trial] = [each["spec"] for each in there.objects if each["kind"] == ModelDeployment.kind]
    assert trial["model"]["uri"] == "s3://models/chat/2"
    assert trial["resources"] == {"limits": {"memory": "8Gi"}}


def test_a_file_that_the_api_server_would_refuse(there: TrialCluster, tmp_path: Path) -> None:
    file = tmp_path / "chat.yaml"
    file.write_text(FILE.replace("8Gi", "[much]"))
    result = run(f"--file={file}")
    assert "chat.yaml: spec.resources.limits.memory: " in " ".join(result.output.split())
    assert there.made == []


def test_a_payload_without_a_path_where_only_the_user_knows_it(there: TrialCluster, tmp_path: Path) -> None:
    there.objects[:] = [manifest(make_runtime(containers=[make_container()], protocols=["Native"]))]
    (tmp_path / "body").write_text("{}")
    assert "--payload needs --path" in run(f"--payload={tmp_path / 'body'}").output


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_when_it_is_interrupted(
    there: TrialCluster, monkeypatch: pytest.MonkeyPatch, ending: signal.Signals
) -> None:
    monkeypatch.setattr(runtimecheck, "WATCH_SECONDS", 30.0)
    create = TrialCluster.create

    async def interrupted(self: TrialCluster, kind: Resource, wanted: Raw) -> Raw:
        stored = await create(self, kind, wanted)
        if wanted["metadata"]["name"].endswith("-wrong"):
            asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), ending)
        return stored

    monkeypatch.setattr(TrialCluster, "create", interrupted)
    assert run().return_value == 130
    assert left(there) == ["ServingRuntime"]
