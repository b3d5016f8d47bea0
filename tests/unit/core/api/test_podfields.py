"""Pod fields in the CRDs: everything that Kubernetes knows is named there, and nothing else can be stored."""

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes.aio import client

from sluice_core.api import crd
from sluice_core.api.schema import PRESERVE
from sluice_core.api.v1alpha1 import podfields
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.servingruntime import ServingRuntime
from tests.unit.core.api.test_crd import nodes, root

DEEPEST = 20
"""Levels of a stored object of ours, far below what any reader of JSON can take."""


@pytest.mark.parametrize("model", [kind for kind in crd.KINDS if kind is not ServingRuntime], ids=lambda m: m.kind)
def test_nothing_of_another_shape_can_be_stored(model: Any) -> None:
    for path, node in nodes(root(model)):
        assert PRESERVE not in node, path
        assert path.count(".") + path.count("[]") + path.count("{}") <= DEEPEST, path


def named(type_: str, path: str = "") -> Iterator[str]:
    """Every field below a type of Kubernetes' own API, as its client knows it."""
    type_ = type_.removeprefix("dict(str, ").removesuffix(")") if type_.startswith("dict(") else type_
    if type_.startswith("list["):
        yield from named(type_.removeprefix("list[").removesuffix("]"), path)
    elif (model := getattr(client, type_, None)) is not None:
        for attribute, name in model.attribute_map.items():
            yield f"{path}.{name}"
            yield from named(model.openapi_types[attribute], f"{path}.{name}")


@pytest.mark.parametrize(
    ("type_", "schema"),
    [
        ("V1Affinity", podfields.AFFINITY),
        ("V1Toleration", podfields.TOLERATION),
        ("V1EnvVar", podfields.ENV_VAR),
    ],
)
def test_no_field_of_kubernetes_is_pruned(type_: str, schema: dict[str, Any]) -> None:
    ours = {path.replace("[]", "").replace("{}", "") for path, _ in nodes(schema)}
    theirs = set(named(type_))
    assert theirs <= ours
    assert len(theirs) > 3


def test_what_is_written_is_what_is_read() -> None:
    """The hash of a revision is made of it: typing a field in the CRD restarts nothing."""
    fields = {
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 5}]}},
        "runtime": {"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"divisor": 1}}}, {"name": "B"}]},
    }
    spec = {"model": {"format": "onnx", "uri": "s3://models/digits/1"}, **fields}
    wire = ModelDeployment.model_validate({"metadata": {"name": "digits"}, "spec": spec}).to_wire()["spec"]
    assert {name: wire[name] for name in ("tolerations", "affinity")} == {
        name: fields[name] for name in ("tolerations", "affinity")
    }
    assert wire["runtime"]["env"] == fields["runtime"]["env"]  # type: ignore[index]
