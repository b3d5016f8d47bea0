"""`kubectl sluice calibrate`: how often a policy would have rolled back a version that is as good as the one that served."""

import contextlib
import dataclasses
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.console import Failure
from kubectl_sluice.cli.evidence import record, replay
from kubectl_sluice.cli.kube import cluster, installation, metrics, world
from kubectl_sluice.cli.kube.metrics import PrometheusFromHere
from kubectl_sluice.cli.options import Credentials, ModelTarget, OutputFormat, Prometheus, seconds
from kubectl_sluice.cli.releases import render, tables
from kubectl_sluice.offline import calibrate, recording
from kubectl_sluice.offline.calibrate import TrialPlace, TriedRelease
from kubectl_sluice.views.reports import calibration, calibrationplot
from kubectl_sluice.views.reports.calibration import CalibrationView
from kubectl_sluice.views.wire import to_wire
from sluice_core import errors
from sluice_core.adapters import kinds
from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicy, RolloutPolicySpec
from sluice_core.api.v1alpha1.servingruntime import ServingRuntime
from sluice_core.kernel.snapshot import Revision
from sluice_core.ports import Metrics
from sluice_core.render.traffic import timeouts
from sluice_core.rollout.strategies import canary
from sluice_core.situation import arms, situation
from sluice_core.views import words
from sluice_judge.comparing.forecast import forecast_questions
from sluice_judge.kinds import kind_of
from sluice_judge.model import Answer, Answers, Failed, Question, ReleasePlan, Servers, Trial
from sluice_judge.replay.record import trial_of
from sluice_judge.schema.policy import Stepping

LONGEST_SECONDS: Final = 90 * 86_400
VISIBLE_SECONDS: Final = 60.0
"""The last release ends this long ago: all its samples are there."""
MOST_PARTS: Final = 8
"""How many parts a question with too large an answer may be cut into."""
MOST_FAILURES: Final = 3
"""After this many failures in a row from the beginning, Prometheus counts as down."""

Since: TypeAlias = Annotated[
    Any, typer.Option("--since", parser=seconds, metavar="DURATION", help="How far to look back: 12h, 7d, 30d.")
]
PolicyFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="POLICY.yaml",
        help="Manifest of a RolloutPolicy to try instead of the model's.",
        show_default="the model's policy, with its own objectives",
    ),
]
Plot: TypeAlias = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE.svg", help="Also write the picture as SVG.")
]


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """The model and policy to calibrate."""

    release: cluster.FetchedRelease
    stable: str
    config: OperatorConfig
    grpc: frozenset[str]
    """The revisions that also speak gRPC."""
    policy: RolloutPolicySpec
    policy_name: str
    answer_seconds: float
    """How long an answer may take."""
    runtimes: tuple[ServingRuntime, ...] = ()
    """Runtimes, which say what servers count; none where they may not be read."""
    kept: tuple[Revision, ...] = ()
    """The pinned revisions; none where they may not be read."""

    def trial(self, revision: str, *, now: float) -> Trial:
        """The version against itself, at `now`."""
        deployment, arm = self.release.deployment, recording.arm(revision, 0, self.grpc)
        trial = trial_of(
            namespace=deployment.metadata.namespace,
            name=deployment.metadata.name,
            stable=arm,
            candidate=arm,
            objectives=self.policy.objectives,
            preset=world.preset_of(self.config),
            namespace_label=self.config.query_namespace_label,
            now=now,
            scrape_interval_seconds=self.policy.scrape_interval_seconds,
        )
        pinned = next((each for each in self.kept if each.name == revision), None)
        own = trial.servers.own if pinned is None else arms.own_counters(self.runtimes, trial.namespace, pinned)
        by_risk = self.policy.stepping is Stepping.AUTO
        return dataclasses.replace(
            trial,
            policy=dataclasses.replace(trial.policy, initial_dispersion=self.policy.initial_dispersion),
            gateway=dataclasses.replace(trial.gateway, answer_seconds=self.answer_seconds),
            plan=ReleasePlan(
                steps=tuple(step.weight * 10 for step in (canary.by_risk() if by_risk else self.policy.steps)),
                by_risk=by_risk,
                deadline_seconds=float(self.policy.progress_deadline_seconds),
                maximum_requests_at_risk=self.policy.maximum_requests_at_risk,
            ),
            servers=Servers(own=own, candidate_own=own),
        )


