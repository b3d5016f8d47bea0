"""A version of Sluice as a platform team installs it: from a registry, without a checkout, with Helm 4 and with Helm 3.

make release, pushed ──> the earlier Sluice: two models serve, one is being released
   ──> CRDs and `helm upgrade oci://…` ──> it ends as judged ──> plugin and first hour, from the wheel
   ──> helm rollback ──> helm uninstall ──> helm install oci://…                          all the time: requests
"""

import contextlib
import dataclasses
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo import cluster as clusters
from demo import setup
from demo.cluster import Cluster
from demo.load import LoadClient
from demo.program import Tools, run
from demo.progress import say, step
from lab import gotools, images, processes
from release import signatures
from tests.benchmarks import releases, report, surroundings, upgrade
from tests.benchmarks.report import Figure, Section
from tests.support.live import firsthour
from tests.support.live.scene import Scene
from tests.support.stores import registry

KEY: Final = "install"
VERSION: Final = "9.9.9-rc.1"
WHEELS: Final = tuple(f"{name}-9.9.9rc1-py3-none-any.whl" for name in ("kubectl_sluice", "sluice_core", "sluice_judge"))
IMAGES: Final = ("sluice-operator", "storage-initializer", "triton")
BUILD_SECONDS: Final = 5400.0
HELMS: Final = {"Helm 4": "helm", "Helm 3": "helm3"}
WATCHED_SECONDS: Final = 30.0
"""How long models are watched after each step: longer than the operator takes to start, and to look at everything."""
PLAIN: Final = "--plain-http"
METHOD: Final = """\
`make release` pushes operator, downloader, Triton and chart to a registry; everything after it runs in an empty folder.
Sluice of the earlier commit is installed, and two models serve 50 requests/s each. While a release of one of them has
users, the CRDs and the chart of the registry take its place, as [Install](install.md) says; later the operator is rolled
back, uninstalled, and installed again. The plugin is that of the wheel, which types
[the first hour](first-hour.md)."""


@dataclass(frozen=True, slots=True)
class Options:
    commit: str


@dataclass(frozen=True, slots=True)
class Published:
    """A version in a registry. address: host and folder. files: of the version, as in its image `release`."""

    address: str
    files: Path

    @property
    def chart(self) -> str:
        return f"oci://{self.address}/charts/{setup.RELEASE}"

    @property
    def server(self) -> str:
        return f"{self.address}/triton:{VERSION}"


@dataclass(frozen=True, slots=True)
class Watched:
    """Two models with users, and the pods of the one at rest."""

    scene: Scene
    clients: Mapping[str, LoadClient]
    pods: list[tuple[str, int]]

    @property
    def lost(self) -> int:
        return sum(client.counts().total.lost for client in self.clients.values())

    @property
    def restarted(self) -> bool:
        return upgrade.pods_of(self.scene, upgrade.RESTING) != self.pods

    def require_answers(self) -> None:
        """Checks for a while that both models still answer."""
        before = {name: client.counts().total.right for name, client in self.clients.items()}
        surroundings.pause(WATCHED_SECONDS)
        for name, client in self.clients.items():
            assert client.counts().total.right > before[name], f"{name} does not answer any more"


def measure(cluster: Cluster, options: Options) -> Section:
    machine = report.machine(cluster.tools)
    before = upgrade.built(options.commit)
    server = clusters.build_images(cluster.kind)["triton"].reference
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        published = stack.enter_context(_published(folder))
        stack.callback(_restore, cluster)
        figures = []
        for name, program in HELMS.items():
            gotools.ensure(program)
            tools = dataclasses.replace(cluster.tools, helm_path=str(gotools.program(program)))
            model = setup.prepared_models()["v1"]
            surroundings.upload(cluster, {"v1": model, "v1-upgraded": model})
            with step(name):
                upgrade.install(dataclasses.replace(cluster, tools=tools), before, server)
                figures += _figures(name, dataclasses.replace(cluster, tools=tools), published, folder)
    return Section(
        key=KEY,
        title="A version from a registry",
        method=METHOD,
        figures=figures,
        machine=machine,
        notes=(f"Upgraded from {options.commit}.",),
        brief=brief(figures),
    )


