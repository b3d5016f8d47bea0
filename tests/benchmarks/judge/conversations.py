"""Conversations with a language model whose pods keep prefixes: the computation depends on which pod answered before.

    turn 1 ── think ── turn 2 ── think ── turn 3 …    each prompt repeats all that was said
                 a pod that answered an earlier turn computes only what is new

A conversation has one to eight turns (uniform), with pauses of 20 s (exponential), unless told otherwise. A turn adds a lognormal number of
tokens (median 100, sigma 0.8) and an answer of 100; all begin with the same 200. Each request goes to a version by its
share and to one of its pods at random. A pod's cache holds its latest conversations, up to a limit of tokens.
"""

import heapq
import itertools
import math
from collections import OrderedDict
from typing import Final, NamedTuple

import numpy as np

SYSTEM_TOKENS: Final = 200
ANSWER_TOKENS: Final = 100
TURN_TOKENS: Final = 100.0
CACHE_TOKENS: Final = 200_000


class Habit(NamedTuple):
    """How people talk."""

    most_turns: int = 8
    pause_seconds: float = 20.0


SHORT: Final = Habit()


class Asked(NamedTuple):
    """One request, and the pod and arm that answer it."""

    arm: str
    pod: int
    prompt: int
    """Tokens."""
    computed: int
    """Tokens of the prompt that the pod did not have."""


class _Turn(NamedTuple):
    due: float
    conversation: int
    left: int
    said: int
    """Tokens that the next prompt repeats."""


class _Cache:
    """The prefixes of one pod, the least recently used first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, int] = OrderedDict()
        self._tokens = 0

    def reuse(self, conversation: int, prompt: int) -> int:
        """How many tokens of the prompt it has; afterwards it has all of them, and the answer."""
        common = SYSTEM_TOKENS if self._kept else 0
        had = self._kept.pop(conversation, 0)
        kept = prompt + ANSWER_TOKENS
        self._kept[conversation] = kept
        self._tokens += kept - had
        while self._tokens > CACHE_TOKENS:
            self._tokens -= self._kept.popitem(last=False)[1]
        return min(prompt, max(common, had))


class Conversations:
    """All conversations with both versions."""

    def __init__(
        self, generator: np.random.Generator, *, habit: Habit, requests_per_second: float, pods: dict[str, int]
    ) -> None:
        self._generator, self._habit = generator, habit
        self._rate = requests_per_second / ((1 + habit.most_turns) / 2)
        self._names = itertools.count()
        self._due: list[_Turn] = []
        self._caches = {arm: [_Cache() for _ in range(many)] for arm, many in pods.items()}

    def second(self, time: int, share: float) -> list[Asked]:
        """The requests of one second. share: of the candidate, 0..1."""
        for _ in range(int(self._generator.poisson(self._rate))):
            turns = int(self._generator.integers(1, self._habit.most_turns + 1))
            heapq.heappush(self._due, _Turn(time, next(self._names), turns, SYSTEM_TOKENS))
        found = []
        while self._due and self._due[0].due < time + 1:
            found.append(self._ask(heapq.heappop(self._due), share))
        return found

    def _ask(self, turn: _Turn, share: float) -> Asked:
        arm = "C" if self._generator.random() < share else "S"
        pod = int(self._generator.integers(len(self._caches[arm])))
        prompt = turn.said + int(self._generator.lognormal(math.log(TURN_TOKENS), 0.8))
        reused = self._caches[arm][pod].reuse(turn.conversation, prompt)
        if turn.left > 1:
            due = turn.due + self._generator.exponential(self._habit.pause_seconds)
            heapq.heappush(self._due, _Turn(due, turn.conversation, turn.left - 1, prompt + ANSWER_TOKENS))
        return Asked(arm, pod, prompt, prompt - reused)
