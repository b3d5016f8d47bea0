"""The command `batch`."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from kubectl_sluice.cli import batch, console, exits
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.options import Connection, OutputFormat
from kubectl_sluice.cli.releases import follow
from tests.unit.plugin.cli.fakes import FakeCluster
from tests.unit.plugin.views.test_batch import HALF, RUN, make_raw

HERE = Connection(namespace=None, context=None, kubeconfig=None)
DONE = {**RUN, "completionTime": "2026-05-28T20:26:40Z"}


class Changing(FakeCluster):
    """Answers each time with the next status; the last one stays."""

    statuses: tuple[dict[str, Any], ...] = ()

    async def fetch(self, kind: Any, namespace: str, name: str) -> dict[str, Any]:
        await super().fetch(kind, namespace, name)
        now, *later = self.statuses
        self.statuses = tuple(later) or (now,)
        return make_raw(**now)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeCluster]:
    def make(*statuses: dict[str, Any]) -> FakeCluster:
        fake = Changing([make_raw()])
        fake.statuses = statuses

        @contextlib.asynccontextmanager
        async def connected(_: Connection) -> AsyncIterator[Any]:
            yield fake

        monkeypatch.setattr(cluster, "connected", connected)
        monkeypatch.setattr(follow, "REFRESH_SECONDS", 0.0)
        return fake

    return make


async def test_everything_on_one_screen(
    connect: Callable[..., FakeCluster], capsys: pytest.CaptureFixture[str]
) -> None:
    connect({**HALF, "history": [{**DONE, "name": "nightly-0", "outcome": "Failed", "message": "m", "reason": "R"}]})
    assert await batch.show(HERE, OutputFormat.TEXT, batch="nightly") == exits.OK
    said = capsys.readouterr().out
    for part in (
        "nightly in default: Running",
        "50 %",
        "1,000 of 2,000 rows read",
        "2 of 4 shards",
        "nightly-0",
        "R: m",
    ):
        assert part in said
    assert max(map(len, said.splitlines())) <= console.PIPE_COLUMNS


@pytest.mark.parametrize(("outcome", "code"), [("Complete", exits.OK), ("Failed", exits.FAILED)])
async def test_it_is_followed_to_the_end(
    connect: Callable[..., FakeCluster], capsys: pytest.CaptureFixture[str], outcome: str, code: int
) -> None:
    connect({}, HALF, HALF, {"run": {**DONE, "outcome": outcome}, "percent": 100})
    assert await batch.show(HERE, OutputFormat.JSON, batch="nightly", watch=True) == code
    states = [json.loads(line)["state"] for line in capsys.readouterr().out.splitlines()]
    assert states == ["Waiting", "Running", outcome]


async def test_a_name_that_does_not_exist(connect: Callable[..., FakeCluster]) -> None:
    connect({})
    with pytest.raises(console.Failure, match=r"no BatchInference 'nigthly'.*did you mean nightly"):
        await batch.show(HERE, OutputFormat.TEXT, batch="nigthly")


async def test_a_status_that_a_newer_operator_wrote_is_told(connect: Callable[..., FakeCluster]) -> None:
    connect({"run": {"name": {"of": "another kind"}}})
    with pytest.raises(console.Failure, match=r"BatchInference default/nightly: status\.run\.name: .*upgrade"):
        await batch.show(HERE, OutputFormat.TEXT, batch="nightly")
