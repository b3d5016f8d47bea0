"""Where models can be: what a spec may say, and what is believed of a URI that comes from elsewhere."""

import re
import typing

import pytest
from pydantic import ValidationError

from kubectl_sluice.manifests import celrun
from sluice_core.api.v1alpha1 import registry, sources
from sluice_core.api.v1alpha1.modeldeployment import ModelSpec
from sluice_core.api.v1alpha1.strategies import ArmModel
from sluice_judge.schema.cel import VALIDATIONS, Cel

DIGEST = "sha256:" + "a" * 64
CASES = {
    "s3://bucket/path": True,
    "s3://Bucket/path": False,
    "s3://bucket//path": False,
    "s3://bucket": False,
    "gs://bucket/path": True,
    "gs://_/path": False,
    "azblob://container/path": True,
    "azblob://c/path": False,
    "https://host/path": True,
    "https://user:password@host/path": False,
    "https://host": False,
    "http://models.shop.svc/digits": True,
    "http://models.shop.svc:9000/digits": True,
    "http://169.254.169.254/latest": False,
    "http://2852039166/latest": False,
    "http://example.com/digits": False,
    "hf://owner/name@main": True,
    "hf://owner": False,
    "oci://registry.example/digits:1": True,
    f"oci://registry.example/digits@{DIGEST}": True,
    "oci://registry.example/digits:1\n": False,
    "oci://registry.example/digits@sha256:1": False,
    "pvc://claim/path": False,
    "mlflow-artifacts:/1/abc/artifacts": False,
    "file:///models": False,
    "models:/digits/7": False,
    "s3://bucket/a b": False,
    "s3://bucket/{{run}}": False,
    "s3://bucket/" + "a" * 1024: False,
    "": False,
}
REFERENCES = {
    "models:/digits@champion": True,
    "models:/digits/7": True,
    "models:/ml.team.digits@blue-2": True,
    "models:/digits": False,
    "models:/digits/": False,
    "models:/digits/latest": False,
    "models:/digits/Production": False,
    "models:/digits/0": False,
    "models:/digits@": False,
    "models:/di gits@champion": False,
    "models://digits@champion": False,
    "models:/digits@champion/7": False,
}


def rules(annotated: typing.Any) -> list[str]:
    return [each.rule for each in typing.get_args(annotated) if isinstance(each, Cel)]


@pytest.mark.parametrize(("uri", "want"), CASES.items())
def test_what_comes_from_elsewhere_keeps_the_rules_of_a_spec(uri: str, *, want: bool) -> None:
    assert (sources.refusal(uri) == "") is want
    if want:
        assert all(celrun.run(rule, uri) for rule in rules(sources.Uri))


@pytest.mark.parametrize(("uri", "want"), CASES.items())
def test_what_the_api_server_refuses_is_refused_from_elsewhere(uri: str, *, want: bool) -> None:
    if not all(celrun.run(rule, uri) for rule in rules(sources.Uri)):
        assert not want


@pytest.mark.parametrize(("uri", "want"), REFERENCES.items())
def test_a_registry_is_asked_for_an_alias_or_a_version(uri: str, *, want: bool) -> None:
    assert all(celrun.run(rule, uri) for rule in rules(sources.ModelUri)) is want
    if want:
        assert registry.is_followed(uri)
        assert sources.scheme(uri) == "models"


def test_other_uris_are_what_they_were() -> None:
    for uri in ("s3://bucket/path", "pvc://claim/path"):
        assert all(celrun.run(rule, uri) for rule in rules(sources.ModelUri))
        assert not registry.is_followed(uri)


def test_a_version_has_a_name_and_a_number() -> None:
    assert registry.name_and_version("models:/digits/7") == ("digits", "7")
    assert registry.name_and_version("models:/digits@champion") is None
    assert registry.name_and_version("s3://bucket/path") is None
    assert registry.name_of("models:/digits@champion") == registry.name_of("models:/digits/7") == "digits"


COMMIT = "0123456789abcdef0123456789abcdef01234567"
FOLLOWED = {
    "hf://owner/name@main": True,
    "hf://owner/name": True,
    "hf://owner/name/onnx@main": True,
    f"hf://owner/name@{COMMIT}": False,
    "oci://registry.example/digits:stable": True,
    "oci://registry.example/digits": True,
    f"oci://registry.example/digits@{DIGEST}": False,
    f"oci://registry.example/digits:stable@{DIGEST}": False,
    "s3://bucket/path": False,
    "models:/digits@champion": False,
}


@pytest.mark.parametrize(("uri", "want"), FOLLOWED.items())
def test_what_can_move_is_followed(uri: str, *, want: bool) -> None:
    kept = [celrun.run(each.rule, {"format": "onnx", "uri": uri, "follow": True}) for each in ModelSpec.cel_rules]
    assert all(kept) is want
    assert all(celrun.run(each.rule, {"format": "onnx", "uri": uri}) for each in ModelSpec.cel_rules)


def test_a_followed_file_has_no_checksum_in_the_spec() -> None:
    model = {"format": "onnx", "uri": "hf://owner/name@main", "sha256": "a" * 64}
    assert all(celrun.run(each.rule, model) for each in ModelSpec.cel_rules)
    assert not all(celrun.run(each.rule, {**model, "follow": True}) for each in ModelSpec.cel_rules)
    alias = {**model, "uri": "models:/digits@champion"}
    assert not all(celrun.run(each.rule, alias) for each in ModelSpec.cel_rules)


ARMS = {
    "s3://bucket/path": "",
    "hf://owner/name@main": "",
    "models:/digits@champion": "an arm cannot follow a registry",
    "models:/digits/7": "an arm cannot follow a registry",
    "models://digits@champion": "scheme is not supported",
    "ftp://host/path": "scheme is not supported",
    "s3://bucket": "does not name a bucket and a path",
}


@pytest.mark.parametrize(("uri", "said"), ARMS.items())
def test_an_arm_names_files_and_is_refused_with_what_to_do(uri: str, said: str) -> None:
    schema = ArmModel.model_json_schema()["properties"]["uri"]
    assert re.match(schema["pattern"], uri)
    broken = [each["message"] for each in schema[VALIDATIONS] if not celrun.run(each["rule"], uri)]
    assert [said in message for message in broken] == ([True] if said else [])


def test_what_slips_past_the_api_server_is_refused_by_the_operator() -> None:
    with pytest.raises(ValidationError, match="an arm cannot follow a registry"):
        ArmModel.model_validate({"uri": "models:/digits@champion"})
