"""View models on a terminal. Consoles must have markup off: messages may contain brackets."""

from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from sluice.views import words
from sluice.views.conditions import ConditionView
from sluice.views.history import HistoryLine, Moment
from sluice.views.objectives import ArmView, EvidenceView, ObjectiveView
from sluice.views.release import ReleaseView, RevisionView, RolloutView

BAR_CELLS: Final = 10
STYLES: Final = {
    "Advance": "green",
    "Promoted": "green",
    "RollBack": "bold red",
    "RolledBack": "bold red",
    "Aborted": "red",
    "Wait": "yellow",
    "Blind": "magenta",
    "Superseded": "dim",
    "running": "cyan",
}


def release(view: ReleaseView) -> RenderableType:
    """Everything about one model, from what it serves to what is wrong."""
    parts: list[RenderableType] = [_title(view)]
    if view.revisions:
        parts += [Text(), _revisions(view.revisions)]
    if view.rollout is not None:
        parts += [Text(), *_rollout(view.rollout)]
    if view.conditions:
        parts += [Text(), *(_condition(condition) for condition in view.conditions)]
    if view.last_rollouts:
        parts += [Text(), history(view.last_rollouts)]
    return Group(*parts)


def history(lines: tuple[HistoryLine, ...]) -> Table:
    """Releases, newest first; `age` counts from the end, of a running one from its start."""
    table = _table()
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
            Text.assemble(line.name, f"  {line.uri}", ("\n" + why if why else "", "dim")),
        )
    return table


def timeline(moments: tuple[Moment, ...]) -> Table:
    """The audit trail of one release, oldest first."""
    table = _table()
    table.add_column("time", no_wrap=True)
    table.add_column("who", overflow="fold")
    table.add_column("what", no_wrap=True)
    table.add_column("why", ratio=1, overflow="fold")
    for moment in moments:
        table.add_row(moment.time, moment.actor, Text(moment.what, STYLES.get(moment.what, "")), moment.why)
    return table


def request(command: str, remark: str) -> RenderableType:
    """A command to copy: unwrapped, since a broken line would not run."""
    return Group(Text(), Text(remark, "dim"), Text(command, no_wrap=True, overflow="ignore"))


def bar(evidence: EvidenceView, style: str) -> Text:
    """Evidence on its way to its threshold, as a bar and as numbers."""
    filled = int(evidence.fraction * BAR_CELLS)
    return Text.assemble(
        ("█" * filled, style),
        ("░" * (BAR_CELLS - filled), "dim"),
        f"\n{evidence.log10:.2f} of {evidence.threshold_log10:.2f}",
    )


def _title(view: ReleaseView) -> Text:
    healthy = view.ready and view.current and view.seen
    style = "bold green" if healthy else "bold red" if not view.ready else "bold yellow"
    lines = Text.assemble((view.name, "bold"), f" in {view.namespace}: ", (view.headline, style))
    if view.url:
        lines.append(f"\n{view.url}")
    return lines


def _revisions(revisions: tuple[RevisionView, ...]) -> Table:
    table = _table()
    table.add_column("")
    table.add_column("revision", overflow="fold")
    table.add_column("model", ratio=1, overflow="fold")
    table.add_column("weight", justify="right", no_wrap=True)
    table.add_column("pods ready", justify="right", no_wrap=True)
    for one in revisions:
        model = " ".join(part for part in (one.uri, f"(version {one.version})" if one.version else "") if part)
        pods = Text(f"{one.ready} of {one.replicas}", "" if one.ready >= one.replicas else "yellow")
        table.add_row(one.role, one.revision, model, f"{one.weight_percent} %", pods)
    return table


def _rollout(view: RolloutView) -> list[RenderableType]:
    parts: list[RenderableType] = [
        Rule(Text(f"release {view.name}"), align="left", style="dim", characters="─"),
        _steps(view),
    ]
    verdict = view.outcome or view.verdict or "not judged yet"
    why = view.reason if view.running else f"{view.reason}: {view.message}" if view.message else view.reason
    parts.append(
        _fact(
            "outcome" if view.outcome else "verdict",
            Text.assemble((verdict, STYLES.get(verdict, "")), f"  {why}" if why else ""),
        )
    )
    if view.waits_for:
        parts.append(_fact("waits for" if view.verdict in ("Wait", "Blind") else "says", Text(view.waits_for)))
    if view.asked:
        parts.append(_fact("asked", Text(view.asked, "yellow")))
    if view.objectives and (view.running or view.outcome != "Promoted"):
        parts += [Text(), _objectives(view.objectives)]
    return parts


def _steps(view: RolloutView) -> RenderableType:
    line = Text()
    for number, weight in enumerate(view.step_weights, start=1):
        style = "bold reverse" if number == view.step and view.running else "" if number <= view.step else "dim"
        line.append(" → " if number > 1 else "", "dim")
        line.append(f"[{weight}]" if "reverse" in style else str(weight), style)
    line.append(f" %   {'for' if view.running else 'took'} {words.span(view.age_seconds)}")
    if view.paused:
        line.append("   paused", "bold yellow")
    return _fact("steps", line)


def _objectives(objectives: tuple[ObjectiveView, ...]) -> Table:
    table = _table()
    table.add_column("objective", overflow="fold")
    for heading in ("stable", "candidate"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("ratio", no_wrap=True)
    table.add_column("is worse", no_wrap=True)
    table.add_column("is good", overflow="fold", ratio=1)
    for one in objectives:
        table.add_row(
            Text.assemble((one.name, "bold"), f"\n{one.counts}"),
            _arm(one.stable),
            _arm(one.candidate),
            one.comparison.replace(" ", "\n", 1),
            bar(one.roll_back, "red") if one.roll_back else "-",
            _good(one),
        )
    return table


def _good(view: ObjectiveView) -> Text:
    style = "green" if view.proven else "bold red" if view.state == "worse" else "yellow"
    evidence = Text.assemble(bar(view.advance, "green"), "\n") if view.advance is not None else Text()
    return evidence.append(view.state, style)


def _arm(arm: ArmView) -> str:
    return f"{arm.ratio}\n{words.count(arm.failures)} of {words.count(arm.requests)}"


def _condition(view: ConditionView) -> RenderableType:
    text = Text.assemble((f"{view.type}={view.status}", "bold red" if view.severe else "yellow"), f" {view.reason}")
    if view.message:
        text.append(f": {view.message}")
    if view.remedy:
        text.append(f"\n  → {view.remedy}", "dim")
    return text


def _fact(label: str, value: Text) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=10, style="dim")
    grid.add_column(overflow="fold")
    grid.add_row(label, value)
    return Padding(grid, 0)


def _table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False, expand=False)
