"""The effect of the copies on users of an observed model."""

import statistics
from collections import Counter
from dataclasses import dataclass
from typing import Final

import yaml

from demo import aftermath, setup
from demo import cluster as clusters
from demo.cluster import Cluster
from demo.load import LoadClient
from demo.progress import step
from tests.benchmarks import releases, report, surroundings
from tests.benchmarks.report import Figure, Section, Table
from tests.support.live.scene import Scene, wait_until

KEY: Final = "observed-path"
NAME: Final = setup.NAME
RATE: Final = 100.0
PHASE_SECONDS: Final = 20.0
SETTLE_SECONDS: Final = 5.0
MOST_SLOWER: Final = 0.05
METHOD: Final = f"""\
One model gets {RATE:.0f} requests/s through the gateway. By turns all of its requests are copied to an observer, and none:
phases of {PHASE_SECONDS:.0f} s, in pairs of alternating order. The gateway, the observer, the model and the client share the
machine. *Slower*: the median of the pairs' ratios of mean latencies, with the whole milliseconds that the client counts."""


@dataclass(frozen=True, slots=True)
class Options:
    pairs: int


@dataclass(frozen=True, slots=True)
class Phase:
    """Latencies of the answers of one phase, whole milliseconds, sorted."""

    millis: list[int]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.millis)

    def percentile(self, percent: int) -> int:
        return self.millis[min(len(self.millis) * percent // 100, len(self.millis) - 1)]


def measure(cluster: Cluster, options: Options) -> Section:
    machine = report.machine(cluster.tools)
    surroundings.upload(cluster, {"v2": setup.prepared_models()["v2"]})
    with step("build the observer's image"):
        clusters.build_further(cluster.kind, "observer")
    with surroundings.scene(cluster, KEY) as scene:
        made = yaml.safe_load(aftermath.made_reference(scene.tools))
        scene.apply(made)
        policy = {"policyRef": {"name": surroundings.POLICY}}
        scene.deploy(NAME, "2", rollout=policy, resources=releases.RESOURCES)
        scene.wait_ready(NAME)
        with LoadClient(scene.target(NAME), rate=RATE, metrics_port=0) as client:
            wait_until(lambda: client.counts().total.right > 2 * RATE, "the model answers", seconds=60)
            found: dict[bool, list[Phase]] = {False: [], True: []}
            for number in range(options.pairs):
                for copied in (False, True) if number % 2 else (True, False):
                    with step(f"pair {number + 1}: {'copied' if copied else 'not copied'}"):
                        found[copied].append(_phase(scene, client, made["metadata"]["name"], copied=copied))
            lost = client.counts().total.lost
    slower = statistics.median(
        with_.mean / without.mean for with_, without in zip(found[True], found[False], strict=True)
    )
    rows = [
        (name, *(f"{statistics.median(values):.1f}" for values in _columns(found[copied])))
        for name, copied in (("not copied", False), ("copied", True))
    ]
    return Section(
        key=KEY,
        title="Requests that are copied to an observer",
        method=METHOD,
        figures=(
            Figure("requests lost, while copies begin and end and in between", str(lost), "0", lost == 0),
            Figure(
                f"slower, median of {options.pairs} pairs",
                f"{slower:.3f} ×",
                f"≤ {1 + MOST_SLOWER} ×",
                slower <= 1 + MOST_SLOWER,
            ),
        ),
        tables=(Table(("milliseconds, median of phases", "mean", "50 %", "95 %"), rows),),
        machine=machine,
    )


def _columns(phases: list[Phase]) -> tuple[list[float], list[float], list[float]]:
    return (
        [each.mean for each in phases],
        [each.percentile(50) for each in phases],
        [each.percentile(95) for each in phases],
    )


def _phase(scene: Scene, client: LoadClient, reference: str, *, copied: bool) -> Phase:
    scene.patch(NAME, {"observer": {"reference": {"name": reference}, "percent": 100} if copied else None})
    if copied:
        wait_until(lambda: scene.condition(NAME, "Observed").get("status") == "True", "Observed", seconds=90)
    surroundings.pause(SETTLE_SECONDS)
    before = Counter(client.counts().total.latency_millis)
    surroundings.pause(PHASE_SECONDS)
    return Phase(sorted((Counter(client.counts().total.latency_millis) - before).elements()))
