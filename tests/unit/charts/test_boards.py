"""Dashboards are current, whole, and ask for nothing that a gateway or the operator does not have."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from charts import series
from charts.boards import release
from charts.boards.__main__ import FOLDER, boards, rendered
from sluice.shell.reporting import metrics
from sluice_judge.gateways import PRESETS
from tests.support import boards as read
from tests.unit.docs.test_docs import ROOT

FILES = sorted((ROOT / FOLDER).glob("*.json"))
LABEL = re.compile(r"(\w+)\s*(?:=~|!=|=)")
GROUPED = re.compile(r"\b(?:by|on|ignoring)\s*\(([^)]*)\)")
OF_SCRAPE = {"job", "instance", "namespace"}
"""Labels that a scrape gives."""
SELECTOR = re.compile(r"(\w*)\{([^{}]*)\}")
WIDTH = 24


def stem(file: Path) -> str:
    return file.stem


def labels_of(expr: str) -> set[str]:
    """All that an expression matches or groups by."""
    unquoted = re.sub(r'"[^"]*"', '""', expr)
    grouped = {name.strip() for found in GROUPED.findall(unquoted) for name in found.split(",") if name.strip()}
    selected = {name for found in re.findall(r"\{([^}]*)\}", unquoted) for name in LABEL.findall(found)}
    return grouped | selected


def test_committed_files_are_up_to_date() -> None:
    assert {file.stem: file.read_text() for file in FILES} == {
        name: rendered(board) for name, board in boards().items()
    }, "run `make crds`"


def test_there_are_four_boards_and_a_release_board_for_every_gateway() -> None:
    assert {file.stem for file in FILES} == {
        "fleet",
        "operator",
        "batch",
        *(f"release-{name}" for name in (*PRESETS, "none")),
    }


@pytest.mark.parametrize("file", FILES, ids=stem)
def test_panels_are_named_apart_and_fit_on_the_board(file: Path) -> None:
    board = json.loads(file.read_text())
    panels: list[dict[str, Any]] = board["panels"]
    assert len({panel["title"] for panel in panels}) == len(panels)
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels), "one lies over another"
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= WIDTH for panel in panels)
    assert board["uid"].startswith("sluice-")
    assert board["tags"] == ["sluice"]


@pytest.mark.parametrize("file", FILES, ids=stem)
def test_every_query_asks_the_prometheus_that_was_chosen(file: Path) -> None:
    board = json.loads(file.read_text())
    for panel in read.with_queries(board):
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert read.variables(board)[0]["type"] == "datasource"


@pytest.mark.parametrize("file", FILES, ids=stem)
def test_every_variable_of_a_query_is_one_of_the_board(file: Path) -> None:
    board = json.loads(file.read_text())
    named = {variable["name"] for variable in read.variables(board)}
    for expr in read.expressions(board):
        used = {first or second for first, second in re.findall(r"\$(?:\{(\w+)\}|(\w+))", expr)}
        assert used <= named | {"__rate_interval", "__range"}, expr


@pytest.mark.parametrize("file", FILES, ids=stem)
def test_no_query_has_a_label_that_a_gateway_or_the_operator_lacks(file: Path) -> None:
    preset = PRESETS.get(file.stem.removeprefix("release-"))
    by_name = {metric.name: set(metric.labels) for metric in metrics.METRICS}
    for expr in read.expressions(json.loads(file.read_text())):
        known = OF_SCRAPE | {"le", "__name__"}
        for name, labels in by_name.items():
            if re.search(rf"\b{name}(_bucket|_count)?\b", expr):
                known |= labels
        if preset is not None and "sluice_" not in expr:
            known |= labels_of(preset.requests) | labels_of(preset.latency_bucket) | {preset.code_label}
        assert labels_of(expr) <= known, expr


@pytest.mark.parametrize("file", FILES, ids=stem)
def test_every_query_asks_for_series_of_the_operator_or_of_the_gateway(file: Path) -> None:
    """Whatever other pods expose; also those by which a variable is filled."""
    board = json.loads(file.read_text())
    variables = [variable["query"] for variable in read.variables(board) if variable["type"] == "query"]
    for expr in (re.sub(r"\$\{(\w+)\}", r"$\1", each) for each in [*read.expressions(board), *variables]):
        found = SELECTOR.findall(expr)
        assert found, expr
        for name, matchers in found:
            operators = "sluice_" in f"{name}{matchers}" or name.startswith("process_")
            assert matchers.endswith(series.OPERATOR if operators else series.GATEWAY), expr
        rest = GROUPED.sub("", SELECTOR.sub("", expr))
        assert re.search(r"(sluice|process|envoy|istio|traefik|nginx)_", rest) is None, expr


@pytest.mark.parametrize("file", FILES, ids=stem)
def test_every_query_asks_for_something_that_is_served(file: Path) -> None:
    preset = PRESETS.get(file.stem.removeprefix("release-"))
    served = {metric.name for metric in metrics.METRICS}
    for expr in read.expressions(json.loads(file.read_text())):
        found = {re.sub(r"_(bucket|count)$", "", name) for name in re.findall(r"sluice_\w+", expr)}
        gateways = preset is not None and preset.requests.partition("{")[0] in expr.replace("\n", " ")
        histogram = (
            preset is not None and bool(preset.latency_bucket) and preset.latency_bucket.partition("{")[0] in expr
        )
        assert found <= served | {"sluice_batch_"}, expr
        assert found or gateways or histogram or "process_" in expr, expr


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_release_board_shows_the_preset_whole(preset: Any) -> None:
    assert release.backend_label(preset) in labels_of(preset.requests)
    board = json.loads((ROOT / FOLDER / f"release-{preset.name}.json").read_text())
    titles = {panel["title"] for panel in board["panels"]}
    assert {"Requests by version and code", "Share of the requests, wanted and real"} <= titles
    assert ("Latency, median" in titles) is bool(preset.latency_bucket)
