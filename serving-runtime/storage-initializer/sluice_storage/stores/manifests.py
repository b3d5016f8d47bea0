"""An image's index and manifest in an OCI registry, as JSON, which may come from anyone."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sluice_storage import names
from sluice_storage.failures import DownloadError, Reason

TITLE: Final = "org.opencontainers.image.title"
INDEXES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
SIGNATURE: Final = "dev.cosignproject.cosign/signature"
"""The annotation of what cosign signed."""
BUNDLE: Final = "application/vnd.dev.sigstore.bundle"
"""Prefix of the types of Sigstore's bundles, which refer to an image."""
MOST_SIGNATURES: Final = 32
"""The most signatures of one image: each may cost a request to the registry."""
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")

_TAR: Final = re.compile(r"\.tar($|[.+])")


@dataclass(frozen=True, slots=True)
class Layer:
    digest: str
    size: int
    title: str
    """The layer's file name; empty for a layer of an image."""

    @property
    def file(self) -> str:
        return self.digest.partition(":")[2]


def parsed(body: bytes, uri: str) -> dict[str, Any]:
    """A manifest or an index. Raises DownloadError, like all functions here."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise DownloadError(Reason.DOWNLOAD_FAILED, f"{uri}: the registry gave no manifest; is it a registry?")
    return document


def is_index(document: Mapping[str, Any]) -> bool:
    return document.get("mediaType") in INDEXES or "manifests" in document


def for_machine(index: Mapping[str, Any], machine: str, uri: str) -> str:
    """The digest of the manifest for a machine (`platform.machine()`)."""
    wanted = ARCHITECTURES.get(machine, machine)
    entries = [entry for entry in listed(index, "manifests", uri) if DIGEST.fullmatch(text(entry, "digest"))]
    found = [entry for entry in entries if text(mapping(entry, "platform"), "architecture") == wanted]
    anything = [entry for entry in entries if not entry.get("platform")]
    if not found and len(anything) > 1 and text(index, "artifactType"):
        raise unsupported(uri, f"it lists {len(anything)} artifacts; name one by its digest")
    for entry in [*found, *anything]:
        return text(entry, "digest")
    raise unsupported(uri, f"there is no image for {wanted}; build one, or name another image")


def layers(manifest: Mapping[str, Any], uri: str) -> Iterator[Layer]:
    for entry in listed(manifest, "layers", uri):
        title = text(mapping(entry, "annotations"), TITLE)
        media_type = text(entry, "mediaType")
        is_tar = _TAR.search(media_type) is not None
        if media_type.endswith("zstd"):
            raise unsupported(
                uri, f"a layer is compressed with zstd ({names.quoted(media_type)}); build the image with gzip"
            )
        if not is_tar and not title:
            continue  # attestations and the like
        yield layer(entry, "" if is_tar else title, uri)


def layer(entry: Mapping[str, Any], title: str, uri: str) -> Layer:
    """The layer that an entry describes. title: its file name; empty: it is a tar."""
    digest, size = text(entry, "digest"), entry.get("size", 0)
    if not DIGEST.fullmatch(digest):
        raise unsupported(uri, f"a layer has the digest {names.quoted(digest)}; only sha256 is supported")
    if not isinstance(size, int) or size < 0:
        raise unsupported(uri, f"a layer has the size {names.quoted(str(size))}; push the image again")
    return Layer(digest, size, names.of_file(title) if title else "")


@dataclass(frozen=True, slots=True)
class Blob:
    """A layer that is not part of a model."""

    digest: str
    annotations: Mapping[str, str]


def blobs(body: bytes, uri: str) -> list[Blob]:
    """The blobs of a manifest, if there is one."""
    entries = listed(parsed(body, uri), "layers", uri) if body else []
    found = [Blob(text(entry, "digest"), _texts(mapping(entry, "annotations"))) for entry in entries]
    return [blob for blob in found if DIGEST.fullmatch(blob.digest)]


def referring(body: bytes, artifact: str, uri: str) -> list[str]:
    """The digests of an index, if there is one, whose type begins with `artifact`."""
    entries = listed(parsed(body, uri), "manifests", uri) if body else []
    found = (text(entry, "digest") for entry in entries if text(entry, "artifactType").startswith(artifact))
    return [digest for digest in found if DIGEST.fullmatch(digest)]


def _texts(entry: Mapping[str, Any]) -> Mapping[str, str]:
    return {key: value for key, value in entry.items() if isinstance(value, str)}


def listed(document: Mapping[str, Any], field: str, uri: str) -> list[Mapping[str, Any]]:
    entries = document.get(field) or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise unsupported(uri, f"{field} of the manifest is not a list of objects; push the image again")
    return entries


def mapping(entry: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = entry.get(field)
    return value if isinstance(value, dict) else {}


def text(entry: Mapping[str, Any], field: str) -> str:
    value = entry.get(field)
    return value if isinstance(value, str) else ""


def unsupported(uri: str, text: str) -> DownloadError:
    return DownloadError(Reason.UNSUPPORTED_MODEL, f"{uri}: {text}")
