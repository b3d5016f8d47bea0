"""Images and chart to a registry, by the programs that everybody brings them there with."""

import base64
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab import gotools, processes
from lab import images as lab_images
from lab.processes import LabError
from release.images import BUILD_SECONDS, STORED, Built
from release.source import Source

CHART: Final = "charts/sluice"
FILES: Final = "release"
"""The image that has the files of a version."""


@dataclass(frozen=True, slots=True)
class Registry:
    """address: host and folder, such as registry.example/sluice. login: a file as `docker login` writes it."""

    address: str
    plain_http: bool
    login: Path

    def image(self, name: str, version: str) -> str:
        return f"{self.address}/{name}:{version}"

    @property
    def charts(self) -> str:
        return f"oci://{self.address}/charts"


@contextmanager
def opened(address: str, *, plain_http: bool) -> Iterator[Registry]:
    """The registry with REGISTRY_USER and REGISTRY_PASSWORD of the environment; without them as anybody."""
    with tempfile.TemporaryDirectory() as folder:
        login = Path(folder) / "config.json"
        login.touch(mode=0o600)
        login.write_text(json.dumps(login_of(address, os.environ)))
        yield Registry(address, plain_http, login)


def login_of(address: str, environment: Mapping[str, str]) -> dict[str, object]:
    """What Docker's programs keep of a login."""
    user, password = environment.get("REGISTRY_USER", ""), environment.get("REGISTRY_PASSWORD", "")
    if not user:
        return {"auths": {}}
    basic = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"auths": {address.partition("/")[0]: {"auth": basic}}}


def push(registry: Registry, images: Sequence[Built], chart: Path, source: Source) -> None:
    """Images first: the chart is there once all that it names is. Last, all files beside the chart."""
    version = source.version.text
    for image in images:
        pushed = _push_image(registry, image.reference, registry.image(image.name, version))
        if pushed != image.digest:
            raise LabError(f"{image.name}:{version}: the registry has {pushed}, and the release says {image.digest}")
    gotools.ensure("helm")
    flags = ["--plain-http"] if registry.plain_http else []
    processes.run(
        [gotools.program("helm"), "push", chart, registry.charts, f"--registry-config={registry.login}", *flags]
    )
    _push_image(registry, _image_of(chart.parent, source), registry.image(FILES, version))


def pushed(images: Sequence[Built], version: str) -> dict[str, str]:
    """What `push` brought there: by name below the registry's address, its tag."""
    return dict.fromkeys((*(image.name for image in images), CHART, FILES), version)


def _image_of(folder: Path, source: Source) -> str:
    """An image that has the files and no program: every registry keeps it, and every engine copies out of it."""
    buildah, reference = lab_images.buildah(), f"{STORED}/{FILES}:{source.version.text}"
    container = processes.run([*buildah, "from", "scratch"]).strip()
    processes.run([*buildah, "copy", container, folder, "/"])
    processes.run([*buildah, "commit", "--quiet", "--rm", f"--timestamp={source.epoch}", container, reference])
    return reference


def _push_image(registry: Registry, reference: str, target: str) -> str:
    """Returns the digest that the registry has it by."""
    with tempfile.NamedTemporaryFile("r") as file:
        options = [f"--authfile={registry.login}", f"--tls-verify={str(not registry.plain_http).lower()}"]
        command = ["push", "--quiet", "--format=oci", *options, f"--digestfile={file.name}", reference]
        processes.run([*lab_images.buildah(), *command, f"docker://{target}"], timeout_seconds=BUILD_SECONDS)
        return file.read().strip()
