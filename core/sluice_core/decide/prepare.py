"""Interprets a snapshot once: the situation, what is compared, and what a decision needs beyond the store.

Snapshot ──> prepare ──> Prepared: situation, trials, Inquiry ──(adapters)──> Replies ──> read ──> Findings ──> decide
                ^                                                                                    │
                └────────────── what is not written, by the operator's memory: Remembered ───────────┘

The inquiry is data: raw samples of Prometheus, and free devices; it is empty at rest. A `Prepared` belongs to one
moment and is never kept: after waiting for samples, a reconcile begins again with a fresh snapshot, and reads the
samples at the moment for which they were requested. A `Compared` may be reused without one while its release waits to
be written.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from sluice_core.kernel.snapshot import Snapshot
from sluice_core.rollout import trial
from sluice_core.rollout.capacity import needs
from sluice_core.situation.devices import Devices, DevicesQuestion
from sluice_core.situation.situation import Situation, interpret
from sluice_core.watch.model import Watch
from sluice_core.watch.subject import WatchedVersion, watched_version
from sluice_judge import judge
from sluice_judge.comparing import forecast
from sluice_judge.judgement import Judgement
from sluice_judge.model import Answers, Counted, Forecast, Question, Trial

CONTROL: Final = "baseline"
"""The prefix of its questions' keys."""
SILENT_SECONDS: Final = 60.0
"""How long no forecast is made or asked for a release whose stable version had no request for a day."""


@dataclass(frozen=True, slots=True)
class Silent:
    """A stable version that had no request in the day before a release."""

    candidate: str
    """The candidate's revision."""
    at: float
    """When that was seen, seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a reconcile remembers of the one before without writing it. Losing it costs only time."""

    counted: Mapping[str, Counted] = field(default_factory=lambda: MappingProxyType({}))
    """Counts by revision."""
    silent: Silent | None = None

    def __bool__(self) -> bool:
        return bool(self.counted) or self.silent is not None


NOTHING: Final = Remembered()


@dataclass(frozen=True, slots=True)
class Inquiry:
    """The questions for the shell."""

    metrics: tuple[Question, ...] = ()
    devices: DevicesQuestion | None = None
    judges: bool = False
    """Whether they judge a version with users' requests, which may have to be rolled back."""


@dataclass(frozen=True, slots=True)
class Replies:
    """The answers."""

    metrics: Answers = field(default_factory=lambda: MappingProxyType({}))
    pending: bool = False
    """Whether samples are still in flight: then only what does not need them is decided."""
    moment: float | None = None
    """When the samples were requested, seconds since the epoch; None: at the snapshot's own time."""
    devices: Devices | None = None
    """None if not asked."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the replies mean for the running release."""

    judgement: Judgement | None = None
    arms: Mapping[str, Judgement] = field(default_factory=lambda: MappingProxyType({}))
    """In an A/B test: the judgement of each running arm, by revision."""
    control: Judgement | None = None
    """The judgement of the baseline in the candidate's place."""
    forecast: Forecast | None = None
    devices: Devices | None = None
    silent: Silent | None = None
    watch: Watch | None = None
    """The memory of the watch, if the stable version is watched."""

    @property
    def judgements(self) -> tuple[Judgement, ...]:
        """The judgements of the release, or of each of its arms."""
        return *((self.judgement,) if self.judgement is not None else ()), *self.arms.values()

    @property
    def remembered(self) -> Remembered:
        """What need not be written yet, for the next reconcile."""
        counted = {
            each.next_state.counted.candidate: each.next_state.counted
            for each in (*self.judgements, self.control)
            if each is not None and each.next_state.counted is not None
        }
        return Remembered(counted, self.silent)

    @property
    def accuse(self) -> bool:
        """Whether evidence against a candidate requires action."""
        return any(
            each.accusation.against is not None or each.accusation.asks or each.accusation.bad_pod
            for each in self.judgements
        )

    @property
    def doubt(self) -> bool:
        """Whether there is evidence against a candidate, enough or not yet."""
        return self.accuse or any(each.accusation.doubt for each in self.judgements)

    @property
    def seen(self) -> Judgement | None:
        """Any judgement, for what they have in common; a blind one first."""
        every = self.judgements
        return next((judged for judged in every if judged.sight.blind), every[0] if every else None)


