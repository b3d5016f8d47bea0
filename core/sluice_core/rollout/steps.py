"""The candidate's exposure, step by step.

A strategy is a function that creates such a list (`canary`, `bluegreen`, `shadow`, `recreate`) for the engine. Weights
are permille here, as the route has them, since a lead step may be smaller than one percent:

    lead (from maximumRequestsAtRisk)    5 ‰ ──> 50 ‰ ──> 250 ‰ ──> 1000 ‰: the bake begins
    with stepping Auto                   4 ‰ ──> 40 ‰ ──> 500 ‰ ──> 1000 ‰
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sluice_core.api.v1alpha1.modelrollout import ModelRollout, ModelRolloutStatus, Outcome, StepRecord
from sluice_core.api.v1alpha1.rolloutspec import ModelRolloutSpec, RolloutStep
from sluice_judge import memo
from sluice_judge.schema.policy import Stepping
from sluice_judge.stats import planning

WHOLE: Final = 1000


@dataclass(frozen=True, slots=True)
class Step:
    """One step for the engine."""

    permille: int
    """The candidate's share of the users' requests; 1000 begins the bake."""
    mirror_percent: int = 0
    preview: bool = False
    pause: bool = False
    minimum_seconds: int = 0
    minimum_requests: int = 0
    excludes: float | None = None
    """`Exposure.excludes` of the judge."""

    @property
    def load_permille(self) -> int:
        """The share of all requests that its pods must be able to take; a preview counts as the whole that follows."""
        return WHOLE if self.preview else max(self.permille, self.mirror_percent * 10)

    def begun(self, records: Sequence[StepRecord]) -> bool:
        """Whether it is the step that was entered last."""
        last = records[-1] if records else None
        mine = (self.permille, self.mirror_percent, self.preview)
        return last is not None and (last.permille, last.mirror_percent, last.preview) == mine

    @property
    def words(self) -> str:
        """What the candidate gets in this step, for messages."""
        if self.mirror_percent:
            return f"a copy of {self.mirror_percent} % of the requests"
        if self.preview:
            return "the requests to its preview host name"
        return f"{percent(self.permille)} of the requests"


def steps(rollout: ModelRollout) -> tuple[Step, ...]:
    """All steps, the lead step included once it is known."""
    every, lead = planned(rollout.spec), rollout.status.lead_permille
    if lead is None and rollout.spec.stepping is Stepping.AUTO:
        lead = planning.UNKNOWN_LEAD
    if lead is None:
        return every
    first = next(index for index, step in enumerate(every) if step.permille > 0)
    return (*every[:first], *_smaller(rollout.spec, lead), *every[first:])


def _smaller(spec: ModelRolloutSpec, lead: int) -> tuple[Step, ...]:
    """The steps before the spec's first share."""
    if spec.stepping is Stepping.FIXED:
        return (Step(lead),)
    return tuple(Step(share, excludes=excludes) for share, excludes in planning.rising_shares(lead).items())


@memo.by_identity(memo.MODELS)
def planned(spec: ModelRolloutSpec) -> tuple[Step, ...]:
    """The steps of the strategy, without a lead step."""
    return tuple(map(_step, spec.steps))


def current(rollout: ModelRollout) -> Step | None:
    """The step that was entered last; None before the first. In a probe, with the candidate's remaining share."""
    index, probe = rollout.status.step, rollout.status.probe
    if probe is not None:
        return Step(probe.permille)
    return steps(rollout)[index - 1] if index > 0 and rollout.spec.steps else None


def upcoming(rollout: ModelRollout) -> Step:
    """The step after the current one, or the last one."""
    every = steps(rollout)
    return every[min(rollout.status.step, len(every) - 1)]


def percent(permille: int) -> str:
    """`5 %`, `0.5 %`."""
    return f"{permille / 10:g} %"


def rounded_percent(permille: int) -> int:
    """Whole percent, rounded up, so that a candidate with any traffic never shows 0."""
    return -(-permille // 10)


def exposed(permille: int) -> dict[str, object]:
    """The fields of the status that say what the candidate gets."""
    return {"permille": permille, "weight": rounded_percent(permille)}


def over(status: ModelRolloutStatus, outcome: Outcome, now: str) -> dict[str, object]:
    """What ends with a release, however it ends; the judge's state is no longer needed."""
    return {
        "outcome": outcome,
        "end_time": now,
        "probe": None,
        **exposed(WHOLE if outcome is Outcome.PROMOTED else 0),
        "requests_needed": None,
        "estimated_completion_time": None,
        "state": None,
        "baseline_state": None,
        "arms": [arm.model_copy(update={"state": None}) for arm in status.arms],
    }


def ended(records: Sequence[StepRecord], now: str) -> list[StepRecord]:
    """The records of the entered steps, the last one ended."""
    if not records or records[-1].end_time is not None:
        return list(records)
    return [*records[:-1], records[-1].model_copy(update={"end_time": now})]


def _step(step: RolloutStep) -> Step:
    return Step(
        permille=step.permille,
        mirror_percent=step.mirror_percent,
        preview=step.preview,
        pause=step.pause,
        minimum_seconds=step.minimum_seconds,
        minimum_requests=step.minimum_requests,
    )
