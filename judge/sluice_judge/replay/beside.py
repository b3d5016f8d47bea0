"""A release's baseline in a recording: what those objectives counted of it that compared the candidate with it."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from sluice_judge.kind import Kind
from sluice_judge.model import Answers, Question, Trial
from sluice_judge.replay import increments, lines
from sluice_judge.replay.lines import Line
from sluice_judge.samples import columns, series
from sluice_judge.samples import questions as ask

KEY: Final = "baseline/"
"""Begins the keys of these questions."""
SERVES: Final = 0.25
"""It serves at a weight at which it answers more than this part of the candidate's requests: else these are answers to
requests of before."""


def recording_questions(trial: Trial, seconds: int, step_seconds: int | None) -> tuple[Question, ...]:
    """What to ask beside the questions about both versions; nothing without a baseline."""
    others = ask.asked(dataclasses.replace(trial, baseline=None), lambda _: seconds)
    return tuple(
        dataclasses.replace(question, key=KEY + question.key, step_seconds=step_seconds)
        for question in ask.asked(trial, lambda _: seconds)
        if question not in others
    )


def answers(every: Answers) -> Answers:
    """The answers with the baseline in the stable version's place, by the keys of the questions about both versions."""
    return {**every, **{key.removeprefix(KEY): answer for key, answer in every.items() if key.startswith(KEY)}}


def added(kind: Kind, found: Sequence[Line], ticks: Sequence[series.Tick]) -> Iterator[Line]:
    """The lines, with the baseline's counters where it served. ticks: with it in the stable version's place."""
    counted, each = dict[str, float](), []
    for _, new in increments.until(found, ticks):
        for tick in new:
            increments.add(counted, columns.of_arm(tick.seen, columns.STABLE))
        each.append(lines.counters(kind, counted))
    before = lines.counters(kind, {})
    for _, group in itertools.groupby(zip(found, each, strict=True), key=lambda pair: pair[0].weight):
        run = tuple(group)
        (first, _), (last, most) = run[0], run[-1]
        answered = last.candidate.requests - first.candidate.requests
        serves = 0 < last.weight < lines.WHOLE and most.requests - before.requests > SERVES * answered
        for line, beside in run:
            yield dataclasses.replace(line, baseline=beside) if serves and beside.requests > before.requests else line
        before = most
