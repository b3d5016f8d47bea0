"""The state of a model on a terminal. Consoles must have markup off: messages may contain brackets."""

from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from kubectl_sluice.cli.releases import tables
from kubectl_sluice.views.live import AddressState
from kubectl_sluice.views.releases.release import ReleaseView, RevisionView, RolloutView, VariantView
from kubectl_sluice.views.releases.steps import StepState
from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.views import words
from sluice_core.views.conditions import ConditionView

ADDRESS_STYLES: Final = {AddressState.ANSWERS: "green", AddressState.REFUSES: "yellow"}
"""Styles of the address by its state; not being reachable from here says nothing about the model."""


def release(view: ReleaseView) -> RenderableType:
    """Everything about one model, from what it serves to what is wrong."""
    parts: list[RenderableType] = [_title(view)]
    if view.address is not None:
        parts.append(fact("address", Text(view.address.words, ADDRESS_STYLES.get(view.address.state, "dim"))))
    if view.revisions:
        parts += [Text(), _revisions(view.revisions)]
    parts += [fact("now" if index == 0 else "", Text(line, "yellow")) for index, line in enumerate(view.now)]
    parts += [Text(), *(_variant(each) for each in view.variants)] if view.variants else []
    if view.rollout is not None:
        parts += [Text(), *_rollout(view.rollout)]
    if view.conditions:
        parts += [Text(), *(condition(each) for each in view.conditions)]
    parts += [Text(), fact("watched", Text(view.watched, "dim"))] if view.watched else []
    for each in view.moved:
        parts += [Text(), fact("moved", Text(each.words, "yellow")), tables.bins(each)]
    if view.last_rollouts:
        parts += [Text(), tables.history(view.last_rollouts)]
    return Group(*parts)


def request(command: str, remark: str) -> RenderableType:
    """A command to copy: unwrapped, since a broken line would not run."""
    return Group(Text(), Text(remark, "dim"), Text(command, no_wrap=True, overflow="ignore"))


def condition(view: ConditionView) -> RenderableType:
    """A condition that is not as wanted, with what to do."""
    text = Text.assemble((view.state, "bold red" if view.severe else "yellow"), f" {view.reason}")
    if view.message:
        text.append(f": {view.message}")
    if view.remedy:
        text.append(f"\n  → {view.remedy}", "dim")
    return text


def _variant(view: VariantView) -> RenderableType:
    style = {"Ready": "green", "Failed": "bold red"}.get(view.state, "yellow")
    return fact("variant", Text.assemble((view.name, "bold"), " ", (view.state, style), f"  {view.words}"))


def fact(label: str, value: Text) -> RenderableType:
    """One labelled line."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=10, style="dim")
    grid.add_column(overflow="fold")
    grid.add_row(label, value)
    return Padding(grid, 0)


def _title(view: ReleaseView) -> Text:
    healthy = view.ready and view.current and view.seen
    style = "bold green" if healthy else "bold red" if not view.ready and not view.now else "bold yellow"
    lines = Text.assemble((view.name, "bold"), f" in {view.namespace}: ", (view.headline, style))
    if view.url:
        lines.append(f"\n{view.url}")
    return lines


def _revisions(revisions: tuple[RevisionView, ...]) -> Table:
    table = tables.plain()
    table.add_column("")
    table.add_column("revision", overflow="fold")
    table.add_column("model", ratio=1, overflow="fold")
    table.add_column("weight", justify="right", no_wrap=True)
    table.add_column("pods ready", justify="right", no_wrap=True)
    for one in revisions:
        model = " ".join(part for part in (one.uri, f"(version {one.version})" if one.version else "") if part)
        ready, pods_there = (one.ready_now, one.pods_now) if one.differs else (one.ready, one.replicas)
        pods = Text(f"{ready} of {pods_there}", "" if (ready or 0) >= one.replicas else "yellow")
        if one.verified:
            model = f"{model}\n{one.verified}"
        table.add_row(one.role, one.revision, model, one.weight, pods)
    return table


def _rollout(view: RolloutView) -> list[RenderableType]:
    parts: list[RenderableType] = [
        Rule(Text(f"release {view.name} ({view.way})"), align="left", style="dim", characters="─"),
        *([_steps(view)] if view.steps else ()),
    ]
    verdict = view.outcome or view.verdict or "not judged yet"
    why = view.reason if view.running else f"{view.reason}: {view.message}" if view.message else view.reason
    parts.append(
        fact(
            "outcome" if view.outcome else "verdict",
            Text.assemble((verdict, tables.STYLES.get(verdict, "")), f"  {why}" if why else ""),
        )
    )
    if view.waits_for:
        parts.append(fact("waits for" if view.verdict in ("Wait", "Blind", "Probe") else "says", Text(view.waits_for)))
    if view.asked:
        parts.append(fact("asked", Text(view.asked, "yellow")))
    return [*parts, *_details(view)]


def _details(view: RolloutView) -> list[RenderableType]:
    """Steps with their plan, arms and evidence, where they are of interest."""
    parts: list[RenderableType] = []
    if view.running and any(step.planned_requests is not None for step in view.steps):
        parts += [Text(), tables.steps(view.steps)]
    if view.ab_test is not None:
        parts += [Text(), tables.arms(view.ab_test)]
        parts += (
            [fact("test", Text(f"for {words.span(view.age_seconds)}; {view.ab_test.ends}"))] if view.running else []
        )
    if view.objectives and (view.running or view.outcome != Outcome.PROMOTED):
        parts += [Text(), tables.objectives(view.objectives)]
    if view.unwatched:
        parts.append(fact("unwatched", Text(view.unwatched, "yellow")))
    return parts


def _steps(view: RolloutView) -> RenderableType:
    line = Text()
    for step in view.steps:
        current = step.state is StepState.CURRENT
        line.append(" → " if step.number > 1 else "", "dim")
        style = "bold reverse" if current else "dim" if step.state is StepState.AHEAD else ""
        line.append(f"[{step.gets}]" if current else step.gets, style)
    line.append(f"   {'for' if view.running else 'took'} {words.span(view.age_seconds)}")
    if view.paused:
        line.append("   paused", "bold yellow")
    return fact("steps", line)
