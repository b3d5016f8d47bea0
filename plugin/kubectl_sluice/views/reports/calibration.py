"""How a policy would have treated a service's past, for people: `kubectl sluice calibrate`."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kubectl_sluice.offline.calibrate import ObjectivePlan, TriedObjective, TriedRelease
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_core.views import words
from sluice_judge import timestamps
from sluice_judge import words as judge_words
from sluice_judge.model import Forecast
from sluice_judge.replay import sameversion
from sluice_judge.schema.model import fraction
from sluice_judge.stats import intervals

ROWS: Final = 9
"""Lines of the picture."""
FINE: Final = "•"
BACK: Final = "✗"
THRESHOLD: Final = "┄"
HIGHEST: Final = 1.5
"""The top of the picture, as a multiple of the threshold: larger values are drawn there."""
NAMED_ROLLBACKS: Final = 10
ENOUGH_RELEASES: Final = 20
"""The fewest releases that can tell a share of 1 % from one of 10 %."""


@dataclass(frozen=True, slots=True)
class CalibratedRelease:
    """One release of the version that served."""

    time: str
    """When it got its weight, RFC 3339."""
    rolled_back: bool
    reason: str
    message: str
    after: str
    """From its begin to its end, in words."""
    evidence: float
    """The largest evidence against it, as log10."""
    probes: int
    """How often its bake would have probed the stable version."""


@dataclass(frozen=True, slots=True)
class CalibratedObjective:
    """One objective over all releases."""

    name: str
    pods: int
    """The number of pods whose halves were compared; 0: every other scrape."""
    dispersion: float | None
    """The median; None without a release."""
    dispersion_range: str
    requests_per_hour: int
    proven: int
    """Releases in which it was proven within the hour."""
    releases: int
    proven_after: str
    """The median time to the proof, in words; empty where there was none."""
    first_step: str
    """The time at the first weight, in words; empty where it can prove nothing."""
    problem: str
    """Why it cannot be proven, with a remedy; or empty."""


@dataclass(frozen=True, slots=True)
class CalibrationView:
    """The whole answer."""

    name: str
    namespace: str
    policy: str
    span: str
    promised: str
    """falseRollbackProbability."""
    threshold: float
    """Evidence that rolls back, as log10."""
    rolled_back: int
    probes: int
    """The number of probes in all bakes together."""
    releases: tuple[CalibratedRelease, ...]
    sentence: str
    objectives: tuple[CalibratedObjective, ...]
    first_weight: str
    notes: tuple[str, ...]


def calibration_view(
    releases: Sequence[TriedRelease],
    policy: RolloutPolicySpec,
    plans: Sequence[ObjectivePlan],
    forecast: Forecast,
    *,
    name: str,
    namespace: str,
    policy_name: str,
    seconds: float,
    notes: Sequence[str] = (),
) -> CalibrationView:
    """releases: oldest first. plans: of each objective, and `forecast` of all together. notes: what was not visible."""
    back = [release for release in releases if release.rolled_back]
    every = {plan.name: [release.objectives[plan.name] for release in releases] for plan in plans}
    unseen = [plan for plan in plans if every[plan.name] and not any(one.pods for one in every[plan.name])]
    return CalibrationView(
        name=name,
        namespace=namespace,
        policy=policy_name,
        span=words.span(seconds),
        promised=policy.false_rollback_probability,
        threshold=-math.log10(fraction(policy.false_rollback_probability)),
        rolled_back=len(back),
        probes=sum(release.probes for release in releases),
        releases=tuple(map(_release, releases)),
        sentence=_sentence(len(back), releases, policy.false_rollback_probability),
        objectives=tuple(_objective(plan, every[plan.name]) for plan in plans),
        first_weight=_first_weight(forecast, policy),
        notes=(*notes, *(f"{words.listed([plan.name for plan in unseen])}: {sameversion.UNSEEN}" for _ in unseen[:1])),
    )


def picture(view: CalibrationView) -> str:
    """Each release as a dot at its largest evidence, in order of time, with the line that none should reach."""
    if not view.releases:
        return ""
    shown = [min(release.evidence, HIGHEST * view.threshold) for release in view.releases]
    top, bottom = max(view.threshold * 1.15, *shown), min(0.0, *shown)
    step = (top - bottom) / (ROWS - 1)
    heights = [round((evidence - bottom) / step) for evidence in shown]
    line = round((view.threshold - bottom) / step)
    rows = []
    for row in reversed(range(ROWS)):
        marks = "".join(
            (BACK if release.rolled_back else FINE) if height == row else THRESHOLD if row == line else " "
            for height, release in zip(heights, view.releases, strict=True)
        )
        label = f"{view.threshold:5.1f}" if row == line else f"{bottom + row * step:5.1f}" if row % 4 == 0 else "     "
        rows.append(f"{label} {'┼' if row == line else '┤'}{marks}".rstrip())
    first, last = (view.releases[index].time[5:16].replace("T", " ") for index in (0, -1))
    width = len(view.releases)
    ends = first if width < len(first) + len(last) + 2 else f"{first}{last:>{width - len(first)}}"
    return "\n".join((*rows, f"      └{'─' * width}", f"       {ends}"))


def _release(release: TriedRelease) -> CalibratedRelease:
    return CalibratedRelease(
        time=timestamps.rfc3339(release.begin),
        rolled_back=release.rolled_back,
        reason=str(release.reason) if release.rolled_back else "",
        message=release.message if release.rolled_back else "",
        after=words.span(release.seconds),
        evidence=release.peak,
        probes=release.probes,
    )


def _sentence(back: int, releases: Sequence[TriedRelease], promised: str) -> str:
    tried, asked = len(releases), sum(release.probes > 0 for release in releases)
    if not tried:
        return "too little history: no release could be tried; see the notes, and look further back with --since"
    found = intervals.proportion(back, tried)
    assert found is not None
    few = "; too few to judge the policy by, look further back with --since" if tried < ENOUGH_RELEASES else ""
    return (
        f"{back} of {words.plural(tried, 'release')} of the same version would have been rolled back: "
        f"{100 * back / tried:.2g} %, within [{100 * found.lower:.2g} %, {100 * found.upper:.2g} %], where the policy "
        f"promises at most {promised}{few}{_probes(asked, tried, sum(release.probes for release in releases))}"
    )


def _probes(asked: int, tried: int, probes: int) -> str:
    """The probes that the bakes would have made; empty where there are none."""
    if not asked:
        return ""
    return (
        f". In {asked} of {tried} bakes the stable version would have been asked whether it does any better "
        f"({words.plural(probes, 'probe')})"
    )


def _objective(plan: ObjectivePlan, tried: Sequence[TriedObjective]) -> CalibratedObjective:
    known = sorted(one.dispersion for one in tried)
    proven = [one.proven_seconds for one in tried if one.proven_seconds is not None]
    return CalibratedObjective(
        name=plan.name,
        pods=max((one.pods for one in tried), default=0),
        dispersion=round(statistics.median(known), 2) if known else None,
        dispersion_range=f"{known[0]:.3g} to {known[-1]:.3g}" if known and known[-1] > known[0] else "",
        requests_per_hour=round(statistics.median(one.requests for one in tried)) if tried else 0,
        proven=len(proven),
        releases=len(tried),
        proven_after=words.span(statistics.median(proven)) if proven else "",
        first_step="" if plan.first_seconds is None else words.span(plan.first_seconds),
        problem=_problem(plan, tried),
    )


def _problem(plan: ObjectivePlan, tried: Sequence[TriedObjective]) -> str:
    if tried and not any(one.requests for one in tried):
        return "nothing was counted; check its selectors, and what doctor says of Prometheus"
    if not plan.provable:
        why = "the stable version itself is too close to its limit, or has too few events to compare"
        cure = "raise the limit, or set ignoreBelow" if plan.required else "it is not required, so nothing waits for it"
        return f"cannot be proven: {why}; {cure}"
    return ""


def _first_weight(forecast: Forecast, policy: RolloutPolicySpec) -> str:
    first = policy.steps[0].weight
    if forecast.rate == 0:
        return forecast.message
    if any(step.seconds is None for step in forecast.steps if step.permille == first * 10):
        return f"{first} % cannot prove every required objective at any length"
    if forecast.smallest_permille is not None:
        return (
            f"{first} % is too little to be decided before the deadline: begin with "
            f"{judge_words.weight(forecast.smallest_permille)} or more"
        )
    seconds = next((step.seconds for step in forecast.steps if step.permille == first * 10), None)
    took = f": about {words.span(seconds)} until it is proven" if seconds else ""
    return f"{first} % is enough{took}, at {forecast.rate:.3g} requests/s"
