"""`kubectl sluice profile`: what holds a model back under load, and what would help."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.console import Failure
from kubectl_sluice.cli.evidence import record
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.kube.cluster import Session
from kubectl_sluice.cli.options import ModelTarget, OutputFormat
from kubectl_sluice.cli.profiling import languagemodel, loadcontainer, profiled
from kubectl_sluice.cli.releases import render, tables
from kubectl_sluice.loadgen import profile as load_profile
from kubectl_sluice.offline.profile import pod, reading, sweep
from kubectl_sluice.offline.profile.model import Measurements
from kubectl_sluice.offline.profile.sweep import Sweep
from kubectl_sluice.views import example
from kubectl_sluice.views.reports import profile, profileplot
from kubectl_sluice.views.reports.profile import About, ProfileView
from kubectl_sluice.views.wire import to_wire
from sluice_core.api import yamltext
from sluice_core.api.base import API_VERSION
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.servingruntime import ServingRuntime
from sluice_core.kernel import commands
from sluice_core.kernel.snapshot import Revision
from sluice_core.render import common
from sluice_core.views import words

Parsed = TypeVar("Parsed")
PLOTS: Final = {".html": profileplot.page, ".svg": profileplot.svg}
"""Formats of a picture, by file extension."""
FROM_HERE: Final = "the load came from this machine through a port-forward: times include that path"
UNSEEN: Final = "the server's processors cannot be seen from here"


def _parsed(parse: Callable[[str], Parsed]) -> Callable[[str], Parsed]:
    def parser(text: str) -> Parsed:
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    return parser


Which: TypeAlias = Annotated[
    str | None,
    typer.Option("--revision", metavar="REVISION", help="The revision.", show_default="the stable one"),
]
Concurrency: TypeAlias = Annotated[
    Any,
    typer.Option(
        "--concurrency",
        parser=_parsed(sweep.parse_concurrency),
        metavar="LIST",
        help="How many clients send requests at once; each number is one point of load.",
    ),
]
Seconds: TypeAlias = Annotated[int, typer.Option("--seconds", min=1, max=600, help="How long each point is measured.")]
BatchingOption: TypeAlias = Annotated[
    Any,
    typer.Option(
        "--batching",
        parser=_parsed(sweep.parse_batching),
        metavar="LIST",
        help="Triton: dynamic batching to compare with the current settings: off, 0 (no delay), delays such as 100us "
        "or 2ms; empty for none.",
    ),
]
MaximumBatch: TypeAlias = Annotated[
    int, typer.Option("--maximum-batch", min=2, max=4096, help="Largest batch of a model that does not batch yet.")
]
Instances: TypeAlias = Annotated[
    Any,
    typer.Option(
        "--instances",
        parser=_parsed(sweep.parse_counts),
        metavar="LIST",
        help="Triton: copies of the model in one pod to compare with the current settings, such as 2,4.",
        show_default="none",
    ),
]
Threads: TypeAlias = Annotated[
    Any,
    typer.Option(
        "--threads",
        parser=_parsed(sweep.parse_counts),
        metavar="LIST",
        help=f"Threads of one inference to compare with the current settings, such as 2,4: one more pod for each, with "
        f"{' and '.join(pod.THREAD_VARIABLES)}.",
        show_default="none",
    ),
]
Payload: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--payload",
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="Body of the requests.",
        show_default="zeros, generated from the model's metadata; for a language model a short prompt",
    ),
]
RequestPath: TypeAlias = Annotated[
    str | None,
    typer.Option("--path", metavar="PATH", help="URL path of the requests.", show_default="the protocol's"),
]
Ready: TypeAlias = Annotated[
    int, typer.Option("--ready", min=1, max=7200, metavar="SECONDS", help="How long the model may take to load.")
]
# Without $SLUICE_GATEWAY, on purpose: only this option sends requests to the pods that serve.
Through: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--gateway",
        metavar="URL",
        help=f"The gateway's address as seen from the pod: also sends {load_profile.GATEWAY_REQUESTS} requests "
        "through it, one at a time. Serving pods answer these.",
        show_default="not measured",
    ),
]
Rate: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--rate", min=0.001, metavar="N", help="Requests/s that all pods together must answer: computes replicas."
    ),
]
FromHere: TypeAlias = Annotated[
    bool, typer.Option("--from-here", help="Send the load from this machine, through kubectl port-forward.")
]
Plot: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--plot", metavar="FILE", help="Write a plot of throughput against p95: .html (with the table) or .svg."
    ),
]
Write: TypeAlias = Annotated[
    Path | None,
    typer.Option("--write", metavar="FILE.yaml", help="Write the recommended fields, for kubectl patch --patch-file."),
]


async def show(
    target: ModelTarget,
    output: OutputFormat,
    *,
    revision: Which = None,
    concurrency: Concurrency = "1,2,4,8,16",
    seconds: Seconds = 5,
    batching: BatchingOption = "0,100us,1ms",
    maximum_batch: MaximumBatch = 32,
    instances: Instances = None,
    threads: Threads = None,
    payload: Payload = None,
    path: RequestPath = None,
    ready: Ready = 600,
    gateway: Through = None,
    rate: Rate = None,
    from_here: FromHere = False,
    plot: Plot = None,
    write: Write = None,
) -> int:
    """Measures one more pod of a revision, never one that serves, and removes it again."""
    _check_files(plot, write)
    async with cluster.session(target) as session:
        deployment = (await session.fetch()).deployment
        chosen = await _revision(session, deployment, revision)
        model = common.served_name(deployment)
        runtime = await _runtime(session, chosen)
        body = payload.read_bytes() if payload is not None else None
        text = languagemodel.request(path, body, runtime, model)
        order = profiled.ProfileOrder(
            deployment=deployment,
            revision=chosen,
            sweep=Sweep(
                settings=sweep.settings(batching if text is None else (), instances or ()),
                concurrency=concurrency,
                seconds=seconds,
                maximum_batch=maximum_batch,
                ready_seconds=ready,
                gateway=(gateway, example.host_of(deployment.status.url or "")) if gateway is not None else None,
                streams=text is not None,
                gauges=sweep.gauges(runtime.spec.metrics) if text is not None and runtime is not None else None,
            ),
            path=text[0] if text is not None else path or sweep.infer_path(model),
            payload=text[1] if text is not None else body,
            own_prompt=text is not None and body is None,
            image=None if from_here else await loadcontainer.fetch_image(session.cluster, chosen),
            kubectl_options=_kubectl_options(target),
        )
        view = await profile_of(session, order, threads or (), rate)
    _write_files(view, plot, write)
    console.show(output, to_wire(view), for_terminal(view))
    return exits.OK


async def profile_of(
    session: Session, order: profiled.ProfileOrder, threads: tuple[int, ...], rate: float | None
) -> ProfileView:
    """Measures and judges; one pod for each number of threads."""
    pods = 1 + len(threads)
    if order.here:
        console.say(FROM_HERE)
    expected = words.span(pods * order.sweep.expected_seconds)
    console.say(
        f"profiling {order.revision.name} in {words.plural(pods, 'pod')} of its own: about {expected} after the "
        "model has loaded"
    )
    runs: list[Measurements] = []
    with console.progress("creating the pod") as say:
        for count in (None, *threads):
            runs.append(await profiled.measure(session.cluster, order, count, say))
    runtime = order.deployment.spec.runtime
    notes = (FROM_HERE, UNSEEN) if order.here else ()
    body = languagemodel.OWN_PROMPT if order.own_prompt else profile.PAYLOAD
    return profile.profile_view(
        About(order.name, order.namespace, order.revision.name, notes, body),
        reading.merged(runs),
        rate=rate,
        environment=runtime.env if runtime is not None else (),
    )


async def _revision(session: Session, deployment: ModelDeployment, wanted: str | None) -> Revision:
    """The revision of a name, or the stable one; a `Failure` with those that there are."""
    stable = deployment.status.stable
    name = wanted or (stable.revision if stable is not None else None)
    if name is None:
        raise Failure(
            f"{session.name} has no stable version yet; name a revision with --revision, or wait: "
            f"{session.command('wait')}"
        )
    kept = await session.cluster.fetch_revisions(session.namespace, session.name)
    chosen = next((each for each in kept if each.name == name), None)
    if chosen is None:
        names = words.listed([revision.name for revision in kept]) or "none"
        raise Failure(f"there is no revision {name!r} of {session.name}; the cluster keeps: {names}")
    return chosen


async def _runtime(session: Session, chosen: Revision) -> ServingRuntime | None:
    """The runtime of a revision; None where it is gone or may not be read."""
    runtimes = await record.fetch_runtimes(session)
    return next((each for each in runtimes if each.metadata.name == chosen.runtime), None)


def _kubectl_options(target: ModelTarget) -> tuple[str, ...]:
    return tuple(
        f"--{name}={value}" for name, value in (("context", target.context), ("kubeconfig", target.kubeconfig)) if value
    )


def _check_files(plot: Path | None, write: Path | None) -> None:
    """Checks before minutes of load, not after them."""
    if plot is not None and plot.suffix not in PLOTS:
        raise Failure(
            f"--plot {plot}: use a name that ends in .html (the picture with the table) or .svg (only the picture)"
        )
    for option, file in (("--plot", plot), ("--write", write)):
        if file is not None and not file.parent.is_dir():
            raise Failure(f"{option} {file}: there is no folder {file.parent}")


def _write_files(view: ProfileView, plot: Path | None, write: Path | None) -> None:
    try:
        if plot is not None:
            plot.write_text(PLOTS[plot.suffix](view))
            console.say(f"written: {plot}")
        if write is not None:
            write.write_text(patch(view))
            how = ("--type=merge", f"--patch-file={write}")
            patch_command = commands.kubectl("patch", "modeldeployment", view.name, *how, namespace=view.namespace)
            console.say(f"written: {write} ({patch_command})")
    except OSError as error:
        raise Failure(f"{error.filename}: cannot be written: {error.strerror}") from error


def patch(view: ProfileView) -> str:
    """The recommended fields as a file for kubectl patch, with the reasons as comments."""
    comments, fields = profile.recommended(view)
    named = {"apiVersion": API_VERSION, "kind": ModelDeployment.kind, "metadata": {"name": view.name}, **fields}
    return "".join(f"# {line}\n" for line in comments) + yamltext.dumped(named)


def for_terminal(view: ProfileView) -> RenderableType:
    """The profile for a terminal."""
    title = Text.assemble(
        (view.name, "bold"), f" in {view.namespace}: {view.revision} on {view.server}, {view.cores:g} processors"
    )
    parts: list[RenderableType] = [title, Text(), table(view), Text(), Text(view.sentence, "bold")]
    if view.gateway_millis is not None:
        parts.append(Text(f"The gateway adds {profileplot.known(view.gateway_millis)} ms to a single request."))
    parts += [Text(f"→ {one.sentence}") for one in view.advice]
    for one in view.advice:
        parts += [Text(f"  config.pbtxt: {line}", "dim") for line in one.server_config]
    parts += [
        Text(),
        *(render.fact("note" if number == 0 else "", Text(note, "dim")) for number, note in enumerate(view.notes)),
    ]
    return Group(*parts)


def table(view: ProfileView) -> Table:
    """One row for each point; a setting's name is in its first row only."""
    shown = tables.plain()
    shown.padding = (0, 1, 0, 0)
    first, *others = profileplot.headings(view)
    shown.add_column(first, overflow="fold")
    for heading in others:
        shown.add_column(heading, justify="right")
    last = ""
    for row in view.rows:
        setting, *cells = profileplot.cells(row)
        shown.add_row(Text("" if setting == last else setting), *cells, style="red" if row.failures else "")
        last = setting
    return shown
