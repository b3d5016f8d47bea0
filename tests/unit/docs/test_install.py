"""docs/install.md uses values that the chart has, and variables and files that `make release` knows."""

import re
from typing import Any, Final

import pytest

from charts import values
from release import publish, signatures
from tests.unit.charts.test_values import SCHEMA
from tests.unit.docs.test_docs import ROOT

PAGE: Final = (ROOT / "docs" / "install.md").read_text()
MAKEFILE: Final = (ROOT / "Makefile").read_text()
SET: Final = re.compile(r"--set(?:-json)? '?([\w.]+)")
VARIABLE: Final = re.compile(r"`?\b([A-Z_]+)=")


@pytest.mark.parametrize("name", sorted(set(SET.findall(PAGE))))
def test_every_value_is_one_of_the_chart(name: str) -> None:
    assert name in values.leaves(SCHEMA)


def test_there_are_values() -> None:
    assert {"fullnameOverride", "sharedObjects", "config.watchNamespaces"} <= set(SET.findall(PAGE))


def test_every_variable_is_one_of_the_target() -> None:
    section = PAGE.split("## Build a version")[1]
    given = set(VARIABLE.findall(section))
    assert {"VERSION", "REGISTRY", "KEY", "PUSH", "BASE", "PLAIN_HTTP", "IMAGES"} <= given
    assert [name for name in sorted(given) if f"$({name})" not in MAKEFILE] == []


@pytest.mark.parametrize(
    "name", [signatures.SUMS, signatures.SIGNATURE, signatures.PUBLIC_KEY, "images.json", "install.yaml"]
)
def test_every_file_of_a_version_is_explained(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_the_image_of_all_files_has_its_name() -> None:
    found: list[Any] = re.findall(r"REGISTRY/(\w+):VERSION none", PAGE)
    assert found == [publish.FILES]
