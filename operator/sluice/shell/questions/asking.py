"""Asks Prometheus for the reconciles of all models together; no reconcile waits for it.

reconcile ──look──> nothing yet: it ends ────────────┐ some 50 ms, or until a slot is free
reconcile ──look──> nothing yet: it ends ────────────┤
reconcile ──look──> pending: what needs no answer    │
                    is decided                       ├──> presets' questions, as few ──────────> Prometheus ──┐
                                                     └──> users' questions, by namespace ──────> … ───────────┤
reconcile <──look── the answers, once <── a reconcile is due again, in its old place <── all are there ───────┘
time passes ──again──> the same questions, without a reconcile

What a namespace's users ask for takes a few of the slots at most, and waits for them at no other's expense. Where they have
worded it alike it is one question; if that fails while Prometheus answers others, each is asked by itself, and who fails
then is asked alone for a while. A question's time begins when it is sent.

Answers that no reconcile has read yet take memory: while it is much, nothing more is sent, and of one namespace's users only
as much is kept as leaves room for others.
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
"""How many questions of presets Prometheus is asked at the same time."""
USERS_AT_ONCE: Final = 24
"""The same for users' own questions."""
NAMESPACE_AT_ONCE: Final = 4
"""How many of users' own questions are asked at the same time for one namespace."""
MOST_LOOKS: Final = joined.MOST
"""How many looks have their questions sent together."""
UNREAD_BYTES: Final = 24 * 2**20
"""While answers of so many bytes wait for their reconciles, nothing more is sent."""
KEPT_BYTES: Final = 2 * UNREAD_BYTES
"""How many bytes of unread answers are kept; beyond them, the namespace that holds most gives answers to its users' questions."""
AGAIN_SECONDS: Final = 240
"""Windows up to this length are asked for again without a reconcile: longer ones are of the past, which is asked for once."""
ALONE_SECONDS: Final = 600.0
"""How long a user's query that failed among others is asked alone."""
ANSWERED_SECONDS: Final = 10.0
"""Whoever has answered something within this time is there."""
FORGOTTEN_SECONDS: Final = 30.0
"""Answers that no reconcile has read after this time are not waited for: nobody wants to know any more."""
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
    """Whether they are still on their way: nothing is answered yet, and the key is going to be woken."""


class Asker(Protocol):
    """Has the questions of reconciles answered."""

    def look(self, key: Key, questions: Sequence[Question]) -> Look | None:
        """The answers, once for each time that they were asked for; None where that has just been done, and `pending`
        until they are there, which wakes the key.

        Without questions the look is empty, and what the key has asked for is forgotten.
        """
        ...

    def again(self, key: Key) -> bool:
        """Asks what the last answers of the key were for, up to now; whether it did. The answers wake the key.

        If something else is wanted by then, `look` asks for that.
        """
        ...


@dataclass(slots=True)
class PendingLook:
    """What one key wants to know."""

    key: Key
    questions: tuple[Question, ...]
    at: float
    """When its pass asked, seconds since the epoch."""
    since: float
    """The same on the monotonic clock."""
    moment: float = 0.0
    """The time of the answers; 0 until they are asked for."""
    answers: dict[str, Answer] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    """The approximate size of each answer in bytes."""

    @property
    def is_answered(self) -> bool:
        return len(self.answers) == len(self.questions)

    @property
    def samples(self) -> int:
        """About how large its answers are: the longest of them, in samples of each series."""
        return max(map(joined.samples, self.questions))

    def covers(self, questions: Sequence[Question], now: float) -> bool:
        """Whether these questions, asked now, want nothing else."""
        return covers(self.questions, self.at, questions, now)


def covers(asked: Sequence[Question], at: float, questions: Sequence[Question], now: float) -> bool:
    """Whether what was asked at a moment is all that these questions want to know now."""
    begins = {_identity(question): at - question.window_seconds for question in asked}
    # Windows are whole seconds, and reach back to the same sample.
    return all(begins.get(_identity(question), now) <= now - question.window_seconds + 1 for question in questions)


