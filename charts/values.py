"""Writes `charts/sluice/README.md`, every value of the chart by `values.yaml` and its schema: `python -m charts.values`.

A value is described by the comment above it. One that is not set stands there as a comment of its own (`# key: example`)
under its description. A line that begins with `# -` is an example of the list before it.
"""

import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

CHART: Final = Path(__file__).resolve().parent / "sluice"
README: Final = CHART / "README.md"
LONGEST_DEFAULT: Final = 90
WIDTH: Final = 119
HELMS_OWN: Final = frozenset({"global"})
"""Values that Helm gives to every chart."""
COMMENT: Final = re.compile(r"^\s*# ?")
UNSET: Final = re.compile(r"^(\s*)# (([A-Za-z]\w*): .+)$")
EXAMPLE: Final = re.compile(r"^\s*# - ")
PAGE: Final = re.compile(r"docs/([\w/.-]+\.md)")
HEADER: Final = """\
# Sluice

{chart[description]}.
Kubernetes {chart[kubeVersion]}; CRDs are in the chart.

```sh
helm install sluice oci://REGISTRY/charts/sluice --version VERSION --namespace sluice-system --create-namespace
```

- [Install, upgrade, roll back, uninstall]({docs}/install.md)
- [The first hour]({docs}/first-hour.md)
- [Hardening]({docs}/hardening.md)
- [Upgrade policy]({docs}/versions.md)

All values. This page is written from `values.yaml` and `values.schema.json` by `make crds`; do not edit it. A value
that is not in the schema is refused.

"""


@dataclass(frozen=True, slots=True)
class Value:
    """One value, or a group of them, as a reader of the chart sees it.

    limits: what the schema allows. default: empty for a group and for what is not set. example: of what is not set. about:
    empty if only its group says what it is for.
    """

    path: tuple[str, ...]
    limits: str
    about: str
    default: str = ""
    example: str = ""
    is_group: bool = False

    @property
    def name(self) -> str:
        return ".".join(self.path)


def values(text: str, schema: dict[str, Any]) -> list[Value]:
    """All of them in the order of values.yaml, each group before what is in it."""
    absent = _absent(yaml.safe_load(text), schema, schema)
    lines, unset = text.splitlines(), set()
    for number, line in enumerate(lines):
        found = UNSET.match(line)
        if found and found[3] in absent:
            lines[number] = found[1] + found[2]
            unset.add(number)
    root = yaml.compose("\n".join(lines), Loader=yaml.CSafeLoader)
    return list(_walk(root, schema, schema, lines, frozenset(unset), ()))


def leaves(schema: dict[str, Any]) -> frozenset[str]:
    """The names of all values that the schema knows, without Helm's own."""
    return frozenset(name for name in _leaves(schema, schema, ()) if name not in HELMS_OWN)