async def show(
    target: ModelTarget,
    output: OutputFormat,
    *,
    since: Since = "7d",
    policy: PolicyFile = None,
    plot: Plot = None,
    prometheus: Prometheus = None,
    credentials: Credentials = None,
) -> int:
    """Tries the policy on the past of the version that serves; nothing is written to the cluster."""
    if since > LONGEST_SECONDS:
        raise Failure(f"--since: {words.span(since)} is more than {words.span(LONGEST_SECONDS)}")
    if plot is not None and plot.suffix != ".svg":
        raise Failure(f"--plot: {plot} must end with .svg")
    async with cluster.session(target) as session:
        operator = await installation.fetch(session.cluster)
        subject = await _subject(session, policy, operator.config)
        with (
            contextlib.closing(
                metrics.of(session.cluster, operator, url=prometheus, credentials=credentials)
            ) as source,
            console.progress("reading what the stable version shows now") as say,
        ):
            view = await calibrated(subject, source, since=since, now=time.time(), say=say)
    if plot is not None:
        plot.write_text(calibrationplot.svg(view))
    console.show(output, to_wire(view), text(view))
    return exits.OK if view.releases else exits.UNTRIED


async def calibrated(
    subject: Subject, source: PrometheusFromHere, *, since: int, now: float, say: Callable[[str], None]
) -> CalibrationView:
    """The whole answer. One window is requested at a time, so that others who share Prometheus hardly notice."""
    today = subject.trial(subject.stable, now=now)
    forecast, plans = calibrate.needed(today, await _asked(source, forecast_questions(today), now))
    where = calibrate.places(
        subject.release.rollouts, subject.stable, subject.policy, since=now - since, until=now - VISIBLE_SECONDS
    )
    releases, notes = await _tried(subject, source, where, say=say)
    if not where:
        length = calibrate.LEARNING_SECONDS + calibrate.release_seconds(subject.policy)
        notes.append(
            f"nowhere in the last {words.span(since)} was there room between releases for one of {words.span(length)}"
        )
    return calibration.calibration_view(
        releases,
        subject.policy,
        plans,
        forecast,
        name=subject.release.deployment.metadata.name,
        namespace=subject.release.deployment.metadata.namespace,
        policy_name=subject.policy_name,
        seconds=since,
        notes=notes,
    )


async def _tried(
    subject: Subject, source: PrometheusFromHere, where: Sequence[TrialPlace], *, say: Callable[[str], None]
) -> tuple[list[TriedRelease], list[str]]:
    """The releases, and what could not be tried."""
    found: list[TriedRelease] = []
    empty, failures = 0, list[str]()
    for number, place in enumerate(where, start=1):
        say(f"release {number} of {len(where)}, {sum(each.rolled_back for each in found)} rolled back")
        trial = subject.trial(place.revision, now=place.begin + calibrate.release_seconds(subject.policy))
        answers = await _asked(source, calibrate.questions(trial, subject.policy), trial.now)
        failed = next((answer.message for answer in answers.values() if isinstance(answer, Failed)), "")
        if failed:
            failures.append(failed)
            if len(failures) == number == min(MOST_FAILURES, len(where)):
                raise Failure(f"Prometheus does not answer: {failed}")
            continue
        tried = calibrate.tried(trial, answers, subject.policy)
        if tried is None:
            empty += 1
        else:
            found.append(tried)
    notes = []
    if empty:
        notes.append(f"at {empty} of {len(where)} places Prometheus holds no request of the version that served then")
    if failures:
        notes.append(f"at {len(failures)} of {len(where)} places it did not answer: {failures[-1]}")
    return found, notes


async def _asked(source: Metrics, questions: Sequence[Question], moment: float) -> Answers:
    """Each question once, however many share it: both arms are of one version."""
    alike: defaultdict[Question, list[str]] = defaultdict(list)
    for question in questions:
        alike[dataclasses.replace(question, key="")].append(question.key)
    answers: dict[str, Answer] = {}
    for question, keys in alike.items():
        answer = await _whole(source, question, moment, MOST_PARTS)
        answers |= dict.fromkeys(keys, answer)
    return answers


