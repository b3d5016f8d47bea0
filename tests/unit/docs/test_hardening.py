"""The hardening page names values that the chart has, with the defaults that they have where these are plain."""

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from sluice_core.api.config import OperatorConfig
from tests.unit.docs.test_docs import CODE, ROOT

PAGE: Final = (ROOT / "docs" / "hardening.md").read_text()
VALUES: Final[dict[str, Any]] = yaml.safe_load((ROOT / "charts/sluice/values.yaml").read_text())
CONFIG: Final = OperatorConfig().model_dump(mode="json", by_alias=True)
PLAIN: Final = {"true": True, "false": False, "[]": []}


def paths(value: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Each value with its dotted name."""
    yield prefix, value
    if isinstance(value, dict):
        for key, child in value.items():
            yield from paths(child, f"{prefix}.{key}" if prefix else key)


KNOWN: Final = dict([*paths({"config": CONFIG}), *paths(VALUES)])


def rows() -> Iterator[tuple[str, str]]:
    """(name of a value, its default as the page says it), of the tables that have both columns."""
    prefix: str | None = None
    for line in PAGE.splitlines():
        if (head := re.match(r"\| value(?:, in `([\w.]+)`)? \| default \|", line)) is not None:
            prefix = f"{head[1]}." if head[1] else ""
        elif not line.startswith("|"):
            prefix = None
        elif prefix is not None and line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            first, *others = CODE.findall(cells[0])
            stem = first.rpartition(".")[0]
            for name in (first, *(stem + other if other.startswith(".") else other for other in others)):
                yield prefix + name, cells[1]


ROWS: Final = sorted(set(rows()))


def test_there_are_rows() -> None:
    assert len(ROWS) > 40


@pytest.mark.parametrize(("name", "default"), ROWS, ids=[name for name, _ in ROWS])
def test_every_value_exists_and_has_its_default(name: str, default: str) -> None:
    named = name.replace("*", "triton")
    assert named in KNOWN, f"docs/hardening.md: the chart has no value {name}"
    if (plain := re.match(r"`([^`]+)`", default)) is not None and plain[1] in PLAIN:
        assert KNOWN[named] == PLAIN[plain[1]], f"docs/hardening.md: {name} is {KNOWN[named]} by default"


def test_the_example_at_the_top_is_a_configuration() -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    given = yaml.safe_load(example[1])
    assert OperatorConfig.model_validate(given["config"]).allowed_formats
    assert set(given) <= set(VALUES)
