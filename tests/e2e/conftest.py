"""The lab, Sluice on it by its chart, and a namespace for each module. KEEP=1 leaves all of it running."""

import os
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import yaml

from demo import cluster as clusters
from demo import setup
from demo.cluster import Cluster, Kind
from demo.load import LoadClient
from tests.support import badmodels
from tests.support.scene import POLICY, Scene

KEEP: Final = bool(os.environ.get("KEEP"))
GOOD: Final = ("v2b", "v2c", "v2d", "v2e")
"""v2 under other addresses: further good versions to release."""

FAST_POLICY: Final[dict[str, Any]] = {
    "apiVersion": "sluice.dev/v1alpha1",
    "kind": "RolloutPolicy",
    "metadata": {"name": POLICY},
    "spec": {
        "steps": [{"weight": 20}, {"weight": 50}, {"weight": 100}],
        "maximumRequestsAtRisk": 0,
        "scrapeIntervalSeconds": 5,
        "blindSeconds": 15,
        "bakeSeconds": 10,
        "objectives": [
            {"name": "errors", "failureRatio": {"source": "Gateway", "events": "ServerErrors", "ignoreBelow": "2%"}},
            {"name": "latency", "latency": {"source": "Gateway", "percentile": 95, "maximumMillis": 50}},
            {
                "name": "accuracy",
                "failureRatio": {
                    "source": "Query",
                    "total": 'feedback_total{revision="{{revision}}",namespace="{{namespace}}"}',
                    "failures": 'feedback_total{revision="{{revision}}",namespace="{{namespace}}",correct="false"}',
                    "maximum": "10%",
                },
            },
        ],
    },
}


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running lab with Sluice, its models in the object store, and the tests' policy."""
    paths = setup.prepared_models()
    folder = tmp_path_factory.mktemp("models")
    paths |= dict.fromkeys(GOOD, paths["v2"])
    paths["failing"] = badmodels.write_always_failing(folder / "failing.onnx")
    paths["garbage"] = badmodels.write_garbage(folder / "garbage.onnx")
    with clusters.running(Kind.LAB, keep=KEEP) as cluster:
        setup.install_sluice(cluster, clusters.build_images(cluster))
        make_room(cluster)
        setup.upload_models(cluster, paths)
        cluster.tools.apply(yaml.safe_dump(FAST_POLICY))
        yield cluster
        cluster.tools.kubectl("delete", "rolloutpolicies.sluice.dev", POLICY, "--ignore-not-found")


def make_room(cluster: Cluster) -> None:
    """Some thirty models at once on two processors: the downloader's request is what the scheduler counts of each."""
    chart, where = str(clusters.ROOT / "charts" / "sluice"), f"--namespace={setup.OPERATOR_NAMESPACE}"
    little = "--set-string=config.storageInitializer.resources.requests.cpu=10m"
    cluster.tools.helm("upgrade", setup.RELEASE, chart, where, "--reuse-values", little, "--wait", "--timeout=120s")


def use_further_image(lab: Cluster, name: str, value: str) -> None:
    """Build one of the images that only some need, and name it in a value of the chart."""
    image = f"--set-string={value}={clusters.build_further(lab, name)}"
    chart, where = str(clusters.ROOT / "charts" / "sluice"), f"--namespace={setup.OPERATOR_NAMESPACE}"
    lab.tools.helm("upgrade", setup.RELEASE, chart, where, "--reuse-values", image, "--wait", "--timeout=120s")


@pytest.fixture(scope="module")
def scene(lab: Cluster, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """A namespace of the module's own, with the key of the object store."""
    name = "e2e-" + request.module.__name__.rpartition(".test_")[2].replace("_", "-")
    scene = Scene(lab, name)
    lab.tools.kubectl("delete", "namespace", name, "--ignore-not-found", "--timeout=120s")
    lab.tools.kubectl("create", "namespace", name)
    secret = lab.tools.get("secret", setup.CREDENTIALS_SECRET, f"--namespace={setup.NAMESPACE}")
    scene.apply({**secret, "metadata": {"name": secret["metadata"]["name"]}})
    yield scene
    if not KEEP:
        lab.tools.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def connect(scene: Scene) -> Iterator[Callable[..., LoadClient]]:
    """Starts load clients; they end with the module."""
    started: list[LoadClient] = []

    def start(name: str, rate: float = 100) -> LoadClient:
        client = LoadClient(scene.target(name), rate=rate, metrics_port=0).start()
        started.append(client)
        return client

    yield start
    for client in started:
        client.stop()


@pytest.fixture
def no_request_is_lost(traffic: LoadClient) -> Iterator[None]:
    """Over the whole test each request of the module's `traffic` is answered by a model, well or badly."""
    before = traffic.counts().total
    yield
    after = traffic.counts().total
    print(f"\nlost {after.lost - before.lost} of {after.requests - before.requests}")
    assert after.requests > before.requests
    assert after.lost == before.lost, f"lost requests: {dict(after.problems)}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A failure shows what the cluster was like."""
    report = yield
    found = getattr(item, "funcargs", {}).get("scene")
    if report.failed and isinstance(found, Scene):
        report.sections.append(("cluster", found.dump()))
    return report
