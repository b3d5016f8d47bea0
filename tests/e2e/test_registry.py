"""A model that MLflow's registry names, with MLflow itself: moving the alias is the release, and how it ended is in MLflow.

Its server is a process of this machine that pods reach, with its files in the lab's object store.
"""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from demo import setup
from demo.cluster import Cluster
from demo.load import LoadClient
from sluice_judge import timestamps
from tests.e2e.conftest import home
from tests.support.live import badmodels
from tests.support.live.scene import ROLLOUTS, Object, Scene, manifest, wait_until
from tests.support.stores import realmlflow
from tests.support.stores.realmlflow import RealMLflow

NAME: Final = "digits"
CHAMPION: Final = f"models:/{NAME}@champion"
SERVED, BETTER, FAILING = "1", "2", "3"
SECRET: Final = "sluice-registry"
EDITOR, READER = ("editor", "an-editors-password"), ("reader", "a-readers-password")
BEGIN_SECONDS: Final = 90.0
"""Far beyond the 35 s within which a release begins: the figure is printed, and does not fail on a busy machine."""
TOLD_SECONDS: Final = 240.0
"""Of what is tried again at least every two minutes."""
REST_SECONDS: Final = 45.0
"""In which the registry is asked three times."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def registry(lab: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealMLflow]:
    """With three versions of a model, the first of which is the champion."""
    folder = tmp_path_factory.mktemp("mlflow")
    credentials = setup.store_credentials(lab.tools)
    variables = {
        "AWS_ACCESS_KEY_ID": credentials.key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret,
        "AWS_DEFAULT_REGION": setup.REGION,
        "MLFLOW_S3_ENDPOINT_URL": lab.object_store,
    }
    models = setup.prepared_models()
    failing = badmodels.write_always_failing(folder / "failing.onnx")
    root = f"s3://{setup.BUCKET}/mlflow"
    with realmlflow.running(folder, root=root, variables=variables, address=lab.own_address) as server:
        versions = [server.logs(NAME, model) for model in (models["v1"], models["v2"], failing)]
        assert versions == [SERVED, BETTER, FAILING]
        server.moves(NAME, "champion", SERVED)
        server.user(*EDITOR, **{NAME: "EDIT"})
        server.user(*READER, **{NAME: "READ"})
        yield server


def follow(scene: Scene, registry: RealMLflow, login: tuple[str, str]) -> None:
    """The Secret of the namespace, and the model."""
    keys = ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
    said = dict(zip(keys, (registry.url, *login), strict=True))
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": said}
    scene.apply(secret, manifest(NAME, SERVED, model={"uri": CHAMPION}))


@pytest.fixture(scope="module")
def reading(lab: Cluster, registry: RealMLflow) -> Iterator[Scene]:
    """Another namespace, whose user may only read: its model is deployed with the other, since much of it is waiting."""
    with home(lab, "e2e-registry-reading") as scene:
        follow(scene, registry, READER)
        yield scene


@pytest.fixture(scope="module")
def traffic(scene: Scene, registry: RealMLflow, reading: Scene, connect: Callable[..., LoadClient]) -> LoadClient:
    """To the version that the alias names at first."""
    follow(scene, registry, EDITOR)
    scene.wait_ready(NAME)
    client = scene.serving(NAME, connect(NAME))
    wait_until(lambda: client.counts().total.right > 200, "the first version answers")
    return client


def stable_uri(scene: Scene) -> str:
    revision = scene.stable(NAME)
    return next(str(r["spec"]["to"]["uri"]) for r in scene.rollouts(NAME) if r["spec"]["to"]["revision"] == revision)


def moved(scene: Scene, registry: RealMLflow, version: str) -> str:
    """The release that moving the alias leads to; prints how long that took, by the API server's clock, in whole seconds."""
    before: list[float] = []

    def move() -> None:
        registry.moves(NAME, "champion", version)
        before.append(time.time())

    def wanted(rollout: Object) -> bool:
        return bool(rollout["spec"]["to"]["uri"] == f"models:/{NAME}/{version}")

    begun = scene.begun_by(NAME, move, wanted, seconds=BEGIN_SECONDS)
    made = timestamps.seconds(scene.rollout(begun)["metadata"]["creationTimestamp"])
    print(
        f"\nalias moved to {version}: release begun after {made - before[0]:.1f} s (times of objects are whole seconds)"
    )
    return begun


def told(scene: Scene, rollout: str) -> None:
    wait_until(lambda: scene.rollout_status(rollout).get("reported"), f"{rollout} is reported", seconds=TOLD_SECONDS)


def tags_of(scene: Scene, rollout: str) -> dict[str, Any]:
    """As the release has it."""
    status = scene.rollout_status(rollout)
    return {
        "sluice.outcome": status["outcome"],
        "sluice.release": f"{scene.namespace}/{rollout}",
        "sluice.time": status["endTime"],
    }


def without_evidence(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key != "sluice.evidence"}


