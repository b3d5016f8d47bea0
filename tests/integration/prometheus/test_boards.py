"""A real Prometheus takes every query of the boards and every expression of the alerts."""

import json
import time
from pathlib import Path

import httpx
import pytest

from charts.alerts import ALERTS
from tests.support import boards, patience

BOARDS = sorted(boards.FOLDER.glob("*.json"))
VALUES = {"namespace": "default", "model": "digits", "batch": "churn"}
START_SECONDS = 20.0


def refusals(url: str, expressions: list[str]) -> list[str]:
    """What Prometheus says against them."""
    with httpx.Client(base_url=url, trust_env=False, timeout=patience.seconds(10)) as client:
        deadline = time.monotonic() + patience.seconds(START_SECONDS)
        while True:
            try:
                client.get("/-/ready").raise_for_status()
                break
            except httpx.HTTPError:
                assert time.monotonic() < deadline, "Prometheus is not ready"
                time.sleep(0.1)
        answers = [(expr, client.post("/api/v1/query", data={"query": expr})) for expr in expressions]
    return [f"{expr}: {answer.text}" for expr, answer in answers if answer.is_error]


@pytest.mark.parametrize("values", [VALUES, dict.fromkeys(VALUES, boards.ALL)], ids=["one", "all"])
def test_every_query_of_a_board_is_promql(prometheus_url: str, values: dict[str, str]) -> None:
    expressions = [
        boards.filled(expr, values)
        for file in BOARDS
        for expr in boards.expressions(json.loads(Path(file).read_text()))
    ]
    assert len(expressions) > 100
    assert refusals(prometheus_url, expressions) == []


def test_every_expression_of_an_alert_is_promql(prometheus_url: str) -> None:
    assert refusals(prometheus_url, [alert.expr for alert in ALERTS]) == []
    assert len(refusals(prometheus_url, ["max("])) == 1
