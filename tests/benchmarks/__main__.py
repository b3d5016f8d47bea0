"""Measure on the lab, print, and write to results and docs/benchmarks.md: `python -m tests.benchmarks [BENCHMARK] [options]`.

    burst     as many releases at once: until all are done, how long anything waits, an abort
    scale     many ModelDeployments on fake nodes: time, API requests, processor time, memory
    harm      bad releases: requests harmed until the candidate gets none
    same      the same model again: false roll-backs
    start     from kubectl apply to the first prediction, beside the same by hand
    start-llm the same to a language model's first token
    commands  processor time of the plugin's commands
    observed-path requests that are copied to an observer: lost, slower
    warmup    the first requests of fresh pods
    gateway   which changes of a route's weights lose requests
    images    sizes of the images
    upgrade   from an earlier commit, in the middle of a release: requests lost
    install   the same from a registry, without a checkout, with Helm 4 and 3; rolled back, uninstalled: requests lost
    reconcile processor time of a reconcile, at rest and in a release; without a cluster
    memory    memory of the operator with a thousand models, and under attack; without a cluster
    page      memory of the web page under many requests; without a cluster
    looks     many releases at once under a slow Prometheus; without a cluster
    age       a bad version beside 300 releases: requests harmed, the age of samples; without a cluster
    detector  the change detector: false alarms in years, time to the alarm; without a cluster
    watch     the watch with all that ships: the same; without a cluster
    watch-cost a thousand watched models: questions, processor time; without a cluster
    drift     features that move: false alarms, time to the alarm; without a cluster
    observer  the observer of copied requests: processor time, memory; without a cluster
    batch     a shard of a batch inference against a plain loop, and its memory; without a cluster

Without a name all of them, one after the other. The judge's own figures: `python -m tests.benchmarks.judge`.
Exit status 1 if a figure was missed.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence

from demo.cluster import Cluster
from demo.program import DemoError
from demo.progress import say
from lab.processes import LabError
from tests.benchmarks import (
    age,
    batch,
    burst,
    checkouts,
    commands,
    detector,
    drift,
    gateway,
    harm,
    images,
    install,
    looks,
    memory,
    observedpath,
    observer,
    page,
    reconciles,
    report,
    same,
    scale,
    start,
    surroundings,
    upgrade,
    warmup,
    watch,
    watchcost,
    years,
)
from tests.benchmarks.report import Section

ON_THE_LAB: dict[str, Callable[[Cluster, argparse.Namespace], Section]] = {
    "images": lambda cluster, given: images.measure(cluster),
    "gateway": lambda cluster, given: gateway.measure(cluster, gateway.Options(given.cycles, given.gateway_rate)),
    "burst": lambda cluster, given: burst.measure(cluster, burst.Options(given.objects, given.nodes)),
    "scale": lambda cluster, given: scale.measure(cluster, scale.Options(given.objects, given.nodes, given.http_only)),
    "harm": lambda cluster, given: harm.measure(
        cluster, harm.Options(given.runs, tuple(given.rates), tuple(given.models), given.add)
    ),
    "same": lambda cluster, given: same.measure(cluster, same.Options(given.same_runs, given.same_rate, given.add)),
    "start": lambda cluster, given: start.measure(cluster, start.Options(given.pairs), start.TRITON),
    "start-llm": lambda cluster, given: start.measure(cluster, start.Options(given.pairs), start.LLAMACPP),
    "commands": lambda cluster, given: commands.measure(cluster),
    "observed-path": lambda cluster, given: observedpath.measure(cluster, observedpath.Options(given.pairs)),
    "warmup": lambda cluster, given: warmup.measure(cluster, warmup.Options(given.pods)),
    "upgrade": lambda cluster, given: upgrade.measure(cluster, upgrade.Options(given.commit)),
    "install": lambda cluster, given: install.measure(cluster, install.Options(given.commit)),
}
WITHOUT_CLUSTER: dict[str, Callable[[argparse.Namespace], Section]] = {
    "reconcile": lambda given: reconciles.measure(reconciles.Options(given.before)),
    "memory": lambda given: memory.measure(memory.Options(given.before)),
    "page": lambda given: page.measure(page.Options(given.before)),
    "looks": lambda given: looks.measure(looks.Options(given.before, tuple(given.millis))),
    "age": lambda given: age.measure(age.Options(given.releases, given.trials)),
    "detector": lambda given: detector.measure(years.Options(given.years)),
    "watch": lambda given: watch.measure(years.Options(given.years)),
    "watch-cost": lambda given: watchcost.measure(),
    "drift": lambda given: drift.measure(drift.Options(given.days)),
    "observer": lambda given: observer.measure(observer.Options(given.seconds)),
    "batch": lambda given: batch.measure(batch.Options(given.rows)),
}
"""Measured before the lab starts, which would take some of the processors."""


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    try:
        reached = [_published(section) for section in _sections(given)]
    except (DemoError, LabError, AssertionError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    return int(not all(reached))


def _sections(given: argparse.Namespace) -> Iterator[Section]:
    names = given.benchmark or [*WITHOUT_CLUSTER, *ON_THE_LAB]
    for name in (name for name in WITHOUT_CLUSTER if name in names):
        say(f"[bold]{name}[/bold]")
        yield WITHOUT_CLUSTER[name](given)
    on_the_lab = [name for name in names if name in ON_THE_LAB]
    if on_the_lab:
        with surroundings.lab(install=given.install, keep=given.keep) as cluster:
            for name in on_the_lab:
                say(f"[bold]{name}[/bold]")
                yield ON_THE_LAB[name](cluster, given)


def _published(section: Section) -> bool:
    """Whether it missed no figure."""
    report.publish(section)
    return not any(figure.reached is False for figure in section.figures)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("benchmark", nargs="*", choices=[*ON_THE_LAB, *WITHOUT_CLUSTER, []], help="default: all")
    parser.add_argument("--no-install", dest="install", action="store_false", help="measure the Sluice that runs there")
    parser.add_argument("--keep", action="store_true", help="leave the lab running, if it was started for this")
    parser.add_argument(
        "--add", action="store_true", help="harm, same: keep the releases that earlier commands measured"
    )
    group = parser.add_argument_group("scale, burst")
    group.add_argument("--objects", type=int, default=1000, help="ModelDeployments (default: 1000)")
    group.add_argument("--nodes", type=int, default=10, help="fake nodes (default: 10)")
    group.add_argument("--http-only", action="store_true", help="scale: models without a GRPCRoute")
    group = parser.add_argument_group("harm")
    group.add_argument("--runs", type=int, default=3, help="releases of each model at each rate (default: 3)")
    group.add_argument("--rates", type=int, nargs="+", default=list(harm.RATES), help="requests/s (default: 20 100)")
    group.add_argument("--models", nargs="+", choices=harm.MODELS, default=list(harm.MODELS), help="default: all")
    group = parser.add_argument_group("same")
    group.add_argument("--same-runs", type=int, default=10, help="releases (default: 10)")
    group.add_argument("--same-rate", type=int, default=100, help="requests/s (default: 100)")
    group = parser.add_argument_group("start, start-llm, observed-path")
    group.add_argument("--pairs", type=int, default=7, help="pairs, in alternating order (default: 7)")
    group = parser.add_argument_group("warmup")
    group.add_argument("--pods", type=int, default=20, help="fresh pods with warm-up, and without (default: 20)")
    group = parser.add_argument_group("upgrade, install")
    group.add_argument("--commit", default=upgrade.COMMIT, help=f"from which (default: {upgrade.COMMIT})")
    group = parser.add_argument_group("reconcile, memory, page, looks")
    group.add_argument(
        "--before", type=checkouts.of, metavar="COMMIT", help="an earlier commit to measure in turn with this checkout"
    )
    group.add_argument(
        "--millis", type=int, nargs="+", default=list(looks.MILLIS), help="looks: answers in (default: 5 100 400 1500)"
    )
    group = parser.add_argument_group("age")
    group.add_argument("--releases", type=int, default=300, help="releases beside the bad one (default: 300)")
    group.add_argument("--trials", type=int, default=4, help="bad versions of each kind, alone and beside (default: 4)")
    group = parser.add_argument_group("batch")
    group.add_argument("--rows", type=int, default=200_000, help="rows, and ten times as many (default: 200000)")
    group = parser.add_argument_group("observer")
    group.add_argument("--seconds", type=float, default=60.0, help="of each load (default: 60)")
    group = parser.add_argument_group("detector, watch")
    group.add_argument("--years", type=int, default=20, help="simulated years of each world (default: 20)")
    group = parser.add_argument_group("drift")
    group.add_argument("--days", type=int, default=365, help="simulated days of each world (default: 365)")
    group = parser.add_argument_group("gateway")
    group.add_argument("--cycles", type=int, default=5, help="how often each sequence is gone through (default: 5)")
    group.add_argument("--gateway-rate", type=int, default=200, help="requests/s (default: 200)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
