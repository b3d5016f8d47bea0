"""A folder of this machine as a claim of a namespace."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.live.scene import DEPLOYMENTS, Scene

SIZE = {"storage": "1Gi"}


@contextmanager
def mounted(scene: Scene, claim: str, folder: Path, *models: str) -> Iterator[None]:
    """The claim with this folder, which everybody may read; at the end it goes, after the models that are served from it."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    volume = f"{scene.namespace}-{claim}"
    common = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    made = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume}}
    scene.tools.apply(json.dumps({**made, "spec": {**common, "capacity": SIZE, "hostPath": {"path": str(folder)}}}))
    try:
        claimed = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim}}
        scene.apply({**claimed, "spec": {**common, "resources": {"requests": SIZE}, "volumeName": volume}})
        yield
    finally:
        scene.tools.kubectl("delete", DEPLOYMENTS, *models, scene.where, "--ignore-not-found")
        scene.tools.kubectl("delete", "persistentvolumeclaim", claim, scene.where, "--wait=false", "--ignore-not-found")
        scene.tools.kubectl("delete", "persistentvolume", volume, "--wait=false")
