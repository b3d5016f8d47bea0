"""Joins questions: equal ones are asked once, and those of one preset together, as far as the text allows.

    requests{cluster=~"(a_80|b_80)"}[22s] ─┐
    requests{cluster=~"(c_80|d_80)"}[27s] ─┴─> requests{cluster=~"(a_80|b_80)|(c_80|d_80)"}[30s] ──> a series goes to
                                                                                 whose pattern its label matches
A regular expression for namespaces right before that one is joined with it, and both labels separate the series. Users'
questions of one namespace with the same wording are joined only by the matchers that name the model or its version:

    feedback{revision="a-1"}[40s] ─┬─> feedback{revision=~"a-1|b-7"}[40s]
    feedback{revision="b-7"}[40s] ─┘

A longer window than requested does not change evidence: each sample is consumed once.
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
"""Samples of each series, times the questions in one: an answer for two hours is as large as one for many looks."""
MOST_CHARACTERS: Final = 6000
"""Characters in one selector, which is part of a URL: many proxies refuse more than 8 KB."""
SAMPLE_SECONDS: Final = 5
"""A usual scrape interval, to estimate the samples in a window."""
WINDOWS: Final = (40, 160, 640)
"""Seconds; windows in between are rounded up, so that more questions are equal, and longer ones to whole minutes. The
shortest is that of a look at every scrape."""
SHORTEST_SECONDS: Final = 30
"""An answer that is too large is not requested for a shorter window than this."""
_MATCHER: Final = re.compile(r'(?P<label>[a-zA-Z_][a-zA-Z0-9_]*)(?P<operator>=~|!~|!=|=)"(?P<value>(?:[^"\\]|\\.)*)"')
_EXACTLY: Final = '="'
_LITERAL: Final = re.compile(r"[a-zA-Z0-9_/:-]*")
"""A pattern that only matches itself."""
_OF_MODEL: Final = re.compile(r"(?:-[a-zA-Z0-9_/:-]*(?:\.[*+])?)?")
"""What may follow a model's name in a value that names its version: itself, or the beginning of pods' names. No other
pattern of a user is ever matched here."""
_Share: TypeAlias = tuple[list[Series], list[Mapping[str, str]]]
"""One question's share of an answer: readable series, and the labels of others."""


@dataclass(frozen=True, slots=True)
class Joined:
    """One question in place of several."""

    question: Question
    parts: tuple[Question, ...]
    """The questions that it replaces, as returned by `plain`."""
    labels: tuple[str, ...] = ()
    """The labels whose values separate the parts; empty if there is only one part."""


def plain(question: Question, *, seconds_ago: float = 0.0, model: str = "") -> Question:
    """The question in a normal form, so that those with the same answer are equal.

    seconds_ago: its age; the window then reaches as far back as it did. model: its model; users' questions are joined
    by this name.
    """
    # Windows are whole seconds: another look at the same state may reach back up to a second further.
    window = question.window_seconds + seconds_ago + 1
    rounded = next((each for each in WINDOWS if window <= each), 60 * math.ceil(window / 60))
    told_by = () if question.preset or not model else _joining_labels(question.selector, model)
    return replace(question, key="", window_seconds=rounded, told_by=told_by)


def _joining_labels(selector: str, model: str) -> tuple[str, ...]:
    """The labels that name the model, or its version, in a user's question; none if one of them does so twice."""
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
    """The approximate number of samples of each series in the answer."""
    return max(1, question.window_seconds // (question.step_seconds or SAMPLE_SECONDS))


def joined(questions: Iterable[Question], *, most: int = MOST) -> tuple[Joined, ...]:
    """All of these questions, normalised by `plain`, in as few as possible. most: in one."""
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
    """The same in two questions; only if it has several parts."""
    middle = len(whole.parts) // 2
    return _as_one(whole.parts[:middle]), _as_one(whole.parts[middle:])


def shorter(whole: Joined) -> Joined | None:
    """The same over a quarter of its window, with the newest samples; None if that would be too short.

    This leaves out history, which then says less, or evidence, which is lost.
    """
    window = whole.question.window_seconds // 4
    return (
        None if window < SHORTEST_SECONDS else replace(whole, question=replace(whole.question, window_seconds=window))
    )


def labels_of(question: Question) -> tuple[str, ...]:
    """The labels whose values separate its series from those of questions joined with it; empty: it is asked alone."""
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
    """Questions of the same group differ only by the values of the labels that join them."""
    without = _around(question)
    if len(without) == 1:
        return (question,)
    return (*without, replace(question, selector=""))


def _matchers(question: Question) -> tuple[re.Match[str], ...]:
    """The last regular expression in it, and one for namespaces right before it; for a user's, its `told_by` matchers;
    none if it is asked alone."""
    found = _MATCHER.finditer(question.selector)
    if not question.preset:
        return tuple(each for each in found if each["label"] in question.told_by)
    patterns = tuple(each for each in found if each["operator"] == "=~")
    before = (each for each in patterns[-2:-1] if question.selector[each.end() : patterns[-1].start()] == ",")
    return *(each for each in before if each["label"].endswith("namespace")), *patterns[-1:]


def _values(question: Question) -> tuple[str, ...]:
    return tuple(matcher["value"] for matcher in _matchers(question))


def _around(question: Question) -> tuple[str, ...]:
    """The selector without the values that join it, in pieces; in one piece if it is asked alone."""
    pieces, end = [], 0
    for matcher in _matchers(question):
        pieces.append(question.selector[end : matcher.start("value")])
        end = matcher.end("value")
    return *pieces, question.selector[end:]


def _size(group: Sequence[Question], most: int) -> int:
    """How many questions of a group are joined in one."""
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
    """The text before a value, or behind all of them."""
    return f'{piece.removesuffix(_EXACTLY)}=~"' if piece.endswith(_EXACTLY) else piece
