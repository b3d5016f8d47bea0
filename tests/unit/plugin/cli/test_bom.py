"""`kubectl sluice bom` from the cluster to its document, and what is said where there is none."""

import contextlib
import json
from collections.abc import AsyncIterator
from copy import deepcopy
from typing import Any

import pytest

from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.evidence import bom
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.options import ModelTarget
from sluice_core import errors
from tests.support.simulated import scenarios
from tests.unit.plugin.cli.fakes import FakeCluster

TARGET = ModelTarget(name="digits", namespace=None, context=None, kubeconfig=None)


@pytest.fixture(scope="module")
def serving() -> list[dict[str, Any]]:
    world = scenarios.serving_cluster()
    return [*world.objects.values(), *world.shared.values()]


@pytest.fixture
def fake(serving: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    found = FakeCluster(deepcopy(serving))

    @contextlib.asynccontextmanager
    async def session(target: ModelTarget) -> AsyncIterator[cluster.Session]:
        yield cluster.Session(found.typed, target)

    monkeypatch.setattr(cluster, "session", session)
    return found


async def test_it_is_the_document_of_what_serves(fake: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert await bom.show(TARGET) == exits.OK
    said = json.loads(capsys.readouterr().out)
    assert said["bomFormat"] == "CycloneDX"
    model, _ = said["components"]
    assert model["externalReferences"] == [{"type": "distribution", "url": scenarios.V1}]
    [release] = await fake.fetch_rollouts("default", "digits")
    assert said["metadata"]["component"]["properties"] == [
        {"name": "sluice.dev:release", "value": release.metadata.name}
    ]


async def test_it_is_the_same_twice(fake: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    await bom.show(TARGET)
    first = capsys.readouterr().out
    await bom.show(TARGET)
    assert capsys.readouterr().out == first


async def test_where_nothing_serves_it_says_where_to_look(fake: FakeCluster) -> None:
    (model,) = (raw for raw in fake.objects if raw["kind"] == "ModelDeployment")
    del model["status"]["stable"]
    with pytest.raises(console.Failure, match="nothing serves yet; see `kubectl sluice status digits -n default`"):
        await bom.show(TARGET)


async def test_where_nothing_pins_it_it_says_so(fake: FakeCluster) -> None:
    fake.objects = [raw for raw in fake.objects if raw["kind"] != "ControllerRevision"]
    with pytest.raises(console.Failure, match=r"nothing pins digits-.* any more"):
        await bom.show(TARGET)


async def test_who_may_not_see_what_is_pinned_gets_no_document(fake: FakeCluster) -> None:
    fake.denied = frozenset({"ControllerRevision"})
    with pytest.raises(errors.Denied):
        await bom.show(TARGET)


async def test_a_model_that_is_not_there(fake: FakeCluster) -> None:
    with pytest.raises(console.Failure, match="letters"):
        await bom.show(ModelTarget(name="letters", namespace=None, context=None, kubeconfig=None))
