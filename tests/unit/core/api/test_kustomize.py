"""The schema for kustomize is that of the CRDs."""

from typing import Any

import pytest

from sluice_core.api import crd, kustomize
from tests.unit.core.api.test_crd import REPOSITORY, nodes, root


def test_committed_file_is_up_to_date() -> None:
    assert (REPOSITORY / kustomize.FILE).read_text() == kustomize.rendered(), "run `make crds`"


@pytest.mark.parametrize("model", crd.KINDS, ids=lambda model: model.kind)
def test_every_list_with_a_key_is_merged_by_it(model: Any) -> None:
    definition = kustomize.document()["definitions"][f"dev.sluice.v1alpha1.{model.kind}"]
    spec = dict(nodes(root(model)["properties"]["spec"]))
    merged = dict(nodes(definition["properties"]["spec"]))
    keyed = {
        path: node["x-kubernetes-list-map-keys"] for path, node in spec.items() if "x-kubernetes-list-map-keys" in node
    }
    assert {path: [merged[path][kustomize.MERGE_KEY]] for path in keyed} == keyed
