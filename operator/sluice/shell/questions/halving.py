"""Asks for many models at once, one question after the other; an unanswered question is asked again in halves.

    40 models ──no answer within 5 s──> 20 ──answered
                                        20 ──no answer──> 10 ──answered …                1 ──no answer: it is asked alone from
                                                          10 ──no answer──> …            1 ──answered          then on, for an hour

This finds the model whose counters are refused or take too long, and the others are read in the same minute. It is
limited in time: while Prometheus answers nothing, more questions are of no use, and no model is marked as slow for it.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final

from sluice.shell.questions.joining import Joiner
from sluice_core.ports import Clock, Metrics
from sluice_judge.model import Answer, Failed, Question
from sluice_judge.samples import joined
from sluice_judge.samples.joined import Joined

PAUSE_SECONDS: Final = 1.0
"""From the start of one question to that of the next."""
HALVING_SECONDS: Final = 45.0
"""Time for halves, for all questions of one look together: enough to find one model of 120, even if each question with
it lasts until its timeout."""
UNANSWERED_SECONDS: Final = HALVING_SECONDS / 4
"""The same if the previous look got no answer at all: enough for both halves of one question."""
ALONE_SECONDS: Final = 3600.0
"""How long a question that failed among others is asked alone."""
MOST_PARTS: Final = 120
"""The most parts of one question, as long as Prometheus copes."""


class HalvingAsker:
    """Not for use by several tasks at once."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._joiner = Joiner(most=MOST_PARTS, alone_seconds=ALONE_SECONDS)
        """In seconds since the epoch."""
        self._left = HALVING_SECONDS
        self._has_answered = True
        """Whether anything was answered since the previous look began."""

    def begin(self) -> None:
        """Begins the look at another minute."""
        self._left = HALVING_SECONDS if self._has_answered else UNANSWERED_SECONDS
        self._has_answered = False
        most = self._joiner.most("")
        self._joiner.bears("", most + max(1, most // 4))

    async def answers(self, questions: Iterable[Joined], end: float) -> dict[Question, Answer]:
        """The answers to every part of these questions, at `end`."""
        found: dict[Question, Answer] = {}
        for whole in (each for question in questions for each in self._joiner.joined(question.parts, end)):
            answer = await self._answer(whole, end)
            found.update(joined.parted(whole, answer))
            if isinstance(answer, Failed) and len(whole.parts) > 1:
                found.update(await self._halved(whole, end))
            elif isinstance(answer, Failed):
                for part in filter(self._joiner.is_alone, whole.parts):
                    self._joiner.leave_alone(part, end)
        return found

    async def _halved(self, whole: Joined, end: float) -> dict[Question, Answer]:
        """The answers to the halves of a question, as long as there is time."""
        found: dict[Question, Answer] = {}
        lost: list[Question] = []
        is_anyone_answered = False
        waiting = deque([joined.halves(whole)])
        while waiting and self._left > 0:
            halves = waiting.popleft()
            began = self._clock.monotonic()
            answers = [await self._answer(half, end) for half in halves]
            self._left -= self._clock.monotonic() - began
            failed = [half for half, answer in zip(halves, answers, strict=True) if isinstance(answer, Failed)]
            is_anyone_answered = is_anyone_answered or len(failed) < len(halves)
            if not found and not failed:  # too many parts, and nothing else is wrong
                largest = max(len(half.parts) for half in halves)
                self._joiner.bears("", min(self._joiner.most(""), largest))
            for half, answer in zip(halves, answers, strict=True):
                found.update(joined.parted(half, answer))
            waiting.extend(joined.halves(half) for half in failed if len(half.parts) > 1)
            lost += [half.parts[0] for half in failed if len(half.parts) == 1]
        for part in lost if is_anyone_answered else ():
            self._joiner.leave_alone(part, end)
        return found

    async def _answer(self, whole: Joined, end: float) -> Answer:
        began = self._clock.monotonic()
        answer = (await self._metrics.answer((whole.question,), end))[whole.question.key]
        self._has_answered = self._has_answered or not isinstance(answer, Failed)
        await asyncio.sleep(max(0.0, PAUSE_SECONDS - (self._clock.monotonic() - began)))
        return answer
