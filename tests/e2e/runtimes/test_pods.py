"""Every model server of the table as pods on the lab, through operator, downloader, object store and gateway."""

import http
import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np
import pyarrow
import pytest

from demo import setup
from demo.cluster import Cluster
from demo.program import DemoError
from tests.e2e import datasets
from tests.e2e.conftest import bring_further_image, bring_server
from tests.e2e.grpcload import GRPC_PREFIX
from tests.support import patience
from tests.support.live.scene import Scene, manifest, wait_until
from tests.support.runtimes import box
from tests.support.runtimes.asking import Ask, Load, Place
from tests.support.runtimes.table import CASES, LLAMACPP, MODEL, Case

MORE_SECONDS: Final = 60.0
"""A pod needs before and after its server."""
TOLD_SECONDS: Final = 130.0
"""From what a server says until the operator has said it: it may have to end some times before."""
DRAIN_SECONDS: Final = 10
CLEAR: Final = ("ModelNotLoadable: ", "UnsupportedModel: ")
ACCURATE: Final = 0.9
"""Of the worst model of the table."""
IN_PODS: Final = [
    pytest.param(case, id=case.name, marks=() if case is LLAMACPP else pytest.mark.slow) for case in CASES
]
"""Triton has its pods in all other modules; `test_local` starts each server that is not slow without a pod."""


class Served:
    """A case of the table, deployed."""

    def __init__(self, scene: Scene, case: Case, folder: Path) -> None:
        self.scene = scene
        self.case = case
        bring_server(scene.cluster, case.runtime, case.image)
        files = box.mounted(case.image)
        source = folder / "source"
        source.mkdir()
        case.write(files, source)
        box.unmount(files)
        written = (path for path in source.rglob("*") if path.is_file())
        self.upload("good", {path.relative_to(source).as_posix(): path.read_bytes() for path in written})

    def deploy(self, name: str, version: str, replicas: int = 1) -> None:
        model = {"name": MODEL, "format": self.case.format, "uri": self.uri(version)}
        self.scene.deploy(name, version, model=model, replicas=replicas, drainSeconds=DRAIN_SECONDS, **self.case.spec)

    def uri(self, version: str) -> str:
        return f"s3://{setup.BUCKET}/{self.key(version)}"

    def key(self, version: str) -> str:
        return f"conformance/{self.case.name}/{version}"

    def place(self, name: str) -> Place:
        target = self.scene.target(name)
        address = target.url.removeprefix("http://").rstrip("/")
        return Place(target.url.rstrip("/"), address, {"Host": target.host}, GRPC_PREFIX + target.host)

    def pods(self, name: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.scene.tools.get(
            "pods", self.scene.where, f"--selector=sluice.dev/model-deployment={name}"
        )["items"]
        return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]

    def upload(self, version: str, files: Mapping[str, bytes]) -> None:
        store = setup.object_store(self.scene.cluster)
        for path, content in files.items():
            store.put_object(Bucket=setup.BUCKET, Key=f"{self.key(version)}/{path}", Body=content)


