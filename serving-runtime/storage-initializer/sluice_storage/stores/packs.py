"""Models packed by ModelPack and KitOps: each layer's media type states its role in the model and its packing.

    application/vnd.cncf.model.weight.v1.raw             one file, which an annotation names
    application/vnd.cncf.model.weight.config.v1.tar      files under their names
    application/vnd.kitops.modelkit.model.v1.tar+gzip    the same, compressed

An unknown type is refused: a model that lacks a part may still answer. After the specifications
https://github.com/modelpack/model-spec and https://kitops.org/docs/modelkit/spec, whose tools are not needed.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sluice_storage import names, selection
from sluice_storage.console import say
from sluice_storage.stores import manifests
from sluice_storage.stores.manifests import Layer

MODELPACK: Final = "application/vnd.cncf.model."
MODELKIT: Final = "application/vnd.kitops.modelkit."
FILE_PATH: Final = "org.cncf.model.filepath"
"""The annotation of a layer that is one file."""
VERSION: Final = ".v1."
"""Separates a layer's role from its packing."""
ITSELF: Final = frozenset({f"{MODELPACK}weight", f"{MODELKIT}model"})
BESIDE: Final = frozenset({f"{MODELPACK}weight.config", f"{MODELKIT}modelpart"})
CODE: Final = frozenset({f"{MODELPACK}code", f"{MODELKIT}code"})
UNREAD: Final = frozenset(
    {f"{MODELPACK}doc", f"{MODELPACK}dataset", *(f"{MODELKIT}{name}" for name in ("docs", "dataset", "mcpb"))}
)
"""Roles that no server reads, in any packing."""
TARS: Final = ("tar", "tar+gzip")
RAW: Final = "raw"
ZSTD: Final = "tar+zstd"


def is_pack(manifest: Mapping[str, Any]) -> bool:
    """By the artifact type, or a layer's."""
    config, entries = manifest.get("config"), manifest.get("layers")
    described = [config, *(entries if isinstance(entries, list) else ())]
    types = [manifest.get("artifactType"), *(each.get("mediaType") for each in described if isinstance(each, dict))]
    return any(isinstance(each, str) and each.startswith((MODELPACK, MODELKIT)) for each in types)


def layers(manifest: Mapping[str, Any], uri: str, server: str) -> Iterator[Layer]:
    """The layers that a server of that format needs; empty: of every format. Raises DownloadError."""
    wanted = ITSELF | BESIDE if server in selection.WITHOUT_CODE else ITSELF | BESIDE | CODE
    left_out, has_model = Counter[str](), False
    for entry in manifests.listed(manifest, "layers", uri):
        kind, _, form = manifests.text(entry, "mediaType").partition(VERSION)
        if kind in wanted:
            has_model = has_model or kind not in BESIDE
            yield _layer(entry, form, uri)
        elif kind in UNREAD | CODE:
            left_out[kind.removeprefix(MODELPACK).removeprefix(MODELKIT)] += 1
        else:
            raise _unknown(entry, uri)
    if left_out:
        say(f"  leaving out {left_out.total()} layers of type {', '.join(sorted(left_out))}")
    if not has_model:
        raise manifests.unsupported(
            uri,
            "there is no layer with the model itself (weight, or model of a ModelKit); pack it. A ModelKit that refers to "
            "another one has none: name that one",
        )


def _layer(entry: Mapping[str, Any], form: str, uri: str) -> Layer:
    kind = manifests.text(entry, "mediaType")
    if form in TARS:
        return manifests.layer(entry, "", uri)
    if form == ZSTD:
        raise manifests.unsupported(
            uri, f"a layer is compressed with zstd ({kind}); pack the model without compression, or with gzip"
        )
    if form != RAW:
        raise _unknown(entry, uri)
    annotations = manifests.mapping(entry, "annotations")
    title = manifests.text(annotations, FILE_PATH) or manifests.text(annotations, manifests.TITLE)
    if not title:
        raise manifests.unsupported(uri, f"a layer of type {kind} has no file name ({FILE_PATH}); pack the model again")
    return manifests.layer(entry, title, uri)


def _unknown(entry: Mapping[str, Any], uri: str) -> Exception:
    kind = names.quoted(manifests.text(entry, "mediaType"))
    return manifests.unsupported(
        uri,
        f"a layer of a ModelPack or ModelKit has the type {kind}, which is not known here; pack the model without it",
    )
