"""The cluster that the demo runs on: the lab, a kind cluster, or the one of the current kubeconfig context."""

import contextlib
import enum
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from demo.program import DemoError, Tools, run
from lab import gotools, images, lifecycle

ROOT: Final = Path(__file__).resolve().parents[1]
PLUGIN: Final = ROOT / ".venv" / "bin" / "kubectl-sluice"
KIND_CLUSTER: Final = "sluice"  # the name in kind-config.yaml
KIND_CONFIG: Final = ROOT / "kind-config.yaml"


class Kind(enum.Enum):
    AUTO = "auto"
    LAB = "lab"
    KIND = "kind"
    CURRENT = "current"


@dataclass(frozen=True, slots=True)
class Image:
    """One image of this repository. stage: the command that prepares the build context; sources: what it reads."""

    tag: str
    containerfile: Path
    context: Path
    stage: tuple[str | Path, ...]
    sources: tuple[Path, ...]

    @property
    def stamp(self) -> Path:
        """Touched when the context was prepared."""
        return self.context.with_name(f"{self.context.name}.staged")


def _server_image(name: str, *more_sources: Path) -> Image:
    folder = ROOT / "serving-runtime"
    return Image(
        tag=f"localhost/sluice/{name}:dev",
        containerfile=folder / name / "Containerfile",
        context=ROOT / "build" / "serving-runtime" / name,
        stage=(folder / "stage.sh", name),
        sources=(folder, *more_sources),
    )


IMAGES: Final = {
    "operator": Image(
        tag="localhost/sluice/operator:dev",
        containerfile=ROOT / "operator" / "Containerfile",
        context=ROOT / "build" / "operator",
        stage=(ROOT / "operator" / "stage.sh",),
        sources=(ROOT / "operator", ROOT / "uv.lock"),
    ),
    "storage-initializer": _server_image("storage-initializer"),
    "triton": _server_image("triton"),
}
SERVER_IMAGES: Final = {
    name: _server_image(name) for name in ("fastapi", "mlserver", "kserve", "bentoml", "torchserve", "llamacpp", "vllm")
}
"""The other model servers' images, built where they are needed."""


FURTHER_IMAGES: Final = {
    "optimizer": _server_image("optimizer"),
    "observer": _server_image("observer"),
    "batch": _server_image("batch", ROOT / "operator" / "sluice" / "batch"),
    "spark": _server_image("spark", ROOT / "operator" / "sluice" / "batch"),
}
"""Built where they are needed."""
FURTHER_VALUES: Final = {"optimizer": "optimizer", "observer": "observer", "batch": "batchRunner", "spark": "spark"}
"""By image: below `config` of the chart, what has it as `image`."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster with gateway, Prometheus and object store, and how to reach them from this machine."""

    kind: Kind
    tools: Tools
    gateway: str
    prometheus: str
    object_store: str
    own_address: str  # this machine's address as Pods see it
    started_here: bool  # whether the demo started it, and so ends it


def chosen(kind: Kind) -> Kind:
    """What AUTO means here: kind where a Docker engine and kind are there, otherwise the lab."""
    if kind is not Kind.AUTO:
        return kind
    return Kind.KIND if shutil.which("kind") and _docker_answers() else Kind.LAB


def start(kind: Kind) -> Cluster:
    match kind:
        case Kind.LAB:
            return _start_lab()
        case Kind.KIND:
            return _start_kind()
        case _:
            return _use_current()


def end(cluster: Cluster) -> None:
    """End a cluster that the demo started; one that was there before stays."""
    if not cluster.started_here:
        return
    if cluster.kind is Kind.LAB:
        lifecycle.down()
    elif cluster.kind is Kind.KIND:
        run("kind", "delete", "cluster", "--name", KIND_CLUSTER)


def is_running(kind: Kind) -> bool:
    """Whether there is a cluster that a demo has left, or may use."""
    match kind:
        case Kind.LAB:
            return lifecycle.status().state == "running"
        case Kind.KIND:
            return KIND_CLUSTER in run("kind", "get", "clusters").split()
        case _:
            return True


def build_images(kind: Kind) -> dict[str, str]:
    """Build this repository's images, bring them to the cluster's nodes, and return name -> digest of what was built."""
    return {name: _build(kind, image) for name, image in IMAGES.items()}


def build_further(kind: Kind, name: str) -> None:
    """Build one more image and bring it to the cluster's nodes; the operator knows its name already."""
    _build(kind, FURTHER_IMAGES[name])


def build_server(kind: Kind, name: str) -> str:
    """The same for one of the model servers that only tests and stories need; returns its tag."""
    _build(kind, SERVER_IMAGES[name])
    return SERVER_IMAGES[name].tag


def stage(image: Image) -> None:
    """Prepare the image's build context, unless nothing changed."""
    if not _is_staged(image):
        run(*image.stage, environment=with_own_programs())
        image.stamp.touch()