@pytest.fixture(scope="module", params=IN_PODS)
def stored(scene: Scene, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A case with its image on the node and its model in the store."""
    folder = tmp_path_factory.mktemp(request.param.name)
    folder.chmod(0o755)
    return Served(scene, request.param, folder)


@pytest.fixture(scope="module")
def served(stored: Served) -> Iterator[Served]:
    scene, case = stored.scene, stored.case
    stored.deploy(case.name, "good", replicas=2)
    scene.wait_ready(case.name, case.seconds + MORE_SECONDS)
    print(f"\n{case.name}: ready {max(map(_start_seconds, stored.pods(case.name))):.0f} s after its pod was created")
    yield stored
    scene.tools.kubectl("delete", "modeldeployments.sluice.dev", case.name, scene.where, "--wait=false")


def test_it_passes_each_check_of_the_command(stored: Served, tmp_path: Path) -> None:
    case, ask = stored.case, stored.case.asks[0]
    assert isinstance(ask, Ask)
    payload = tmp_path / "payload.json"
    payload.write_text(json.dumps(ask.body))
    file = tmp_path / "model.json"
    file.write_text(json.dumps(manifest(case.name, "good", model={"format": case.format}, **case.spec)))
    asked = (f"--model-name={MODEL}", f"--path={ask.path}", f"--payload={payload}")
    series = (f"--series={line.partition('{')[0]}" for line in case.series)
    image = (f"--image={case.image.tag}",) if case.format == "custom" else ()
    source = (
        f"--file={file}",
        f"--uri={stored.uri('good')}",
        f"--format={case.format}",
        f"--credentials-secret={setup.CREDENTIALS_SECRET}",
    )
    tools, where = stored.scene.tools, stored.scene.where
    ready = f"--ready={case.seconds + MORE_SECONDS:.0f}"
    command = [tools.plugin_path, "runtime", "check", case.runtime, where, *source, *asked, *series, *image, ready]
    done = subprocess.run(
        [*command, "--output=json"], env=tools.full_environment, capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    checks = {check["name"]: (check["state"], check["finding"]) for check in json.loads(done.stdout)}
    print("", *(f"{name}: {finding}" for name, (_, finding) in checks.items()), sep="\n  ")
    assert {name: seen for name, seen in checks.items() if seen[0] != "ok"} == {}
    assert done.returncode == 0


def test_each_protocol_answers_right_through_the_gateway(served: Served) -> None:
    place = served.place(served.case.name)
    problems = {ask.protocol: ask.problem(place) for ask in served.case.asks}
    assert problems == dict.fromkeys(problems, "")


def test_its_administration_is_not_reached_through_the_gateway(served: Served, subtests: pytest.Subtests) -> None:
    """Whatever of it is tried, the model still answers afterwards."""
    place, host = served.place(served.case.name), served.scene.target(served.case.name).host
    for method, path in served.case.administration:
        with subtests.test(f"{method} {path}"):
            asked = urllib.request.Request(
                place.url + path, b"{}" if method == "POST" else None, {"Host": host}, method=method
            )
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(asked, timeout=patience.HANG_SECONDS)
            refused.value.close()
            assert refused.value.code in (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.FORBIDDEN)
    if served.case.administration_calls:
        with grpc.insecure_channel(place.grpc, [("grpc.default_authority", place.authority)]) as channel:
            for call in served.case.administration_calls:
                with subtests.test(call), pytest.raises(grpc.RpcError) as failed:
                    channel.unary_unary(call)(b"", timeout=patience.HANG_SECONDS)
                assert failed.value.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE)
    assert {ask.protocol: ask.problem(place) for ask in served.case.asks if ask.problem(place)} == {}


def test_it_runs_restricted(served: Served) -> None:
    name = served.pods(served.case.name)[0]["metadata"]["name"]
    execute = ("exec", name, served.scene.where, "--container=server", "--")
    assert served.scene.tools.kubectl(*execute, "id", "-u").strip() == box.USER
    for path in ("/here", "/models/here"):
        with pytest.raises(DemoError, match="Read-only file system"):
            served.scene.tools.kubectl(*execute, "touch", path)


@pytest.mark.slow
def test_a_wrong_model_is_never_ready_and_the_reason_is_said(served: Served, subtests: pytest.Subtests) -> None:
    scene = served.scene
    for number, (name, broken) in enumerate(served.case.broken.items()):
        with subtests.test(name):
            model = f"{served.case.name}-wrong{number}"
            served.upload(f"wrong{number}", broken.files)
            served.deploy(model, f"wrong{number}")
            # A launcher of ours, and the downloader, say it in one line.
            clear = broken.said.startswith(CLEAR)
            told = (
                {broken.said.partition(":")[0]} if clear else {"ModelNotLoadable", "CrashLoopBackOff", "ModelNotReady"}
            )
            ready = scene.wait_condition(
                model,
                "Ready",
                _has_reason(told),
                "says why",
                seconds=served.case.refuses_seconds + TOLD_SECONDS,
            )
            print(f"\n{name}: {ready['reason']}: {ready['message']}")
            assert ready["status"] == "False"
            assert not clear or re.search(broken.said, f"{ready['reason']}: {ready['message']}")
            scene.tools.kubectl("delete", "modeldeployments.sluice.dev", model, scene.where, "--wait=false")


def _has_reason(reasons: Collection[str]) -> Callable[[dict[str, Any]], bool]:
    return lambda condition: condition["reason"] in reasons


@pytest.mark.slow
def test_beside_the_runner_it_answers_a_data_set(lab: Cluster, served: Served) -> None:
    """Or it is refused, because the runner does not speak what it speaks."""
    scene, case, rows = served.scene, served.case, 2_000
    bring_further_image(lab, "batch")
    source = datasets.upload(lab, f"data/{case.name}.parquet", rows)
    scene.apply(datasets.batch(case.name, source, f"answers/{case.name}/", deployment=case.name, batchSize=100))
    if not {"V1", "V2"} & {ask.protocol for ask in case.asks}:
        told = wait_until(
            lambda: (
                told
                if (told := datasets.condition_of(scene, case.name, "Complete")).get("reason") == "ProtocolNotSupported"
                else None
            ),
            "the run is refused",
        )
        assert case.runtime in told["message"]
        return
    status = datasets.wait_end(scene, case.name)
    assert status["run"]["outcome"] == "Complete", datasets.condition_of(scene, case.name, "Failed")
    assert status["rows"] == {"total": rows, "read": rows, "written": rows, "failed": 0}
    found = datasets.answers(lab, f"answers/{case.name}/")
    print(f"\n{case.name}: {found.schema.names}")
    assert found.column("id").to_pylist() == list(range(rows))
    digit = np.array(found.column("digit").to_pylist())
    given = [_labels(found.column(name)) for name in found.schema.names if name not in ("id", "digit")]
    # Models err; answers in another order would be wrong in nine of ten rows.
    assert max(float(np.mean(digit == labels)) for labels in given if len(labels) == rows) >= ACCURATE


def _labels(answers: pyarrow.ChunkedArray) -> list[int]:
    """Of labels or of scores."""
    values = np.array(answers.to_pylist())
    if values.dtype.kind not in "iuf":
        return []
    return [round(value) for value in values] if values.ndim == 1 else values.argmax(axis=1).tolist()


def test_a_rolling_restart_loses_nothing(served: Served) -> None:
    ask, name = served.case.asks[0], served.case.name
    assert isinstance(ask, Ask)
    old = {pod["metadata"]["name"] for pod in served.pods(name)}
    with Load(ask, served.place(name), rate=served.case.rate) as load:
        for pod in sorted(old):
            served.scene.tools.kubectl("delete", "pod", pod, served.scene.where, "--wait=true", "--timeout=240s")
            seconds = served.case.seconds + MORE_SECONDS
            served.scene.wait_ready(name, seconds)
            wait_until(lambda: _ready(served.pods(name)) >= 2, "two pods are ready", seconds=seconds)
    print(f"\n{name}: {load.sent} requests over a rolling restart")
    assert not old & {pod["metadata"]["name"] for pod in served.pods(name)}
    assert load.problems == {}


def _start_seconds(pod: dict[str, Any]) -> float:
    """From its creation until it was ready; Kubernetes tells whole seconds."""
    [ready] = [condition for condition in pod["status"]["conditions"] if condition["type"] == "Ready"]
    made, then = (
        datetime.fromisoformat(moment) for moment in (pod["metadata"]["creationTimestamp"], ready["lastTransitionTime"])
    )
    return (then - made).total_seconds()


def _ready(pods: list[dict[str, Any]]) -> int:
    conditions = (condition for pod in pods for condition in pod["status"].get("conditions", ()))
    return sum(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