@pytest.mark.usefixtures("no_request_is_lost")
def test_the_version_of_the_alias_serves_and_mlflow_knows(
    scene: Scene, registry: RealMLflow, traffic: LoadClient
) -> None:
    assert stable_uri(scene) == f"models:/{NAME}/{SERVED}"
    assert scene.condition(NAME, "Resolved")["reason"] == "Following"
    known = scene.deployment(NAME)["status"]["resolved"]
    assert known["source"].startswith(f"{registry.root}/")
    [first] = [each["metadata"]["name"] for each in scene.rollouts(NAME)]
    told(scene, first)
    assert without_evidence(registry.tags(NAME, SERVED))["sluice.outcome"] == "Promoted"
    tree = scene.plugin("tree", NAME)
    assert f"{CHAMPION}  is version {SERVED}" in tree
    assert f"{NAME}-resolver" in tree
    found = json.loads(
        scene.plugin(
            "doctor",
            NAME,
            f"--gateway={scene.cluster.gateway}",
            f"--prometheus={scene.cluster.prometheus}",
            "-o",
            "json",
        )
    )
    assert {each["state"] for each in found if each["name"] == "registry"} == {"ok"}


@pytest.mark.usefixtures("no_request_is_lost")
def test_moving_the_alias_is_a_release_also_if_mlflow_goes_in_the_middle_of_it(
    scene: Scene, registry: RealMLflow, traffic: LoadClient
) -> None:
    rollout = moved(scene, registry, BETTER)
    scene.wait_weight(rollout)
    registry.stop()
    try:
        assert scene.wait_outcome(rollout)["outcome"] == "Promoted"
        unresolved = scene.wait_condition(
            NAME, "Resolved", lambda said: said["status"] == "False", "the registry is away"
        )
        assert unresolved["reason"] == "RegistryUnreachable"
        assert not scene.rollout_status(rollout).get("reported")
    finally:
        registry.start()
    back = time.monotonic()
    told(scene, rollout)
    print(f"\nMLflow is back: outcome written within {time.monotonic() - back:.0f} s")
    written = registry.said("GET", "model-versions/get", name=NAME, version=BETTER)
    assert without_evidence(registry.tags(NAME, BETTER)) == tags_of(scene, rollout)
    assert stable_uri(scene) == f"models:/{NAME}/{BETTER}"
    patch = f"--patch={json.dumps({'status': {'reported': False}})}"
    scene.tools.kubectl("patch", ROLLOUTS, rollout, scene.where, "--subresource=status", "--type=merge", patch)
    told(scene, rollout)
    assert registry.said("GET", "model-versions/get", name=NAME, version=BETTER) == written
    wait_until(
        lambda: scene.condition(NAME, "Resolved")["status"] == "True", "it is resolved again", seconds=TOLD_SECONDS
    )


@pytest.mark.usefixtures("no_request_is_lost")
def test_a_bad_version_is_rolled_back_and_waits_for_the_alias(
    scene: Scene, registry: RealMLflow, traffic: LoadClient
) -> None:
    rollout = moved(scene, registry, FAILING)
    assert scene.wait_outcome(rollout)["outcome"] == "RolledBack"
    told(scene, rollout)
    assert without_evidence(registry.tags(NAME, FAILING)) == tags_of(scene, rollout)
    tried, over = len(scene.rollouts(NAME)), time.monotonic() + REST_SECONDS
    wait_until(lambda: time.monotonic() > over, "the registry is asked again", seconds=REST_SECONDS + 5)
    assert registry.alias(NAME, "champion") == FAILING
    assert len(scene.rollouts(NAME)) == tried
    assert stable_uri(scene) == f"models:/{NAME}/{BETTER}"
    again = moved(scene, registry, SERVED)
    registry.moves(NAME, "champion", BETTER)
    scene.wait_outcome(again)
    assert stable_uri(scene) == f"models:/{NAME}/{BETTER}"
    assert registry.alias(NAME, "champion") == BETTER


@pytest.mark.usefixtures("no_request_is_lost")
def test_a_version_that_a_person_goes_back_from_is_rolled_back_there_too(
    scene: Scene, registry: RealMLflow, traffic: LoadClient
) -> None:
    back = scene.begun_by(NAME, lambda: scene.plugin("rollback", NAME))
    assert scene.wait_outcome(back)["outcome"] == "Promoted"
    told(scene, back)
    assert stable_uri(scene) == f"models:/{NAME}/{SERVED}"
    assert registry.tags(NAME, SERVED)["sluice.outcome"] == "Promoted"
    left = registry.tags(NAME, BETTER)
    assert (left["sluice.outcome"], left["sluice.release"]) == ("RolledBack", f"{scene.namespace}/{back}")
    assert registry.alias(NAME, "champion") == BETTER


@pytest.mark.usefixtures("traffic")
def test_who_may_only_read_serves_and_says_what_is_missing(reading: Scene, registry: RealMLflow) -> None:
    """MLflow was away in between."""
    reading.wait_ready(NAME)
    said = reading.wait_condition(
        NAME,
        "Resolved",
        lambda found: "refuses tags" in found["message"],
        "the condition says that tags are refused",
        seconds=TOLD_SECONDS,
    )
    assert (said["status"], said["reason"]) == ("True", "Following")
    assert "grant EDIT" in said["message"]
    assert not any(reading.rollout_status(each["metadata"]["name"]).get("reported") for each in reading.rollouts(NAME))
