"""Models by ModelPack's and KitOps' specifications, made without their tools."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from tests.support.stores.registry import MANIFEST

PACK: Final = "application/vnd.cncf.model"
KIT: Final = "application/vnd.kitops.modelkit"
FILEPATH: Final = "org.cncf.model.filepath"
METADATA: Final = "org.cncf.model.file.metadata+json"


@dataclass(frozen=True)
class Blob:
    """A layer."""

    kind: str
    """Its media type."""
    body: bytes
    path: str = ""
    """Its name in the annotation; empty: it has none."""
    size: int | None = None
    """The manifest's claim; None: the truth."""

    @property
    def digest(self) -> str:
        return digest(self.body)

    def described(self) -> dict[str, Any]:
        about = {
            "mediaType": self.kind,
            "digest": self.digest,
            "size": len(self.body) if self.size is None else self.size,
        }
        if not self.path:
            return about
        metadata = json.dumps({"name": self.path, "mode": 0o100644, "size": len(self.body), "typeflag": 48})
        return {**about, "annotations": {FILEPATH: self.path, METADATA: metadata}}


@dataclass(frozen=True)
class Artifact:
    blobs: tuple[Blob, ...]
    """The configuration first."""
    manifest: dict[str, Any]


def raw(path: str, body: bytes, kind: str = "weight") -> Blob:
    """One file of a ModelPack."""
    return Blob(f"{PACK}.{kind}.v1.raw", body, path)


def modelpack(*layers: Blob, model_format: str = "onnx") -> Artifact:
    about = {"descriptor": {"name": "digits"}, "config": {"format": model_format}, "modelfs": {"type": "layers"}}
    return _artifact(f"{PACK}.manifest.v1+json", Blob(f"{PACK}.config.v1+json", json.dumps(about).encode()), layers)


def modelkit(*layers: Blob) -> Artifact:
    about = {"manifestVersion": "1.0.0", "model": {"name": "digits", "path": "./model"}}
    return _artifact(f"{KIT}.manifest.v1+json", Blob(f"{KIT}.config.v1+json", json.dumps(about).encode()), layers)


def digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _artifact(kind: str, config: Blob, layers: tuple[Blob, ...]) -> Artifact:
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": kind,
        "config": config.described(),
        "layers": [layer.described() for layer in layers],
    }
    return Artifact((config, *layers), manifest)
