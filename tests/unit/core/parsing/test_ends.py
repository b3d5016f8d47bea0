"""How a container of a Job ended that left no words of its own."""

from typing import Any

import pytest

from sluice_core.kernel.reasons import Reason
from sluice_core.parsing.podproblems import ends

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("states", "want"),
    [
        pytest.param([{"running": {}}], None, id="it runs"),
        pytest.param([], None, id="it has not begun"),
        pytest.param([{"terminated": {"exitCode": 137}}], "container c0 ended with exit code 137", id="only a number"),
        pytest.param(
            [{"running": {}}, {"terminated": {"exitCode": 1, "message": "no such file"}}],
            "container c1 ended with exit code 1: no such file",
            id="the log of the second one",
        ),
    ],
)
def test_a_container_that_ended_without_words(states: list[dict[str, Any]], want: str | None) -> None:
    pod = {"status": {"containerStatuses": [{"name": f"c{at}", "state": state} for at, state in enumerate(states)]}}
    problem = ends.ended_without_words(pod, NOW)
    assert (problem.message if problem else None) == want
    assert problem is None or problem.reason is Reason.SHARD_FAILED
