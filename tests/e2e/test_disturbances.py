"""What surrounds a release breaks in the middle of it: the release waits or goes on, and no request is lost."""

import time
from collections.abc import Callable, Iterator

import pytest

from demo import setup
from demo.load import LoadClient
from tests.support.live.scene import Scene, wait_until

NAME = "steady"
OPERATOR = f"--namespace={setup.OPERATOR_NAMESPACE}"
LEASE = "sluice-operator"
MONITORING = "--namespace=monitoring"
OUTAGE_SECONDS = 25.0
"""More than three scrapes, and more than blindSeconds."""

pytestmark = [pytest.mark.slow, pytest.mark.disturbs, pytest.mark.usefixtures("no_request_is_lost")]


@pytest.fixture(scope="module")
def traffic(scene: Scene, connect: Callable[..., LoadClient]) -> LoadClient:
    scene.deploy(NAME, "2")
    scene.wait_ready(NAME)
    client = scene.serving(NAME, connect(NAME))
    wait_until(lambda: client.counts().total.right > 200, "the model answers")
    return client


@pytest.fixture
def prometheus(scene: Scene) -> Iterator[Callable[[int], None]]:
    """Starts (1) and stops (0) Prometheus; it runs again afterwards."""

    def scale(replicas: int) -> None:
        scene.tools.kubectl("scale", "deployment/prometheus", MONITORING, f"--replicas={replicas}")
        scene.tools.kubectl("rollout", "status", "deployment/prometheus", MONITORING, "--timeout=240s")

    yield scale
    scale(1)


@pytest.fixture
def two_replicas(scene: Scene) -> Iterator[None]:
    """Two operators, of which one leads."""

    def scale(replicas: int) -> None:
        scene.tools.kubectl("scale", "deployment/sluice", OPERATOR, f"--replicas={replicas}")
        scene.tools.kubectl("rollout", "status", "deployment/sluice", OPERATOR, "--timeout=240s")

    scale(2)
    yield
    scale(1)


def leader(scene: Scene) -> str:
    """The Pod that holds the Lease; empty while none does."""
    return str(scene.tools.get("lease", LEASE, OPERATOR)["spec"].get("holderIdentity") or "")


def kill(scene: Scene, pod: str) -> None:
    """Without a chance to say good-bye."""
    scene.tools.kubectl("delete", "pod", pod, OPERATOR, "--force", "--grace-period=0")


def test_a_release_waits_while_prometheus_is_away(scene: Scene, prometheus: Callable[[int], None]) -> None:
    rollout = scene.release(NAME, "2b")
    weight = scene.wait_weight(rollout)["weight"]
    prometheus(0)
    away_until = time.monotonic() + OUTAGE_SECONDS
    scene.wait_status(rollout, lambda status: status.get("verdict") == "Blind", "Blind")
    available = scene.wait_condition(
        NAME, "MetricsAvailable", lambda found: found.get("status") == "False", "MetricsAvailable is False"
    )
    assert available["reason"] == "MetricsUnavailable"
    assert any(event["reason"] == "MetricsUnavailable" for event in scene.events(NAME))
    wait_until(lambda: time.monotonic() > away_until or None, "the outage", seconds=OUTAGE_SECONDS + 5)
    status = scene.rollout_status(rollout)
    assert (status["weight"], status["verdict"], status.get("outcome")) == (weight, "Blind", None)
    assert scene.condition(NAME, "Ready")["status"] == "True"
    prometheus(1)
    assert scene.wait_outcome(rollout)["outcome"] == "Promoted"


def test_a_release_goes_on_after_its_operator_was_killed(scene: Scene) -> None:
    rollout = scene.release(NAME, "2c")
    scene.wait_weight(rollout)
    before = leader(scene)
    kill(scene, before)
    assert scene.wait_outcome(rollout)["outcome"] == "Promoted"
    assert leader(scene) not in ("", before)
    assert len(scene.rollouts(NAME)) == len({r["metadata"]["name"] for r in scene.rollouts(NAME)})
    weights = [step["permille"] for step in scene.rollout_status(rollout)["steps"]]
    assert weights == [200, 500, 1000], "no step was taken twice"


def test_the_second_replica_takes_over(scene: Scene, two_replicas: None) -> None:
    rollout = scene.release(NAME, "2d")
    scene.wait_weight(rollout)
    before = leader(scene)
    kill(scene, before)
    wait_until(lambda: leader(scene) not in ("", before), "another replica leads")
    assert scene.wait_outcome(rollout)["outcome"] == "Promoted"
    holders = [entry["what"] for entry in scene.rollout_status(rollout)["timeline"]]
    assert len(holders) == len(set(holders)), "nothing was decided twice"
