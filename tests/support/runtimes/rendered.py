"""The pod of a model on a chart's ServingRuntime, as the operator renders it, and the layout of its model's files."""

import functools
import importlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any, Final
from unittest import mock

import yaml

from demo.cluster import ROOT
from lab import gotools, processes
from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.servingruntime import ServingRuntime
from sluice_core.render.pod import podtemplate

Object = dict[str, Any]

DOWNLOADER: Final = ROOT / "serving-runtime" / "storage-initializer"
URI: Final = "s3://models/conformance"


@functools.cache
def runtimes(*values: str) -> dict[str, ServingRuntime]:
    """All ServingRuntimes of the chart by name, including those not created by default; values: `KEY=VALUE`."""
    gotools.ensure("helm")
    names = [path.stem.removeprefix("runtime-") for path in (ROOT / "charts/sluice/templates").glob("runtime-*.yaml")]
    create = [f"--set=runtimes.{name}.create=true" for name in names]
    create.append("--set=runtimes.triton.layout=TritonPythonOnnx")  # for the image built here
    create.extend(f"--set={value}" for value in values)
    text = processes.run(
        [gotools.program("helm"), "template", "sluice", str(ROOT / "charts" / "sluice"), *create],
    )
    found = (ServingRuntime.model_validate(d) for d in yaml.safe_load_all(text) if d and d["kind"] == "ServingRuntime")
    return {runtime.metadata.name: runtime for runtime in found}


def pod(server: str, *, name: str, format_: str, spec: Object, values: tuple[str, ...] = ()) -> Object:
    """The pod template of a ModelDeployment with this spec; values: of the chart."""
    document = {"metadata": {"name": name}, "spec": {"model": {"format": format_, "uri": URI}, **spec}}
    deployment = ModelDeployment.model_validate(document)
    return podtemplate.render_template(deployment, runtimes(*values)[server], OperatorConfig(), f"{name}-0123456789")


def lay_out(source: Path, target: Path, template: Object) -> None:
    """Lays out the files of `source` in `target` as the pod's downloader does. Raises its DownloadError."""
    [downloader] = template["spec"]["initContainers"]
    options = dict(zip(downloader["args"][::2], downloader["args"][1::2], strict=True))
    environment = {entry["name"]: entry["value"] for entry in downloader["env"] if "value" in entry}
    layout = _downloader_module("layout")
    files = sorted(path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file())
    with mock.patch.dict(os.environ, environment):
        plan = layout.arranged(files, layout.Layout(options["--layout"]), options["--model-name"])
    for old, new in plan.moves:
        # Without the mode of the source: the downloader has the server's user, and may read what it wrote.
        shutil.copyfile(source / old, _prepared(target / new))
    for new, text in plan.texts:
        _prepared(target / new).write_text(text)
    if plan.server_code:
        shutil.copy(ROOT / "serving-runtime" / "triton" / "model.py", _prepared(target / plan.server_code))


def download_error() -> type[Exception]:
    """The downloader's exception for refused files."""
    error: type[Exception] = _downloader_module("failures").DownloadError
    return error


def _downloader_module(name: str) -> Any:
    """The downloader is in its image's folder, which is not part of the installed package."""
    if str(DOWNLOADER) not in sys.path:
        sys.path.insert(0, str(DOWNLOADER))
    return importlib.import_module(f"sluice_storage.{name}")


def _prepared(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
