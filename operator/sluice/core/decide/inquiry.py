"""What must be known beyond the store to decide, as data: raw samples of Prometheus, and free devices. Empty at rest.

Snapshot ──> ask ──> Inquiry ──(adapters)──> Replies ──> read ──> Findings ──> decide
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from sluice.core.judge import forecast, judge
from sluice.core.judge.model import Answers, Forecast, Judgement, Question, Trial
from sluice.core.rollout import trial
from sluice.core.rollout.capacity import needs
from sluice.core.situation.devices import Devices, DevicesQuestion
from sluice.core.situation.situation import Situation


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What the shell asks."""

    metrics: tuple[Question, ...] = ()
    devices: DevicesQuestion | None = None


@dataclass(frozen=True, slots=True)
class Replies:
    """What it got."""

    metrics: Answers = field(default_factory=lambda: MappingProxyType({}))
    devices: Devices | None = None
    """None where nothing was asked."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the replies mean for the running release."""

    judgement: Judgement | None = None
    arms: Mapping[str, Judgement] = field(default_factory=lambda: MappingProxyType({}))
    """In an A/B test: of each running arm, by revision."""
    forecast: Forecast | None = None
    devices: Devices | None = None

    @property
    def seen(self) -> Judgement | None:
        """Any judgement, for what they have in common; one that is blind first."""
        every = [*([self.judgement] if self.judgement is not None else []), *self.arms.values()]
        return next((judged for judged in every if judged.blind), every[0] if every else None)


def ask(situation: Situation) -> Inquiry:
    """Everything that the next decision needs."""
    metrics: list[Question] = []
    running, ahead = trial.running_trial(situation), trial.forecast_trial(situation)
    if running is not None:
        metrics += judge.questions(running)
    if ahead is not None:
        metrics += forecast.forecast_questions(ahead)
    for arm, compared in trial.arm_trials(situation).items():
        metrics += (replace(question, key=_key(arm, question.key)) for question in judge.questions(compared))
    return Inquiry(tuple(metrics), needs.question(situation))


def read(situation: Situation, replies: Replies) -> Findings:
    """The judge's reading of the replies."""
    running, ahead = trial.running_trial(situation), trial.forecast_trial(situation)
    return Findings(
        judgement=judge.judge(running, replies.metrics) if running is not None else None,
        arms={
            arm: judge.judge(compared, _answers_of(arm, compared, replies.metrics))
            for arm, compared in trial.arm_trials(situation).items()
        },
        forecast=forecast.forecast(ahead, replies.metrics) if ahead is not None else None,
        devices=replies.devices,
    )


def _answers_of(arm: str, compared: Trial, answers: Answers) -> Answers:
    keys = (question.key for question in judge.questions(compared))
    return {key: answers[_key(arm, key)] for key in keys if _key(arm, key) in answers}


def _key(arm: str, key: str) -> str:
    """Every arm asks the same questions of its own series."""
    return f"{arm}/{key}"