def rendered() -> str:
    """The whole page."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    found = values((CHART / "values.yaml").read_text(), json.loads((CHART / "values.schema.json").read_text()))
    sections = "\n".join(_section(title, group, chart["home"]) for title, group in _sections(found))
    return HEADER.format(chart=chart, docs=f"{chart['home']}/blob/main/docs") + sections


def _leaves(node: dict[str, Any], schema: dict[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    for key, child in node["properties"].items():
        found = _resolved(child, schema)
        if "properties" in found:
            yield from _leaves(found, schema, (*path, key))
        else:
            yield ".".join((*path, key))


def _resolved(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = node.get("$ref", "").removeprefix("#/definitions/")
    found: dict[str, Any] = schema["definitions"][name] if name else node
    return found


def _absent(given: dict[str, Any], node: dict[str, Any], schema: dict[str, Any]) -> frozenset[str]:
    """Keys that the schema knows and values.yaml does not set."""
    names: set[str] = set()
    for key, child in node.get("properties", {}).items():
        if key not in given:
            names.add(key)
        elif isinstance(given[key], dict):
            names |= _absent(given[key], _resolved(child, schema), schema)
    return frozenset(names)


def _walk(
    node: yaml.Node,
    known: dict[str, Any],
    schema: dict[str, Any],
    lines: list[str],
    unset: frozenset[int],
    path: tuple[str, ...],
) -> Iterator[Value]:
    for key, child in node.value:
        line, place = key.start_mark.line, (*path, key.value)
        described = _resolved(known["properties"][key.value], schema)
        about = "" if node.flow_style else _comment_above(line, lines)  # which then stands above the group
        if "properties" in described and isinstance(child, yaml.MappingNode) and line not in unset:
            yield Value(place, "", about, is_group=True)
            yield from _walk(child, described, schema, lines, unset, place)
        elif line in unset:
            yield Value(place, _limits(described), about, example=lines[line].partition(": ")[2])
        else:
            yield Value(place, _limits(described), about, default=_text(child))


def _comment_above(line: int, lines: list[str]) -> str:
    found: list[str] = []
    while line > 0 and COMMENT.match(lines[line - 1]):
        line -= 1
        if not EXAMPLE.match(lines[line]):
            found.insert(0, COMMENT.sub("", lines[line]))
    return " ".join(found)


def _text(node: yaml.Node) -> str:
    return json.dumps(yaml.safe_load(yaml.serialize(node)), ensure_ascii=False, separators=(",", ":"))


def _limits(node: dict[str, Any]) -> str:
    """What the schema allows beyond a type that the default shows."""
    if "enum" in node:
        return f"`{'/'.join(node['enum'])}`"
    return f"{node['minimum']} to {node['maximum']}" if "minimum" in node else ""


def _sections(found: list[Value]) -> Iterator[tuple[str, list[Value]]]:
    """Values of the first level together, then each group of the first level."""
    alone = [value for value in found if len(value.path) == 1 and not value.is_group]
    yield "General", alone
    for group in (value for value in found if len(value.path) == 1 and value.is_group):
        yield group.name, [value for value in found if value.path[0] == group.name]


def _section(title: str, found: list[Value], home: str) -> str:
    group = found[0] if found[0].is_group else None
    heading = f"## {title}\n\n" + (f"{_wrapped(_linked(group.about, home))}\n\n" if group and group.about else "")
    rows = "".join(_row(row, home) for row in _rows([value for value in found if value is not group]))
    return f"{heading}{rows}"


def _rows(found: list[Value]) -> Iterator[list[Value]]:
    """Values in one item: those that say nothing of themselves, one after the other in a group, after the group's own."""
    row: list[Value] = []
    for value in found:
        joins = row and not (value.is_group or value.about) and not (row[-1].about and not row[-1].is_group)
        if joins and value.path[:-1] in (row[-1].path[:-1], row[-1].path if row[-1].is_group else None):
            row.append(value)
            continue
        if row:
            yield row
        row = [value]
    yield row


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _row(row: list[Value], home: str) -> str:
    about = _linked(row[0].about, home)
    if row[0].example:
        about = f"{about} For example `{row[0].example}`.".lstrip()
    named = [_named(value) for value in row if not value.is_group] or [f"**`{row[0].name}`**"]
    return _wrapped(f"- {', '.join(named)}{f'. {about}' if about else ''}", "  ") + "\n"


def _named(value: Value) -> str:
    default = f"`{value.default}`" if value.default else "not set"
    if len(value.default) > LONGEST_DEFAULT:
        default = "see `values.yaml`"
    return f"`{value.name}`: {default}" + (f" ({value.limits})" if value.limits else "")


def _linked(text: str, home: str) -> str:
    escaped = text.replace("<", "&lt;").replace("*", "\\*")
    return PAGE.sub(lambda found: f"[{found[0]}]({home}/blob/main/{found[0]})", escaped)


if __name__ == "__main__":
    README.write_text(rendered())
