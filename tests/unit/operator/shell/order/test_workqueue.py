"""The work queue: no key twice at a time, the earliest of several due times, growing pauses, and an orderly end."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.shell.order.line import STALE
from sluice.shell.order.workqueue import Done, DueTimes, Result, Retry, Why, WorkQueue, pause_seconds
from tests.unit.operator.shell.builders import eventually


def test_the_earliest_due_time_is_kept() -> None:
    schedule: DueTimes[str] = DueTimes()
    schedule.add("a", 10.0)
    schedule.add("a", 5.0)
    schedule.add("a", 7.0)
    assert schedule.next_due() == 5.0
    assert schedule.pop(4.9) is None
    assert schedule.pop(5.0) == "a"
    assert schedule.pop(100.0) is None


def test_news_that_may_wait_are_due_together() -> None:
    schedule: DueTimes[str] = DueTimes()
    schedule.add("timer", 1.0)
    for moment in (0.5, 0.7, 0.9):
        schedule.add("a", moment, Why.NEWS)
    assert schedule.pop(0.4) is None
    assert schedule.pop(1.0) == "a", "before timers, although it was due later than one"
    assert schedule.why("a") is Why.NEWS
    assert schedule.pop(1.0) == "timer"
    assert schedule.pop(100.0) is None


def test_an_intent_does_not_wait_for_more_news() -> None:
    schedule: DueTimes[str] = DueTimes()
    schedule.add("a", 0.5, Why.NEWS)
    schedule.add("a", 0.1, Why.INTENT)
    assert schedule.pop(0.1) == "a"
    assert schedule.why("a") is Why.INTENT


def test_a_key_is_not_handed_out_twice_but_comes_again_when_it_was_added_meanwhile() -> None:
    schedule: DueTimes[str] = DueTimes()
    schedule.add("a", 0.0)
    assert schedule.pop(0.0) == "a"
    schedule.add("a", 3.0)
    schedule.add("a", 1.0)
    assert schedule.pop(9.0) is None
    schedule.done("a")
    assert schedule.next_due() == 1.0


def test_due_times_that_do_not_count_any_more_leave_nothing_behind() -> None:
    schedule: DueTimes[str] = DueTimes()
    schedule.add("b", 5000.0)
    for moment in range(1000):
        schedule.add("a", 1e9)
        schedule.add("a", float(moment), Why.NEWS)
        assert schedule.pop(float(moment)) == "a"
        schedule.done("a")
    assert len(schedule._heap) <= STALE + 2
    assert schedule.next_due() == 5000.0


def test_depth_and_age_count_only_what_is_due() -> None:
    schedule: DueTimes[str] = DueTimes()
    schedule.add("due", 1.0)
    schedule.add("later", 50.0)
    assert (schedule.depth(4.0), schedule.oldest_seconds(4.0)) == (1, 3.0)
    assert schedule.pop(4.0) == "due"
    assert (schedule.depth(4.0), schedule.oldest_seconds(4.0)) == (0, 0.0)


def order(schedule: DueTimes[str], now: float) -> list[str]:
    """What is handed out, if every reconcile ends at once and adds nothing."""
    handed = []
    while (key := schedule.pop(now)) is not None:
        handed.append(key)
        schedule.done(key)
    return handed


def by_first_letter(key: str) -> str:
    """The share in these tests: a letter stands for a namespace."""
    return key[0]


def test_of_what_is_due_by_timer_the_first_is_handed_out_first() -> None:
    schedule: DueTimes[str] = DueTimes()
    for due, key in ((3.0, "c"), (1.0, "a"), (9.0, "later"), (2.0, "b")):
        schedule.add(key, due)
    assert order(schedule, 5.0) == ["a", "b", "c"]
    assert schedule.next_due() == 9.0


def test_news_overtake_timers_that_are_overdue() -> None:
    schedule: DueTimes[str] = DueTimes()
    for number in range(5):
        schedule.add(f"timer {number}", 0.0)
    schedule.add("abort", 100.0, Why.NEWS)
    assert order(schedule, 100.0)[0] == "abort"


def test_news_of_a_key_that_is_overdue_by_its_timer_overtake_too() -> None:
    """An intent on a release that waits in the queue already: the earlier due time stays, its place does not."""
    schedule: DueTimes[str] = DueTimes()
    for number in range(5):
        schedule.add(f"timer {number}", float(number))
    schedule.add("timer 4", 100.0, Why.NEWS)
    assert schedule.oldest_seconds(100.0) == 100.0
    assert order(schedule, 100.0) == ["timer 4", "timer 0", "timer 1", "timer 2", "timer 3"]


def test_a_timer_of_a_key_with_news_changes_nothing() -> None:
    schedule: DueTimes[str] = DueTimes()
    schedule.add("a", 5.0, Why.NEWS)
    schedule.add("a", 9.0)
    schedule.add("a", 7.0, Why.NEWS)
    assert order(schedule, 5.0) == ["a"]
    assert schedule.next_due() is None


def test_news_of_a_key_that_is_worked_on_are_news_afterwards() -> None:
    schedule: DueTimes[str] = DueTimes()
    schedule.add("a", 0.0)
    assert schedule.pop(0.0) == "a"
    schedule.add("b", 0.0)
    schedule.add("a", 60.0)
    schedule.add("a", 1.0, Why.NEWS)
    schedule.done("a")
    assert order(schedule, 1.0) == ["a", "b"]


def test_timers_have_their_turn_while_news_never_end() -> None:
    schedule: DueTimes[str] = DueTimes()
    schedule.add("timer", 0.0)
    for number in range(20):
        schedule.add(f"news {number}", 1.0, Why.NEWS)
    assert order(schedule, 1.0).index("timer") == 1


def test_news_of_one_share_take_no_more_than_a_share_while_others_have_timers() -> None:
    """Something happens to a busy namespace all the time, and a person aborts a release in another one."""
    schedule: DueTimes[str] = DueTimes(by_first_letter)
    for share in "bcdefghij":
        for number in range(20):
            schedule.add(f"{share}{number}", 0.0)
    for number in range(100):
        schedule.add(f"a{number}", 1.0, Why.NEWS)
    handed = []
    for turn in range(100):
        if turn == 50:
            schedule.add("j-abort", 1.0, Why.NEWS)
        key = schedule.pop(1.0)
        assert key is not None
        handed.append(key)
        schedule.done(key)
    assert sum(key.startswith("a") for key in handed) == 10
    assert "j-abort" in handed[50:52]


def test_an_intent_goes_before_a_thousand_news_of_its_own_share() -> None:
    """Everybody in a namespace changes a model, and a person aborts the release of one."""
    schedule: DueTimes[str] = DueTimes(by_first_letter)
    for number in range(1000):
        schedule.add(f"a{number}", 0.0, Why.NEWS)
        schedule.add(f"b{number}", 0.0)
    schedule.add("a500", 5.0, Why.INTENT)
    assert schedule.pop(5.0) == "a500"


def test_a_changed_spec_goes_before_a_thousand_news_of_its_own_share_and_after_an_intent() -> None:
    """Pods of a namespace come and go, and somebody asks for another version there."""
    schedule: DueTimes[str] = DueTimes(by_first_letter)
    for number in range(1000):
        schedule.add(f"a{number}", 0.0, Why.NEWS)
    schedule.add("a500", 5.0, Why.SPEC)
    schedule.add("a600", 6.0, Why.INTENT)
    assert [schedule.pop(6.0), schedule.pop(6.0), schedule.pop(6.0)] == ["a600", "a500", "a0"]


def test_intents_of_one_share_take_no_more_than_a_share_while_others_have_something_to_do() -> None:
    """A tenant writes one intent after the other."""
    schedule: DueTimes[str] = DueTimes(by_first_letter)
    for share in "bcdefghij":
        for number in range(20):
            schedule.add(f"{share}{number}", 0.0, Why.NEWS)
    handed = []
    for turn in range(100):
        schedule.add(f"a{turn}", 1.0, Why.INTENT)
        if turn == 50:
            schedule.add("j-abort", 1.0, Why.INTENT)
        key = schedule.pop(1.0)
        assert key is not None
        handed.append(key)
        schedule.done(key)
    assert sum(key.startswith("a") for key in handed) == 10
    assert "j-abort" in handed[50:52]


@pytest.mark.parametrize("why", list(Why))
def test_a_share_with_a_thousand_keys_delays_nobody(why: Why) -> None:
    schedule: DueTimes[str] = DueTimes(by_first_letter)
    for number in range(1000):
        schedule.add(f"a{number}", 0.0, why)
    for share in "bcd":
        schedule.add(f"{share}0", 1.0, why)
    handed = order(schedule, 1.0)
    assert set(handed[:5]) >= {"b0", "c0", "d0"}
    assert len(handed) == 1003


def test_shares_take_turns_also_while_they_get_more() -> None:
    """Each reconcile of the busy share is followed by another one at once."""
    schedule: DueTimes[str] = DueTimes(by_first_letter)
    for share in "ab":
        for number in range(10):
            schedule.add(f"{share}{number}", 0.0)
    handed = []
    for _ in range(20):
        key = schedule.pop(0.0)
        assert key is not None
        handed.append(key[0])
        if key[0] == "a":
            schedule.add(key, 0.0)
        schedule.done(key)
    assert handed == ["a", "b"] * 10


def test_what_something_speaks_against_does_not_wait_for_all_that_are_due_by_time() -> None:
    schedule: DueTimes[str] = DueTimes()
    for number in range(100):
        schedule.add(f"good {number}", 0.0)
        schedule.add(f"news {number}", 0.0, Why.NEWS)
    schedule.add("bad", 1.0, Why.DOUBT)
    handed = [schedule.pop(2.0) for _ in range(200)]
    assert handed.index("bad") <= 2
    assert handed.index("good 0") <= 3


def test_samples_that_have_come_are_read_before_more_are_asked_for() -> None:
    """Where each look waits for a round of all others twice, the second time its samples become as old as that takes."""
    schedule: DueTimes[str] = DueTimes()
    for number in range(100):
        schedule.add(f"m{number}", 0.0)
    handed = []
    for _ in range(100):
        key = schedule.pop(1.0)
        assert key is not None
        handed.append(key)
        schedule.done(key)
        if handed.count(key) == 1:  # it asks, and the answers come
            schedule.add(key, 0.5, Why.LOOK)
    assert [handed.index(key) - at for at, key in enumerate(handed) if at % 2] == [-1] * 50


@given(
    steps=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 20), st.sampled_from(Why), st.booleans()), max_size=60
    ),
    shared=st.booleans(),
)
def test_every_added_key_is_handed_out_after_its_last_addition(
    steps: list[tuple[str, int, Why, bool]], *, shared: bool
) -> None:
    schedule: DueTimes[str] = DueTimes(by_first_letter) if shared else DueTimes()
    running: set[str] = set()
    owed: set[str] = set()
    for key, due, why, work in steps:
        schedule.add(key, float(due) if why is Why.TIMER else 10.0, why)
        owed.add(key)
        if work and (popped := schedule.pop(10.0)) is not None:
            assert popped not in running
            running.add(popped)
            owed.discard(popped)
        elif running and not work:
            schedule.done(running.pop())
    for key in running:
        schedule.done(key)
    rest = set()
    while (popped := schedule.pop(1000.0)) is not None:
        rest.add(popped)
        schedule.done(popped)
    assert owed <= rest
    assert schedule.next_due() is None


@pytest.mark.parametrize(
    ("failures", "jitter", "want"), [(0, 0.0, 0.1), (0, 1.0, 0.2), (3, 1.0, 1.6), (50, 1.0, 30.0), (50, 0.0, 15.0)]
)
def test_pauses_grow_to_a_limit(failures: int, jitter: float, want: float) -> None:
    assert pause_seconds(failures, 30.0, jitter) == pytest.approx(want)


class Recorder:
    """Handles keys, and remembers how many were handled at the same time."""

    def __init__(self, result: Result, seconds: float = 0.0) -> None:
        self.result = result
        self.seconds = seconds
        self.handled: Counter[str] = Counter()
        self.whys: dict[str, Why] = {}
        self.now: Counter[str] = Counter()
        self.most_at_once = 0
        self.cancelled = 0
        self.seen = asyncio.Event()

    async def __call__(self, key: str, why: Why) -> Result:
        self.whys[key] = why
        self.now[key] += 1
        assert self.now[key] == 1, f"two workers on {key}"
        self.most_at_once = max(self.most_at_once, self.now.total())
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.now[key] -= 1
        self.handled[key] += 1
        self.seen.set()
        return self.result


async def running(queue: WorkQueue[str]) -> asyncio.Task[None]:
    return asyncio.create_task(queue.run())


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def make_queue(handle: Recorder, **options: float) -> WorkQueue[str]:
    loop = asyncio.get_running_loop()
    workers = int(options.pop("workers", 2))
    return WorkQueue(handle, monotonic=loop.time, jitter=lambda: 0.0, workers=workers, **options)


async def test_many_additions_are_one_pass_and_workers_are_bounded() -> None:
    handle = Recorder(Done(), seconds=0.01)
    queue = make_queue(handle)
    for key in "abcdef" * 10:
        queue.add(key)
    task = await running(queue)
    await eventually(lambda: handle.handled.total() >= 6)
    await stopped(task)
    assert set(handle.handled.values()) == {1}
    assert handle.most_at_once == 2


async def test_a_pass_is_told_for_what_it_is_due() -> None:
    handle = Recorder(Done())
    queue = make_queue(handle)
    queue.add("time", after=0.0)
    queue.add("news", after=0.0)
    queue.add("news")
    queue.add("intent")
    queue.add("spec", why=Why.SPEC)
    queue.add("intent", why=Why.INTENT)
    queue.add("doubt", after=0.0, why=Why.DOUBT)
    task = await running(queue)
    await eventually(lambda: handle.handled.total() == 5)
    await stopped(task)
    whys = {"time": Why.TIMER, "news": Why.NEWS, "spec": Why.SPEC, "intent": Why.INTENT, "doubt": Why.DOUBT}
    assert handle.whys == whys


async def test_who_is_in_doubt_is_due_again_in_doubt() -> None:
    handle = Recorder(Done(0.0, doubt=True))
    queue = make_queue(handle)
    queue.add("bad")
    task = await running(queue)
    await eventually(lambda: handle.handled.total() >= 2)
    await stopped(task)
    assert handle.whys == {"bad": Why.DOUBT}


async def test_what_else_is_to_be_done_has_its_turn_after_each_pass() -> None:
    """Reconciles that compute, and wait for nothing, do not come in rows of as many as there are workers."""
    turns: list[str] = []

    async def computing(key: str, _: Why) -> Result:
        turns.append("pass")
        return Done()

    async def others() -> None:
        while True:
            turns.append("other")
            await asyncio.sleep(0)

    queue: WorkQueue[str] = WorkQueue(computing, monotonic=asyncio.get_running_loop().time, workers=24)
    for number in range(24):
        queue.add(f"m{number}")
    tasks = [await running(queue), asyncio.create_task(others())]
    await eventually(lambda: turns.count("pass") == 24)
    for task in tasks:
        await stopped(task)
    assert "pass pass pass" not in " ".join(turns)


async def test_a_key_at_rest_costs_no_task() -> None:
    handle = Recorder(Done())
    queue = make_queue(handle)
    task = await running(queue)
    before = len(asyncio.all_tasks())
    queue.add("a")
    await eventually(handle.seen.is_set)
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) <= before
    assert queue.schedule.next_due() is None
    await stopped(task)


async def test_an_intent_is_worked_on_before_what_has_waited_for_long() -> None:
    handle = Recorder(Done(), seconds=0.01)
    queue = make_queue(handle, workers=1)
    for number in range(50):
        queue.add(f"timer {number}", after=0.0)
    task = await running(queue)
    await eventually(handle.seen.is_set)
    queue.add("timer 49")
    before = handle.handled.total()
    await eventually(lambda: handle.handled["timer 49"] > 0)
    await stopped(task)
    assert list(handle.handled).index("timer 49") <= before + 1, "after the reconcile that was under way"


async def test_a_failed_key_is_tried_again() -> None:
    handle = Recorder(Retry(at_most=0.01))
    queue = make_queue(handle)
    task = await running(queue)
    queue.add("a")
    await eventually(lambda: handle.handled["a"] >= 3)
    await stopped(task)


async def test_a_pass_that_takes_too_long_is_ended_and_tried_again() -> None:
    handle = Recorder(Done(), seconds=60)
    queue = make_queue(handle, deadline_seconds=0.02)
    task = await running(queue)
    queue.add("a")
    await eventually(lambda: handle.cancelled >= 1)
    assert queue.schedule.next_due() is not None
    await stopped(task)


async def test_stopping_lets_the_passes_under_way_end() -> None:
    handle = Recorder(Done(), seconds=0.05)
    queue = make_queue(handle)
    task = await running(queue)
    queue.add("a")
    await eventually(lambda: handle.now["a"] > 0)
    await stopped(task)
    assert handle.handled["a"] == 1
    assert handle.cancelled == 0
