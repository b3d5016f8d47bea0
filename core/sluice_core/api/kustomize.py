"""How kustomize merges lists of our kinds: `python -m sluice_core.api.kustomize` writes the schema that it reads.

kustomize reads no CRDs. Without this schema a patch of one entry of a list, such as an environment variable, replaces
the whole list.
"""

import json
from pathlib import Path
from typing import Any, Final

from sluice_core.api import crd
from sluice_core.api.base import GROUP, VERSION
from sluice_core.api.schema import Schema

FILE: Final = Path("manifests/kustomize/openapi.json")
"""Where this repository keeps it."""
MERGE_KEY: Final = "x-kubernetes-patch-merge-key"
STRATEGY: Final = "x-kubernetes-patch-strategy"


def document() -> Schema:
    """The OpenAPI document, reduced to what merging needs."""
    definitions = {f"dev.sluice.{VERSION}.{model.kind}": _definition(model) for model in crd.KINDS}
    return {
        "swagger": "2.0",
        "info": {"title": "Sluice", "version": VERSION},
        "paths": {},
        "definitions": definitions,
    }


def rendered() -> str:
    """The document as it is kept."""
    return f"{json.dumps(document(), indent=1)}\n"


def _definition(model: Any) -> Schema:
    kind = {"group": GROUP, "version": VERSION, "kind": model.kind}
    return {**_merging(crd.root_schema(model)), "x-kubernetes-group-version-kind": [kind]}


def _merging(node: Schema) -> Schema:
    """The parts that lead to lists merged by a key; empty if there are none."""
    kept: Schema = {}
    parts = {name: part for name, child in node.get("properties", {}).items() if (part := _merging(child))}
    parts.pop("status", None)
    if parts:
        kept["properties"] = parts
    keys = node.get("x-kubernetes-list-map-keys", ())
    if len(keys) == 1:
        kept |= {MERGE_KEY: keys[0], STRATEGY: "merge", "items": {"type": "object"}}
    if "items" in node and (items := _merging(node["items"])):
        kept["items"] = items
    return {"type": node["type"], **kept} if kept else {}


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(rendered())
