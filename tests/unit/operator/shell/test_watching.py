"""One schedule for all that are watched: once a minute, one question a second at most, and nothing without any."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from sluice.shell.cache.keys import Key
from sluice.shell.questions import halving
from sluice.shell.questions import stablewatch as watching
from sluice.shell.questions.stablewatch import Watching
from sluice_judge.model import Answer, Answered, Answers, Failed, Question, Series
from tests.support.simulated import virtualloop
from tests.support.simulated.virtualloop import LoopClock
from tests.support.simulated.watches import make_kind, make_version

DIGITS, WINE = Key("shop", "digits"), Key("shop", "wine")
Times = list[tuple[float, float | None]]


class Prometheus:
    """One failed request of a hundred in every model, and no other series; notes when it was asked as of when."""

    def __init__(self, answer: Callable[[Question], Answer] | None = None) -> None:
        self.asked: Times = []
        self.by: Callable[[Question], Answer] = answer or self.usual

    async def answer(self, questions: Sequence[Question], moment: float | None = None) -> Answers:
        self.asked.append((asyncio.get_running_loop().time(), moment))
        return {question.key: self.by(question) for question in questions}

    def usual(self, question: Question) -> Answer:
        if "envoy_response_code" not in (question.summed_by or ()):
            return Answered((Series({}, ((0.0, 0.0),)),))
        labels = {"envoy_cluster_name": "shop_digits-aaa_80"}
        counts = {"200": 990.0, "500": 500.0}
        return Answered(
            tuple(Series({**labels, "envoy_response_code": code}, ((0.0, count),)) for code, count in counts.items())
        )


def run(prometheus: Prometheus, main: Callable[[Watching, list[Key]], Coroutine[Any, Any, None]]) -> list[Key]:
    woken: list[Key] = []

    async def whole() -> None:
        watch = Watching(prometheus, wake=woken.append, clock=LoopClock())
        task = asyncio.create_task(watch.run())
        await main(watch, woken)
        task.cancel()

    virtualloop.run(whole())
    return woken


def test_without_anything_to_watch_nothing_is_asked() -> None:
    async def main(watch: Watching, _: list[Key]) -> None:
        assert watch.note(DIGITS, None) is None
        await asyncio.sleep(600)
        assert watch.count() == 0

    prometheus = Prometheus()
    assert run(prometheus, main) == []
    assert prometheus.asked == []


def test_every_minute_is_looked_at_once_when_its_samples_are_there() -> None:
    async def main(watch: Watching, _: list[Key]) -> None:
        watch.note(DIGITS, make_version())
        watch.note(WINE, make_version("wine"))
        await asyncio.sleep(300)
        assert watch.count() == 2

    prometheus = Prometheus()
    run(prometheus, main)
    ends = sorted({moment for _, moment in prometheus.asked if moment is not None})
    assert ends == [1020.0, 1080.0, 1140.0, 1200.0, 1260.0]
    assert all(time >= (moment or 0.0) + watching.LATE_SECONDS for time, moment in prometheus.asked)
    times = [time for time, _ in prometheus.asked]
    assert all(later - earlier >= halving.PAUSE_SECONDS for earlier, later in itertools.pairwise(times))


def test_an_alarm_wakes_its_model_alone() -> None:
    async def main(watch: Watching, woken: list[Key]) -> None:
        kinds = (make_kind(maximum="2%"),)
        watch.note(DIGITS, make_version(kinds=kinds))
        watch.note(WINE, make_version("wine", kinds=kinds))
        await asyncio.sleep(120)
        woken.clear()
        await asyncio.sleep(240)
        known = watch.note(DIGITS, make_version(kinds=kinds))
        assert known is not None
        assert known.worsening is not None

    assert set(run(Prometheus(), main)) <= {DIGITS}


@pytest.mark.parametrize("refused", [True, False], ids=["refused", "not answered in time"])
def test_one_that_is_not_answered_does_not_blind_the_other(refused: bool) -> None:
    def answer(question: Question) -> Answer:
        return Failed("too many", refused=refused) if "wine" in question.selector else prometheus.usual(question)

    async def main(watch: Watching, _: list[Key]) -> None:
        watch.note(DIGITS, make_version())
        watch.note(WINE, make_version("wine"))
        await asyncio.sleep(600)
        digits, wine = watch.note(DIGITS, make_version()), watch.note(WINE, make_version("wine"))
        assert digits is not None
        assert wine is not None
        assert (digits.unseen, wine.unseen) == ("", "too many")

    prometheus = Prometheus()
    prometheus.by = answer
    run(prometheus, main)


def test_a_defect_ends_nothing() -> None:
    def answer(question: Question) -> Answer:
        if len(prometheus.asked) < 3:
            raise RuntimeError("a defect")
        return prometheus.usual(question)

    async def main(watch: Watching, _: list[Key]) -> None:
        watch.note(DIGITS, make_version())
        await asyncio.sleep(600)
        known = watch.note(DIGITS, make_version())
        assert known is not None
        assert known.time > 0

    prometheus = Prometheus()
    prometheus.by = answer
    run(prometheus, main)


def test_what_is_not_watched_any_more_is_forgotten_in_the_middle_of_a_look() -> None:
    async def main(watch: Watching, _: list[Key]) -> None:
        watch.note(DIGITS, make_version())
        await asyncio.sleep(20.5)
        watch.note(DIGITS, None)
        await asyncio.sleep(60)
        assert watch.count() == 0
        again = watch.note(DIGITS, make_version())
        assert again is not None
        assert again.time == 0

    run(Prometheus(), main)


def test_another_version_begins_anew() -> None:
    async def main(watch: Watching, _: list[Key]) -> None:
        watch.note(DIGITS, make_version())
        await asyncio.sleep(120)
        version = make_version()
        other = make_version(arm=type(version.arm)("digits-bbb", "digits-bbb", 80))
        known = watch.note(DIGITS, other)
        assert known is not None
        assert (known.revision, known.time) == ("digits-bbb", 0.0)

    run(Prometheus(), main)
