"""The work queue: no key twice at a time, the earliest of several due times, growing pauses, and an orderly end."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.shell.workqueue import Done, DueTimes, Result, Retry, WorkQueue, pause_seconds
from tests.unit.shell.builders import eventually


def test_the_earliest_due_time_is_kept() -> None:
    schedule: DueTimes[str] = DueTimes()
    schedule.add("a", 10.0)
    schedule.add("a", 5.0)
    schedule.add("a", 7.0)
    assert schedule.next_due() == 5.0
    assert schedule.pop(4.9) is None
    assert schedule.pop(5.0) == "a"
    assert schedule.pop(100.0) is None


def test_a_key_is_not_handed_out_twice_but_comes_again_when_it_was_added_meanwhile() -> None:
    schedule: DueTimes[str] = DueTimes()
    schedule.add("a", 0.0)
    assert schedule.pop(0.0) == "a"
    schedule.add("a", 3.0)
    schedule.add("a", 1.0)
    assert schedule.pop(9.0) is None
    schedule.done("a")
    assert schedule.next_due() == 1.0


def test_depth_and_age_count_only_what_is_due() -> None:
    schedule: DueTimes[str] = DueTimes()
    schedule.add("due", 1.0)
    schedule.add("later", 50.0)
    assert (schedule.depth(4.0), schedule.oldest_seconds(4.0)) == (1, 3.0)
    assert schedule.pop(4.0) == "due"
    assert (schedule.depth(4.0), schedule.oldest_seconds(4.0)) == (0, 0.0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20), st.booleans()), max_size=60))
def test_every_added_key_is_handed_out_after_its_last_addition(steps: list[tuple[str, int, bool]]) -> None:
    schedule: DueTimes[str] = DueTimes()
    running: set[str] = set()
    owed: set[str] = set()
    for key, due, work in steps:
        schedule.add(key, float(due))
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
        self.now: Counter[str] = Counter()
        self.most_at_once = 0
        self.cancelled = 0
        self.seen = asyncio.Event()

    async def __call__(self, key: str) -> Result:
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
