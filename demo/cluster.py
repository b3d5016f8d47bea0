"""The cluster that the demo runs on: the lab, a kind cluster, or the one of the current kubeconfig context."""

import contextlib
import enum
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from demo.program import DemoError, Tools, run
from lab import gotools, images, lifecycle
from lab.coldstart import Step

ROOT: Final = Path(__file__).resolve().parents[1]
PLUGIN: Final = ROOT / ".venv" / "bin" / "kubectl-sluice"
KIND_CLUSTER: Final = "sluice"  # the name in kind-config.yaml
KIND_CONFIG: Final = ROOT / "kind-config.yaml"
IMAGE_SECONDS: Final = 20
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


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

    def named_in(self, registry: str) -> str:
        """Its name there; without a registry the one by which it is built and brought to nodes."""
        return f"{registry}/{self.tag.rpartition('/')[2]}" if registry else self.tag

    @property
    def stamp(self) -> Path:
        """Touched when the context was prepared."""
        return self.context.with_name(f"{self.context.name}.staged")


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """reference: by which a pod names it; in a registry by digest. key: changes with what is in it."""

    reference: str
    key: str


def _server_image(name: str, *more_sources: Path) -> Image:
    folder = ROOT / "serving-runtime"
    return Image(
        tag=f"localhost/sluice/{name}:dev",
        containerfile=folder / name / "Containerfile",
        context=ROOT / "build" / "serving-runtime" / name,
        stage=(folder / "stage.sh", name),
        sources=(folder, *more_sources),
    )


def _packaged_image(name: str, folder: Path) -> Image:
    """One that has packages of this repository. folder: of the distribution that it runs."""
    return Image(
        tag=f"localhost/sluice/{name}:dev",
        containerfile=folder / "Containerfile",
        context=ROOT / "build" / name,
        stage=(ROOT / "operator" / "stage.sh", name),
        sources=(ROOT / "operator" / "stage.sh", folder, ROOT / "core", ROOT / "judge", ROOT / "uv.lock"),
    )


IMAGES: Final = {
    "operator": _packaged_image("operator", ROOT / "operator"),
    "storage-initializer": _server_image("storage-initializer"),
    "triton": _server_image("triton"),
}
SERVER_IMAGES: Final = {
    name: _server_image(name) for name in ("fastapi", "mlserver", "kserve", "bentoml", "torchserve", "llamacpp", "vllm")
}
"""The other model servers' images, built where they are needed."""

PAGE_IMAGE: Final = _packaged_image("dashboard", ROOT / "plugin")
"""The web page's, built for a demo that is kept."""

FURTHER_IMAGES: Final = {
    "optimizer": _server_image("optimizer"),
    "observer": _server_image("observer"),
    "batch": _server_image("batch", ROOT / "batch" / "sluice_batch"),
    "spark": _server_image("spark", ROOT / "batch" / "sluice_batch"),
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
    registry: str = ""  # where its nodes pull this repository's images from, if nobody brings them there


def chosen(kind: Kind) -> Kind:
    """What AUTO means here: kind where a Docker engine and kind are there, otherwise the lab."""
    if kind is not Kind.AUTO:
        return kind
    return Kind.KIND if shutil.which("kind") and _docker_answers() else Kind.LAB


def start(kind: Kind, registry: str = "") -> Cluster:
    """registry: host and folder, for the current cluster alone."""
    match kind:
        case Kind.LAB:
            return _start_lab()
        case Kind.KIND:
            return _start_kind()
        case _:
            return _use_current(registry)


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


def build_images(kind: Kind, registry: str = "") -> dict[str, BuiltImage]:
    """Build this repository's images, and bring them to the cluster's nodes or to where these pull them from."""
    return {name: _build(kind, image, registry) for name, image in IMAGES.items()}


def build_further(kind: Kind, name: str, registry: str = "") -> None:
    """Build one more image and bring it to the same place; the operator knows its name already."""
    _build(kind, FURTHER_IMAGES[name], registry)


def build_page(kind: Kind) -> BuiltImage:
    """The same for the web page's, on a cluster of this machine."""
    return _build(kind, PAGE_IMAGE, registry="")


def build_server(kind: Kind, name: str, registry: str = "") -> str:
    """The same for one of the model servers that only tests and stories need; returns its reference."""
    return _build(kind, SERVER_IMAGES[name], registry).reference


def stage(image: Image) -> None:
    """Prepare the image's build context, unless nothing changed."""
    if not _is_staged(image):
        run(*image.stage, environment=with_own_programs())
        image.stamp.touch()


def _make(image: Image) -> None:
    stage(image)
    images.make(image.context, image.tag, {"BASE": images.PYTHON_BASE}, containerfile=image.containerfile)


def _build(kind: Kind, image: Image, registry: str) -> BuiltImage:
    stage(image)
    if kind is Kind.LAB:
        key = images.build(image.context, image.tag, {"BASE": images.PYTHON_BASE}, containerfile=image.containerfile)
        return BuiltImage(image.tag, key)
    if registry:
        return _pushed(image, registry)
    engine = "docker" if shutil.which("docker") else "podman"
    run(engine, "build", "--quiet", f"--tag={image.tag}", f"--file={image.containerfile}", image.context)
    if kind is Kind.KIND:
        run("kind", "load", "docker-image", image.tag, "--name", KIND_CLUSTER)
    return BuiltImage(image.tag, run(engine, "image", "inspect", "--format={{.Id}}", image.tag).strip()[-12:])


def _pushed(image: Image, registry: str) -> BuiltImage:
    """Built and pushed by the program that is there; logins, and registries without TLS, are its configuration."""
    name = image.named_in(registry)
    engine = "docker" if _docker_answers() else "podman" if shutil.which("podman") else None
    if engine:
        run(engine, "build", "--quiet", f"--tag={name}", f"--file={image.containerfile}", image.context)
    else:
        images.make(image.context, name, {"BASE": images.PYTHON_BASE}, containerfile=image.containerfile)
    digest = _digest_of_push([engine] if engine else images.buildah(), name)
    return BuiltImage(f"{name.rpartition(':')[0]}@{digest}", digest.removeprefix("sha256:")[:12])


def _digest_of_push(program: list[str], name: str) -> str:
    if program == ["docker"]:
        [digest] = DIGEST.findall(run("docker", "push", name))  # layers are named by their first digits
        return str(digest)
    with tempfile.NamedTemporaryFile("r") as file:
        run(*program, "push", "--quiet", f"--digestfile={file.name}", name)
        return file.read().strip()


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
    found = lifecycle.up(*(Step(name, IMAGE_SECONDS, partial(_make, image)) for name, image in IMAGES.items()))
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


def _use_current(registry: str) -> Cluster:
    tools = _own_tools(None)
    try:
        tools.get("gatewayclasses")
    except DemoError as error:
        remedy = "`python3 -m lab addons` installs Gateway API, gateway, Prometheus and object store"
        raise DemoError(f"the current context has no cluster with Gateway API; {remedy}") from error
    found = _on_loopback(Kind.CURRENT, tools, address_towards(_api_server(tools)), started_here=False)
    return replace(found, registry=registry)


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
def running(kind: Kind, *, keep: bool, registry: str = "") -> Iterator[Cluster]:
    cluster = start(kind, registry)
    try:
        yield cluster
    finally:
        if not keep:
            end(cluster)
