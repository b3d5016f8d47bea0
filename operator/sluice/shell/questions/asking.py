"""Asks Prometheus on behalf of all reconciles together; none waits for the answer.

reconcile ──look──> nothing yet: it ends ────────────┐ some 50 ms, or until a slot is free
reconcile ──look──> nothing yet: it ends ────────────┤
reconcile ──look──> pending: what needs no answer    │
                    is decided                       ├──> presets' questions, as few ──────────> Prometheus ──┐
                                                     └──> users' questions, by namespace ──────> … ───────────┤
reconcile <──look── the answers, once <── a reconcile is due again, in its old place <── all are there ───────┘
time passes ──again──> the same questions, without a reconcile

The users' questions of a namespace take a few of the slots at most, and delay no other namespace. Those with the same
wording become one question; if it fails while Prometheus answers others, each part is asked separately, and a part that
fails then is asked alone for a while. A question's time begins when it is sent.

Unread answers take memory: while it is much, nothing more is sent, and users' answers of one namespace are kept only as
far as they leave room for others.
"""

import asyncio
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from sluice.shell.cache.keys import Key
from sluice.shell.cache.shares import Shares
from sluice.shell.order.line import FairLine
from sluice.shell.order.slots import Slots
from sluice.shell.questions.joining import Joiner
from sluice_core.ports import Clock, Metrics
from sluice_judge.model import Answer, Answered, Answers, Failed, Question
from sluice_judge.samples import joined
from sluice_judge.samples.joined import Joined

LOG: Final = logging.getLogger(__name__)

COLLECT_SECONDS: Final = 0.05
PRESETS_AT_ONCE: Final = 8
"""How many preset questions are in flight to Prometheus at most."""
USERS_AT_ONCE: Final = 24
"""How many of users' own questions are in flight at most."""
NAMESPACE_AT_ONCE: Final = 4
"""How many of users' own questions are in flight for one namespace at most."""
MOST_LOOKS: Final = joined.MOST
"""How many looks have their questions sent together."""
UNREAD_BYTES: Final = 24 * 2**20
"""Beyond this many bytes of unread answers, nothing more is sent."""
KEPT_BYTES: Final = 2 * UNREAD_BYTES
"""How many bytes of unread answers are kept; beyond them, users' answers of the namespace that holds most are
evicted."""
AGAIN_SECONDS: Final = 240
"""Windows up to this length are asked for again without a reconcile; longer ones cover the past, which is asked for
once."""
ALONE_SECONDS: Final = 600.0
"""How long a user's query that failed among others is asked alone."""
ANSWERED_SECONDS: Final = 10.0
"""Prometheus counts as up if it has answered anything within this time."""
FORGOTTEN_SECONDS: Final = 30.0
"""Answers unread after this time are dropped: no reconcile wants them any more."""
SERIES_BYTES: Final = 600
SAMPLE_BYTES: Final = 112
_REFUSED: Final = (
    "the answers to queries of this namespace take too much memory; narrow the selectors, or use fewer objectives"
)


@dataclass(frozen=True, slots=True)
class Look:
    """The answers that a reconcile reads."""

    answers: Answers
    moment: float | None = None
    """When they were asked for, seconds since the epoch; None where nothing was."""
    pending: bool = False
    """Whether they are still in flight: nothing is answered yet, and the key is going to be woken."""


class Asker(Protocol):
    """Gets the questions of reconciles answered."""

    def look(self, key: Key, questions: Sequence[Question]) -> Look | None:
        """The answers, once per request; None where the request was made just now, and `pending` until the answers are
        there, which wakes the key.

        Without questions the look is empty, and the key's request is forgotten.
        """
        ...

    def again(self, key: Key) -> bool:
        """Repeats the key's last answered questions up to now; whether it did. The answers wake the key.

        If the key wants something else by then, `look` asks for that.
        """
        ...


@dataclass(slots=True)
class PendingLook:
    """The questions of one key."""

    key: Key
    questions: tuple[Question, ...]
    at: float
    """When its reconcile asked, seconds since the epoch."""
    since: float
    """The same on the monotonic clock."""
    moment: float = 0.0
    """The time of the answers; 0 until they are requested."""
    answers: dict[str, Answer] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    """The approximate size of each answer in bytes."""

    @property
    def is_answered(self) -> bool:
        return len(self.answers) == len(self.questions)

    @property
    def samples(self) -> int:
        """The approximate size of its answers: the longest of them, in samples of each series."""
        return max(map(joined.samples, self.questions))

    def covers(self, questions: Sequence[Question], now: float) -> bool:
        """Whether these questions, asked now, add nothing."""
        return covers(self.questions, self.at, questions, now)


