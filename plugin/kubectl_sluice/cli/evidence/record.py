"""`kubectl sluice record`: the counters of a release, or of two versions, as a file that `replay` reads."""

import contextlib
import time
from typing import Annotated, TypeAlias

import typer

from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.console import Failure
from kubectl_sluice.cli.kube import cluster, installation, metrics, world
from kubectl_sluice.cli.options import Credentials, ModelTarget, Prometheus, seconds
from kubectl_sluice.offline import recording
from kubectl_sluice.offline.recording import Recording
from kubectl_sluice.views.reports import checks
from sluice_core import errors
from sluice_core.adapters import kinds
from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.servingruntime import ServingRuntime
from sluice_core.kernel import commands
from sluice_core.kernel.snapshot import Revision
from sluice_core.parsing import worlds
from sluice_core.views import words
from sluice_judge.model import Trial
from sluice_judge.replay import record

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


async def show(
    target: ModelTarget,
    *,
    since: Since = None,
    against: Against = None,
    aa: Itself = False,
    prometheus: Prometheus = None,
    credentials: Credentials = None,
) -> int:
    """Prints one JSON object a line for each scrape and objective."""
    if aa and against is not None:
        raise Failure("--aa and --against exclude each other; use one of them")
    async with cluster.session(target) as session:
        release = await session.fetch()
        operator, now = await installation.fetch(session.cluster), time.time()
        wanted = asked(release, since=since, against=against, aa=aa, now=now)
        trial = await _trial(session, release, wanted, operator.config, now)
        with (
            contextlib.closing(
                metrics.of(session.cluster, operator, url=prometheus, credentials=credentials)
            ) as source,
            console.progress(f"reading {words.span(wanted.seconds)} of counters from Prometheus"),
        ):
            lines, unseen = await _fetch(trial, wanted, source)
    for line in lines:
        print(console.harmless(line))
    for name, why in unseen.items():
        console.say(f"{name}: {why}")
    console.say(f"{words.plural(len(lines), 'line')} of {wanted.candidate} and {wanted.stable}")
    return exits.OK


async def _trial(
    session: cluster.Session, release: cluster.FetchedRelease, wanted: Recording, config: OperatorConfig, now: float
) -> Trial:
    assert release.newest is not None
    runs = release.newest.status.outcome is None
    return recording.trial(
        release.newest,
        wanted,
        config=config,
        preset=world.preset_of(config),
        kept=await fetch_kept(session),
        runtimes=await fetch_runtimes(session),
        routing=release.deployment.spec.routing,
        pods=await session.fetch_pods() or () if runs else (),
        now=now,
    )


def asked(
    release: cluster.FetchedRelease, *, since: int | None, against: str | None, aa: bool, now: float
) -> Recording:
    """What the options ask for; a `Failure` where there is no such comparison."""
    newest, metadata = release.newest, release.deployment.metadata
    name, namespace = metadata.name, metadata.namespace
    if newest is None:
        raise Failure(f"{name} has had no release yet, so there is nothing to record")
    if not aa and against is None:
        try:
            return recording.of_release(newest, since=since, now=now)
        except record.NothingRecorded as error:
            raise Failure(str(error)) from error
    status = release.deployment.status.stable
    if status is None:
        raise Failure(f"{name} has no stable version yet; see: {commands.sluice('status', name, namespace=namespace)}")
    if aa:
        return recording.of_itself(status.revision, since=since)
    assert against is not None
    found = recording.of_two(release.rollouts, stable=status.revision, against=against, since=since, now=now)
    if found is None:
        names = words.listed(sorted({name for r in release.rollouts for name in recording.revisions(r)}))
        raise Failure(f"--against: no release has revision {against!r}; known: {names}")
    return found


async def fetch_kept(session: cluster.Session) -> tuple[Revision, ...]:
    """The pinned revisions; none where they may not be read."""
    with contextlib.suppress(errors.Denied):
        return await session.cluster.fetch_revisions(session.namespace, session.name)
    return ()


async def fetch_runtimes(session: cluster.Session) -> tuple[ServingRuntime, ...]:
    """Runtimes, which say how servers count pod by pod; none where they may not be read."""
    with contextlib.suppress(errors.Denied):
        return worlds.parsed_runtimes(await session.cluster.fetch_all(kinds.BY_KIND[ServingRuntime.kind]))
    return ()


async def _fetch(
    trial: Trial, wanted: Recording, source: metrics.PrometheusFromHere
) -> tuple[list[str], dict[str, str]]:
    """The lines, and what they cannot show."""
    answers = await source.answer(record.questions(trial, seconds=wanted.seconds), trial.now)
    try:
        lines = recording.lines(trial, answers, wanted)
        same = wanted.stable == wanted.candidate
        return list(lines), record.unseen(trial, answers, seconds=wanted.seconds) if same else {}
    except record.NothingRecorded as error:
        remedy = checks.reached(source.url)
        raise Failure(str(error) if remedy in str(error) else f"{error}; {remedy}") from error
