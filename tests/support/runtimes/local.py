"""A case of the table on this machine alone: its image's files, its pod template, its model's layout."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sluice_core.api.v1alpha1.servingruntime import ServingRuntimeSpec
from tests.support.runtimes import box, rendered
from tests.support.runtimes.asking import Place
from tests.support.runtimes.box import Box, Files
from tests.support.runtimes.table import MODEL, Case

Object = dict[str, Any]

DRAIN_SECONDS: Final = 20


class LocalHost:
    """Starts a case's servers."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case = case
        self.runtime: ServingRuntimeSpec = rendered.runtimes()[case.runtime].spec
        spec = {"drainSeconds": DRAIN_SECONDS, **case.spec}
        self.template: Object = rendered.pod(case.runtime, name=MODEL, format_=case.format, spec=spec)
        box.build(case.image)
        self._files: Files = box.mounted(case.image)
        self._folder = folder
        self._started = 0
        source = self._new_folder("source")
        case.write(self._files, source)
        self._model = self._laid_out(source)

    def close(self) -> None:
        box.unmount(self._files)

    @property
    def root(self) -> Path:
        """The image's files."""
        return self._files.root

    def start(self) -> Box:
        """A server with the case's model."""
        return self._start(self._model)

    def start_with(self, files: Mapping[str, bytes]) -> Box:
        """A server with other files; raises the downloader's DownloadError where it refuses them."""
        source = self._new_folder("broken")
        for name, content in files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(content)
        return self._start(self._laid_out(source))

    def place(self, server: Box) -> Place:
        grpc = server.address(self.runtime.grpc_port) if self.runtime.grpc_port is not None else ""
        return Place(f"http://{server.address(self.port)}", grpc)

    @property
    def port(self) -> int:
        return int((self.case.spec.get("runtime") or {}).get("port") or self.runtime.port)

    @property
    def metrics_url(self) -> tuple[int, str]:
        """Port and path that the template announces."""
        annotations = self.template["metadata"]["annotations"]
        return int(annotations["prometheus.io/port"]), annotations["prometheus.io/path"]

    def _start(self, model: Path) -> Box:
        return Box(self._files, self.template, model, self._new_folder("server"))

    def _laid_out(self, source: Path) -> Path:
        target = self._new_folder("models")
        rendered.lay_out(source, target, self.template)
        return target

    def _new_folder(self, name: str) -> Path:
        self._started += 1
        folder = self._folder / f"{name}-{self._started}"
        folder.mkdir()
        return folder