@dataclass(frozen=True, slots=True)
class Compared:
    """What is compared in a release. It can be reused later if only time has passed."""

    running: Trial | None
    """The comparison of a release that has entered its first step."""
    arms: Mapping[str, Trial]
    """In an A/B test: each running arm against the stable version, by revision."""
    control: Trial | None
    """The baseline in the candidate's place."""
    devices: DevicesQuestion | None

    def later(self, now: float, before: Remembered) -> "Compared":
        """The same at another moment. before: `Findings.remembered` of the last look."""
        return Compared(
            _later(self.running, now, before) if self.running is not None else None,
            {arm: _later(each, now, before) for arm, each in self.arms.items()},
            _later(self.control, now, before) if self.control is not None else None,
            self.devices,
        )

    def inquiry(self) -> Inquiry:
        has_users = (self.running is not None and self.running.exposure.permille > 0) or bool(self.arms)
        return Inquiry(tuple(self._questions()), self.devices, judges=has_users)

    def read(self, replies: Replies) -> Findings:
        """The judge's reading of the replies."""
        answers = replies.metrics
        return Findings(
            judgement=judge.judge(_at(self.running, replies), answers) if self.running is not None else None,
            arms={arm: judge.judge(_at(each, replies), _answers_of(arm, answers)) for arm, each in self.arms.items()},
            control=judge.judge(_at(self.control, replies), _answers_of(CONTROL, answers))
            if self.control is not None
            else None,
            devices=replies.devices,
        )

    def _questions(self) -> Iterator[Question]:
        if self.running is not None:
            yield from judge.questions(self.running)
        beside = {CONTROL: self.control} if self.control is not None else {}
        for arm, each in {**self.arms, **beside}.items():
            yield from (replace(question, key=f"{arm}/{question.key}") for question in judge.questions(each))


@dataclass(frozen=True, slots=True)
class Prepared:
    """An interpreted snapshot, and what must be asked before a decision."""

    situation: Situation
    compared: Compared
    ahead: Trial | None
    """The future comparison, before the first step, for the forecast."""
    inquiry: Inquiry
    silent: Silent | None
    """Why there is no forecast."""
    watched: WatchedVersion | None
    """What is judged every minute."""


def prepare(snapshot: Snapshot, before: Remembered = NOTHING) -> Prepared:
    """Everything about a snapshot that does not depend on replies. before: `Findings.remembered` of the last reconcile."""
    return of(interpret(snapshot), before)


def of(situation: Situation, before: Remembered = NOTHING) -> Prepared:
    """The same for an interpreted situation, such as an imagined one."""
    ahead = trial.forecast_trial(situation)
    silent = before.silent if ahead is not None and _is_silent(ahead, before.silent) else None
    if silent is not None:
        ahead = None
    now, devices = situation.snapshot.now, needs.question(situation)
    running = trial.running_trial(situation)
    control = None if running is None else trial.control_trial(situation, running)
    compared = Compared(running, trial.arm_trials(situation), control, devices).later(now, before)
    inquiry = compared.inquiry()
    if ahead is not None:
        inquiry = replace(inquiry, metrics=(*inquiry.metrics, *forecast.forecast_questions(ahead)))
    return Prepared(situation, compared, ahead, inquiry, silent, watched_version(situation))


def waits_for_samples(prepared: Prepared) -> bool:
    """Whether nothing may be decided without samples: before the first weight, which the forecast may reduce."""
    return prepared.ahead is not None


def read(prepared: Prepared, replies: Replies, watch: Watch | None = None) -> Findings:
    """The judge's reading of the replies. watch: its memory of the stable version."""
    ahead = prepared.ahead
    foretold = forecast.forecast(ahead, replies.metrics) if ahead is not None else None
    silent = prepared.silent
    if ahead is not None and foretold is not None and foretold.silent:
        silent = Silent(ahead.candidate.revision, ahead.now)
    return replace(prepared.compared.read(replies), forecast=foretold, silent=silent, watch=watch)


def _is_silent(ahead: Trial, silent: Silent | None) -> bool:
    if silent is None or silent.candidate != ahead.candidate.revision:
        return False
    return 0 <= ahead.now - silent.at < SILENT_SECONDS


def _later(trial: Trial, now: float, before: Remembered) -> Trial:
    return replace(trial, now=now, last=replace(trial.last, counted=before.counted.get(trial.candidate.revision)))


def _at(trial: Trial, replies: Replies) -> Trial:
    return replace(trial, moment=replies.moment, pending=replies.pending)


def _answers_of(arm: str, answers: Answers) -> Answers:
    """Every arm asks the same questions of its own series."""
    return {key.removeprefix(f"{arm}/"): answer for key, answer in answers.items() if key.startswith(f"{arm}/")}
