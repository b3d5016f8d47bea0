"""The bill of materials of what serves."""

from dataclasses import replace
from typing import Any

from kubectl_sluice.views.reports.bom import bom
from sluice_core.api.config import OperatorConfig
from sluice_core.kernel.snapshot import Revision
from sluice_core.render import workload
from tests.support.cases.builders import make_model_deployment, make_runtime
from tests.unit.plugin.views.builders import STABLE, make_deployment, make_rollout

DIGEST = "a" * 64
SIGNED = {"verified": True, "digest": f"sha256:{DIGEST}", "signer": "key 1c0d", "time": "2026-03-01T12:00:00Z"}
VALIDATION = {
    "batch": {
        "input": {"uri": "s3://data/labelled", "format": "CSV"},
        "labels": "label",
        "objective": {"maximum": "2%"},
    },
}


def pinned(**model: Any) -> Revision:
    deployment = make_model_deployment(spec={"model": {"format": "onnx", "uri": "s3://models/digits/1", **model}})
    made = workload.new_revision(deployment, make_runtime(), OperatorConfig(), 1)
    return replace(made, name=STABLE)


def test_everything_that_is_known() -> None:
    rollout = make_rollout(target=STABLE, outcome="Promoted", rules={"validation": VALIDATION})
    serving = {"revision": STABLE, "weight": 100, "verification": SIGNED}
    made = bom(make_deployment(stable=serving), [rollout], pinned(version="one"))
    model, server = made["components"]
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.6")
    assert model["type"] == "machine-learning-model"
    assert model["version"] == "one"
    assert model["hashes"] == [{"alg": "SHA-256", "content": DIGEST}]
    assert model["externalReferences"] == [{"type": "distribution", "url": "s3://models/digits/1"}]
    (data,) = model["modelCard"]["modelParameters"]["datasets"]
    assert data["contents"] == {"url": "s3://data/labelled"}
    assert {"name": "sluice.dev:signer", "value": "key 1c0d"} in model["properties"]
    assert server["type"] == "container"
    assert made["metadata"]["component"]["properties"] == [
        {"name": "sluice.dev:release", "value": rollout.metadata.name}
    ]
    assert made["dependencies"][0]["dependsOn"] == [model["bom-ref"], server["bom-ref"]]


def test_what_nobody_knows_is_left_out() -> None:
    (model, _) = bom(make_deployment(), [make_rollout(outcome="Promoted")], pinned())["components"]
    assert not {"hashes", "modelCard", "version"} & set(model)
    assert {each["name"] for each in model.get("properties", ())} <= {"sluice.dev:format"}


def test_a_checksum_of_the_spec_and_adapters() -> None:
    adapters = [{"name": "law", "uri": "oci://registry.example/law@sha256:" + "b" * 64}]
    revision = pinned(sha256="c" * 64)
    first = bom(make_deployment(), [], revision)
    assert first["components"][0]["hashes"] == [{"alg": "SHA-256", "content": "c" * 64}]
    assert first == bom(make_deployment(), [], revision), "the same content is the same document"
    container = revision.template["spec"]["initContainers"][0]
    more = {**container, "name": "storage-initializer-0"}
    more["args"] = ["--uri", adapters[0]["uri"], "--destination", "/adapters/law"]
    template = {**revision.template, "spec": {**revision.template["spec"], "initContainers": [container, more]}}
    _, law, _ = bom(make_deployment(), [], replace(revision, template=template))["components"]
    assert (law["name"], law["hashes"][0]["content"]) == ("law", "b" * 64)


def test_a_signed_address_keeps_its_secret() -> None:
    (model, _) = bom(make_deployment(), [], pinned(uri="https://m.example/d.onnx?signature=s3cret"))["components"]
    assert "s3cret" not in str(model)


def test_an_image_by_its_digest() -> None:
    revision = pinned()
    server = {"name": "server", "image": "registry.example/triton@sha256:" + "d" * 64}
    template = {**revision.template, "spec": {**revision.template["spec"], "containers": [server, server]}}
    *_, image = bom(make_deployment(), [], replace(revision, template=template))["components"]
    assert image["name"] == "registry.example/triton"
    assert image["hashes"] == [{"alg": "SHA-256", "content": "d" * 64}]
