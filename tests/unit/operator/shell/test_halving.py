"""One model that is slow or refused does not blind those who are asked about together with it, and an outage is not answered by
more questions."""

import asyncio
import itertools
import re
from collections.abc import Callable, Sequence

from sluice.shell.questions import halving
from sluice.shell.questions.halving import HalvingAsker
from sluice_judge.model import Answer, Answered, Answers, Failed, Question, Series
from sluice_judge.samples import joined
from tests.support.simulated import virtualloop
from tests.support.simulated.virtualloop import LoopClock

MODELS = 120
SECONDS_TO_GIVE_UP = 5.0
PARTS = [
    Question("", f'rows{{model=~"m{number:03}"}}', 75, preset=True, summed_by=("model",)) for number in range(MODELS)
]
NAMES = re.compile(r"m\d\d\d")


class Prometheus:
    """Gives up after 5 s where `slow` says so of the models in a question; nobody else is kept waiting."""

    def __init__(self, slow: Callable[[list[str]], bool]) -> None:
        self.slow = slow
        self.asked: list[tuple[float, list[str]]] = []

    async def answer(self, questions: Sequence[Question], moment: float | None = None) -> Answers:
        [question] = questions
        names = NAMES.findall(question.selector)
        self.asked.append((asyncio.get_running_loop().time(), names))
        return {question.key: await self._answer(names)}

    async def _answer(self, names: list[str]) -> Answer:
        if self.slow(names):
            await asyncio.sleep(SECONDS_TO_GIVE_UP)
            return Failed("no answer within 5 s")
        return Answered(tuple(Series({"model": name}, ((0.0, 1.0),)) for name in names))


def looks(prometheus: Prometheus, number: int, *, most: int = 40) -> list[tuple[set[str], int, float]]:
    """Of each look: who was not seen, how many questions it took, and seconds."""
    found = []

    async def main() -> None:
        clock = LoopClock()
        asker = HalvingAsker(prometheus, clock)
        for look in range(number):
            end, began, before = 60.0 * look, clock.monotonic(), len(prometheus.asked)
            asker.begin()
            answers = await asker.answers(joined.joined(PARTS, most=most), end)
            assert list(map(answers.__contains__, PARTS)) == [True] * MODELS
            blind = {NAMES.findall(part.selector)[0] for part, each in answers.items() if isinstance(each, Failed)}
            found.append((blind, len(prometheus.asked) - before, clock.monotonic() - began))

    virtualloop.run(main())
    return found


def test_one_slow_model_is_found_in_the_same_minute_and_costs_one_question_afterwards() -> None:
    prometheus = Prometheus(lambda names: "m077" in names)
    first, *later = looks(prometheus, 20)
    assert first[0] == {"m077"}
    assert first[2] < 60
    assert all((blind, asked) == ({"m077"}, 4) for blind, asked, _ in later)


def test_one_of_a_hundred_and_twenty_is_found_in_the_same_minute_too() -> None:
    first = looks(Prometheus(lambda names: "m077" in names), 1, most=MODELS)[0]
    assert first[0] == {"m077"}
    assert first[2] < 60


def test_who_is_answered_again_is_asked_with_the_others_after_an_hour() -> None:
    prometheus = Prometheus(lambda names: "m077" in names)
    prometheus.slow = lambda names: "m077" in names and prometheus.asked[0][0] + 600 > prometheus.asked[-1][0]
    found = looks(prometheus, 180)
    assert found[-1][:2] == (set(), 3)


def test_several_slow_models_are_found_in_a_few_minutes() -> None:
    slow = {"m003", "m045", "m046", "m111"}
    found = looks(Prometheus(lambda names: bool(slow.intersection(names))), 8)
    assert found[-1][0] == slow
    assert all(seconds < 70 for *_, seconds in found)
    blind = [len(names) for names, *_ in found]
    assert blind == sorted(blind, reverse=True)


def test_questions_that_are_too_large_for_it_are_smaller_from_then_on() -> None:
    found = looks(Prometheus(lambda names: len(names) > 25), 30)
    assert [names for names, *_ in found] == [set()] * 30
    assert sum(asked for _, asked, _ in found) < 30 * 8


def test_an_outage_is_not_asked_about_more_and_nobody_is_taken_for_slow() -> None:
    prometheus = Prometheus(lambda names: True)
    found = looks(prometheus, 10)
    assert all(len(names) == MODELS for names, *_ in found)
    assert [asked for _, asked, _ in found[1:]] == [7] * 9, "three, and two halves of two"
    prometheus.asked.clear()
    prometheus.slow = lambda names: prometheus.asked[-1][0] - prometheus.asked[0][0] < 600
    *_, last = looks(prometheus, 20)
    assert last[:2] == (set(), 3)


def test_a_slow_model_in_the_only_question_is_found_after_an_outage() -> None:
    prometheus = Prometheus(lambda names: True)
    prometheus.slow = lambda names: "m077" in names or prometheus.asked[-1][0] - prometheus.asked[0][0] < 300
    found = looks(prometheus, 20, most=MODELS)
    assert found[-1][:2] == ({"m077"}, 2)


def test_never_two_questions_within_a_second() -> None:
    prometheus = Prometheus(lambda names: "m077" in names)
    looks(prometheus, 3)
    times = [time for time, _ in prometheus.asked]
    assert all(later - earlier >= halving.PAUSE_SECONDS for earlier, later in itertools.pairwise(times))
