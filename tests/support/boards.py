"""Grafana's dashboards as a test reads them: panels, variables, and queries with the variables filled in."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parents[2] / "charts" / "sluice" / "monitoring" / "boards"
Board = Mapping[str, Any]

ALL: Final = ".*"
OF_GRAFANA: Final = {"__rate_interval": "1m", "__range": "1h"}
"""Variables that Grafana itself fills in."""
VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def with_queries(board: Board) -> Iterator[dict[str, Any]]:
    """The panels with queries: all but rows."""
    yield from (panel for panel in board["panels"] if panel["type"] != "row")


def variables(board: Board) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = board["templating"]["list"]
    return found


def expressions(board: Board) -> Iterator[str]:
    """The expressions of all panels, with their variables."""
    yield from (target["expr"] for panel in with_queries(board) for target in panel["targets"])


def filled(expr: str, values: Mapping[str, str]) -> str:
    """The expression as Grafana sends it; KeyError for an unknown variable."""
    known = {**OF_GRAFANA, **values}
    return VARIABLE.sub(lambda found: known[found[1] or found[2]], expr)
