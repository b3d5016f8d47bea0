"""Many questions as few: equal ones are asked once, and those of one preset together, as far as the text allows.

    requests{cluster=~"(a_80|b_80)"}[22s] ─┐
    requests{cluster=~"(c_80|d_80)"}[27s] ─┴─> requests{cluster=~"(a_80|b_80)|(c_80|d_80)"}[30s] ──> a series goes to
                                                                                 whose pattern its label matches
A regular expression for namespaces right before that one is joined with it, and the series are told apart by both labels. What
users of one namespace have worded alike is joined by the matchers that name the model or its version, and by nothing else of
theirs:

    feedback{revision="a-1"}[40s] ─┬─> feedback{revision=~"a-1|b-7"}[40s]
    feedback{revision="b-7"}[40s] ─┘

A longer window than was asked for changes no evidence: each sample is consumed once.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from sluice_judge.model import Answer, Answered, Question, Series

MOST: Final = 50
"""The most questions in one."""
MOST_SAMPLES: Final = 2000
"""Samples of each series, times the questions in one: an answer of two hours is as large as one for many looks."""
MOST_CHARACTERS: Final = 6000
"""Characters in one selector, which is part of an address: many proxies refuse more than 8 KB."""
SAMPLE_SECONDS: Final = 5
"""A usual scrape interval, to estimate how many samples a window has."""
WINDOWS: Final = (40, 160, 640)
"""Seconds; windows in between are rounded up, so that more questions are equal, and longer ones to whole minutes. The
shortest is that of a look at every scrape."""
SHORTEST_SECONDS: Final = 30
"""An answer that is too large is not asked for over less."""
_MATCHER: Final = re.compile(r'(?P<label>[a-zA-Z_][a-zA-Z0-9_]*)(?P<operator>=~|!~|!=|=)"(?P<value>(?:[^"\\]|\\.)*)"')
_EXACTLY: Final = '="'
_LITERAL: Final = re.compile(r"[a-zA-Z0-9_/:-]*")
"""A pattern that matches itself alone."""
_OF_MODEL: Final = re.compile(r"(?:-[a-zA-Z0-9_/:-]*(?:\.[*+])?)?")
"""What may follow a model's name in a value that names its version: itself, or the beginning of pods' names. No other pattern of
a user is ever matched here."""
_Share: TypeAlias = tuple[list[Series], list[Mapping[str, str]]]
"""One question's share of an answer: series that can be read, and the labels of others."""


@dataclass(frozen=True, slots=True)
class Joined:
    """One question in place of several."""

    question: Question
    parts: tuple[Question, ...]
    """Those that it stands for, as `plain` has made them."""
    labels: tuple[str, ...] = ()
    """The label whose values tell the parts apart; empty where there is only one."""


def plain(question: Question, *, seconds_ago: float = 0.0, model: str = "") -> Question:
    """The question without what does not change its answer, so that equal ones are equal.

    seconds_ago: how long ago it was worded; the window then reaches as far back as it did. model: who asks; by its name
    what a user has worded is joined with others'.
    """
    # Windows are whole seconds: another look at the same state may reach back up to a second further.
    window = question.window_seconds + seconds_ago + 1
    rounded = next((each for each in WINDOWS if window <= each), 60 * math.ceil(window / 60))
    told_by = () if question.preset or not model else _told_by(question.selector, model)
    return replace(question, key="", window_seconds=rounded, told_by=told_by)


def _told_by(selector: str, model: str) -> tuple[str, ...]:
    """The labels that name the model, or its version, in what a user has worded; none where one of them does it twice."""
    found = list(_MATCHER.finditer(selector))
    labels = [
        each["label"]
        for each in found
        if each["operator"] in ("=", "=~")
        and each["value"].startswith(model)
        and _OF_MODEL.fullmatch(each["value"], len(model))
        and (each["operator"] == "=~" or _LITERAL.fullmatch(each["value"]))
    ]
    every = Counter(each["label"] for each in found)
    return tuple(labels) if all(every[label] == 1 for label in labels) else ()


