"""An object for a while: it is gone when the block ends, and only then."""

from dataclasses import dataclass

import pytest

from kubectl_sluice.cli import console
from kubectl_sluice.cli.kube import temporary
from kubectl_sluice.cli.kube.temporary import TemporaryObject
from sluice_core import errors
from sluice_core.adapters import kinds
from sluice_core.adapters.kinds import Resource
from sluice_core.kernel import naming
from tests.unit.plugin.cli.fakes import FakeCluster, Raw

MODEL = {"metadata": {"name": "digits", "namespace": "default"}}


@dataclass
class Cluster(FakeCluster):
    """Keeps what is deleted, where it `stays`; the pods of a model end at the second look."""

    stays: bool = False
    refusal: BaseException | None = None

    async def create(self, kind: Resource, manifest: Raw) -> Raw:
        labels = {naming.LABEL_OWNER: "digits"}
        pod = {"kind": "Pod", "metadata": {"name": "digits-0", "namespace": "default", "labels": labels}}
        self.objects += [{**manifest, "kind": kind.kind}, pod]
        if self.refusal is not None:
            raise self.refusal
        return manifest

    async def delete(self, kind: Resource, namespace: str, name: str) -> None:
        self.objects = [each for each in self.objects if each["kind"] == "Pod"]

    async def fetch_all(self, kind: Resource, *, namespace: str = "", selector: str = "") -> tuple[Raw, ...]:
        present = await super().fetch_all(kind, namespace=namespace, selector=selector)
        if not self.stays:
            self.objects = []
        return present


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(temporary, "GONE_SECONDS", 0.05)


def model(cluster: Cluster) -> TemporaryObject:
    return TemporaryObject(cluster.typed, kinds.BY_KIND["ModelDeployment"], "default", "digits", lambda _newer: None)


async def test_a_model_is_gone_when_its_pods_are() -> None:
    cluster = Cluster([])
    async with model(cluster).made(MODEL, refusal=str):
        assert [each["kind"] for each in cluster.objects] == ["ModelDeployment", "Pod"]
    assert cluster.objects == []


async def test_an_error_in_the_block_removes_it_too() -> None:
    cluster = Cluster([])
    with pytest.raises(ZeroDivisionError):
        async with model(cluster).made(MODEL, refusal=str):
            raise ZeroDivisionError
    assert cluster.objects == []


async def test_what_is_kept_is_named_with_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = Cluster([], stays=True)
    async with model(cluster).made(MODEL, refusal=str, keep=True):
        pass
    assert [each["kind"] for each in cluster.objects] == ["ModelDeployment", "Pod"]
    assert "left in place; to delete it: kubectl delete modeldeployment digits -n default" in capsys.readouterr().err


@pytest.mark.parametrize("error", [errors.Denied("no"), errors.Refused("no"), errors.Conflict("no")])
async def test_what_is_refused_was_not_made_and_is_not_removed(error: errors.ApiError) -> None:
    cluster = Cluster([], refusal=error)
    with pytest.raises(console.Failure, match=r"^no; ask$"):
        async with model(cluster).made(MODEL, refusal=lambda refused: f"{refused}; ask"):
            pass
    assert cluster.objects[0]["kind"] == "ModelDeployment"


async def test_what_may_have_been_made_is_removed() -> None:
    cluster = Cluster([], refusal=errors.Unavailable("the answer was lost"))
    with pytest.raises(errors.Unavailable):
        async with model(cluster).made(MODEL, refusal=str):
            pass
    assert cluster.objects == []


async def test_a_leftover_that_stays_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = Cluster([], stays=True)
    await cluster.create(kinds.BY_KIND["ModelDeployment"], MODEL)
    with pytest.raises(console.Failure, match="ModelDeployment digits of an earlier check is not ending"):
        await model(cluster).remove_leftover("check")
    assert "may still be there; remove it: kubectl delete modeldeployment digits -n default" in capsys.readouterr().err