def brief(figures: Sequence[Figure]) -> list[Figure]:
    """One line for figures with the same result, by result."""
    reached = [figure for figure in figures if figure.reached]
    missed = [figure for figure in figures if not figure.reached]
    return [Figure(f"checks with {' and '.join(HELMS)}", f"{len(reached)} of {len(figures)} as wanted"), *missed]


def _figures(name: str, cluster: Cluster, published: Published, folder: Path) -> list[Figure]:
    steps: dict[str, Callable[[], None]] = {
        "the plugin from the wheel": lambda: _first_hour(cluster, published, folder),
        "rolled back": lambda: _helm(cluster.tools, "rollback", setup.RELEASE, "--wait", "--timeout=180s"),
        "uninstalled": lambda: _helm(cluster.tools, "uninstall", setup.RELEASE, "--wait"),
        "installed again": lambda: _install(cluster, published),
    }
    figures = []
    with _watched(cluster) as watched:
        figures += _upgraded(watched, cluster, published)
        for what, act in steps.items():
            with step(what):
                act()
                watched.require_answers()
            figures.append(_all_well(what, watched))
    _helm(cluster.tools, "uninstall", setup.RELEASE, "--wait")  # the next Helm must not see this one's release
    return [dataclasses.replace(figure, name=f"{name}: {figure.name}") for figure in figures]


def _upgraded(watched: Watched, cluster: Cluster, published: Published) -> list[Figure]:
    """As in docs/install.md, in the middle of a release."""
    scene, tools = watched.scene, cluster.tools
    rollout = scene.release(upgrade.RELEASED, "1-upgraded")
    say(f"{rollout} has {scene.wait_weight(rollout, seconds=180)['weight']} %")
    version = f"--version={VERSION}"
    with step("upgrade from the registry"):
        crds = tools.helm("show", "crds", published.chart, version, PLAIN)
        tools.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", text=crds)
        kept = ("--reset-then-reuse-values", f"--set-string=runtimes.triton.image={published.server}")
        _helm(tools, "upgrade", setup.RELEASE, published.chart, version, PLAIN, *kept, "--wait", "--timeout=180s")
    under_way = not scene.rollout_status(rollout).get("outcome")
    status = scene.wait_outcome(rollout, upgrade.RELEASE_SECONDS)
    surroundings.pause(releases.SETTLE_SECONDS)
    image = tools.kubectl(
        "get", "deployment", setup.RELEASE, _where(), "--output=jsonpath={.spec.template.spec.containers[0].image}"
    )
    own = image.startswith(f"{published.address}/sluice-operator@sha256:")
    return [
        Figure("the release was under way when the new operator had come", _yes(under_way), "yes", under_way),
        Figure("it ended", str(status["outcome"]), "Promoted", status["outcome"] == "Promoted"),
        Figure("the operator is that of the registry, by digest", _yes(own), "yes", own),
        _all_well("upgraded", watched),
    ]


def _all_well(what: str, watched: Watched) -> Figure:
    """Nothing lost since the beginning, unchanged pods of the model at rest, and both models Ready."""
    conditions = (watched.scene.condition(name, "Ready") for name in watched.clients)
    wrong = sum(condition.get("status") != "True" for condition in conditions)
    measured = f"{watched.lost} / {'others' if watched.restarted else 'the same'} / {wrong}"
    return Figure(
        f"{what}: requests lost / pods of the model at rest / models not Ready",
        measured,
        "0 / the same / 0",
        measured == "0 / the same / 0",
    )


@contextlib.contextmanager
def _watched(cluster: Cluster) -> Iterator[Watched]:
    with contextlib.ExitStack() as stack:
        scene = stack.enter_context(surroundings.scene(cluster, KEY))
        with step("two models of the earlier Sluice serve"):
            clients = {
                name: stack.enter_context(upgrade.served(scene, name)) for name in (upgrade.RESTING, upgrade.RELEASED)
            }
        yield Watched(scene, clients, upgrade.pods_of(scene, upgrade.RESTING))


