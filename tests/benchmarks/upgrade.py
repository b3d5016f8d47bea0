"""An upgrade from an earlier commit, while one model serves, another one is being released, and both have users.

before installed → two models serve → a release of one begins → CRDs and chart of this checkout → it ends as judged
"""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from demo import cluster as clusters
from demo import setup
from demo.cluster import Cluster
from demo.load import LoadClient
from demo.program import Tools, run
from demo.progress import say, step
from lab import images
from tests.benchmarks import checkouts, releases, report, surroundings
from tests.benchmarks.report import Figure, Section
from tests.support.live.scene import Object, Scene, wait_until

KEY: Final = "upgrade"
COMMIT: Final = "a6dc70d"
RATE: Final = 50
RESTING: Final = "resting"
RELEASED: Final = "released"
RELEASE_SECONDS: Final = 900.0
METHOD: Final = """\
Sluice is installed from the earlier commit, operator, downloader, CRDs and chart, with that commit's example policy. Two
models serve 50 requests/s each. A release of one of them has users when the CRDs are applied and `helm upgrade` is run
with this checkout, as [Install](../README.md) says."""


@dataclass(frozen=True, slots=True)
class Options:
    commit: str


@dataclass(frozen=True, slots=True)
class Before:
    """The earlier commit's files, and its images by name."""

    root: Path
    images: dict[str, str]


def measure(cluster: Cluster, options: Options) -> Section:
    machine = report.machine(cluster.tools)
    before = built(options.commit)
    surroundings.upload(cluster, {"v1-upgraded": setup.prepared_models()["v1"]})
    with contextlib.ExitStack() as stack:
        scene = stack.enter_context(surroundings.scene(cluster, KEY))
        install(cluster, before, clusters.IMAGES["triton"].tag)
        with step("two models of the earlier Sluice serve"):
            clients = {name: stack.enter_context(served(scene, name)) for name in (RESTING, RELEASED)}
        pods = pods_of(scene, RESTING)
        rollout = scene.release(RELEASED, "1-upgraded")
        weight = scene.wait_weight(rollout, seconds=180)["weight"]
        say(f"{rollout} has {weight} %")
        with step("upgrade"):
            setup.install_sluice(cluster, clusters.build_images(cluster.kind))
        at_upgrade = scene.rollout_status(rollout)
        status = scene.wait_outcome(rollout, RELEASE_SECONDS)
        surroundings.pause(releases.SETTLE_SECONDS)
        lost = {name: client.counts().total.lost for name, client in clients.items()}
        figures = _figures(scene, at_upgrade, status, lost, unchanged=pods_of(scene, RESTING) == pods)
        return Section(
            key=KEY,
            title=f"An upgrade from {options.commit}",
            method=METHOD,
            figures=figures,
            machine=machine,
            brief=[figures[0], *(each for each in figures[1:] if not each.reached)],
        )


def _figures(
    scene: Scene, at_upgrade: Object, status: Object, lost: dict[str, int], *, unchanged: bool
) -> tuple[Figure, ...]:
    under_way = not at_upgrade.get("outcome")
    wrong = [name for name in (RESTING, RELEASED) if scene.condition(name, "Ready").get("status") != "True"]
    return (
        Figure("requests lost", str(sum(lost.values())), "0", not any(lost.values())),
        Figure(
            "the release was under way when the new operator had come", "yes" if under_way else "no", "yes", under_way
        ),
        Figure(
            "it ended",
            f"{status['outcome']} ({status['reason']})",
            "Promoted",
            status["outcome"] == "Promoted",
        ),
        Figure("pods of the model at rest", "the same" if unchanged else "others", "the same", unchanged),
        Figure("models that are not Ready afterwards", str(len(wrong)), "0", not wrong),
    )


@contextlib.contextmanager
def served(scene: Scene, name: str) -> Iterator[LoadClient]:
    policy = {"policyRef": {"name": surroundings.POLICY}}
    # The older operator does not know the limits of a route.
    scene.deploy(name, "1", rollout=policy, resources=releases.RESOURCES, routing=None)
    scene.wait_ready(name, seconds=180)
    with LoadClient(scene.target(name), rate=RATE, metrics_port=0) as client:
        if name == RELEASED:
            scene.serving(name, client)
        wait_until(lambda: client.counts().total.right > 2 * RATE, f"{name} answers", seconds=60)
        yield client


def pods_of(scene: Scene, model: str) -> list[tuple[str, int]]:
    """Uids of a model's pods, and how often their containers were restarted."""
    items: list[Any] = scene.tools.get("pods", scene.where, f"--selector=sluice.dev/model-deployment={model}")["items"]
    return sorted((pod["metadata"]["uid"], sum(map(_restarts, pod["status"]["containerStatuses"]))) for pod in items)


def _restarts(container: Object) -> int:
    return int(container["restartCount"])


def built(commit: str) -> Before:
    """Files and images of the commit; built once."""
    root = checkouts.of(commit)
    stages: dict[str, tuple[Path, list[str | Path]]] = {
        "operator": (root / "operator", [root / "operator" / "stage.sh"]),
        "storage-initializer": (
            root / "serving-runtime" / "storage-initializer",
            [root / "serving-runtime" / "stage.sh", "storage-initializer"],
        ),
    }
    tags = {}
    for name, (folder, command) in stages.items():
        context = root / "build" / folder.relative_to(root)
        if not context.is_dir():
            run(*command, environment=clusters.with_own_programs())
        tags[name] = f"localhost/sluice/{name}:{commit}"
        images.build(context, tags[name], {"BASE": images.PYTHON_BASE}, containerfile=folder / "Containerfile")
    return Before(root, tags)


def install(cluster: Cluster, before: Before, server: str) -> None:
    """Replaces the installed Sluice; no models are left. server: the image of Triton.

    The chart names its images like that of a version; values only set what the lab needs.
    """
    tools = cluster.tools
    with step("install the earlier Sluice"):
        _remove(tools)
        tools.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={before.root / 'crds'}")
        values = {
            "config.gatewayUrl": cluster.gateway,
            "runtimes.triton.image": server,
            "runtimes.triton.layout": "TritonPythonOnnx",
        }
        settings = [f"--set-string={key}={value}" for key, value in values.items()]
        where = [f"--namespace={setup.OPERATOR_NAMESPACE}", "--create-namespace", "--wait", "--timeout=180s"]
        tools.helm("install", setup.RELEASE, str(_chart(before)), *where, *settings)
        policy = yaml.safe_load((before.root / "manifests" / "examples" / "digits-policy.yaml").read_text())
        tools.apply(yaml.safe_dump(policy))


def _chart(before: Before) -> Path:
    """A copy of the commit's chart with the images built from it."""
    chart = before.root / "build" / "chart"
    shutil.copytree(before.root / "charts" / "sluice", chart, dirs_exist_ok=True)
    values = yaml.safe_load((before.root / "charts" / "sluice" / "values.yaml").read_text())
    repository, _, tag = before.images["operator"].rpartition(":")
    values["image"] |= {"repository": repository, "tag": tag}
    values["config"]["storageInitializer"]["image"] = before.images["storage-initializer"]
    (chart / "values.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return chart


def _remove(tools: Tools) -> None:
    """Removes this checkout's chart and CRDs: older ones have fewer fields."""
    tools.helm("uninstall", setup.RELEASE, f"--namespace={setup.OPERATOR_NAMESPACE}", "--ignore-not-found", "--wait")
    tools.kubectl("delete", f"--filename={clusters.ROOT / 'crds'}", "--ignore-not-found", "--timeout=120s")
