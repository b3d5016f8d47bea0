"""Many ModelDeployments whose pods are played by kwok, and watching them become Ready."""

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from demo.program import DemoError, Tools
from lab import kwok
from tests.support.live.scene import DEPLOYMENTS, Object, Scene, wait_until

READY: Final = '{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\\n"}'
GATEWAY: Final = "--namespace=projectcontour"


ONNX: Final[Object] = {"model": {"format": "onnx"}}
"""With an HTTPRoute and a GRPCRoute."""
CUSTOM: Final[Object] = {"model": {"format": "custom"}, "runtime": {"image": "localhost/sluice/none:dev"}}
"""With an HTTPRoute alone. No node runs the image."""


def manifest(number: int, of: Object = ONNX) -> Object:
    """A ModelDeployment for fake nodes. Its pods are not scraped: nothing answers there."""
    return {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": f"model-{number:04}"},
        "spec": {
            **of,
            "model": {**of["model"], "uri": f"s3://models/fake/{number}"},
            "nodeSelector": {kwok.LABEL: "true"},
            "tolerations": [{"key": kwok.TAINT, "operator": "Exists", "effect": "NoSchedule"}],
            "podAnnotations": {"prometheus.io/scrape": "false"},
        },
    }


def create(scene: Scene, numbers: range, of: Object = ONNX) -> None:
    """Creates all in one kubectl, with one request each."""
    items = [manifest(number, of) for number in numbers]
    scene.tools.kubectl(
        "create", scene.where, "--filename=-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    )


def delete_all(scene: Scene, seconds: float = 600) -> None:
    """Returns when their children are also gone. Nothing runs in the pods, so they need no grace."""
    tools = scene.tools
    # One by one: a busy API server takes longer for a thousand at once than a request may last.
    tools.kubectl("delete", DEPLOYMENTS, "--all", scene.where, "--wait=false")
    wait_until(
        lambda: not _left(scene, f"{DEPLOYMENTS},deployments.apps"), "their Deployments are gone", seconds=seconds
    )
    tools.kubectl("delete", "pods", "--all", scene.where, "--force", "--grace-period=0", "--wait=false")
    wait_until(lambda: not _left(scene, "pods"), "their pods are gone", seconds=seconds)


def _left(scene: Scene, kinds: str) -> str:
    return scene.tools.kubectl("get", kinds, scene.where, "--output=name")


class ReadyWatch:
    """Names of the namespace's ModelDeployments and when (monotonic seconds) each was first seen Ready."""

    def __init__(self) -> None:
        self.ready: dict[str, float] = {}

    def wait(self, count: int, seconds: float) -> None:
        wait_until(lambda: len(self.ready) >= count, f"{count} Ready, {len(self.ready)} seen", seconds=seconds)

    def read(self, line: str) -> None:
        name, _, status = line.partition(" ")
        if status == "True":
            self.ready.setdefault(name, time.monotonic())


@contextlib.contextmanager
def watched(scene: Scene) -> Iterator[ReadyWatch]:
    """The models, from now on."""
    watch = ReadyWatch()
    with lines(scene, DEPLOYMENTS, READY, watch.read):
        yield watch


@contextlib.contextmanager
def lines(scene: Scene, kinds: str, template: str, read: Callable[[str], None]) -> Iterator[None]:
    """One watch request for the whole time: a line of the template for each state of each object."""
    tools = scene.tools
    command = [tools.kubectl_path, "get", kinds, scene.where, "--watch", f"--output=jsonpath={template}"]
    with subprocess.Popen(command, env=tools.full_environment, stdout=subprocess.PIPE, text=True) as process:
        printed = process.stdout
        assert printed is not None
        reader = threading.Thread(
            target=lambda: [read(line.strip()) for line in printed], name="kubectl-watch", daemon=True
        )
        reader.start()
        try:
            yield
        finally:
            process.terminate()
            reader.join(10)


@contextlib.contextmanager
def fake_nodes(count: int) -> Iterator[None]:
    kwok.ensure(count)
    try:
        yield
    finally:
        kwok.ensure(0)


@contextlib.contextmanager
def gateway_not_scraped(tools: Tools) -> Iterator[None]:
    """No release runs here, and 1,000 models make Envoy's metrics so long that reading them would slow down the rest."""
    pods = tools.kubectl("get", "pods", GATEWAY, "--selector=app=envoy", "--output=name").split()
    for pod in pods:
        tools.kubectl("annotate", pod, GATEWAY, "prometheus.io/scrape=false", "--overwrite")
    try:
        yield
    finally:
        for pod in pods:
            with contextlib.suppress(DemoError):  # replaced meanwhile: the new one has the right annotation
                tools.kubectl("annotate", pod, GATEWAY, "prometheus.io/scrape=true", "--overwrite")