def samples(question: Question) -> int:
    """About how many samples of each series are in the answer."""
    return max(1, question.window_seconds // (question.step_seconds or SAMPLE_SECONDS))


def joined(questions: Iterable[Question], *, most: int = MOST) -> tuple[Joined, ...]:
    """All of these questions, which `plain` has made, in as few as possible. most: in one."""
    groups: defaultdict[tuple[object, ...], list[Question]] = defaultdict(list)
    for question in dict.fromkeys(questions):
        groups[_group(question)].append(question)
    return tuple(
        _as_one(group[begin : begin + size])
        for group in groups.values()
        for size in [_size(group, most)]
        for begin in range(0, len(group), size)
    )


def halves(whole: Joined) -> tuple[Joined, ...]:
    """The same in two questions; only where it has several parts."""
    middle = len(whole.parts) // 2
    return _as_one(whole.parts[:middle]), _as_one(whole.parts[middle:])


def shorter(whole: Joined) -> Joined | None:
    """The same over a quarter of its window, which has the newest samples; None where that is as short as it may be.

    What is left out is history, which then says less, or evidence that is given up.
    """
    window = whole.question.window_seconds // 4
    return (
        None if window < SHORTEST_SECONDS else replace(whole, question=replace(whole.question, window_seconds=window))
    )


def labels_of(question: Question) -> tuple[str, ...]:
    """The labels whose values tell its series from those of others that are asked for together with it; empty: it is asked
    alone."""
    return tuple(matcher["label"] for matcher in _matchers(question))


def parted(whole: Joined, answer: Answer) -> Mapping[Question, Answer]:
    """The answer to each of the parts."""
    if len(whole.parts) == 1 or not isinstance(answer, Answered):
        return dict.fromkeys(whole.parts, answer)
    plain_parts: defaultdict[tuple[str, ...], list[Question]] = defaultdict(list)
    patterns: dict[Question, list[re.Pattern[str]]] = {}
    for part in whole.parts:
        values = _values(part)
        if all(map(_LITERAL.fullmatch, values)):
            plain_parts[values].append(part)
        else:
            patterns[part] = list(map(re.compile, values))
    shares: dict[Question, _Share] = {part: ([], []) for part in whole.parts}
    known: dict[tuple[str, ...], list[_Share]] = {}

    def owners(labels: Mapping[str, str]) -> list[_Share]:
        values = tuple([labels.get(label, "") for label in whole.labels])
        if values not in known:
            matching = (part for part, wanted in patterns.items() if _all_match(wanted, values))
            known[values] = [shares[part] for part in (*plain_parts.get(values, ()), *matching)]
        return known[values]

    for series in answer.series:
        for readable, _ in owners(series.labels):
            readable.append(series)
    for labels in answer.unreadable:
        for _, unreadable in owners(labels):
            unreadable.append(labels)
    return {part: Answered(tuple(readable), tuple(unreadable)) for part, (readable, unreadable) in shares.items()}


def _all_match(patterns: Sequence[re.Pattern[str]], values: Sequence[str]) -> bool:
    return all(pattern.fullmatch(value) for pattern, value in zip(patterns, values, strict=True))


def _group(question: Question) -> tuple[object, ...]:
    """Questions with the same one differ in nothing but the values of the labels that join them."""
    without = _around(question)
    if len(without) == 1:
        return (question,)
    return (*without, replace(question, selector=""))


def _matchers(question: Question) -> tuple[re.Match[str], ...]:
    """The last regular expression in it, and one for namespaces right before it; of a user's, what it is told by; none where
    it is asked alone."""
    found = _MATCHER.finditer(question.selector)
    if not question.preset:
        return tuple(each for each in found if each["label"] in question.told_by)
    patterns = tuple(each for each in found if each["operator"] == "=~")
    before = (each for each in patterns[-2:-1] if question.selector[each.end() : patterns[-1].start()] == ",")
    return *(each for each in before if each["label"].endswith("namespace")), *patterns[-1:]


def _values(question: Question) -> tuple[str, ...]:
    return tuple(matcher["value"] for matcher in _matchers(question))


def _around(question: Question) -> tuple[str, ...]:
    """The selector without the values that join it, in pieces; in one piece where it is asked alone."""
    pieces, end = [], 0
    for matcher in _matchers(question):
        pieces.append(question.selector[end : matcher.start("value")])
        end = matcher.end("value")
    return *pieces, question.selector[end:]


def _size(group: Sequence[Question], most: int) -> int:
    """How many of a group are asked in one."""
    longest = max(sum(map(len, _values(question))) for question in group)
    around = sum(map(len, _around(group[0])))
    joiners = max(1, len(_matchers(group[0])))
    return max(1, min(most, MOST_SAMPLES // samples(group[0]), (MOST_CHARACTERS - around) // (longest + joiners)))


def _as_one(parts: Sequence[Question]) -> Joined:
    first = parts[0]
    labels = labels_of(first)
    if len(parts) == 1 or not labels:
        return Joined(first, tuple(parts))
    before, *pieces = map(_of_several, _around(first))
    every = zip(*map(_values, parts), strict=True)
    values = ("|".join(dict.fromkeys(values)) for values in every)
    selector = before + "".join(f"{value}{piece}" for value, piece in zip(values, pieces, strict=True))
    return Joined(replace(first, selector=selector), tuple(parts), labels)


def _of_several(piece: str) -> str:
    """What stands before a value, or behind all of them."""
    return f'{piece.removesuffix(_EXACTLY)}=~"' if piece.endswith(_EXACTLY) else piece