def _build(kind: Kind, image: Image) -> str:
    stage(image)
    if kind is Kind.LAB:
        return images.build(image.context, image.tag, {"BASE": images.PYTHON_BASE}, containerfile=image.containerfile)
    engine = "docker" if shutil.which("docker") else "podman"
    run(engine, "build", "--quiet", f"--tag={image.tag}", f"--file={image.containerfile}", image.context)
    if kind is Kind.KIND:
        run("kind", "load", "docker-image", image.tag, "--name", KIND_CLUSTER)
    return run(engine, "image", "inspect", "--format={{.Id}}", image.tag).strip()[-12:]


def _is_staged(image: Image) -> bool:
    """Whether the context was prepared after everything that it is made from had its last change."""
    if not image.stamp.exists() or not image.context.is_dir():
        return False
    files = [path for source in image.sources for path in (source.rglob("*") if source.is_dir() else (source,))]
    changes = [path.stat().st_mtime for path in files if path.is_file() and "__pycache__" not in path.parts]
    return image.stamp.stat().st_mtime >= max(changes)


def with_own_programs() -> dict[str, str]:
    """PATH with the environment's uv, which `make` puts there, in front."""
    folders = [str(ROOT / "build" / "uv" / "bin"), str(PLUGIN.parent), os.environ["PATH"]]
    return {"PATH": os.pathsep.join(folders)}


def _start_lab() -> Cluster:
    ran_before = lifecycle.status().state == "running"
    with ThreadPoolExecutor(max_workers=1) as beside:
        beside.map(stage, IMAGES.values())  # downloads, while the lab compiles or starts; `_build` tells what failed
        found = lifecycle.up()
    tools = Tools(found.kubectl, found.helm, str(PLUGIN), Path(found.kubeconfig))
    return Cluster(
        kind=Kind.LAB,
        tools=tools,
        gateway=found.gateway,
        prometheus=found.prometheus,
        object_store=found.objectStore,
        own_address=address_towards(_api_server(tools)),
        started_here=not ran_before,
    )


def _start_kind() -> Cluster:
    exists = KIND_CLUSTER in run("kind", "get", "clusters").split()
    if not exists:
        run("kind", "create", "cluster", f"--config={KIND_CONFIG}", "--wait=180s")
    kubeconfig = ROOT / "build" / "demo" / "kubeconfig"
    kubeconfig.parent.mkdir(parents=True, exist_ok=True)
    kubeconfig.write_text(run("kind", "get", "kubeconfig", "--name", KIND_CLUSTER))
    run(ROOT / ".venv" / "bin" / "python", "-m", "lab", "addons", f"--kubeconfig={kubeconfig}")
    # From the nodes' network the host is the network's gateway.
    networks = run(
        "docker", "network", "inspect", "kind", "--format={{range .IPAM.Config}}{{.Gateway}} {{end}}"
    ).split()
    return _on_loopback(Kind.KIND, _own_tools(kubeconfig), next(ip for ip in networks if "." in ip), not exists)


def _use_current() -> Cluster:
    tools = _own_tools(None)
    try:
        tools.get("gatewayclasses")
    except DemoError as error:
        remedy = "`python3 -m lab addons` installs Gateway API, gateway, Prometheus and object store"
        raise DemoError(f"the current context has no cluster with Gateway API; {remedy}") from error
    return _on_loopback(Kind.CURRENT, tools, address_towards(_api_server(tools)), started_here=False)


def _on_loopback(kind: Kind, tools: Tools, own_address: str, started_here: bool) -> Cluster:
    """Addresses of kind-config.yaml; on another cluster set these variables, or forward the ports."""
    return Cluster(
        kind=kind,
        tools=tools,
        gateway=os.environ.get("SLUICE_GATEWAY", "http://127.0.0.1:8080"),
        prometheus=os.environ.get("SLUICE_PROMETHEUS", "http://127.0.0.1:9090"),
        object_store=os.environ.get("SLUICE_OBJECT_STORE", "http://127.0.0.1:7070"),
        own_address=own_address,
        started_here=started_here,
    )


def _own_tools(kubeconfig: Path | None) -> Tools:
    missing = {"kubernetes": "kubectl", "helm": "helm"}
    paths = {program: shutil.which(program) for program in missing.values()}
    gotools.ensure(*(tool for tool, program in missing.items() if not paths[program]))
    found = {program: path or str(gotools.program(program)) for program, path in paths.items()}
    return Tools(found["kubectl"], found["helm"], str(PLUGIN), kubeconfig)


def _api_server(tools: Tools) -> str:
    return tools.kubectl("config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}")


def address_towards(url: str) -> str:
    """This machine's address on the way to `url`: what the other side sees. Sends nothing."""
    parts = urlsplit(url)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((parts.hostname or "127.0.0.1", parts.port or 443))
        return str(probe.getsockname()[0])


def _docker_answers() -> bool:
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


@contextlib.contextmanager
def running(kind: Kind, *, keep: bool) -> Iterator[Cluster]:
    cluster = start(kind)
    try:
        yield cluster
    finally:
        if not keep:
            end(cluster)
