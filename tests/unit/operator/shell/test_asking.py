"""Asking Prometheus for all reconciles: what is asked once, who waits for whom, and whose error it is."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from sluice.shell.cache.keys import Key
from sluice.shell.order.slots import Slots
from sluice.shell.questions.asking import (
    AGAIN_SECONDS,
    FORGOTTEN_SECONDS,
    KEPT_BYTES,
    MOST_LOOKS,
    NAMESPACE_AT_ONCE,
    PRESETS_AT_ONCE,
    SAMPLE_BYTES,
    UNREAD_BYTES,
    USERS_AT_ONCE,
    Asking,
    Look,
    PendingLook,
)
from sluice_judge.model import Answered, Answers, Failed, Question, Series
from sluice_judge.samples import joined
from tests.support.simulated import virtualloop
from tests.support.simulated.virtualloop import LoopClock

FRESHNESS = Question("freshness", "envoy_server_live", 20, preset=True)
SLOW = "slow_total"
BAD = "bad"


def requests(model: str) -> Question:
    return Question("requests", f'rq{{cluster=~"{model}"}}', 20, preset=True)


def feedback(metric: str = "feedback_total") -> Question:
    return Question("query/accuracy", metric, 20)


def model(number: int, namespace: str = "shop") -> Key:
    return Key(namespace, f"m{number}")


@dataclass
class Prometheus:
    """Answers after some seconds with a series of the cluster that is asked for; says how much it was asked."""

    seconds: float = 0.1
    failure: Callable[[Question], Failed | Exception | None] = lambda _: None
    asked: list[tuple[Question, float]] = field(default_factory=list)
    running: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    """At once, of presets and of users' questions by metric."""

    async def answer(self, questions: Sequence[Question], moment: float | None = None) -> Answers:
        [question] = questions
        assert moment is not None
        self.asked.append((question, moment))
        kind = "presets" if question.preset else question.selector
        self.running[kind] += 1
        self.most[kind] = max(self.most[kind], self.running[kind])
        try:
            await asyncio.sleep(60.0 if question.selector == SLOW else self.seconds)
        finally:
            self.running[kind] -= 1
        failure = self.failure(question)
        if isinstance(failure, Exception):
            raise failure
        return {question.key: failure or Answered(tuple(_series(question)))}

    @property
    def selectors(self) -> list[str]:
        return [question.selector for question, _ in self.asked]


def _series(question: Question) -> list[Series]:
    _, _, values = question.selector.partition('=~"')
    points = ((asyncio.get_running_loop().time(), 1.0),)
    return [Series({"cluster": value}, points) for value in values.removesuffix('"}').split("|") if value]


@dataclass
class Desk:
    """Reconciles that ask, and what wakes them."""

    prometheus: Prometheus
    woken: asyncio.Queue[Key] = field(default_factory=asyncio.Queue)
    waited: dict[Key, float] = field(default_factory=dict)
    asking: Asking = field(init=False)

    def __post_init__(self) -> None:
        self.asking = Asking(self.prometheus, wake=self.wake, clock=LoopClock())

    def wake(self, key: Key, waited: float) -> None:
        self.waited[key] = waited
        self.woken.put_nowait(key)

    def ask(self, key: Key, *questions: Question) -> None:
        assert self.asking.look(key, questions) is None

    async def looks(self, *asked: tuple[Key, Question]) -> dict[Key, Look]:
        """One question of each key, and the look of each when it is woken."""
        for key, question in asked:
            self.ask(key, question)
        questions, found = dict(asked), dict[Key, Look]()
        while len(found) < len(asked):
            key = await self.woken.get()
            if key in questions:
                look = self.asking.look(key, [questions[key]])
                assert look is not None
                found[key] = look
        return found