class Asking:
    """Implements `Asker`."""

    def __init__(self, metrics: Metrics, *, wake: Callable[[Key, float], None], clock: Clock) -> None:
        """wake: has the key looked at again, which has waited for so many seconds."""
        self._metrics = metrics
        self._wake = wake
        self._clock = clock
        self._asked: dict[Key, PendingLook] = {}
        self._read_last: dict[Key, tuple[tuple[Question, ...], float]] = {}
        """What the last answers that a reconcile has read were for, and as of when; not of what asks nothing now."""
        self._unsent: FairLine[Key] = FairLine()
        """Whose questions are not sent yet; the namespaces take turns."""
        self._presets = asyncio.Semaphore(PRESETS_AT_ONCE)
        self._users = Slots(USERS_AT_ONCE, NAMESPACE_AT_ONCE)
        self._joiner = Joiner(most=MOST_LOOKS, alone_seconds=ALONE_SECONDS)
        """On the monotonic clock."""
        self._answered = -math.inf
        """When Prometheus has answered something, likewise."""
        self._unread: Shares[tuple[Key, str]] = Shares(KEPT_BYTES)
        """Bytes of answers that no reconcile has read."""
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
        """Sends until nothing waits. What comes while every slot is taken is sent together with the next."""
        while self._unsent:
            await asyncio.sleep(COLLECT_SECONDS)
            async with self._presets:
                pass
            await self._until_read()
            self._send(list(self._next()))

    async def _until_read(self) -> None:
        """Waits while much is not read yet."""
        while self._unread.total > UNREAD_BYTES:
            self._read.clear()
            try:
                async with asyncio.timeout(FORGOTTEN_SECONDS):
                    await self._read.wait()
            except TimeoutError:
                for key in [asked.key for asked in self._asked.values() if asked.is_answered]:
                    self._forget(key)

    def _next(self) -> Iterator[PendingLook]:
        """The next looks, of each namespace in turn; fewer where their answers are large."""
        samples = 0
        for _ in range(MOST_LOOKS):
            if samples > joined.MOST_SAMPLES or (taken := self._unsent.pop()) is None:
                return
            asked = self._asked[taken[0]]
            samples += asked.samples
            yield asked

    def _send(self, looks: Sequence[PendingLook]) -> None:
        """All questions of these looks, as of now."""
        moment = self._clock.now()
        wanted: defaultdict[Question, list[tuple[PendingLook, str]]] = defaultdict(list)
        for asked in looks:
            asked.moment = moment
            for question in asked.questions:
                ago = max(0.0, moment - asked.at)
                plain = joined.plain(question, seconds_ago=ago, model=asked.key.name)
                # A user's question is answered in the share of who asks it.
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
                if self._asked.get(asked.key) is asked:  # otherwise nobody wants to know any more
                    self._keep(asked, key, part, preset=question.preset)

    def _instead(self, whole: Joined, answer: Answer) -> Sequence[Joined]:
        """What is asked in place of a question that has failed, if that may help."""
        question, now = whole.question, self._clock.monotonic()
        is_there = now - self._answered < ANSWERED_SECONDS
        if not isinstance(answer, Failed):
            self._answered = now
            self._joiner.bears(question.key, self._joiner.most(question.key) + 1)
        elif len(whole.parts) > 1:
            self._joiner.bears(question.key, self._joiner.most(question.key) // 2)
            if not question.preset and (is_there or answer.refused):
                return [Joined(part, (part,)) for part in whole.parts]
            if answer.refused:  # perhaps for one of them, or for being too large
                return joined.halves(whole)
        elif answer.too_large and (shorter := joined.shorter(whole)) is not None:
            return (shorter,)
        elif not question.preset and is_there:
            self._joiner.leave_alone(question, now)
        return ()

    def _keep(self, asked: PendingLook, key: str, answer: Answer, *, preset: bool) -> None:
        """Keeps an answer until a reconcile reads it. The last answer wakes the look."""
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
            except Exception as error:  # a defect must not keep others' answers back
                LOG.exception("unexpected error in a question to Prometheus")
                return Failed(f"{question.selector}: {type(error).__name__}: {error}")


def _parted(whole: Joined, answer: Answer) -> Mapping[Question, Answer]:
    """Whatever is wrong with an answer, who waits for it is told."""
    try:
        return joined.parted(whole, answer)
    except Exception as error:
        LOG.exception("unexpected error in an answer of Prometheus")
        return dict.fromkeys(whole.parts, Failed(f"{type(error).__name__}: {error}"))


def _size(answer: Answer) -> int:
    """About how many bytes of memory it takes."""
    if not isinstance(answer, Answered):
        return 0
    return sum(SERIES_BYTES + SAMPLE_BYTES * len(series.points) for series in answer.series)


def _identity(question: Question) -> tuple[object, ...]:
    return question.key, question.selector, question.step_seconds
