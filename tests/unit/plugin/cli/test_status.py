"""`status NAME` and `tree` on a cluster in memory whose operator is behind, with a gateway that really listens."""

import contextlib
import io
import json
import threading
from collections.abc import AsyncIterator, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from rich.console import Console

from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.options import Connection, ModelTarget, OutputFormat
from kubectl_sluice.cli.releases import status, tree
from tests.support import patience
from tests.support.simulated import scenarios
from tests.unit.plugin.cli.fakes import FakeCluster, Raw
from tests.unit.plugin.views.builders import condition

HERE = Connection(namespace="default", context=None, kubeconfig=None)
NOWHERE = "http://127.0.0.1:9"
METADATA = {
    "name": "digits",
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]}],
}


ADDRESS_SECONDS = status.ADDRESS_SECONDS


@dataclass
class Listening:
    """What answers at the model's address, and what it was asked."""

    url: str = ""
    status: int = 200
    revision: str = "digits-1111111111"
    silent: threading.Event | None = None
    """Until it is set nothing is answered."""
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def gateway() -> Iterator[Listening]:
    listening = Listening()

    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            listening.asked.append(f"{self.command} {self.path}")
            if listening.silent is not None:
                listening.silent.wait(patience.HANG_SECONDS)
            content = json.dumps(METADATA if listening.status == 200 else {"error": "no"}).encode()
            self.send_response(listening.status)
            self.send_header("Content-Length", str(len(content)))
            if listening.revision:
                self.send_header("x-model-revision", listening.revision)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(content)

        do_POST = do_PUT = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    listening.url = f"http://127.0.0.1:{server.server_port}"
    yield listening
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def serving() -> list[Raw]:
    world = scenarios.serving_cluster(warm_seconds=20)
    return [*world.objects.values(), *world.shared.values()]


@pytest.fixture
def objects(serving: list[Raw]) -> list[Raw]:
    """Of a model that serves, with its one pod, which is ready."""
    found = deepcopy(serving)
    template = one(found, "Deployment")
    pod = {
        "kind": "Pod",
        "metadata": {"name": "digits-pod", "namespace": "default", "labels": template["metadata"]["labels"]},
        "spec": template["spec"]["template"]["spec"],
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    return [*found, pod]


def one(objects: list[Raw], kind: str) -> Raw:
    return next(each for each in objects if each["kind"] == kind)


def behind(objects: list[Raw]) -> None:
    """The operator looked last before the pods were ready."""
    found = one(objects, "ModelDeployment")["status"]
    found["conditions"] = [condition("Ready", "False", "Unschedulable", "0 of 3 nodes have room")]
    found["stable"]["readyReplicas"] = 0


def use(objects: list[Raw], monkeypatch: pytest.MonkeyPatch, **settings: Any) -> FakeCluster:
    fake = FakeCluster(objects, **settings)

    @contextlib.asynccontextmanager
    async def connected(_: Connection) -> AsyncIterator[Any]:
        yield fake

    monkeypatch.setattr(cluster, "connected", connected)
    return fake


async def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str) -> str:
    monkeypatch.setattr(console, "stdout", lambda: Console(width=120, markup=False, highlight=False))
    assert await status.show(HERE, OutputFormat.TEXT, name="digits", gateway=url) == exits.OK
    return capsys.readouterr().out


async def document(capsys: pytest.CaptureFixture[str], url: str) -> dict[str, Any]:
    assert await status.show(HERE, OutputFormat.JSON, name="digits", gateway=url) == exits.OK
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


