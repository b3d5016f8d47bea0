"""Renders the chart into `manifests/install.yaml`, for clusters without Helm: `python -m charts.render`."""

from pathlib import Path
from typing import Final

from lab import gotools, processes

REPOSITORY: Final = Path(__file__).resolve().parents[1]
INSTALL: Final = REPOSITORY / "manifests" / "install.yaml"
NAMESPACE: Final = "sluice-system"
HEADER: Final = """\
# Sluice without Helm. Rendered from charts/sluice by `make crds`; do not edit.
# The custom resources at the end need the definitions at the beginning, which take a moment to be served:
#   kubectl apply --server-side -f crds/
#   kubectl wait --for=condition=Established --timeout=60s crd --selector=app.kubernetes.io/part-of=sluice
#   kubectl apply --server-side -f manifests/install.yaml
"""


def rendered() -> str:
    """The chart with its own values, its CRDs and a namespace of its own."""
    return HEADER + template("--include-crds", "--set", "createNamespace=true")


def template(*options: str, release: str = "sluice") -> str:
    """The chart with these options of `helm template`."""
    gotools.ensure("helm")
    arguments = ["template", release, "charts/sluice", "--namespace", NAMESPACE, *options]
    return processes.run([gotools.program("helm"), *arguments], directory=REPOSITORY)


if __name__ == "__main__":
    INSTALL.write_text(rendered())