def test_a_pass_asks_and_the_answers_wake_the_next_one() -> None:
    async def main() -> None:
        desk = Desk(Prometheus(seconds=2.0))
        desk.ask(model(1), FRESHNESS, requests("m1"))
        began = LoopClock().now()
        await asyncio.sleep(1.0)
        assert (desk.asking.waiting(), desk.asking.oldest_seconds()) == (1, 1.0)
        meanwhile = desk.asking.look(model(1), [FRESHNESS, requests("m1")])
        assert meanwhile == Look({}, pending=True), "a reconcile for another reason asks nothing more"
        assert await desk.woken.get() == model(1)
        assert desk.waited[model(1)] >= 2.0
        assert (desk.asking.waiting(), desk.asking.oldest_seconds()) == (0, 0.0)
        look = desk.asking.look(model(1), [FRESHNESS, requests("m1")])
        assert look is not None
        assert look.answers.keys() == {"freshness", "requests"}
        assert look.moment is not None
        assert began <= look.moment < began + 1.0, "of the time when they were asked for"
        assert len(desk.prometheus.asked) == 2
        assert desk.asking.look(model(1), [FRESHNESS, requests("m1")]) is None, "they are read once"
        await desk.asking.close()

    virtualloop.run(main())


def test_questions_of_many_releases_are_few() -> None:
    async def main() -> None:
        desk = Desk(Prometheus())
        keys = [model(number) for number in range(40)]
        for key in keys:
            desk.ask(key, FRESHNESS, requests(key.name))
        for _ in keys:
            await desk.woken.get()
        assert len(desk.prometheus.asked) == 2
        assert len({moment for _, moment in desk.prometheus.asked}) == 1
        for key in keys:
            look = desk.asking.look(key, [FRESHNESS, requests(key.name)])
            assert look is not None
            answer = look.answers["requests"]
            assert isinstance(answer, Answered)
            assert [series.labels["cluster"] for series in answer.series] == [key.name]

    virtualloop.run(main())


def test_what_comes_while_every_slot_is_taken_is_asked_together() -> None:
    """A slow Prometheus is asked less often for more at a time, and never for more at once."""

    async def main() -> None:
        desk = Desk(Prometheus(seconds=10.0))
        for number in range(200):
            desk.ask(model(number), requests(f"m{number}"))
            await asyncio.sleep(0.1)
        for _ in range(200):
            await desk.woken.get()
        assert desk.prometheus.most["presets"] == PRESETS_AT_ONCE
        assert len(desk.prometheus.asked) <= 2 * PRESETS_AT_ONCE + 4

    virtualloop.run(main())


def test_a_namespace_with_many_looks_delays_nobody() -> None:
    async def main() -> None:
        desk = Desk(Prometheus())
        many = [model(number, "many") for number in range(20 * MOST_LOOKS)]
        for key in many:
            desk.ask(key, requests(key.name))
        desk.ask(model(1, "few"), requests("few"))
        order = [await desk.woken.get() for _ in range(len(many) + 1)]
        assert order.index(model(1, "few")) < MOST_LOOKS

    virtualloop.run(main())


def test_what_users_ask_is_asked_alone_and_in_their_share() -> None:
    """Selectors that never answer in time hold two slots, and nobody else's questions."""

    async def main() -> None:
        desk = Desk(Prometheus())
        for number in range(100):
            desk.ask(model(number, "slow"), feedback(f"{SLOW}"), requests(f"s{number}"))
            desk.ask(model(number, "slow2"), Question("other", f"other_{number}", 20))
        good = [model(number, f"team-{number % 5}") for number in range(50)]
        looks = await desk.looks(*((key, feedback(f"f{number}")) for number, key in enumerate(good)))
        assert len(looks) == 50
        assert max(desk.waited[key] for key in good) < 10.0
        assert desk.prometheus.most[SLOW] <= NAMESPACE_AT_ONCE
        assert all(count <= USERS_AT_ONCE for count in desk.prometheus.most.values())
        await desk.asking.close()

    virtualloop.run(main())


def own(name: str, metric: str = "feedback_total") -> Question:
    """As the policy of a namespace words it for each version."""
    return feedback(f'{metric}{{revision="{name}-1a"}}')


