"""The lab, Sluice on it by its chart, and a namespace for each module. KEEP=1 leaves all of it running.

Three modules run side by side, on a slow machine two (`-n auto --dist loadfile`). What is marked `disturbs` has the lab for itself, after the others.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from demo import cluster as clusters
from demo import setup
from demo.cluster import Cluster, Image, Kind
from demo.load import LoadClient
from lab import images, keda, lifecycle, machine
from tests.support.live import badmodels, together
from tests.support.live.load import PatientAsker
from tests.support.live.scene import POLICY, Scene, wait_until
from tests.support.stores import signing
from tests.support.stores.signing import Signer

KEEP: Final = bool(os.environ.get("KEEP"))
SCRAPE_SECONDS: Final = 2
"""A release waits for samples at each of its steps, so half of the tests' time is that of scrapes."""
GOOD: Final = ("v2b", "v2c", "v2d", "v2e")
"""v2 under other addresses: further good versions to release."""

FAST_POLICY: Final[dict[str, Any]] = {
    "apiVersion": "sluice.dev/v1alpha1",
    "kind": "RolloutPolicy",
    "metadata": {"name": POLICY},
    "spec": {
        "steps": [{"weight": 20}, {"weight": 50}, {"weight": 100}],
        "maximumRequestsAtRisk": 0,
        "scrapeIntervalSeconds": SCRAPE_SECONDS,
        "blindSeconds": 15,
        "bakeSeconds": 5,
        "objectives": [
            {"name": "errors", "failureRatio": {"source": "Gateway", "events": "ServerErrors", "ignoreBelow": "5%"}},
            {
                "name": "latency",
                "latency": {"source": "Gateway", "percentile": 95, "maximumMillis": 1000},
                "required": False,  # while the machine is busier than usual nothing is proven of it
            },
            {
                "name": "accuracy",
                "failureRatio": {
                    "source": "Query",
                    "total": 'feedback_total{revision="{{revision}}",namespace="{{namespace}}"}',
                    "failures": 'feedback_total{revision="{{revision}}",namespace="{{namespace}}",correct="false"}',
                    "maximum": "20%",
                },
            },
        ],
    },
}


PLACE: Final = together.Place()
PLAIN_REGISTRY_PORT: Final = 5055
"""A registry at this port of this machine may be asked without TLS."""
VERIFIED: Final = "e2e-verification"
"""The namespace whose models must be signed: that of test_verification.py."""
GPU_PROFILE: Final = {"name": "fake-gpu", "resource": "nvidia.com/gpu"}
DISTURBS: Final = "disturbs"
LONG: Final = frozenset(
    {"test_releases", "test_strategies", "test_pods", "test_watch", "test_accelerators", "test_streams"}
)
"""Modules that take more than a minute."""
WORKERS: Final = 3
FEWER_WORKERS: Final = 2
SLOW: Final = 1.75
"""Times what the usual machine takes for the same work."""


def pytest_xdist_auto_num_workers() -> int:
    """Three modules send as much as a machine of the usual speed can answer."""
    return WORKERS if machine.slowness() < SLOW else FEWER_WORKERS


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long modules first, and what disturbs last."""
    sizes = Counter(map(_group, items))

    def place(item: pytest.Item) -> tuple[bool, bool, int]:
        return _group(item) == DISTURBS, item.path.stem not in LONG, -sizes[_group(item)]

    items.sort(key=place)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Waits for a place on the lab; this takes nothing of the test's time."""
    PLACE.take(_group(item), alone=_group(item) == DISTURBS)
    try:
        return (yield)
    finally:
        if nextitem is None or _group(nextitem) != _group(item):
            PLACE.leave()


def _group(item: pytest.Item) -> str:
    return DISTURBS if item.get_closest_marker(DISTURBS) else item.nodeid.partition("::")[0]


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for all workers of a run."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def bare_lab(run_folder: Path) -> Iterator[Cluster]:
    """A running lab; it ends with the run that started it."""
    started = run_folder / "lab-was-started"

    def start() -> None:
        cluster = clusters.start(Kind.LAB)
        if cluster.started_here:
            started.touch()
        _scrape_often(cluster)  # restarts Prometheus, so before anybody asks it

    def end() -> None:
        if started.exists() and not KEEP:
            lifecycle.down()

    with together.used(run_folder / "lab", first=start, last=end):
        with together.locked(run_folder / "joins.lock"):  # one command of the lab at a time
            cluster = clusters.start(Kind.LAB)
        yield cluster


@pytest.fixture(scope="session")
def lab(bare_lab: Cluster, run_folder: Path) -> Iterator[Cluster]:
    """The lab with Sluice, its models in the object store, and the tests' policy."""

    def install() -> None:
        setup.install_sluice(bare_lab, clusters.build_images(bare_lab.kind))
        upgrade(bare_lab, *_settings(bare_lab, run_folder))
        setup.upload_models(bare_lab, _models(run_folder))
        bare_lab.tools.apply(yaml.safe_dump(FAST_POLICY))

    def forget() -> None:
        bare_lab.tools.kubectl("delete", "rolloutpolicies.sluice.dev", POLICY, "--ignore-not-found")

    with together.used(run_folder / "sluice", first=install, last=forget):
        yield bare_lab


