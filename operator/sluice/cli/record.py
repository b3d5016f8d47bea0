"""`kubectl sluice record`: the counters of a release, or of two versions, as a file that `replay` reads."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from sluice import errors
from sluice.adapters import kube
from sluice.api.config import OperatorConfig, RoutingMode
from sluice.api.v1alpha1.common import CapacityMode
from sluice.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice.api.v1alpha1.servingruntime import ServingRuntime
from sluice.cli import cluster, console, exits, world
from sluice.cli.console import Failure
from sluice.cli.options import Credentials, ModelTarget, Prometheus, seconds
from sluice.core.judge.model import Arm, OwnCounters, Trial
from sluice.core.kernel import naming
from sluice.core.kernel.snapshot import Revision
from sluice.core.observe import observe
from sluice.core.rollout import steps
from sluice.core.situation import arms
from sluice.offline import record
from sluice.views import checks, words

HISTORY_SECONDS: Final = 3600
"""Of the time before the release: what the stable version's own variation is learnt from."""
EVER: Final = 0.0

Since: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--since",
        parser=seconds,
        metavar="DURATION",
        help="How far to look back: 30m, 6h, 7d.",
        show_default="an hour before the release began",
    ),
]
Against: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--against",
        metavar="REVISION",
        help="Compare the stable version with this revision.",
        show_default="the two versions of the newest release",
    ),
]
Itself: TypeAlias = Annotated[
    bool, typer.Option("--aa", help="Compare the stable version with itself: any alarm on this is a false one.")
]


@dataclass(frozen=True, slots=True)
class Recording:
    """What is to be recorded."""

    stable: str
    candidate: str
    weights: tuple[tuple[float, int], ...]
    """(seconds since the epoch, permille) of each change of the candidate's weight, oldest first."""
    seconds: int
    probes: tuple[tuple[float, int | None], ...] = ()
    """(seconds since the epoch, permille of the stable version) of the bake's probes, and None where they ended."""
    asks: bool = True
    """Whether the bake could ask so."""
    until: float = math.inf
    """When the release ended, seconds since the epoch: what came later says nothing about it."""


async def show(
    target: ModelTarget,
    *,
    since: Since = None,
    against: Against = None,
    aa: Itself = False,
    prometheus: Prometheus = None,
    credentials: Credentials = None,
) -> int:
    """Prints one JSON object a line, for each scrape and objective."""
    if aa and against is not None:
        raise Failure("--aa and --against exclude each other; use one of them")
    async with cluster.session(target) as session:
        release = await session.fetch()
        config = await cluster.fetch_config(session.cluster)
        kept = await fetch_kept(session)
        runtimes = await _fetch_runtimes(session)
    now = time.time()
    wanted = recording(release, since=since, against=against, aa=aa, now=now)
    assert release.newest is not None
    trial = _trial(release.newest, wanted, config, now, kept, runtimes)
    url = prometheus or config.prometheus_url
    with console.progress(f"reading {words.span(wanted.seconds)} of counters from Prometheus"):
        lines, unseen = await _fetch(trial, wanted, url, credentials)
    for line in lines:
        print(console.harmless(line))
    for name, why in unseen.items():
        console.say(f"{name}: {why}")
    console.say(f"{words.plural(len(lines), 'line')} of {wanted.candidate} and {wanted.stable}")
    return exits.OK


def recording(
    release: cluster.FetchedRelease, *, since: int | None, against: str | None, aa: bool, now: float
) -> Recording:
    """What the options ask for; a `Failure` where there is no such comparison."""
    newest, name = release.newest, release.deployment.metadata.name
    if newest is None:
        raise Failure(f"{name} has had no release yet, so there is nothing to record")
    if not aa and against is None:
        return _of_release(newest, since, now)
    status = release.deployment.status.stable
    if status is None:
        raise Failure(f"{name} has no stable version yet; see: kubectl sluice status {name}")
    if aa:
        return Recording(status.revision, status.revision, (), since or HISTORY_SECONDS)
    assert against is not None
    rollouts = [r for r in reversed(release.rollouts) if against in _revisions(r)]
    if not rollouts:
        names = words.listed(sorted({name for r in release.rollouts for name in _revisions(r)}))
        raise Failure(f"--against: no release has revision {against!r}; known: {names}")
    weights = tuple(change for rollout in rollouts for change in weight_changes(rollout, against))
    oldest = min(_began(r) for r in rollouts)
    return Recording(status.revision, against, ((EVER, 0), *weights), since or _back_to(oldest, now))


def weight_changes(rollout: ModelRollout, revision: str) -> Iterator[tuple[float, int]]:
    """When the weight of one of a release's two versions became what, in permille."""
    status, candidate = rollout.status, rollout.spec.target.revision == revision
    for step in status.steps:
        yield words.seconds_of(step.start_time), step.permille if candidate else steps.WHOLE - step.permille
    if status.end_time is not None:
        kept = (status.outcome is Outcome.PROMOTED) == candidate
        yield words.seconds_of(status.end_time), steps.WHOLE if kept else 0


