"""What a ScaledObject asks for: KEDA, out of its own Go module, with its own manifests.

ScaledObject ──> keda-operator ──makes──> HorizontalPodAutoscaler ──external.metrics.k8s.io──> keda-metrics-apiserver
                      │  ▲                                                                               │
                 Prometheus └───────────────────────────────── gRPC ─────────────────────────────────────┘
"""

import json
import os
import shutil
from pathlib import Path
from typing import Final

from lab import baseimages, console, gotools, images, lifecycle, node, paths

NAME: Final = "keda"
NAMESPACE: Final = "keda"
MODULE: Final = "github.com/kedacore/keda/v2"
VERSION: Final = "2.21.0"
WAIT_SECONDS: Final = 120
API: Final = "v1beta1.external.metrics.k8s.io"
DEFINITION: Final = "scaledobjects.keda.sh"
IMAGES: Final = (
    baseimages.ProgramImage("ghcr.io/kedacore/keda", VERSION, "keda", "/keda"),
    baseimages.ProgramImage("ghcr.io/kedacore/keda-metrics-apiserver", VERSION, "keda-adapter", "/keda-adapter"),
)
WORKLOADS: Final = ("deployment/keda-operator", "deployment/keda-metrics-apiserver")


def up() -> None:
    """Build it unless that is done, and start it in the running lab; quick when it runs already."""
    lifecycle.require_running("keda")
    gotools.ensure(NAME)
    for image in IMAGES:
        baseimages.ensure_program_image(image)
    images.bring_to_node(*(image.local for image in IMAGES))
    with console.step("keda applied"):
        node.kubectl("apply", "--server-side", "--force-conflicts", f"--kustomize={write_overlay()}")
    with console.step("keda Ready"):
        where, timeout = f"--namespace={NAMESPACE}", f"--timeout={WAIT_SECONDS}s"
        for workload in WORKLOADS:
            node.kubectl("rollout", "status", workload, where, timeout)
        node.kubectl("wait", f"apiservice/{API}", "--for=condition=Available", timeout)


def down() -> None:
    """End it, and take its API away. Its objects first: their finalizers need it.

    Models that are scaled by it must be gone, or scaled otherwise: their ScaledObjects would come back.
    """
    with console.step("end keda"):
        if node.kubectl("get", "crd", DEFINITION, "--ignore-not-found", "--output=name").strip():
            wait = f"--timeout={WAIT_SECONDS}s"
            node.kubectl("delete", "scaledobjects", "--all", "--all-namespaces", wait)
        node.kubectl("delete", f"--kustomize={write_overlay()}", "--ignore-not-found")


def write_overlay() -> Path:
    """A kustomization of its own manifests: the lab's images, what a small machine has room for, and no waiting."""
    folder = paths.BUILD / NAME
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    source = gotools.module_folder(NAME, MODULE) / "config" / "minimal"
    container = "/spec/template/spec/containers/0"
    patch = [
        {"op": "replace", "path": f"{container}/imagePullPolicy", "value": "IfNotPresent"},
        {"op": "replace", "path": f"{container}/resources", "value": {"requests": {"cpu": "20m", "memory": "64Mi"}}},
        {"op": "replace", "path": f"{container}/readinessProbe/initialDelaySeconds", "value": 1},
        # Its own images say so themselves.
        {"op": "add", "path": "/spec/template/spec/securityContext/runAsUser", "value": 65534},
    ]
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(source, folder.resolve())],
        "images": [
            {"name": image.public, "newName": image.local.rpartition(":")[0], "newTag": image.tag} for image in IMAGES
        ],
        "patches": [{"target": {"kind": "Deployment"}, "patch": json.dumps(patch)}],
    }
    (folder / "kustomization.yaml").write_text(json.dumps(kustomization, indent=1))  # JSON is YAML
    return folder
