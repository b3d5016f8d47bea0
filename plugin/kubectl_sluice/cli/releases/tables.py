"""Tables shared by several commands. Consoles must have markup off: messages may contain brackets."""

from typing import Final

from rich.table import Table
from rich.text import Text

from kubectl_sluice.views.overview import ModelLine
from kubectl_sluice.views.releases.arms import ABTestView
from kubectl_sluice.views.releases.history import AuditEntry, HistoryLine
from kubectl_sluice.views.releases.objectives import ArmView, EvidenceView, ObjectiveView
from kubectl_sluice.views.releases.steps import StepState, StepView
from kubectl_sluice.views.reports.drift import MovedView
from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.views import words
from sluice_judge.schema.verdict import Verdict

BAR_CELLS: Final = 10
BIN_CELLS: Final = 16
STYLES: Final = {
    str(Verdict.ADVANCE): "green",
    str(Outcome.PROMOTED): "green",
    str(Verdict.ROLL_BACK): "bold red",
    str(Outcome.ROLLED_BACK): "bold red",
    str(Outcome.ABORTED): "red",
    str(Verdict.WAIT): "yellow",
    str(Verdict.PROBE): "bold yellow",
    str(Verdict.BLIND): "magenta",
    str(Outcome.SUPERSEDED): "dim",
    str(Outcome.INCONCLUSIVE): "dim",
    "running": "cyan",
}


def plain() -> Table:
    """A table without lines."""
    return Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False, expand=False)


def bins(feature: MovedView) -> Table:
    """A feature's bins in the reference and now, with bars."""
    highest = max([1.0, *(max(each.reference_percent, each.now_percent) for each in feature.bins)])
    table = plain()
    table.add_column("bin", overflow="fold")
    for heading in ("reference", "now"):
        table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("", no_wrap=True, width=BIN_CELLS)
    for each in feature.bins:
        shares = (each.reference_percent, "dim"), (each.now_percent, "yellow")
        cells = (cell for share, style in shares for cell in (f"{share:g} %", Text(_cells(share / highest), style)))
        table.add_row(each.name, *cells)
    return table


def _cells(fraction: float) -> str:
    return "█" * round(BIN_CELLS * fraction)


