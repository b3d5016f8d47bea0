"""The CRDs, generated from the models: `python -m sluice_core.api.crd [DIRECTORY …]` writes a file for each kind."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

from sluice_core.api import schema, yamltext
from sluice_core.api.base import GROUP, VERSION
from sluice_core.api.schema import Schema
from sluice_core.api.v1alpha1.batchinference import BatchInference
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicy
from sluice_core.api.v1alpha1.servingruntime import ServingRuntime


class RootModel(Protocol):
    """What the root model of a kind declares beside its fields."""

    kind: ClassVar[str]
    plural: ClassVar[str]
    short_names: ClassVar[tuple[str, ...]]
    scope: ClassVar[str]
    printer_columns: ClassVar[tuple[dict[str, Any], ...]]


KINDS: Final[tuple[Any, ...]] = (  # each a pydantic model and a RootModel, for which there is no type
    ModelDeployment,
    ModelRollout,
    ServingRuntime,
    RolloutPolicy,
    BatchInference,
)

DIRECTORIES: Final = ("crds", "charts/sluice/crds")
"""Where this repository keeps them: for kubectl, and for Helm."""

HEADER: Final = "# Generated from the models in core/sluice_core/api by `make crds`; do not edit.\n"
UNSEEN: Final = {"observedGeneration": -1}
"""The status of a new object. Without it kstatus, which Flux waits for, would call the object ready."""
TYPE_META: Final[dict[str, Schema]] = {
    "apiVersion": {"description": "Version of the schema of this object.", "type": "string"},
    "kind": {"description": "Kind of this object.", "type": "string"},
    "metadata": {"type": "object"},
}


def crd(model: Any) -> Schema:
    """The CustomResourceDefinition of a kind; raises `schema.Unsupported` with the field that cannot be expressed."""
    kind: RootModel = model
    version: Schema = {"name": VERSION, "served": True, "storage": True}
    if "status" in model.model_fields:
        version["subresources"] = {"status": {}, **({"scale": model.scale} if hasattr(model, "scale") else {})}
    version["additionalPrinterColumns"] = list(kind.printer_columns)
    version["schema"] = {"openAPIV3Schema": root_schema(model)}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "sluice"}},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": list(kind.short_names),
                "categories": ["sluice"],
            },
            "scope": kind.scope,
            "versions": [version],
        },
    }


def root_schema(model: Any) -> Schema:
    """The whole object's schema: the API server defines metadata, the spec has defaults, the status has one as a whole."""
    with_defaults, without = (schema.structural(model, model.kind, defaults=defaults) for defaults in (True, False))
    parts = {
        name: (without if name == "status" else with_defaults)["properties"][name]
        for name in with_defaults["properties"]
        if name != "metadata"
    }
    if "status" in parts:
        parts["status"] = {**parts["status"], "default": UNSEEN}
    rest = {key: value for key, value in without.items() if key not in ("properties", "required")}
    required = [name for name in without.get("required", []) if name != "metadata"]
    return {**rest, "properties": {**TYPE_META, **parts}, "required": required}


def file_name(model: Any) -> str:
    """Name of the file that a kind's CRD is kept in."""
    return f"{GROUP}_{model.plural}.yaml"


def rendered(model: Any) -> str:
    """The CRD as a YAML document with a start marker, since Helm 3 prints all of them one after another."""
    return "---\n" + HEADER + yamltext.dumped(crd(model), width=120)


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes every kind's CRD into each directory; by default where this repository keeps them."""
    parser = argparse.ArgumentParser(
        "python -m sluice_core.api.crd", description="Write the CRD of every kind to a file."
    )
    parser.add_argument(
        "directories",
        nargs="*",
        type=Path,
        default=[Path(each) for each in DIRECTORIES],
        metavar="DIRECTORY",
        help=f"made if it is not there; default: {' and '.join(DIRECTORIES)}",
    )
    for directory in parser.parse_args(arguments).directories:
        directory.mkdir(parents=True, exist_ok=True)
        for model in KINDS:
            (directory / file_name(model)).write_text(rendered(model))


if __name__ == "__main__":
    main()
