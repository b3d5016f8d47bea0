"""Every value of the chart is in its schema and in its README, and says what it is for."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from charts import render, values
from charts.values import CHART, README, Value
from lab.processes import LabError

TEXT: Final = (CHART / "values.yaml").read_text()
SCHEMA: Final[dict[str, Any]] = json.loads((CHART / "values.schema.json").read_text())
FOUND: Final = values.values(TEXT, SCHEMA)
KEY: Final = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI\n-----END PUBLIC KEY-----\n"
SMALL: Final[dict[str, Any]] = {
    "definitions": {"policy": {"enum": ["Always", "Never"]}},
    "properties": {
        "pod": {
            "type": "object",
            "properties": {
                "pull": {"$ref": "#/definitions/policy"},
                "hosts": {"type": "array"},
                "port": {"type": "integer", "minimum": 1, "maximum": 9},
                "cache": {"type": ["object", "null"], "properties": {"path": {"type": "string"}}},
                "page": {"type": "object", "properties": {"create": {"type": "boolean"}}},
            },
        },
    },
}
SMALL_TEXT: Final = """\
# The pod.

# It has a port.
pod:
  # When it is pulled,
  # if at all.
  pull: Always
  hosts: []
  # - an.example
  # Where it listens.
  port: 8
  # What it keeps.
  # cache: {path: /var/cache}
  page: {create: true}
"""


def test_the_page_of_all_values_is_up_to_date() -> None:
    assert README.read_text() == values.rendered(), "run `make crds`"


def test_no_value_is_missing() -> None:
    """Those of the schema are the values that the chart takes; one that is not set may stand for all within it."""
    listed = {value.name for value in FOUND if not value.is_group}
    missing = {
        name for name in values.leaves(SCHEMA) if not any(name == one or name.startswith(f"{one}.") for one in listed)
    }
    assert missing == set(), "describe it in values.yaml; a value without a default as `# key: example`"


def test_every_value_says_what_it_is_for() -> None:
    """By itself, or by its group."""
    about = {value.path: value.about for value in FOUND}
    silent = [
        value.name for value in FOUND if not any(about[value.path[:depth]] for depth in range(len(value.path), 0, -1))
    ]
    assert silent == ["tolerations"], "which the value before it says"


def test_every_value_is_in_the_list() -> None:
    page = " ".join(README.read_text().split())
    assert [value.name for value in FOUND if not value.is_group and f"`{value.name}`: " not in page] == []


def objects(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """All parts of a schema."""
    if isinstance(node, dict):
        yield path, node
        for key, child in node.items():
            yield from objects(child, f"{path}.{key}")
    elif isinstance(node, list):
        for child in node:
            yield from objects(child, path)


def test_no_object_with_known_values_takes_an_unknown_one() -> None:
    known = {path: node for path, node in objects(SCHEMA) if isinstance(node.get("properties"), dict)}
    assert len(known) > 30
    assert [
        path for path, node in known.items() if node.get("additionalProperties") is not False and "type" in node
    ] == []


@pytest.mark.parametrize(
    "mistake",
    [
        "image.repositry=x",
        "runtimes.triton.imagePullPolicy=Sometimes",
        "runtimes.kserve.resources.request.cpu=1",
        "fullnameOverride=Sluice",
        "sharedObjects=sometimes",
    ],
)
def test_helm_refuses_a_mistake_and_names_it(mistake: str) -> None:
    with pytest.raises(LabError, match="values don't meet the specifications") as caught:
        render.template("--set", mistake)
    assert mistake.partition("=")[0].split(".")[0] in str(caught.value)


def test_helm_refuses_a_key_that_is_none() -> None:
    """The operator would not start with it."""
    grant = {"namespaces": ["*"], "mode": "Enforce", "publicKeys": [KEY]}
    render.template(f"--set-json=config.verification={json.dumps([grant])}")
    with pytest.raises(LabError, match="values don't meet the specifications") as caught:
        render.template(f"--set-json=config.verification={json.dumps([grant | {'publicKeys': ['team.pub']}])}")
    assert "publicKeys" in str(caught.value)


def test_comments_become_descriptions() -> None:
    assert values.values(SMALL_TEXT, SMALL) == [
        Value(("pod",), "", "It has a port.", is_group=True),
        Value(("pod", "pull"), "`Always/Never`", "When it is pulled, if at all.", default='"Always"'),
        Value(("pod", "hosts"), "", "", default="[]"),
        Value(("pod", "port"), "1 to 9", "Where it listens.", default="8"),
        Value(("pod", "cache"), "", "What it keeps.", example="{path: /var/cache}"),
        Value(("pod", "page"), "", "", is_group=True),
        Value(("pod", "page", "create"), "", "", default="true"),
    ]


def test_a_value_that_the_schema_does_not_know_stops_the_page() -> None:
    with pytest.raises(KeyError, match="unknown"):
        values.values(f"{SMALL_TEXT}  unknown: 1\n", SMALL)


def test_defaults_are_those_of_the_file() -> None:
    given = yaml.safe_load(TEXT)

    def at(path: tuple[str, ...]) -> Any:
        found = given
        for key in path:
            found = found[key]
        return found

    assert {value.name for value in FOUND if value.default and json.loads(value.default) != at(value.path)} == set()