def history(lines: tuple[HistoryLine, ...]) -> Table:
    """Releases, newest first; `age` counts from the end, or from the start of a running one."""
    table = plain()
    table.add_column("outcome", no_wrap=True)
    for heading in ("age", "took", "requests"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("release", ratio=1, overflow="fold")
    for line in lines:
        why = line.message or line.reason
        table.add_row(
            Text(line.outcome, STYLES.get(line.outcome, "")),
            words.span(line.age_seconds),
            words.span(line.duration_seconds),
            words.count(line.candidate_requests),
            Text.assemble(line.name, f"  {line.way}  {line.uri}", ("\n" + why if why else "", "dim")),
        )
    return table


def models(lines: tuple[ModelLine, ...], *, namespaces: bool) -> Table:
    """All models, in a line each. namespaces: whether theirs differ."""
    table = plain()
    for heading in (*(("namespace",) if namespaces else ()), "model"):
        table.add_column(heading, overflow="fold")
    table.add_column("state", ratio=1, overflow="fold")
    table.add_column("serves", ratio=1, overflow="fold")
    for line in lines:
        style = "green" if line.ready and line.current else "yellow" if line.ready else "bold red"
        state = Text.assemble((line.headline, style), (f"\n{line.problem}" if line.problem else "", "dim"))
        table.add_row(*((line.namespace,) if namespaces else ()), line.name, state, line.serves or "-")
    return table


def timeline(moments: tuple[AuditEntry, ...]) -> Table:
    """The audit trail of one release, oldest first."""
    table = plain()
    table.add_column("time", no_wrap=True)
    table.add_column("who", overflow="fold")
    table.add_column("what", no_wrap=True)
    table.add_column("why", ratio=1, overflow="fold")
    for moment in moments:
        table.add_row(moment.time, moment.actor, Text(moment.what, STYLES.get(moment.what, "")), moment.why)
    return table


def steps(views: tuple[StepView, ...]) -> Table:
    """Each step's plan and result."""
    table = _step_table("needs", "takes", "came", "took")
    for view in views:
        came = "-" if view.candidate_requests is None else words.count(view.candidate_requests)
        took = "-" if view.seconds is None else words.span(view.seconds)
        _add_step(table, view, *_needs(view), came, took)
    return table


def planned_steps(views: tuple[StepView, ...]) -> Table:
    """The planned steps of a release that has not begun."""
    table = _step_table("needs requests", "takes")
    for view in views:
        _add_step(table, view, *_needs(view))
    return table


def _step_table(*headings: str) -> Table:
    table = plain()
    table.add_column("step", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("and", ratio=1, overflow="fold")
    return table


def _needs(view: StepView) -> tuple[str, str]:
    return (
        "-" if view.planned_requests is None else words.count(view.planned_requests),
        "-" if view.planned_seconds is None else words.span(view.planned_seconds),
    )


def _add_step(table: Table, view: StepView, *cells: str) -> None:
    style = "bold" if view.state is StepState.CURRENT else ""
    table.add_row(Text(view.gets, style), *cells, Text(words.listed(conditions(view)), "dim"))


def conditions(view: StepView) -> tuple[str, ...]:
    """A step's conditions besides its proof."""
    return tuple(
        text
        for text in (
            f"at least {words.span(view.minimum_seconds)}" if view.minimum_seconds else "",
            f"at least {words.plural(view.minimum_requests, 'request')}" if view.minimum_requests else "",
            "a person: resume" if view.waits_for_person else "",
        )
        if text
    )


def arms(view: ABTestView) -> Table:
    """The arms of an A/B test, each against the stable version."""
    table = plain()
    for heading in ("arm", "revision", "model"):
        table.add_column(heading, overflow="fold")
    table.add_column("users", justify="right", no_wrap=True)
    table.add_column(f"{view.metric} against stable", no_wrap=True)
    table.add_column("state", ratio=1, overflow="fold")
    for arm in view.arms:
        won = view.winner == arm.revision
        style = "green" if won or arm.verdict == "Better" else "red" if arm.ended or arm.verdict == "Worse" else ""
        state = Text("wins, is promoted" if won else arm.state, style)
        if arm.message:
            state.append(f"\n{arm.message}", "dim")
        table.add_row(arm.name, arm.revision, arm.uri, f"{arm.weight_percent} %", arm.comparison, state)
    return table


def objectives(views: tuple[ObjectiveView, ...]) -> Table:
    """Counts of both sides, and the evidence on its way to both thresholds."""
    table = plain()
    table.padding = (0, 1, 0, 0)  # six columns in a terminal of 80
    table.add_column("objective", overflow="fold")
    for heading in ("stable", "candidate"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("ratio", no_wrap=True)
    table.add_column("is worse", no_wrap=True)
    table.add_column("is good", overflow="fold", ratio=1, min_width=BAR_CELLS + 2)
    for one in views:
        table.add_row(
            Text.assemble((one.name, "bold"), f"\n{one.counts}"),
            _arm(one.stable),
            _arm(one.candidate),
            one.comparison.replace(" ", "\n", 1),
            bar(one.roll_back, "red") if one.roll_back else "-",
            _good(one),
        )
    return table


def bar(evidence: EvidenceView, style: str) -> Text:
    """Evidence on its way to its threshold, as a bar and as numbers."""
    filled = int(evidence.fraction * BAR_CELLS)
    return Text.assemble(
        ("█" * filled, style),
        ("░" * (BAR_CELLS - filled), "dim"),
        f"\n{evidence.shown} of {evidence.threshold_log10:.2f}",
    )


def _good(view: ObjectiveView) -> Text:
    style = "green" if view.proven else "bold red" if view.state == "worse" else "yellow"
    evidence = Text.assemble(bar(view.advance, "green"), "\n") if view.advance is not None else Text()
    return evidence.append(view.state, style)


def _arm(arm: ArmView) -> str:
    return f"{arm.ratio}\n{words.count(arm.counted)} of {words.count(arm.requests)}"
