"""Joins questions to Prometheus: as many as it has coped with lately, without those that failed among others."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from sluice_judge.model import Question
from sluice_judge.samples import joined
from sluice_judge.samples.joined import Joined

MOST_ALONE: Final = 1000
"""The most questions that are asked alone at the same time."""


class Joiner:
    """Learns for each share separately: a question's key, "" for presets."""

    def __init__(self, *, most: int, alone_seconds: float) -> None:
        """most: parts of a joined question, at first and at most. alone_seconds: how long a question that failed is
        asked alone."""
        self._limit = most
        self._alone_seconds = alone_seconds
        self._most: dict[str, int] = {}
        """By share, where it is less than the limit."""
        self._alone: dict[tuple[str, str], float] = {}
        """Until when a share's selectors are asked alone."""

    def joined(self, questions: Iterable[Question], now: float) -> Iterator[Joined]:
        """As few joined questions as Prometheus copes with. now: in seconds, of the caller's clock."""
        self._alone = {each: until for each, until in self._alone.items() if until > now}
        shares: defaultdict[str, list[Question]] = defaultdict(list)
        for question in questions:
            if self.is_alone(question):
                yield Joined(question, (question,))
            else:
                shares[question.key].append(question)
        for share, together in shares.items():
            yield from joined.joined(together, most=self.most(share))

    def most(self, share: str) -> int:
        """How many questions one query holds."""
        return self._most.get(share, self._limit)

    def bears(self, share: str, most: int) -> None:
        """Notes how many questions Prometheus copes with."""
        if most < self._limit:
            self._most[share] = max(1, most)
        else:
            self._most.pop(share, None)

    def is_alone(self, question: Question) -> bool:
        return (question.key, question.selector) in self._alone

    def leave_alone(self, question: Question, now: float) -> None:
        """Notes that the question failed while others were answered."""
        if len(self._alone) < MOST_ALONE or self.is_alone(question):
            self._alone[question.key, question.selector] = now + self._alone_seconds
