"""Sizes of this repository's images as in a registry: every layer compressed by gzip."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from demo import cluster as clusters
from demo.cluster import Cluster
from demo.progress import step
from lab import images as lab_images
from lab import processes
from tests.benchmarks import report
from tests.benchmarks.report import Figure, Section, Table

MEGABYTE: Final = 10**6
OPERATOR_LIMIT_MEGABYTES: Final = 150
PUSH_SECONDS: Final = 600.0
METHOD: Final = """\
The sizes of the layers after a push to an OCI layout. The lab's Python base image stands in for the public one, which
has about the same size."""


def measure(cluster: Cluster) -> Section:
    sizes = {name: compressed_megabytes(image.tag) for name, image in clusters.IMAGES.items()}
    return section(sizes, report.machine(cluster.tools))


def section(sizes: dict[str, float], machine: Sequence[str]) -> Section:
    operator = sizes["operator"]
    rows = [(name, f"{size:.0f} MB") for name, size in sizes.items()]
    return Section(
        key="images",
        title="Images",
        method=METHOD,
        figures=(
            Figure(
                "operator image, compressed",
                f"{operator:.0f} MB",
                f"≤ {OPERATOR_LIMIT_MEGABYTES} MB",
                operator <= OPERATOR_LIMIT_MEGABYTES,
            ),
        ),
        tables=(Table(("image", "compressed"), rows, "All images"),),
        machine=machine,
    )


def compressed_megabytes(tag: str) -> float:
    with step(f"measure {tag}"), tempfile.TemporaryDirectory(dir=lab_images.folder()) as scratch:
        layout = Path(scratch) / "layout"
        store = (f"--root={lab_images.folder() / 'storage'}", "--storage-driver=overlay")  # where the lab builds
        processes.run(["buildah", *store, "push", "--quiet", tag, f"oci:{layout}"], timeout_seconds=PUSH_SECONDS)
        index = json.loads((layout / "index.json").read_text())
        manifest = json.loads(_blob(layout, index["manifests"][0]["digest"]).read_text())
    return float(sum(layer["size"] for layer in manifest["layers"])) / MEGABYTE


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")
