"""From a person's command to the intent in the newest release, and what is said of the answer."""

import contextlib
import json
from collections.abc import AsyncIterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest

from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.options import ModelTarget, OutputFormat
from kubectl_sluice.cli.releases import steer
from sluice_core.api.v1alpha1.intent import Action
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.unit.plugin.cli.fakes import FakeCluster

TARGET = ModelTarget(name="digits", namespace=None, context=None, kubeconfig=None)


@dataclass
class Answering(FakeCluster):
    """A cluster whose operator answers every intent at once."""

    result: str = "done"
    intents: list[dict[str, Any]] = field(default_factory=list)

    async def patch_intent(self, rollout: ModelRollout, intent: dict[str, Any]) -> None:
        self.intents.append({key: value for key, value in intent.items() if value is not None})
        raw = next(
            r for r in self.objects if r["kind"] == "ModelRollout" and r["metadata"]["name"] == rollout.metadata.name
        )
        raw["status"]["observedIntent"] = {"requestTime": intent["requestTime"], "result": self.result}


@pytest.fixture(scope="module")
def world() -> Cluster:
    """The second version serves, the first one is known."""
    made = scenarios.serving_cluster(policy_changes={"bakeSeconds": 5, "steps": [{"weight": 50}, {"weight": 100}]})
    made.user_applies(scenarios.manifest(scenarios.V2))
    made.run(300, until=lambda: made.newest().status.outcome is not None)
    return made


@pytest.fixture
def promoted(world: Cluster) -> Answering:
    return Answering(deepcopy([*world.objects.values(), *world.shared.values()]))


@pytest.fixture
def first() -> Answering:
    world = scenarios.serving_cluster()
    return Answering([*world.objects.values(), *world.shared.values()])


def connect(fake: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.asynccontextmanager
    async def session(target: ModelTarget) -> AsyncIterator[cluster.Session]:
        yield cluster.Session(fake.typed, target)

    monkeypatch.setattr(cluster, "session", session)


async def ask(fake: FakeCluster, monkeypatch: pytest.MonkeyPatch, action: Action, **options: Any) -> int:
    connect(fake, monkeypatch)
    return await steer.ask(TARGET, OutputFormat.JSON, action, **{"note": None, "to": None} | options)


async def test_rollback_goes_to_the_version_before_and_shows_the_divergence(
    promoted: Answering, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await ask(promoted, monkeypatch, Action.ROLL_BACK, note="complaints") == exits.OK
    [intent] = promoted.intents
    assert (intent["action"], intent["note"], "toRevision" in intent) == ("Rollback", "complaints", False)
    said = json.loads(capsys.readouterr().out)
    assert said["divergence"]["serves"] == scenarios.V1
    assert said["divergence"]["asked"] == scenarios.V2


async def test_rollback_names_the_revision(promoted: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    known = await promoted.fetch_revisions("default", "digits")
    oldest = known[-1].name
    await ask(promoted, monkeypatch, Action.ROLL_BACK, to=oldest)
    assert promoted.intents[0]["toRevision"] == oldest


@pytest.mark.parametrize("denied", [frozenset(), frozenset({"ControllerRevision"})])
async def test_an_unknown_revision_is_refused_with_those_that_are_known(
    promoted: Answering, monkeypatch: pytest.MonkeyPatch, denied: frozenset[str]
) -> None:
    promoted.denied = denied
    with pytest.raises(console.Failure, match=r"there is no revision 'x'; known, newest first: .*s3://models/digits/1"):
        await ask(promoted, monkeypatch, Action.ROLL_BACK, to="x")
    assert not promoted.intents


async def test_there_is_nothing_before_the_first_version(first: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(console.Failure, match="it is unknown which version served before"):
        await ask(first, monkeypatch, Action.ROLL_BACK)


@pytest.mark.parametrize(
    ("result", "code"),
    [("a new attempt has begun", exits.OK), ("ignored: too late", exits.FAILED), ("refused: frozen", exits.FAILED)],
)
async def test_the_answer_decides_the_exit_code(
    promoted: Answering,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    result: str,
    code: int,
) -> None:
    promoted.result = result
    assert await ask(promoted, monkeypatch, Action.ROLL_BACK) == code
    said = json.loads(capsys.readouterr().out)
    assert said["result"] == result
    assert ("divergence" in said) is (code == exits.OK)


async def test_a_promoted_release_cannot_be_skipped(promoted: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(console.Failure, match=r"SkipStep is not possible: no release is running"):
        await ask(promoted, monkeypatch, Action.SKIP_STEP)


async def test_a_retry_is_told_of_the_attempt_that_it_begins(
    promoted: Answering, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its name is what `history` and `explain` take."""
    old = max((r for r in promoted.objects if r["kind"] == "ModelRollout"), key=lambda r: r["spec"]["sequence"])
    old["status"]["outcome"] = "RolledBack"
    following = deepcopy(old)
    following["metadata"]["name"], following["status"] = f"{old['metadata']['name'][:-1]}2", {}
    following["spec"] |= {"attempt": 2, "sequence": old["spec"]["sequence"] + 1}

    async def patched(rollout: ModelRollout, intent: dict[str, Any]) -> None:
        await Answering.patch_intent(promoted, rollout, intent)
        promoted.objects.append(following)

    promoted.result = "a new attempt has begun"
    monkeypatch.setattr(promoted, "patch_intent", patched)
    assert await ask(promoted, monkeypatch, Action.RETRY) == exits.OK
    assert json.loads(capsys.readouterr().out)["rollout"] == following["metadata"]["name"]