def covers(asked: Sequence[Question], at: float, questions: Sequence[Question], now: float) -> bool:
    """Whether what was asked at a moment answers all of these questions now."""
    begins = {_identity(question): at - question.window_seconds for question in asked}
    # Windows are whole seconds, and reach back to the same sample.
    return all(begins.get(_identity(question), now) <= now - question.window_seconds + 1 for question in questions)


class Asking:
    """Implements `Asker`."""

    def __init__(self, metrics: Metrics, *, wake: Callable[[Key, float], None], clock: Clock) -> None:
        """wake: has a key reconciled again that has waited for this many seconds."""
        self._metrics = metrics
        self._wake = wake
        self._clock = clock
        self._asked: dict[Key, PendingLook] = {}
        self._read_last: dict[Key, tuple[tuple[Question, ...], float]] = {}
        """The questions last read by a reconcile and their time; only of keys with questions."""
        self._unsent: FairLine[Key] = FairLine()
        """Keys with questions not sent yet; the namespaces take turns."""
        self._presets = asyncio.Semaphore(PRESETS_AT_ONCE)
        self._users = Slots(USERS_AT_ONCE, NAMESPACE_AT_ONCE)
        self._joiner = Joiner(most=MOST_LOOKS, alone_seconds=ALONE_SECONDS)
        """On the monotonic clock."""
        self._answered = -math.inf
        """When Prometheus last answered, likewise."""
        self._unread: Shares[tuple[Key, str]] = Shares(KEPT_BYTES)
        """Bytes of unread answers."""
        self._read = asyncio.Event()
        """Set when a reconcile has read some."""
        self._sender: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def look(self, key: Key, questions: Sequence[Question]) -> Look | None:
        if not questions:
            self._forget(key)
            self._read_last.pop(key, None)
            return Look({})
        now = self._clock.now()
        asked = self._asked.get(key)
        if asked is not None and not asked.is_answered:
            return Look({}, pending=True)
        if asked is not None:
            self._forget(key)
            if asked.covers(questions, now):
                self._read_last[key] = tuple(questions), now
                return Look(asked.answers, asked.moment)
        self._ask(PendingLook(key, tuple(questions), now, self._clock.monotonic()))
        return None

    def again(self, key: Key) -> bool:
        if key in self._asked or key not in self._read_last:
            return False
        questions, at = self._read_last[key]
        now = self._clock.now()
        longer = math.ceil(now - at)
        windows = [question.window_seconds + longer for question in questions]
        if longer < 0 or max(windows) > AGAIN_SECONDS:
            return False
        asked = tuple(replace(each, window_seconds=window) for each, window in zip(questions, windows, strict=True))
        self._ask(PendingLook(key, asked, now, self._clock.monotonic()))
        return True

    def waiting(self) -> int:
        """Keys whose questions are not answered yet."""
        return sum(not asked.is_answered for asked in self._asked.values())

    def oldest_seconds(self) -> float:
        """How long the first of them has waited."""
        now = self._clock.monotonic()
        return max((now - asked.since for asked in self._asked.values() if not asked.is_answered), default=0.0)

    async def close(self) -> None:
        """Asks nothing more, and waits for no answer."""
        tasks = {*self._tasks, *([self._sender] if self._sender is not None else [])}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, key: Key) -> None:
        self._unsent.remove(key)
        asked = self._asked.pop(key, None)
        if asked is not None:
            for question, size in asked.sizes.items():
                self._unread.remove(key.namespace, (key, question), size)
            self._read.set()

    def _ask(self, asked: PendingLook) -> None:
        self._asked[asked.key] = asked
        self._unsent.put(asked.key, share=asked.key.namespace, since=asked.since)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_all(), name="questions to Prometheus")

    async def _send_all(self) -> None:
        """Sends until nothing waits. Questions that arrive while every slot is taken are sent together with the
        next."""
        while self._unsent:
            await asyncio.sleep(COLLECT_SECONDS)
            async with self._presets:
                pass
            await self._until_read()
            self._send(list(self._next()))

    async def _until_read(self) -> None:
        """Waits while too much is unread."""
        while self._unread.total > UNREAD_BYTES:
            self._read.clear()
            try:
                async with asyncio.timeout(FORGOTTEN_SECONDS):
                    await self._read.wait()
            except TimeoutError:
                for key in [asked.key for asked in self._asked.values() if asked.is_answered]:
                    self._forget(key)

    def _next(self) -> Iterator[PendingLook]:
        """The next looks, from each namespace in turn; fewer where their answers are large."""
        samples = 0
        for _ in range(MOST_LOOKS):
            if samples > joined.MOST_SAMPLES or (taken := self._unsent.pop()) is None:
                return
            asked = self._asked[taken[0]]
            samples += asked.samples
            yield asked

    def _send(self, looks: Sequence[PendingLook]) -> None:
        """Sends all questions of these looks, at the current time."""
        moment = self._clock.now()
        wanted: defaultdict[Question, list[tuple[PendingLook, str]]] = defaultdict(list)
        for asked in looks:
            asked.moment = moment
            for question in asked.questions:
                ago = max(0.0, moment - asked.at)
                plain = joined.plain(question, seconds_ago=ago, model=asked.key.name)
                # A user's question is answered in the share of its namespace.
                wanted[plain if plain.preset else replace(plain, key=asked.key.namespace)].append((asked, question.key))
        for whole in self._joiner.joined(wanted, self._clock.monotonic()):
            self._start(self._answer(whole, wanted, moment))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(
        self, whole: Joined, wanted: Mapping[Question, Sequence[tuple[PendingLook, str]]], moment: float
    ) -> None:
        answer = await self._in_turn(whole.question, moment)
        if others := self._instead(whole, answer):
            for each in others:
                self._start(self._answer(each, wanted, moment))
            return
        for question, part in _parted(whole, answer).items():
            for asked, key in wanted[question]:
                if self._asked.get(asked.key) is asked:  # otherwise no reconcile wants it any more
                    self._keep(asked, key, part, preset=question.preset)

    def _instead(self, whole: Joined, answer: Answer) -> Sequence[Joined]:
        """The questions that replace a failed one, if that may help."""
        question, now = whole.question, self._clock.monotonic()
        is_there = now - self._answered < ANSWERED_SECONDS
        if not isinstance(answer, Failed):
            self._answered = now
            self._joiner.bears(question.key, self._joiner.most(question.key) + 1)
        elif len(whole.parts) > 1:
            self._joiner.bears(question.key, self._joiner.most(question.key) // 2)
            if not question.preset and (is_there or answer.refused):
                return [Joined(part, (part,)) for part in whole.parts]
            if answer.refused:  # perhaps because of one of them, or because it is too large
                return joined.halves(whole)
        elif answer.too_large and (shorter := joined.shorter(whole)) is not None:
            return (shorter,)
        elif not question.preset and is_there:
            self._joiner.leave_alone(question, now)
        return ()

    def _keep(self, asked: PendingLook, key: str, answer: Answer, *, preset: bool) -> None:
        """Keeps an answer until a reconcile reads it. The last one wakes the key."""
        newest, size = (asked.key, key), _size(answer)
        asked.answers[key], asked.sizes[key] = answer, size
        self._unread.add(asked.key.namespace, newest, size, gives=not preset)
        for whose, given in self._unread.givers(newest, asked.key.namespace):
            giver = self._asked[whose]
            self._unread.remove(whose.namespace, (whose, given), giver.sizes.pop(given))
            giver.answers[given] = Failed(_REFUSED, refused=True)
        if asked.is_answered:
            self._wake(asked.key, self._clock.monotonic() - asked.since)

    async def _in_turn(self, question: Question, moment: float) -> Answer:
        async with self._presets if question.preset else self._users.slot(question.key):
            try:
                answers = await self._metrics.answer((question,), moment)
                return answers[question.key]
            except Exception as error:  # a defect must not hold back others' answers
                LOG.exception("unexpected error in a question to Prometheus")
                return Failed(f"{question.selector}: {type(error).__name__}: {error}")


def _parted(whole: Joined, answer: Answer) -> Mapping[Question, Answer]:
    """The answer to each part; a defect in splitting it becomes each part's failure."""
    try:
        return joined.parted(whole, answer)
    except Exception as error:
        LOG.exception("unexpected error in an answer of Prometheus")
        return dict.fromkeys(whole.parts, Failed(f"{type(error).__name__}: {error}"))


def _size(answer: Answer) -> int:
    """The approximate size of an answer in memory, in bytes."""
    if not isinstance(answer, Answered):
        return 0
    return sum(SERIES_BYTES + SAMPLE_BYTES * len(series.points) for series in answer.series)


def _identity(question: Question) -> tuple[object, ...]:
    return question.key, question.selector, question.step_seconds