def _of_release(rollout: ModelRollout, since: int | None, now: float) -> Recording:
    source, target = rollout.spec.source, rollout.spec.target
    if source is None:
        raise Failure(
            f"{rollout.metadata.name} is the first version, so there is nothing to compare it with; --aa compares it "
            "with itself"
        )
    changes = tuple(weight_changes(rollout, target.revision))
    asked = probes(rollout)
    ended = words.seconds_of(rollout.status.end_time) if rollout.status.end_time is not None else math.inf
    return Recording(
        source.revision,
        target.revision,
        ((EVER, 0), *(change for change in changes if change[0] not in {time for time, _ in asked})),
        since or _back_to(_began(rollout), now),
        asked,
        asks=rollout.spec.capacity is not CapacityMode.RECREATE and rollout.spec.ab_test is None,
        until=ended,
    )


def probes(rollout: ModelRollout) -> tuple[tuple[float, int | None], ...]:
    """When requests went back to the stable version in the bake, by the steps that the status holds."""
    found: list[tuple[float, int | None]] = []
    baking = False
    for step in rollout.status.steps:
        whole = step.permille >= steps.WHOLE
        if baking and whole is bool(found and found[-1][1] is not None):
            found.append((words.seconds_of(step.start_time), None if whole else steps.WHOLE - step.permille))
        baking = baking or whole
    return tuple(found)


def _began(rollout: ModelRollout) -> float:
    return words.seconds_of(rollout.status.start_time or rollout.metadata.creation_timestamp)


def _back_to(moment: float, now: float) -> int:
    return round(now - moment) + HISTORY_SECONDS


def _revisions(rollout: ModelRollout) -> tuple[str, ...]:
    return tuple(end.revision for end in (rollout.spec.source, rollout.spec.target) if end is not None)


def _trial(
    rollout: ModelRollout,
    wanted: Recording,
    config: OperatorConfig,
    now: float,
    kept: Sequence[Revision],
    runtimes: Sequence[ServingRuntime],
) -> Trial:
    grpc = speaking_grpc(kept)
    stable = next((revision for revision in kept if revision.name == wanted.stable), None)
    namespace = rollout.metadata.namespace
    trial = record.trial_of(
        namespace=namespace,
        name=rollout.spec.model_deployment,
        stable=arm(wanted.stable, 0, grpc),
        candidate=arm(wanted.candidate, 0 if wanted.candidate == wanted.stable else 1, grpc),
        objectives=rollout.spec.objectives,
        preset=world.preset_of(config),
        namespace_label=config.query_namespace_label,
        now=now,
        scrape_interval_seconds=rollout.spec.scrape_interval_seconds,
    )
    own = OwnCounters() if stable is None else arms.own_counters(runtimes, namespace, stable)
    return dataclasses.replace(trial, own=own, asks=wanted.asks and config.routing is not RoutingMode.SERVICE)


async def fetch_kept(session: cluster.Session) -> tuple[Revision, ...]:
    """The revisions that are kept; none where they may not be read."""
    with contextlib.suppress(errors.Denied):
        return await session.cluster.fetch_revisions(session.namespace, session.name)
    return ()


def speaking_grpc(kept: Iterable[Revision]) -> frozenset[str]:
    """The revisions that speak gRPC as well."""
    return frozenset(revision.name for revision in kept if revision.grpc_port is not None)


async def _fetch_runtimes(session: cluster.Session) -> tuple[ServingRuntime, ...]:
    """Which say how servers count pod by pod; none where they may not be read."""
    with contextlib.suppress(errors.Denied):
        return observe.parsed_runtimes(await session.cluster.fetch_all(kube.BY_KIND[ServingRuntime.kind]))
    return ()


def arm(revision: str, position: int, grpc: frozenset[str]) -> Arm:
    """A candidate is the second backend of its route, for gateways that name series by position."""
    return Arm(
        revision=revision,
        service=naming.service_name(revision),
        port=naming.SERVICE_PORT,
        grpc_port=naming.GRPC_SERVICE_PORT if revision in grpc else None,
        position=position,
    )


async def _fetch(
    trial: Trial, wanted: Recording, url: str, credentials: Path | None
) -> tuple[list[str], dict[str, str]]:
    """The lines, and what they cannot show."""
    answers = await world.fetch_answers(url, record.questions(trial, seconds=wanted.seconds), credentials)
    try:
        lines = record.recorded(
            trial, answers, seconds=wanted.seconds, weights=wanted.weights, probes=wanted.probes, until=wanted.until
        )
        same = wanted.stable == wanted.candidate
        return list(lines), record.unseen(trial, answers, seconds=wanted.seconds) if same else {}
    except record.NothingRecorded as error:
        raise Failure(f"{error}; {checks.reached(url)}") from error