def _scrape_often(cluster: Cluster) -> None:
    """The configuration of the lab's Prometheus, with a shorter interval."""
    where = "--namespace=monitoring"
    stored = cluster.tools.get("configmap", "prometheus", where)
    config = yaml.safe_load(stored["data"]["prometheus.yml"])
    config["global"] = {"scrape_interval": f"{SCRAPE_SECONDS}s", "scrape_timeout": f"{SCRAPE_SECONDS}s"}
    patch = json.dumps({"data": {"prometheus.yml": yaml.safe_dump(config)}})
    cluster.tools.kubectl("patch", "configmap", "prometheus", where, "--type=merge", f"--patch={patch}")
    cluster.tools.kubectl("rollout", "restart", "deployment/prometheus", where)
    cluster.tools.kubectl("rollout", "status", "deployment/prometheus", where, "--timeout=240s")


def _models(folder: Path) -> dict[str, Path]:
    paths = setup.prepared_models()
    paths |= dict.fromkeys(GOOD, paths["v2"])
    paths["failing"] = badmodels.write_always_failing(folder / "failing.onnx")
    paths["garbage"] = badmodels.write_garbage(folder / "garbage.onnx")
    return paths


def _settings(cluster: Cluster, folder: Path) -> tuple[str, ...]:
    """All that any module needs of the operator, so that none has to restart it for the others."""
    registries = [f"{cluster.own_address}:{PLAIN_REGISTRY_PORT}"]
    signed = {"namespaces": [VERIFIED], "mode": "Enforce", "publicKeys": [_signer(folder).public]}
    return (
        # Some thirty models at once on two processors: the downloader's request is what the scheduler counts of each.
        "--set-string=config.storageInitializer.resources.requests.cpu=10m",
        f"--set-json=config.storageInitializer.plainHttpRegistries={json.dumps(registries)}",
        # The tests' accounts without rights among them.
        "--set-json=config.spark.serviceAccountNames=" + json.dumps(["spark", "default", "nobody"]),
        f"--set-json=config.acceleratorProfiles={json.dumps([GPU_PROFILE])}",
        f"--set-json=config.verification={json.dumps([signed])}",
    )


def _signer(folder: Path) -> Signer:
    """Whose models the operator believes in; the same for all workers of a run."""
    place = folder / "signer.pem"
    if not place.exists():
        place.write_bytes(signing.private(signing.new_key()))
    return Signer(signing.read_private(place.read_bytes()))


@pytest.fixture(scope="session")
def signer(lab: Cluster, run_folder: Path) -> Signer:
    """Who must have signed every model of the namespace VERIFIED."""
    return _signer(run_folder)


def upgrade(cluster: Cluster, *settings: str) -> None:
    """Changes values of the chart. What changes the operator's configuration restarts it, and disturbs."""
    chart, where = str(clusters.ROOT / "charts" / "sluice"), f"--namespace={setup.OPERATOR_NAMESPACE}"
    with together.locked(together.IMAGES):
        cluster.tools.helm(
            "upgrade", setup.RELEASE, chart, where, "--reuse-values", *settings, "--wait", "--timeout=240s"
        )


def bring_further_image(lab: Cluster, name: str) -> None:
    """Build one of the images that only some need; the operator knows its name already."""
    with together.locked(together.IMAGES):
        clusters.build_further(lab.kind, name)


def bring_server(cluster: Cluster, runtime: str, image: Image) -> None:
    """Build the image of a model server, and install its ServingRuntime with it."""
    with together.locked(together.IMAGES):
        clusters.stage(image)
        images.build(image.context, image.tag, containerfile=image.containerfile)
    upgrade(cluster, f"--set=runtimes.{runtime}.create=true", f"--set=runtimes.{runtime}.image={image.tag}")


@pytest.fixture(scope="module")
def scene(lab: Cluster, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """A namespace of the module's own, with the key of the object store."""
    name = "e2e-" + request.module.__name__.rpartition(".test_")[2].replace("_", "-")
    with home(lab, name) as scene:
        yield scene


@contextmanager
def home(lab: Cluster, name: str) -> Iterator[Scene]:
    """A fresh namespace with the key of the object store."""
    scene = Scene(lab, name)
    lab.tools.kubectl("delete", "namespace", name, "--ignore-not-found", "--timeout=240s")
    lab.tools.kubectl("create", "namespace", name)
    secret = lab.tools.get("secret", setup.CREDENTIALS_SECRET, f"--namespace={setup.NAMESPACE}")
    scene.apply({**secret, "metadata": {"name": secret["metadata"]["name"]}})
    yield scene
    if not KEEP:
        lab.tools.kubectl("delete", "namespace", name, "--wait=false")


@contextmanager
def keda_for(scene: Scene) -> Iterator[None]:
    """KEDA, and at the end nothing of this namespace that needs it."""
    keda.up()
    yield
    # Otherwise their ScaledObjects come back while KEDA goes, and nobody takes their finalizers off.
    scene.tools.kubectl("delete", "modeldeployments.sluice.dev", "--all", scene.where, "--timeout=240s")
    keda.down()


@pytest.fixture(scope="module")
def connect(scene: Scene) -> Iterator[Callable[..., LoadClient]]:
    """Starts load clients; they end with the module."""
    started: list[LoadClient] = []

    def start(name: str, rate: float = 100) -> LoadClient:
        target = scene.target(name)
        client = LoadClient(target, asker=PatientAsker(target), rate=rate, metrics_port=0).start()
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
    wait_until(lambda: traffic.counts().total.requests > before.requests, "requests go on")
    after = traffic.counts().total
    print(f"\nlost {after.lost - before.lost} of {after.requests - before.requests}")
    assert after.lost == before.lost, f"lost requests: {dict(after.problems)}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A failure shows what the cluster was like."""
    report = yield
    found = getattr(item, "funcargs", {}).get("scene")
    if report.failed and isinstance(found, Scene):
        report.sections.append(("cluster", found.dump()))
    return report