def _install(cluster: Cluster, published: Published) -> None:
    values = {
        "config.gatewayUrl": cluster.gateway,
        "runtimes.triton.image": published.server,
        "runtimes.triton.layout": "TritonPythonOnnx",
    }
    given = (f"--set-string={key}={value}" for key, value in values.items())
    place = (published.chart, f"--version={VERSION}", PLAIN, "--create-namespace")
    _helm(cluster.tools, "install", setup.RELEASE, *place, *given, "--wait", "--timeout=180s")


def _first_hour(cluster: Cluster, published: Published, folder: Path) -> None:
    """The plugin from the wheel in a separate environment, and the page with it, up to its first release."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        environment = Path(place) / "venv"
        own = clusters.with_own_programs()
        run("uv", "venv", "--quiet", "--no-config", environment, environment=own)
        where = ("--python", environment / "bin" / "python", *(published.files / wheel for wheel in WHEELS))
        run("uv", "pip", "install", "--quiet", "--no-config", *where, environment=own)
        plugin = environment / "bin" / "kubectl-sluice"
        tools = dataclasses.replace(cluster.tools, plugin_path=str(plugin))
        told = tools.plugin("status", upgrade.RESTING, f"--namespace={surroundings.PREFIX}{KEY}")
        assert upgrade.RESTING in told, told
        with firsthour.begun(cluster, Path(place), plugin) as hour:
            firsthour.first_release(hour)
        firsthour.forget(cluster, wait=True)


@contextlib.contextmanager
def _published(folder: Path) -> Iterator[Published]:
    """By `make release`, signed with this run's key; the files come back from the registry and verify."""
    (folder / "registry").mkdir()
    key = folder / "release.pem"
    made = subprocess.run(
        ("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"), capture_output=True, text=True, check=True
    )
    key.write_text(made.stdout)
    with registry.running(folder / "registry") as found:
        address = f"{found.host}/sluice"
        given = {"VERSION": VERSION, "REGISTRY": address, "KEY": str(key), "IMAGES": " ".join(IMAGES), "PUSH": "1"}
        given |= {"BASE": images.PYTHON_BASE, "PLAIN_HTTP": "1"}
        with step(f"make release VERSION={VERSION} REGISTRY={address}"):
            words = ["make", "--no-print-directory", "release", *(f"{name}={value}" for name, value in given.items())]
            processes.run(words, directory=clusters.ROOT, timeout_seconds=BUILD_SECONDS)
        public = Path(shutil.copy2(clusters.ROOT / "dist" / VERSION / signatures.PUBLIC_KEY, folder))
        shutil.rmtree(clusters.ROOT / "dist" / VERSION)
        files = _files(address, folder / "version")
        signatures.verify(files, public)
        yield Published(address, files)


def _files(address: str, target: Path) -> Path:
    """The files of the image `release`, copied as the docs do it with docker or podman."""
    buildah = images.buildah()
    container = processes.run(
        [*buildah, "from", "--quiet", "--tls-verify=false", f"{address}/release:{VERSION}"]
    ).strip()
    try:
        mounted = Path(processes.run([*buildah, "mount", container]).strip())
        shutil.copytree(mounted, target)
    finally:
        processes.run([*buildah, "rm", container])
        processes.run([*buildah, "rmi", f"{address}/release:{VERSION}"])
    return target


def _restore(cluster: Cluster) -> None:
    """Reinstalls this checkout's Sluice for the next measurement."""
    with step("install the Sluice of this checkout again"):
        _helm(cluster.tools, "uninstall", setup.RELEASE, "--ignore-not-found", "--wait")
        setup.install_sluice(cluster, clusters.build_images(cluster.kind))


def _helm(tools: Tools, *arguments: str) -> None:
    tools.helm(*arguments, _where())


def _where() -> str:
    return f"--namespace={setup.OPERATOR_NAMESPACE}"


def _yes(it_is: bool) -> str:
    return "yes" if it_is else "no"
