"""The end of the demo: a table for people and the same as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from demo import release
from demo.aftermath import Noticed
from demo.counting import Counts
from demo.release import Objective, Result

FILE: Final = Path("build/demo/summary.json")
COLUMNS: Final = (
    ("release", "left"),
    ("outcome", "left"),
    ("seconds", "right"),
    ("candidate\nrequests", "right"),
    ("wrong or\nfailed", "right"),
    ("lost", "right"),
    ("decided by", "left"),
)


INCIDENT_COLUMNS: Final = (
    ("after the promotion", "left"),
    ("named", "left"),
    ("noticed after\nseconds", "right"),
    ("requests", "right"),
    ("lost", "right"),
    ("alarm", "left"),
)


def as_json(results: Sequence[Result], noticed: Sequence[Noticed], counts: Counts) -> dict[str, Any]:
    total = counts.total
    return {
        "succeeded": succeeded(results, noticed, counts),
        "releases": [result.as_json() for result in results],
        "incidents": [each.as_json() for each in noticed],
        "requests": total.requests,
        "lostRequests": total.lost,
        "modelFailures": total.failed,
        "problems": dict(total.problems),
    }


def succeeded(results: Sequence[Result], noticed: Sequence[Noticed], counts: Counts) -> bool:
    """All as expected, and no request lost in the whole demo, also between the releases."""
    told = [*(result.as_expected for result in results), *(each.as_expected for each in noticed)]
    return bool(results) and all(told) and counts.total.lost == 0


def write(results: Sequence[Result], noticed: Sequence[Noticed], counts: Counts, path: Path = FILE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(as_json(results, noticed, counts), indent=2) + "\n")


def show(console: Console, results: Sequence[Result], noticed: Sequence[Noticed], counts: Counts) -> None:
    table = _table("Releases", COLUMNS)
    for result in results:
        table.add_row(*_row(result), style="" if result.as_expected else "red")
    console.print(table)
    if noticed:
        table = _table("After the last promotion", INCIDENT_COLUMNS)
        for each in noticed:
            table.add_row(*_incident_row(each), style="" if each.as_expected else "red")
        console.print(table)
    total = counts.total
    console.print(
        f"{total.requests} requests, {total.lost} lost (no answer, or an error made by the gateway); "
        f"{total.failed} failed in a model itself."
    )
    if total.lost:
        console.print(f"[red]Lost:[/red] {dict(total.problems)}")


def _table(title: str, columns: Sequence[tuple[str, str]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading, side in columns:
        table.add_column(heading, justify="right" if side == "right" else "left", overflow="fold")
    return table


def _incident_row(noticed: Noticed) -> tuple[str, ...]:
    named = noticed.alarm.names if noticed.alarm else "nothing"
    if named != noticed.expected:
        named += f", expected {noticed.expected}"
    return (
        f"{noticed.name}: {noticed.story}",
        named,
        f"{noticed.seconds:.0f}",
        str(noticed.requests),
        str(noticed.lost_requests),
        noticed.alarm.message if noticed.alarm else "-",
    )


def _row(result: Result) -> tuple[str, ...]:
    outcome = result.outcome or "none"
    if result.outcome != result.expected:
        outcome += f", expected {result.expected}"
    return (
        f"{result.model}: {result.story}",
        outcome,
        f"{result.seconds:.0f}",
        str(result.candidate_requests),
        str(result.harmed_requests),
        str(result.lost_requests),
        _decision(result.decided_by, result.outcome),
    )


def _decision(objective: Objective | None, outcome: str) -> str:
    decision = release.decision_as_json(objective, outcome)
    if objective is None or decision is None:
        return "-"
    evidence, threshold = decision["evidenceLog10"], decision["thresholdLog10"]
    strength = (
        "" if evidence is None else f"; evidence 10^{evidence:.1f}" + (f" of 10^{threshold:.1f}" if threshold else "")
    )
    counts = (
        f"{objective.candidate[0]} of {objective.candidate[1]} against {objective.stable[0]} of {objective.stable[1]}"
    )
    return f"{objective.name}: {counts}{strength}"