async def _whole(source: Metrics, question: Question, moment: float, parts: int) -> Answer:
    """The answer; in parts where it is too large."""
    answer = (await source.answer((question,), moment))[question.key]
    if not isinstance(answer, Failed) or not answer.too_large or parts < 2:
        return answer
    (earlier, before), (later, after) = calibrate.in_halves(question, moment)
    first = await _whole(source, earlier, before, parts // 2)
    return (
        first
        if isinstance(first, Failed)
        else calibrate.together(first, await _whole(source, later, after, parts // 2))
    )


async def _subject(session: cluster.Session, file: str | None, config: OperatorConfig) -> Subject:
    release = await session.fetch()
    deployment = release.deployment
    if deployment.status.stable is None:
        raise Failure(f"{session.name} has no stable version yet; see: {session.command('status')}")
    runtimes, kept = await record.fetch_runtimes(session), await record.fetch_kept(session)
    policy, name = (
        (replay.read_policy(file), file) if file is not None else await _policy(session, deployment, runtimes)
    )
    for index, objective in enumerate(policy.objectives):
        if kind_of(objective).sampling.refused:
            raise Failure(f"{name}: objectives[{index}].{kind_of(objective).sampling.refused}")
    return Subject(
        release=release,
        stable=deployment.status.stable.revision,
        config=config,
        grpc=recording.speaking_grpc(kept),
        policy=policy,
        policy_name=name,
        answer_seconds=timeouts.longest_answer_seconds(deployment.spec.routing, ()),
        runtimes=runtimes,
        kept=kept,
    )


async def _policy(
    session: cluster.Session, deployment: ModelDeployment, runtimes: Sequence[ServingRuntime]
) -> tuple[RolloutPolicySpec, str]:
    """The model's policy, with the model's own objectives in place of the policy's."""
    wanted = deployment.spec.rollout
    try:
        every = await session.cluster.fetch_all(kinds.BY_KIND[RolloutPolicy.kind])
    except errors.Denied as error:
        raise Failure(f"{error}; pass the policy as a file with --policy") from error
    known = {each["metadata"]["name"]: each for each in every}
    name = situation.wanted_policy(deployment, runtimes, known)
    raw = known.get(name)
    if raw is None:
        raise Failure(f"there is no RolloutPolicy {name!r}; see: {session.command('doctor')}")
    spec = RolloutPolicySpec.model_validate(raw["spec"])
    if wanted.objectives is not None:
        spec = spec.model_copy(update={"objectives": wanted.objectives})
    return spec, f"RolloutPolicy {name}"


def text(view: CalibrationView) -> RenderableType:
    """The answer for a terminal."""
    style = "bold red" if view.rolled_back else "bold green" if view.releases else "bold yellow"
    title = Text.assemble((view.name, "bold"), f" in {view.namespace}, {view.policy}, the last {view.span}")
    parts: list[RenderableType] = [title, Text(view.sentence, style)]
    if view.releases:
        parts += [
            Text(f"\nlargest evidence against each, as log10: rolled back at {view.threshold:.2f}", "dim"),
            Text(calibration.picture(view), no_wrap=True),
        ]
    parts += [Text(), *map(_rollback, _named(view))] if view.rolled_back else []
    parts += [Text(), _table(view), Text()]
    parts += [
        render.fact("problem", Text(f"{one.name}: {one.problem}", "yellow")) for one in view.objectives if one.problem
    ]
    parts.append(render.fact("first", Text(view.first_weight)))
    parts += [render.fact("note", Text(note, "dim")) for note in view.notes]
    return Group(*parts)


def _named(view: CalibrationView) -> tuple[calibration.CalibratedRelease, ...]:
    back = tuple(release for release in view.releases if release.rolled_back)
    return back[: calibration.NAMED_ROLLBACKS]


def _rollback(release: calibration.CalibratedRelease) -> RenderableType:
    when = release.time.replace("T", " ")[:16]
    return Text.assemble(
        (f"{calibration.BACK} {when}", "red"), f" after {release.after}  {release.reason}: {release.message}"
    )


def _table(view: CalibrationView) -> Table:
    table = tables.plain()
    table.add_column("objective", overflow="fold")
    table.add_column("halves", no_wrap=True)
    table.add_column("requests/h", justify="right")
    table.add_column("dispersion", justify="right")
    table.add_column("proven within 1 h at 50 %", justify="right")
    table.add_column("at the first weight", justify="right")
    for one in view.objectives:
        spread = f" ({one.dispersion_range})" if one.dispersion_range else ""
        table.add_row(
            one.name,
            f"{one.pods} pods" if one.pods else "scrapes",
            words.count(one.requests_per_hour),
            "-" if one.dispersion is None else f"{one.dispersion:g}{spread}",
            f"{one.proven} of {one.releases}" + (f", in {one.proven_after}" if one.proven_after else ""),
            one.first_step or "no proof",
        )
    return table
