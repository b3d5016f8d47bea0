"""The generated CRDs: structural, useful to people, and the same in every place where they are kept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice_core.api import crd

REPOSITORY = Path(__file__).resolve().parents[4]
Node = dict[str, Any]

KEYWORDS = {
    "type", "format", "description", "default", "enum", "pattern", "properties", "required", "items",
    "additionalProperties", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties",
    "maxProperties", "x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    "x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields",
}  # fmt: skip

kinds = pytest.mark.parametrize("model", crd.KINDS, ids=lambda model: model.kind)


def root(model: Any) -> Node:
    (version,) = crd.crd(model)["spec"]["versions"]
    schema: Node = version["schema"]["openAPIV3Schema"]
    return schema


def nodes(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Every schema below and including a node, with its path."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        if key in node:
            yield from nodes(node[key], path + suffix)


@kinds
def test_schema_is_structural(model: Any) -> None:
    for path, node in nodes(root(model)):
        assert set(node) <= KEYWORDS, path
        assert ("type" in node) != ("x-kubernetes-int-or-string" in node), path
        assert not ("properties" in node and "additionalProperties" in node), path
        assert ("items" in node) == (node.get("type") == "array"), path
        assert set(node.get("required", ())) <= set(node.get("properties", {})), path
        assert node.get("type") != "number", path
        assert ("format" in node) or node.get("type") != "integer", path


@kinds
def test_keys_of_a_list_map_are_required_fields_of_its_items(model: Any) -> None:
    for path, node in nodes(root(model)):
        for key in node.get("x-kubernetes-list-map-keys", ()):
            assert key in node["items"]["required"], path


@kinds
def test_everything_in_a_spec_is_described(model: Any) -> None:
    spec = root(model)["properties"]["spec"]
    missing = [
        f"{path}.{name}"
        for path, node in nodes(spec, "spec")
        for name, child in node.get("properties", {}).items()
        if not child.get("description")
    ]
    assert missing == []


@kinds
def test_lists_strings_and_maps_in_a_spec_are_bounded(model: Any) -> None:
    bound = {"array": "maxItems", "string": "maxLength"}
    for path, node in nodes(root(model)["properties"]["spec"], "spec"):
        if "enum" in node:
            continue
        if wanted := bound.get(node.get("type", "")):
            assert wanted in node, f"{path} needs {wanted}"
        if "additionalProperties" in node:
            assert "maxProperties" in node, path


@kinds
def test_status_is_a_subresource_with_no_default_but_that_nobody_has_looked(model: Any) -> None:
    (version,) = crd.crd(model)["spec"]["versions"]
    status = root(model)["properties"].get("status")
    assert ("subresources" in version) == (status is not None)
    if status is not None:
        defaults = {path: node["default"] for path, node in nodes(status, "status") if "default" in node}
        assert defaults == {"status": {"observedGeneration": -1}}


@kinds
def test_names(model: Any) -> None:
    names = crd.crd(model)["spec"]["names"]
    assert names["categories"] == ["sluice"]
    assert names["shortNames"] == list(model.short_names)


@kinds
def test_printer_columns_show_fields_that_exist(model: Any) -> None:
    paths = {path for path, _ in nodes(root(model))}
    for column in model.printer_columns:
        path = column["jsonPath"].split("[")[0]
        assert path.startswith(".metadata.") or path in paths, column


@pytest.mark.parametrize("directory", crd.DIRECTORIES)
@kinds
def test_committed_file_is_up_to_date(model: Any, directory: str) -> None:
    committed = (REPOSITORY / directory / crd.file_name(model)).read_text()
    assert committed == crd.rendered(model), "run `make crds`"


def test_one_after_another_they_are_still_documents_of_their_own() -> None:
    """`helm show crds` of Helm 3 puts nothing between them, and kubectl would take all for the last one."""
    text = "".join(crd.rendered(model) for model in crd.KINDS)
    documents = [each for each in yaml.safe_load_all(text) if each]
    assert [each["spec"]["names"]["kind"] for each in documents] == [model.kind for model in crd.KINDS]


@pytest.mark.parametrize("directory", crd.DIRECTORIES)
def test_no_other_file_is_beside_them(directory: str) -> None:
    assert {file.name for file in (REPOSITORY / directory).iterdir()} == {crd.file_name(model) for model in crd.KINDS}


def test_main_writes_every_kind(tmp_path: Path) -> None:
    crd.main([str(tmp_path / "a"), str(tmp_path / "b")])
    for name in ("a", "b"):
        written = [yaml.safe_load(file.read_text()) for file in (tmp_path / name).iterdir()]
        assert {each["spec"]["names"]["kind"] for each in written} == {model.kind for model in crd.KINDS}


def test_main_writes_where_this_repository_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(crd, "rendered", lambda kind: kind.plural)
    crd.main([])
    for directory in crd.DIRECTORIES:
        assert {file.name for file in (tmp_path / directory).iterdir()} == {crd.file_name(kind) for kind in crd.KINDS}


@pytest.mark.parametrize(("option", "code"), [("--help", 0), ("--chcek", 2)])
def test_an_option_is_no_directory(
    option: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        crd.main([option])
    assert ended.value.code == code
    assert "usage: python -m sluice_core.api.crd" in "".join(capsys.readouterr())
    assert not list(tmp_path.iterdir())
