"""What stands around Sluice in the cluster: Gateway API, Contour with Envoy, Prometheus, the object store.

The same `manifests/quickstart` goes to the lab and to any other cluster; only the lab overrides image names.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lab import baseimages, gotools, paths, processes

DEPLOYMENTS: Final = (
    ("projectcontour", "deployment/contour"),
    ("projectcontour", "daemonset/envoy"),
    ("monitoring", "deployment/prometheus"),
    ("storage", "deployment/object-store"),
)
GATEWAY_CONDITION: Final = ("gateway", "gateway/models", "Programmed")


def apply(kubeconfig: Path | None, *, local_images: bool) -> None:
    """Apply the definitions and the manifests. kubeconfig: None takes kubectl's own default.

    local_images: the images that the lab built, in place of the public ones.
    """
    definitions = write_definitions(paths.BUILD / "definitions.yaml")
    server_side = ("apply", "--server-side", "--force-conflicts")
    _kubectl(kubeconfig, *server_side, f"--filename={definitions}")
    _kubectl(kubeconfig, "wait", "--for=condition=Established", "--timeout=60s", f"--filename={definitions}")
    folder = write_overlay(paths.BUILD / "quickstart") if local_images else paths.MANIFESTS
    _kubectl(kubeconfig, *server_side, f"--kustomize={folder}")


def wait_until_ready(kubeconfig: Path | None, *, timeout_seconds: int) -> None:
    """Wait until every workload is rolled out and the Gateway is programmed."""
    for namespace, workload in DEPLOYMENTS:
        _kubectl(kubeconfig, "rollout", "status", workload, f"--namespace={namespace}", f"--timeout={timeout_seconds}s")
    namespace, gateway, condition = GATEWAY_CONDITION
    wait = (
        "wait",
        gateway,
        f"--namespace={namespace}",
        f"--for=condition={condition}",
        f"--timeout={timeout_seconds}s",
    )
    _kubectl(kubeconfig, *wait)


def write_definitions(target: Path) -> Path:
    """The CustomResourceDefinitions of Gateway API (standard channel) and Contour, from the pinned modules."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n---\n".join(path.read_text() for path in _definition_files()))
    return target


def write_overlay(folder: Path) -> Path:
    """A kustomization of manifests/quickstart that only renames images."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    overrides = [
        {"name": image.public, "newName": image.local.rpartition(":")[0], "newTag": image.tag}
        for image in baseimages.PROGRAM_IMAGES
    ]
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(paths.MANIFESTS, folder.resolve())],
        "images": overrides,
    }
    (folder / "kustomization.yaml").write_text(json.dumps(kustomization, indent=1))  # JSON is YAML
    return folder


def _definition_files() -> Iterator[Path]:
    gateway_api = gotools.module_folder("contour", "sigs.k8s.io/gateway-api")
    yield from sorted((gateway_api / "config" / "crd" / "standard").glob("gateway.networking.k8s.io_*.yaml"))
    contour = gotools.module_folder("contour", "github.com/projectcontour/contour")
    yield contour / "examples" / "contour" / "01-crds.yaml"


def _kubectl(kubeconfig: Path | None, *arguments: str) -> str:
    gotools.ensure("kubernetes")
    options = [f"--kubeconfig={kubeconfig}"] if kubeconfig else []
    return processes.run([gotools.program("kubectl"), *options, *arguments])
