"""All models visible to a reader, in a line each, those that need a person first."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from kubectl_sluice.views.live import live
from kubectl_sluice.views.releases.release import ReleaseView, RolloutView, release_view
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel.reasons import STALLS, Reason
from sluice_core.kernel.snapshot import Object
from sluice_core.parsing import ownkinds
from sluice_core.rollout import steps
from sluice_judge.schema.verdict import Verdict

PAGE: Final = 50
"""Lines on a page: with the longest messages it stays below 50 KiB in transfer."""
RUNNING: Final = str(Reason.RUNNING)
"""Stands for a missing outcome."""
FOR_A_PERSON: Final = (Reason.PAUSED, Reason.PAUSED_AT_STEP, Reason.DEADLINE_EXCEEDED)
"""Reasons of a release that continues only on a person's word."""
LONGEST: Final = 240
"""The most characters of a message in a line; the model's page shows all of it."""


class Need(IntEnum):
    """What a model needs, the most urgent first."""

    DOWN = 0
    PERSON = 1
    ATTENTION = 2
    MOVING = 3
    NOTHING = 4

    @property
    def words(self) -> str:
        return NEEDS[self]


NEEDS: Final[Mapping[Need, str]] = {
    Need.DOWN: "down",
    Need.PERSON: "needs a person",
    Need.ATTENTION: "attention",
    Need.MOVING: "releasing",
    Need.NOTHING: "fine",
}


@dataclass(frozen=True, slots=True)
class FleetLine:
    """One model."""

    need: Need
    namespace: str
    name: str
    headline: str
    serves: str
    release: str
    """The newest release, or empty."""
    outcome: str
    """The outcome of the newest release: `Running` while it has none; empty where there was no release."""
    reason: str
    """The reason of the newest release, or of the first condition that is not as wanted."""
    message: str
    weight: str
    """The candidate's share while it is being released, or empty."""

    @property
    def at_rest(self) -> bool:
        """Whether none of its durations grows."""
        return self.outcome != RUNNING and self.need is Need.NOTHING


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines are shown; an empty field is no restriction."""

    namespaces: tuple[str, ...] = ()
    outcome: str = ""
    reason: str = ""

    def lets(self, line: FleetLine) -> bool:
        wanted = (self.outcome, line.outcome), (self.reason, line.reason)
        here = not self.namespaces or line.namespace in self.namespaces
        return here and all(not asked or asked == has for asked, has in wanted)


@dataclass(frozen=True, slots=True)
class FleetPage:
    """One page of the lines, and the values to filter by."""

    lines: tuple[FleetLine, ...]
    number: int
    """From 1."""
    pages: int
    shown: int
    """The number of lines that pass the filter."""
    total: int
    needs: tuple[tuple[Need, int], ...]
    namespaces: tuple[str, ...]
    outcomes: tuple[str, ...]
    reasons: tuple[str, ...]


def fleet_line(deployment: Object, newest: ModelRollout | None, *, now: float) -> FleetLine | None:
    """The line of a model as the API has it; None where it cannot be read. newest: its newest release."""
    parsed = ownkinds.parsed_deployment(deployment)
    if not isinstance(parsed, ModelDeployment):
        return None
    view = release_view(parsed, [newest] if newest is not None else [], now=now, live=live(deployment, now=now))
    rollout, stable = view.rollout, next((each for each in view.revisions if each.role == "stable"), None)
    problem = next((each for each in view.conditions if each.severe), next(iter(view.conditions), None))
    running = rollout is not None and rollout.running
    told = rollout if rollout is not None and (running or problem is None) else None
    return FleetLine(
        need=_need(view, rollout),
        namespace=view.namespace,
        name=view.name,
        headline=view.headline,
        serves=stable.uri if stable is not None else "",
        release=rollout.name if rollout is not None else "",
        outcome="" if rollout is None else rollout.outcome or RUNNING,
        reason=told.reason if told is not None else problem.reason if problem is not None else "",
        message=(told.message if told is not None else problem.message if problem is not None else "")[:LONGEST],
        weight=_weight(rollout) if rollout is not None and running else "",
    )


def _weight(rollout: RolloutView) -> str:
    """The share of the candidate, or of all arms of a test together."""
    test = rollout.ab_test
    if test is None or test.winner is not None or rollout.step == 0:
        return steps.percent(rollout.permille)
    return f"{sum(arm.weight_percent for arm in test.arms if not arm.ended)} %"


def _need(view: ReleaseView, rollout: RolloutView | None) -> Need:
    running = rollout is not None and rollout.running
    if not view.ready and (view.revisions or view.conditions) and (not running or (rollout and rollout.replaces)):
        return Need.DOWN
    if rollout is not None and running:
        reason = Reason.of(rollout.reason)
        if rollout.paused or reason in FOR_A_PERSON or STALLS in reason.marks:
            return Need.PERSON
        if rollout.verdict == Verdict.BLIND:
            return Need.ATTENTION
    if any(each.severe for each in view.conditions):
        return Need.ATTENTION
    return Need.MOVING if running or not view.current else Need.NOTHING


def fleet_page(lines: Iterable[FleetLine], wanted: Filter, *, number: int = 1) -> FleetPage:
    """One page of the filtered lines, the most urgent first, then by namespace and name."""
    every = tuple(lines)
    found = sorted(filter(wanted.lets, every), key=lambda line: (line.need, line.namespace, line.name))
    pages = max(1, -(-len(found) // PAGE))
    number = min(max(number, 1), pages)
    counted = Counter(line.need for line in found)
    return FleetPage(
        lines=tuple(found[(number - 1) * PAGE : number * PAGE]),
        number=number,
        pages=pages,
        shown=len(found),
        total=len(every),
        needs=tuple((need, counted[need]) for need in Need if counted[need]),
        namespaces=_distinct([line.namespace for line in every]),
        outcomes=_distinct([line.outcome for line in every]),
        reasons=_distinct([line.reason for line in every]),
    )


def _distinct(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({word for word in words if word}))