def test_what_the_users_of_a_namespace_ask_alike_is_one_question() -> None:
    async def main() -> None:
        desk = Desk(Prometheus())
        keys = [model(number, namespace) for namespace in ("shop", "cave") for number in range(MOST_LOOKS // 2)]
        await desk.looks(*((key, own(key.name)) for key in keys))
        assert len(desk.prometheus.asked) == 2

    virtualloop.run(main())


def test_who_fails_with_others_is_found_and_then_asked_alone() -> None:
    """One version's counters take too long: each of the namespace has its answer at once, and from then on together."""

    async def main() -> None:
        slow = "m7-1a"
        desk = Desk(
            Prometheus(failure=lambda asked: Failed("no answer within 5 s") if slow in asked.selector else None)
        )
        asked = [(model(number), own(f"m{number}")) for number in range(20)]
        await desk.looks((model(99), requests("m99")))  # Prometheus is there
        for _ in range(3):
            before = len(desk.prometheus.asked)
            looks = await desk.looks(*asked)
            failed = [key.name for key, look in looks.items() if isinstance(look.answers["query/accuracy"], Failed)]
            assert failed == ["m7"]
        assert len(desk.prometheus.asked) - before == 2

    virtualloop.run(main())


def test_of_a_prometheus_that_is_away_users_ask_no_more_than_once() -> None:
    async def main() -> None:
        desk = Desk(Prometheus(failure=lambda _: Failed("no answer within 5 s")))
        looks = await desk.looks(*((model(number), own(f"m{number}")) for number in range(30)))
        assert {type(look.answers["query/accuracy"]) for look in looks.values()} == {Failed}
        assert len(desk.prometheus.asked) == 1

    virtualloop.run(main())


def test_what_users_of_one_namespace_cannot_have_makes_nobody_elses_questions_smaller() -> None:
    async def main() -> None:
        desk = Desk(
            Prometheus(
                failure=lambda asked: Failed("too much", refused=True) if "bad_total" in asked.selector else None
            )
        )
        await desk.looks(*((model(number, "cave"), own(f"m{number}", "bad_total")) for number in range(MOST_LOOKS)))
        before = len(desk.prometheus.asked)
        await desk.looks(*((model(number), own(f"m{number}")) for number in range(MOST_LOOKS)))
        await desk.looks(*((model(number), requests(f"m{number}")) for number in range(MOST_LOOKS)))
        assert len(desk.prometheus.asked) - before == 2

    virtualloop.run(main())


def test_waiting_for_a_slot_is_nobodys_time() -> None:
    """A namespace whose questions take four seconds waits, and gets every answer: the five seconds are Prometheus'."""

    async def main() -> None:
        desk = Desk(Prometheus(seconds=4.0))
        looks = await desk.looks(*((model(number), feedback(f"f{number}")) for number in range(12)))
        assert all(isinstance(look.answers["query/accuracy"], Answered) for look in looks.values())
        assert max(desk.waited.values()) >= 12.0, "twice a question's time"

    virtualloop.run(main())


def test_the_error_of_one_question_is_not_everybodys() -> None:
    async def main() -> None:
        desk = Desk(
            Prometheus(failure=lambda question: Failed("422", refused=True) if BAD in question.selector else None)
        )
        names = [*(f"m{number}" for number in range(20)), BAD]
        looks = await desk.looks(*((Key("shop", name), requests(name)) for name in names))
        failed = [key.name for key, look in looks.items() if isinstance(look.answers["requests"], Failed)]
        assert failed == [BAD]
        assert len(desk.prometheus.asked) <= 12, "halves, not one by one"

    virtualloop.run(main())


@pytest.mark.parametrize(("longest", "want"), [(1000, "answered"), (100, "answered"), (1, "failed")])
def test_an_answer_that_is_too_large_is_asked_for_over_a_shorter_time(longest: int, want: str) -> None:
    """The first look at a release behind a gateway of hundreds of pods asks for an hour."""

    def too_large(question: Question) -> Failed | None:
        large = question.window_seconds > longest
        return Failed("more than 8 MiB", refused=True, too_large=True) if large else None

    async def main() -> None:
        desk = Desk(Prometheus(failure=too_large))
        hour = replace(requests("m1"), window_seconds=3600)
        looks = await desk.looks((model(1), hour))
        answer = looks[model(1)].answers["requests"]
        assert isinstance(answer, Failed) is (want == "failed")
        assert len(desk.prometheus.asked) <= 4
        assert min(question.window_seconds for question, _ in desk.prometheus.asked) >= 30

    virtualloop.run(main())


def test_a_defect_in_one_question_is_its_own() -> None:
    async def main() -> None:
        desk = Desk(Prometheus(failure=lambda question: KeyError("odd") if BAD in question.selector else None))
        looks = await desk.looks((model(1), feedback(BAD)), (model(2), feedback("good")))
        answer = looks[model(1)].answers["query/accuracy"]
        assert answer == Failed("bad: KeyError: 'odd'")
        assert isinstance(looks[model(2)].answers["query/accuracy"], Answered)

    virtualloop.run(main())


def test_a_defect_in_an_answer_is_told_to_who_waits_for_it() -> None:
    async def main() -> None:
        desk = Desk(Prometheus())
        looks = await desk.looks((model(1), requests("(")), (model(2), requests(")")))
        assert {type(look.answers["requests"]) for look in looks.values()} == {Failed}
        assert isinstance((await desk.looks((model(3), requests("m3"))))[model(3)].answers["requests"], Answered)

    virtualloop.run(main())


def test_a_prometheus_that_is_away_is_not_asked_in_ever_smaller_parts() -> None:
    async def main() -> None:
        desk = Desk(Prometheus(failure=lambda _: Failed("no answer within 5 s")))
        looks = await desk.looks(*((model(number), requests(f"m{number}")) for number in range(30)))
        assert {type(look.answers["requests"]) for look in looks.values()} == {Failed}
        assert len(desk.prometheus.asked) == 1

    virtualloop.run(main())


def test_what_fails_together_is_asked_in_smaller_parts_for_a_while() -> None:
    async def main() -> None:
        prometheus = Prometheus(failure=lambda _: Failed("no answer within 5 s"))
        desk = Desk(prometheus)
        asked = [(model(number), requests(f"m{number}")) for number in range(MOST_LOOKS)]
        await desk.looks(*asked)
        prometheus.failure = lambda _: None
        counts = []
        for _ in range(MOST_LOOKS):
            before = len(prometheus.asked)
            await desk.looks(*asked)
            counts.append(len(prometheus.asked) - before)
        assert counts[0] == 2
        assert counts[-1] == 1

    virtualloop.run(main())


def test_questions_that_have_changed_are_asked_anew() -> None:
    """A step was entered while Prometheus was asked: the answers are no answers to what is wanted now."""

    async def main() -> None:
        desk = Desk(Prometheus())
        desk.ask(model(1), requests("old"))
        await desk.woken.get()
        desk.ask(model(1), requests("new"))
        await desk.woken.get()
        assert desk.asking.look(model(1), [requests("new")]) is not None
        desk.ask(model(1), requests("new"))
        await desk.woken.get()
        longer = Question("requests", requests("new").selector, 300, preset=True)
        desk.ask(model(1), longer)
        await desk.asking.close()

    virtualloop.run(main())


def test_answers_that_come_late_are_still_those_to_the_same_questions() -> None:
    """The window of a look reaches back to the last sample that was consumed, and grows with the time."""

    async def main() -> None:
        desk = Desk(Prometheus(seconds=4.9))
        desk.ask(model(1), Question("requests", "rq", 23, preset=True))
        await desk.woken.get()
        await asyncio.sleep(20.0)
        later = Question("requests", "rq", 23 + 25, preset=True)
        assert desk.asking.look(model(1), [later]) is not None

    virtualloop.run(main())


def test_time_alone_asks_the_same_again_up_to_now() -> None:
    async def main() -> None:
        desk, wanted = Desk(Prometheus()), [FRESHNESS, requests("m1")]
        assert not desk.asking.again(model(1)), "it has not asked anything yet"
        desk.ask(model(1), *wanted)
        assert not desk.asking.again(model(1)), "it is being asked"
        await desk.woken.get()
        assert not desk.asking.again(model(1)), "nobody has read it yet"
        assert desk.asking.look(model(1), wanted) is not None
        asked = len(desk.prometheus.asked)

        await asyncio.sleep(5.0)
        assert desk.asking.again(model(1))
        assert await desk.woken.get() == model(1)
        later = [replace(each, window_seconds=each.window_seconds + 3) for each in wanted]
        look = desk.asking.look(model(1), later)
        assert look is not None, "what has passed since the last look is in the answers"
        assert look.answers.keys() == {"freshness", "requests"}
        assert len(desk.prometheus.asked) == 2 * asked

        assert desk.asking.again(model(1))
        await desk.woken.get()
        assert desk.asking.look(model(1), [requests("m2")]) is None, "something else is wanted by now"
        await desk.woken.get()
        assert desk.asking.look(model(1), ()) == Look({})
        assert not desk.asking.again(model(1)), "nothing is judged any more"
        await desk.asking.close()

    virtualloop.run(main())


def test_what_is_of_the_past_is_not_asked_for_again() -> None:
    async def main() -> None:
        desk, hour = Desk(Prometheus()), replace(requests("m1"), window_seconds=3600)
        await desk.looks((model(1), hour))
        assert not desk.asking.again(model(1))
        await desk.looks((model(1), requests("m1")))
        await asyncio.sleep(AGAIN_SECONDS)
        assert not desk.asking.again(model(1)), "long ago"
        await desk.asking.close()

    virtualloop.run(main())


def test_who_asks_nothing_any_more_is_not_woken() -> None:
    async def main() -> None:
        desk = Desk(Prometheus())
        desk.ask(model(1), requests("m1"))
        assert desk.asking.look(model(1), ()) == Look({})
        desk.ask(model(2), requests("m2"))
        await desk.woken.get()
        await asyncio.sleep(10.0)
        assert desk.woken.empty()
        assert desk.prometheus.selectors == [requests("m2").selector]

    virtualloop.run(main())


def test_at_the_end_nothing_is_asked_and_nobody_woken() -> None:
    async def main() -> None:
        desk = Desk(Prometheus(seconds=30.0))
        for number in range(3 * MOST_LOOKS):
            desk.ask(model(number), requests(f"m{number}"), feedback(f"f{number}"))
        await asyncio.sleep(1.0)
        assert desk.prometheus.running.total() > 0
        await desk.asking.close()
        assert desk.prometheus.running.total() == 0
        asked = len(desk.prometheus.asked)
        await asyncio.sleep(100.0)
        assert (desk.woken.empty(), len(desk.prometheus.asked)) == (True, asked)

    virtualloop.run(main())


def test_a_look_with_much_history_is_sent_with_few_others() -> None:
    async def main() -> None:
        desk = Desk(Prometheus())
        for number in range(20):
            day = Question("day", f'rq{{cluster=~"m{number}"}}', 3600, preset=True)
            desk.ask(model(number), day)
        for _ in range(20):
            await desk.woken.get()
        assert max(selector.count("|") for selector in desk.prometheus.selectors) == joined.MOST_SAMPLES // 720 - 1

    virtualloop.run(main())


def test_who_gives_up_waiting_for_a_slot_leaves_it_to_the_next() -> None:
    async def main() -> None:
        slots = Slots(1, 1)
        order: list[str] = []

        async def work(name: str, share: str) -> None:
            async with slots.slot(share):
                order.append(name)
                await asyncio.sleep(1.0)

        tasks = [asyncio.create_task(work(name, name[0])) for name in ("a1", "a2", "a3", "b1")]
        await asyncio.sleep(0.5)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert order == ["a1", "a3", "b1"]
        await work("c1", "c")
        assert order[-1] == "c1"

    virtualloop.run(main())


def large(series: int, samples: int) -> tuple[Series, ...]:
    points = tuple((float(number), 1.0) for number in range(samples))
    return tuple(Series({"id": str(number)}, points) for number in range(series))


@dataclass
class LargeAnswers(Prometheus):
    """Every answer has so many samples."""

    samples: int = 10_000

    async def answer(self, questions: Sequence[Question], moment: float | None = None) -> Answers:
        answers = await super().answer(questions, moment)
        return {key: Answered(large(1, self.samples)) for key in answers}


def failures(look: Look) -> list[str]:
    return [answer.message for answer in look.answers.values() if isinstance(answer, Failed)]


def test_the_large_answers_of_one_namespace_leave_room_for_others() -> None:
    """What 20 selectors of one model match may be as much as the operator's memory."""

    async def main() -> None:
        desk = Desk(answers := LargeAnswers(samples=40_000))
        greedy, modest = model(1, "greedy"), model(2)
        many = [Question(f"query/{number}", f"many_{number}_total", 3600) for number in range(20)]
        few = [feedback(), requests("m2")]
        desk.ask(greedy, *many)
        assert await desk.woken.get() == greedy
        answers.samples = 100
        first = desk.asking.look(greedy, many)
        assert first is not None
        kept = len(first.answers) - len(failures(first))
        assert kept * 40_000 * SAMPLE_BYTES <= KEPT_BYTES
        assert failures(first)
        assert all("this namespace take too much memory" in message for message in failures(first))
        desk.ask(modest, *few)
        assert await desk.woken.get() == modest
        look = desk.asking.look(modest, few)
        assert look is not None
        assert failures(look) == []
        await desk.asking.close()

    virtualloop.run(main())


@dataclass
class GrowingAnswers(Prometheus):
    """Answers of as many samples as the number at the end of a metric says."""

    async def answer(self, questions: Sequence[Question], moment: float | None = None) -> Answers:
        answers = await super().answer(questions, moment)
        [question] = questions
        return {key: Answered(large(1, int(question.selector.rpartition("_")[2]))) for key in answers}


def test_over_the_limit_who_holds_most_gives_and_nobody_who_holds_less() -> None:
    """With an equal share for each of forty namespaces the victim, which is answered last, would have 1.2 MiB."""

    async def main() -> None:
        desk = Desk(GrowingAnswers(seconds=0.0))
        for number in range(38):
            desk.ask(model(1, f"n{number}"), Question("query/a", "few_10", 20))
        hogs = [model(number, "hog") for number in range(3)]
        many = {hog: [Question(f"query/{n}", f"many_{hog.name}{n}_40000", 20) for n in range(4)] for hog in hogs}
        for hog in hogs:
            desk.ask(hog, *many[hog])
        for _ in range(41):
            await desk.woken.get()
        victim, asked = model(1, "victim"), [Question(f"query/{n}", f"mine_{n}_10000", 20) for n in range(3)]
        desk.asking._send([pending := PendingLook(victim, tuple(asked), 0.0, 0.0)])
        desk.asking._asked[victim] = pending
        assert await desk.woken.get() == victim
        look = desk.asking.look(victim, asked)
        assert look is not None
        assert failures(look) == []
        looks = [desk.asking.look(hog, many[hog]) for hog in hogs]
        assert sum(len(failures(each)) for each in looks if each is not None) >= 1
        await desk.asking.close()

    virtualloop.run(main())


def test_nothing_more_is_sent_while_many_answers_are_not_read() -> None:
    async def main() -> None:
        desk = Desk(LargeAnswers(samples=UNREAD_BYTES // SAMPLE_BYTES // 4))
        asked = [[Question("query/a", f"a_{number}_total", 20)] for number in range(20)]
        for number, questions in enumerate(asked):
            desk.ask(model(number, f"team-{number}"), *questions)
            await asyncio.sleep(0.5)
        sent = len(desk.prometheus.asked)
        assert sent < 8
        assert desk.asking.look(model(0, "team-0"), asked[0]) is not None
        await asyncio.sleep(0.5)
        assert len(desk.prometheus.asked) > sent, "what is read makes room"
        await desk.asking.close()

    virtualloop.run(main())


def test_answers_that_nobody_reads_hold_nobody_up_for_long() -> None:
    """Of an object that is being deleted no reconcile reads any more."""

    async def main() -> None:
        desk = Desk(LargeAnswers(samples=UNREAD_BYTES // SAMPLE_BYTES))
        for number in range(2):
            desk.ask(model(number, f"team-{number}"), Question("query/a", f"a_{number}_total", 20))
            await asyncio.sleep(0.5)
        assert len(desk.prometheus.asked) == 1
        await asyncio.sleep(FORGOTTEN_SECONDS + 1.0)
        assert len(desk.prometheus.asked) == 2
        await desk.asking.close()

    virtualloop.run(main())
