"""`kubectl sluice replay`: the judge over recorded counters, without a cluster."""

import math
from collections.abc import Iterable
from typing import Annotated, Final, TypeAlias

import typer

from kubectl_sluice.cli import console, exits, manifests
from kubectl_sluice.cli.console import Failure
from kubectl_sluice.cli.options import OutputFormat
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicy, RolloutPolicySpec
from sluice_judge.replay import replay
from sluice_judge.replay.replay import Scrape
from sluice_judge.schema.model import fraction

Counts: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="COUNTS.jsonl",
        help="Cumulative counters, one JSON object a line (kubectl sluice record writes them); - reads standard input.",
        show_default=False,
    ),
]
PolicyFile: TypeAlias = Annotated[
    str, typer.Option("--policy", metavar="POLICY.yaml", help="Manifest of a RolloutPolicy.", show_default=False)
]
COLUMNS: Final = "{time:>12}  {weight:>7}  {verdict:<8}  {reason:<18}"


async def show(output: OutputFormat, *, counts: Counts, policy: PolicyFile) -> int:
    """Prints the verdict after every scrape; with -o json one object a line."""
    rules = read_policy(policy)
    try:
        file = replay.read(manifests.read_text(counts).splitlines())
        for note in file.notes:
            console.say(f"{counts}: {note}")
        if not file.lines:
            raise Failure(f"{counts}: there is no line of counters to judge")
        scrapes = replay.replay(file, rules)
        if output is OutputFormat.TEXT:
            print_table(scrapes, rules)
        else:
            for scrape in scrapes:
                console.show_next(output, scrape.to_wire())
    except replay.Unreadable as error:
        raise Failure(f"{counts}: {error}") from error
    return exits.OK


def read_policy(file: str) -> RolloutPolicySpec:
    """The rules of the one RolloutPolicy in a file."""
    manifest = manifests.read_manifest(file, RolloutPolicy.kind)
    return manifests.parsed(RolloutPolicySpec, manifest["spec"], file=file, path="spec")


def print_table(scrapes: Iterable[Scrape], rules: RolloutPolicySpec) -> None:
    """One line for each scrape, and at the end the last verdict, since when it has stood, and why."""
    back, on = (-math.log10(fraction(p)) for p in (rules.false_rollback_probability, rules.false_advance_probability))
    print(f"evidence as log10: worse (rolled back at {back:.2f}) / good enough (a step advances at {on:.2f})")
    print(COLUMNS.format(time="time", weight="weight", verdict="verdict", reason="reason") + "  evidence")
    last: Scrape | None = None
    since = 0.0
    for scrape in scrapes:
        since = scrape.time if last is None or last.verdict is not scrape.verdict else since
        last = scrape
        print(console.harmless(_line(scrape)))
    if last is not None:
        console.line(f"\n{last.verdict} since {since:g} s: {last.message}")


def _line(scrape: Scrape) -> str:
    evidence = "  ".join(f"{name} {e.rollback:.2f} / {e.advance:.2f}" for name, e in scrape.evidence.items())
    facts = COLUMNS.format(
        time=f"{scrape.time:g}", weight=f"{scrape.weight:g} %", verdict=scrape.verdict, reason=scrape.reason
    )
    return f"{facts}  {evidence}"