async def test_the_address_is_asked_once_and_never_for_an_inference(
    objects: list[Raw], gateway: Listening, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(objects, monkeypatch)
    text = await shown(monkeypatch, capsys, gateway.url)
    assert gateway.asked == ["GET /v2/models/digits"]
    assert "address    answered by digits-1111111111" in text
    assert "serves the requested version" in text.splitlines()[0]
    assert "a prediction:\ncurl -s -i" in text
    assert "\nnow " not in text


@pytest.mark.parametrize(
    ("answer", "revision", "want"),
    [
        (404, "digits-1111111111", "answered by digits-1111111111"),
        (503, "", "the gateway itself"),
        (301, "", "answers"),
    ],
)
async def test_other_answers(
    objects: list[Raw],
    gateway: Listening,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: int,
    revision: str,
    want: str,
) -> None:
    """A server may not speak V2; a redirect is not followed."""
    use(objects, monkeypatch)
    gateway.status, gateway.revision = answer, revision
    text = await shown(monkeypatch, capsys, gateway.url)
    assert f"address    {want}" in text
    assert "to see what the model expects:\ncurl -s -H" in text
    assert len(gateway.asked) == 1


async def test_an_address_out_of_reach_is_no_error(
    objects: list[Raw], gateway: Listening, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(objects, monkeypatch)
    assert f"address    not reachable from here: {NOWHERE} cannot be" in await shown(monkeypatch, capsys, NOWHERE)
    assert ADDRESS_SECONDS <= 1.0
    monkeypatch.setattr(status, "ADDRESS_SECONDS", 0.1)
    gateway.silent = threading.Event()
    assert "did not answer within 0.1 s" in await shown(monkeypatch, capsys, gateway.url)
    gateway.silent.set()
    assert "address    not asked: --gateway: 'nonsense'" in await shown(monkeypatch, capsys, "nonsense")


@pytest.mark.parametrize("ready", [True, False])
async def test_status_and_tree_count_the_same_pods(
    objects: list[Raw],
    gateway: Listening,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ready: bool,
) -> None:
    """Also while neither the operator nor the Deployment's controller has noticed yet."""
    use(objects, monkeypatch)
    if ready:
        behind(objects)
        one(objects, "Deployment")["status"]["readyReplicas"] = 0
    else:
        one(objects, "Pod")["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    found = await document(capsys, gateway.url)
    [revision] = found["revisions"]
    await tree.show(ModelTarget("default", None, None, "digits"), OutputFormat.JSON)
    root = json.loads(capsys.readouterr().out)
    [deployment] = [each for each in root["children"][0]["children"] if each["kind"] == "Deployment"]
    assert deployment["state"] == f"{revision['readyNow']} of 1 pod ready"
    assert (deployment["healthy"], revision["readyNow"]) == (ready, int(ready))
    assert found["now"][0].startswith(f"{revision['revision']}: {int(ready)} of 1 pod ready; the operator wrote")


async def test_what_the_operator_has_not_noticed_is_said(
    objects: list[Raw], gateway: Listening, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(objects, monkeypatch)
    behind(objects)
    text = await shown(monkeypatch, capsys, gateway.url)
    assert "not ready (as the operator wrote" in text
    assert "the address: answered by digits-1111111111; the operator wrote" in text
    assert "Ready=False for " in text
    assert "Unschedulable: 0 of 3 nodes have room" in text


async def test_pods_may_be_hidden(
    objects: list[Raw], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(objects, monkeypatch, denied=frozenset({"Pod"}))
    found = await document(capsys, NOWHERE)
    assert (found["revisions"][0]["readyNow"], found["now"]) == (None, [])
    assert found["address"]["state"] == "unreachable"


async def test_following_looks_at_the_pods_too(
    objects: list[Raw], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = use(objects, monkeypatch)
    behind(objects)
    out = Console(force_terminal=True, width=120, file=io.StringIO())
    monkeypatch.setattr(console, "stdout", lambda: out)

    async def ended(look: Any) -> Any:
        del fake.objects[:]
        return await look()

    monkeypatch.setattr(status.follow, "next_state", ended)
    with pytest.raises(console.Failure, match="there is no ModelDeployment"):
        await status.show(HERE, OutputFormat.TEXT, name="digits", watch=True)
    assert isinstance(out.file, io.StringIO)
    assert "1 of 1 pod ready; the operator wrote" in out.file.getvalue()
