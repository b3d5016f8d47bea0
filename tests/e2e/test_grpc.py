"""gRPC inference through the GRPCRoute, beside HTTP, while releases move both: the same weights, and no call lost."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import tritonclient.grpc
from numpy.testing import assert_array_equal

from demo import digits
from demo.load import LoadClient
from tests.e2e.grpcload import GRPC_PREFIX, GrpcLoad
from tests.support import patience
from tests.support.live.scene import Scene, wait_until

NAME = "digits"
GOOD, ALWAYS_FAILING = "2", "failing"
HEADER = {"name": "x-sluice-candidate", "value": "always"}
RATE = 60.0
COUNTED = 600
"""Calls of which a share is taken; four standard deviations of 20 % are 6.6 % of them."""

pytestmark = [pytest.mark.usefixtures("no_call_is_lost")]


@pytest.fixture(scope="module")
def traffic(scene: Scene, connect: Callable[..., LoadClient]) -> LoadClient:
    """Requests by HTTP to v1, which serves."""
    scene.deploy(NAME, "1", routing={"candidateHeader": HEADER})
    scene.wait_ready(NAME)
    client = scene.serving(NAME, connect(NAME, rate=RATE))
    wait_until(lambda: client.counts().total.right > 100, "v1 answers")
    return client


@pytest.fixture(scope="module")
def calls(scene: Scene, traffic: LoadClient) -> Iterator[GrpcLoad]:
    """The same by gRPC."""
    assert traffic.counts().total.requests
    wait_until(lambda: weights(scene, "grpcroutes") == weights(scene, "httproutes"), "both routes agree")
    with GrpcLoad(scene.target(NAME), rate=RATE) as client:
        wait_until(lambda: client.counts().total.right > 100, "v1 answers by gRPC")
        yield client


@pytest.fixture
def no_call_is_lost(calls: GrpcLoad) -> Iterator[None]:
    before = calls.counts().total
    yield
    wait_until(lambda: calls.counts().total.requests > before.requests, "calls go on")
    after = calls.counts().total
    assert after.lost == before.lost, f"lost calls: {dict(after.problems)}"


def weights(scene: Scene, kind: str) -> list[tuple[str, int]]:
    """The weighted backends of the model's own route."""
    items: list[dict[str, Any]] = scene.tools.get(f"{kind}.gateway.networking.k8s.io", scene.where)["items"]
    return [
        (backend["name"], backend["weight"])
        for route in items
        if route["metadata"]["name"] in (NAME, f"{NAME}.grpc")
        for backend in route["spec"]["rules"][0]["backendRefs"]
    ]


def share(calls: GrpcLoad, revision: str) -> float:
    """The revision's share of the calls from now on."""
    before = calls.counts()
    wait_until(lambda: calls.counts().total.requests - before.total.requests >= COUNTED, "calls")
    after = calls.counts()
    return (after.of(revision).requests - before.of(revision).requests) / (after.total.requests - before.total.requests)


def test_a_usual_client_is_answered(scene: Scene) -> None:
    target = scene.target(NAME)
    _, held_out = digits.split()
    client = tritonclient.grpc.InferenceServerClient(
        target.url.removeprefix("http://"), channel_args=[("grpc.default_authority", f"{GRPC_PREFIX}{target.host}")]
    )
    image = tritonclient.grpc.InferInput("image", [1, digits.PIXELS], "FP32")
    image.set_data_from_numpy(held_out.images[:1])
    answer = client.infer(NAME, [image], client_timeout=patience.HANG_SECONDS)
    assert_array_equal(answer.as_numpy("label").reshape(-1), held_out.labels[:1])
    client.close()


@pytest.mark.slow
@pytest.mark.usefixtures("no_request_is_lost")
def test_a_canary_moves_both_and_loses_nothing(scene: Scene, traffic: LoadClient, calls: GrpcLoad) -> None:
    rollout = scene.release(NAME, GOOD)
    candidate = scene.rollout(rollout)["spec"]["to"]["revision"]
    scene.wait_weight(rollout)
    scene.plugin("pause", NAME)
    weight = scene.rollout_status(rollout)["weight"]
    wait_until(lambda: dict(weights(scene, "grpcroutes")).get(candidate) == weight * 10, "gRPC moves too")
    assert weights(scene, "grpcroutes") == weights(scene, "httproutes")
    assert share(calls, candidate) == pytest.approx(weight / 100, abs=0.07)
    header = ((HEADER["name"], HEADER["value"]),)
    with GrpcLoad(scene.target(NAME), rate=RATE, metadata=header) as tester:
        wait_until(lambda: tester.counts().total.right > 50, "the header reaches the candidate")
    assert set(tester.counts().by_revision) == {candidate}
    scene.plugin("resume", NAME)
    status = scene.wait_outcome(rollout)
    assert (status["outcome"], status["reason"]) == ("Promoted", "Promoted")
    assert share(calls, candidate) == 1.0
    assert traffic.counts().of(candidate).requests > 0


def test_a_version_that_fails_by_grpc_status_is_rolled_back(scene: Scene, traffic: LoadClient, calls: GrpcLoad) -> None:
    """HTTP stops, so that its grpc-status alone tells."""
    traffic.stop()
    stable = scene.deployment(NAME)["status"]["stable"]["revision"]
    rollout = scene.release(NAME, ALWAYS_FAILING)
    status = scene.wait_outcome(rollout)
    assert status["outcome"] == "RolledBack"
    assert status["message"].startswith("errors: "), status["message"]
    failed = calls.counts().of(scene.rollout(rollout)["spec"]["to"]["revision"])
    assert failed.failed > 0
    assert share(calls, stable) == 1.0
