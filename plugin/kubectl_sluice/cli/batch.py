"""`kubectl sluice batch`: the progress of a BatchInference, once or live with a progress bar."""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Final, TypeAlias

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.options import Connection, OutputFormat
from kubectl_sluice.cli.releases import follow, render, tables
from kubectl_sluice.views import batch as views
from kubectl_sluice.views.batch import BatchState, BatchView, ProgressView, RunView
from kubectl_sluice.views.wire import to_wire
from sluice_core.adapters.kinds import BY_KIND
from sluice_core.api.v1alpha1.batchinference import BatchInference, BatchOutcome
from sluice_core.parsing import batchsnapshot, ownkinds
from sluice_core.views import words

BAR_CELLS: Final = 40
STYLES: Final = {
    str(BatchState.COMPLETE): "bold green",
    str(BatchState.FAILED): "bold red",
    str(BatchState.RUNNING): "cyan",
}
CODES: Final = {str(BatchOutcome.COMPLETE): exits.OK, str(BatchOutcome.FAILED): exits.FAILED}

BatchName: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The BatchInference.", show_default=False)]
Watch: TypeAlias = Annotated[
    bool, typer.Option("--watch", "-w", help="Follow it until its run has ended; exit status 1 if the run failed.")
]


async def show(connection: Connection, output: OutputFormat, *, batch: BatchName, watch: Watch = False) -> int:
    async with cluster.connected(connection) as api:
        fetch = partial(_fetch, api, connection.namespace or api.namespace, batch)
        if not watch:
            view = await fetch()
            console.show(output, to_wire(view), drawn(view))
            return exits.OK
        out = console.stdout()
        if output is OutputFormat.TEXT and out.is_terminal:
            return await _live(fetch, out)
        return await _lines(fetch, output)


async def _live(fetch: Callable[[], Awaitable[BatchView]], out: Console) -> int:
    """Redraws in place until the run has ended; the last state stays on the screen."""
    view = await fetch()
    with Live(drawn(view), console=out, auto_refresh=False, vertical_overflow="crop") as live:
        live.refresh()
        while not view.ended:
            view = await follow.next_state(fetch)
            live.update(drawn(view), refresh=True)
    return CODES[view.state]


async def _lines(fetch: Callable[[], Awaitable[BatchView]], output: OutputFormat) -> int:
    """One line, or one JSON document, for each change; for pipes and logs."""
    last: Any = None
    view = await fetch()
    while True:
        news = views.line(view)
        if news != last:
            last = news
            if output is OutputFormat.TEXT:
                console.line(time.strftime("%H:%M:%S"), news)
            else:
                console.show_next(output, to_wire(view))
        if view.ended:
            return CODES[view.state]
        view = await follow.next_state(fetch)


async def _fetch(api: kubectl.Kubectl, namespace: str, name: str) -> BatchView:
    try:
        raw = await api.fetch(BY_KIND[BatchInference.kind], namespace, name)
    except kubectl.NotFound:
        raise await cluster.not_found(api, BatchInference, namespace, name) from None
    batch = batchsnapshot.parsed_batch(raw)
    if isinstance(batch, ownkinds.InvalidSpec):
        raise console.Failure(f"BatchInference {namespace}/{name}: {batch.path}: {batch.message}; {batch.remedy}")
    return views.batch_view(batch, now=time.time())


def drawn(view: BatchView) -> RenderableType:
    """Everything about one BatchInference, for a terminal."""
    title = Text.assemble(
        (view.name, "bold"), f" in {view.namespace}: ", (view.state, STYLES.get(view.state, "bold yellow"))
    )
    parts: list[RenderableType] = [title]
    if view.headline:
        parts.append(Text(view.headline, "red" if view.state is BatchState.FAILED else ""))
    facts = {"model": view.model, "input": view.input, "output": view.output, "engine": view.engine}
    parts += [Text(), *(render.fact(label, Text(value)) for label, value in facts.items())]
    if view.run is not None and view.progress is not None:
        parts += [Text(), *_progress(view, view.run, view.progress)]
    if view.next_run:
        coming = {"next run": view.next_run, "  input": view.next_input, "  output": view.next_output}
        parts += [render.fact(label, Text(value)) for label, value in coming.items() if value]
    if view.history:
        parts += [Text(), _history(view.history)]
    return Group(*parts)


def _progress(view: BatchView, run: RunView, done: ProgressView) -> list[RenderableType]:
    running = view.state is BatchState.RUNNING
    bar = Table.grid(padding=(0, 1))
    if done.percent is not None:
        bar.add_row(ProgressBar(total=100, completed=done.percent, width=BAR_CELLS), f"{done.percent} %")
    lasts = f"{run.name}, {'for' if running else 'took'} {words.span(run.duration_seconds)}"
    facts = {
        "run": lasts,
        "rows": views.counts(done),
        "pace": views.pace(done) if running else "",
        "shards": done.shards,
    }
    return [bar, *(render.fact(label, Text(value)) for label, value in facts.items() if value)]


def _history(runs: tuple[RunView, ...]) -> Table:
    table = tables.plain()
    table.add_column("outcome", no_wrap=True)
    for heading in ("age", "took"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("earlier run", ratio=1, overflow="fold")
    for run in runs:
        what = Text.assemble(
            f"{run.name}  {run.revision}  {run.output}", (f"\n{run.message}" if run.message else "", "dim")
        )
        age, took = words.span(run.age_seconds), words.span(run.duration_seconds)
        table.add_row(Text(run.outcome, STYLES.get(run.outcome, "")), age, took, what)
    return table
