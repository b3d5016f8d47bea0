"""`-w` of `status` and `batch` while the cluster does not answer for a while."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from rich.console import Console

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.cli import batch, console, exits
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.options import Connection, ModelTarget, OutputFormat
from kubectl_sluice.cli.releases import follow, status
from sluice_core import errors
from tests.unit.plugin.cli.fakes import FakeCluster
from tests.unit.plugin.views.builders import RELEASING, make_deployment
from tests.unit.plugin.views.test_batch import HALF, RUN, make_raw

TARGET = ModelTarget(name="digits", namespace=None, context=None, kubeconfig=None)
AWAY = errors.Unavailable("no answer from the API server; check that the cluster runs")
GONE = kubectl.NotFound("it was deleted")
DONE = {**RUN, "completionTime": "2026-05-28T20:26:40Z", "outcome": "Complete"}


class Answering(FakeCluster):
    """Answers with the next of `answers`, an object or an error, each time that it is asked for the one object."""

    answers: Iterator[Any]

    async def fetch(self, kind: Any, namespace: str, name: str) -> Any:
        return self._next()

    def _next(self) -> Any:
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(params=[False, True], ids=["pipe", "terminal"])
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    is_terminal: bool = request.param
    monkeypatch.setattr(console, "stdout", lambda: Console(force_terminal=is_terminal, width=100))
    monkeypatch.setattr(follow, "REFRESH_SECONDS", 0.0)
    return is_terminal


def connect(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> None:
    fake = Answering([])
    fake.answers = iter(answers)

    @contextlib.asynccontextmanager
    async def connected(_: Connection) -> AsyncIterator[Any]:
        yield fake

    monkeypatch.setattr(cluster, "connected", connected)


def assert_said_once(captured: Any, *, terminal: bool) -> None:
    """On a terminal, rich takes what is said on standard error, and puts it above what it redraws."""
    remarks = captured.out if terminal else captured.err
    assert remarks.count("out of date until the cluster answers: no answer from the API server") == 1
    assert remarks.count("the cluster answers again") == 1


async def test_a_batch_goes_on_when_the_cluster_is_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool
) -> None:
    connect(monkeypatch, make_raw(**HALF), AWAY, AWAY, make_raw(**HALF), make_raw(run=DONE, percent=100))

    assert await batch.show(TARGET, OutputFormat.TEXT, batch="nightly", watch=True) == exits.OK

    captured = capsys.readouterr()
    assert_said_once(captured, terminal=terminal)
    assert "Complete" in captured.out


async def test_a_status_goes_on_when_the_cluster_is_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool
) -> None:
    releasing, healthy = make_deployment(conditions=RELEASING).to_wire(), make_deployment().to_wire()
    connect(monkeypatch, releasing, AWAY, AWAY, healthy, GONE)

    with pytest.raises(console.Failure, match="there is no ModelDeployment 'digits'"):
        await status.show(TARGET, OutputFormat.TEXT, name="digits", watch=True)

    captured = capsys.readouterr()
    assert_said_once(captured, terminal=terminal)
    assert "serves" in captured.out


@pytest.mark.usefixtures("terminal")
async def test_a_cluster_that_never_answered_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, AWAY, make_raw(run=DONE))

    with pytest.raises(errors.Unavailable):
        await batch.show(TARGET, OutputFormat.TEXT, batch="nightly", watch=True)
