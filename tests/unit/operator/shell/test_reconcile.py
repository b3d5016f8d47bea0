"""One reconcile: order of writes, what ends it, and how each kind of error goes on."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest

from sluice.shell.cache.keys import BATCH, Key, Woken, identity_of
from sluice.shell.leadership.term import Lead
from sluice.shell.order.lane import SLOTS, Lane
from sluice.shell.order.workqueue import Done, Retry, Why
from sluice.shell.questions.asking import Look
from sluice.shell.reconciler.memory import WRITING_RECONCILES, WRITING_SECONDS
from sluice.shell.reconciler.reconcile import (
    CONFIRM_SECONDS,
    FAILED_SECONDS,
    QUIET_RECONCILES,
    UNEXPECTED_SECONDS,
    Reconciler,
)
from sluice.shell.reconciler.waiting import BUSY_CONFIRM_SECONDS, MOST_KEPT, SAMPLES_SECONDS, KeptReplies, Waiters
from sluice.shell.reporting.news import AGAIN_SECONDS, Announcer
from sluice.shell.reporting.telemetry import Telemetry
from sluice_core import errors
from sluice_core.api.base import API_VERSION
from sluice_core.batch import decide as batch_decide
from sluice_core.decide import decide, prepare
from sluice_core.decide.forgetting import REMEMBERED_SECONDS
from sluice_core.decide.prepare import Findings, Inquiry, Replies
from sluice_core.kernel.naming import LABEL_OWNER, owned_labels
from sluice_core.kernel.plan import Apply, ApplyStatus, Delete, Notice, Plan, Ref, Write
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Object
from sluice_core.parsing import worlds
from sluice_core.watch.model import Watch
from sluice_judge.judgement import Judgement
from sluice_judge.model import Failed, Question, Trial
from tests.support.away import make_reconciler
from tests.support.cases.builders import make_event, make_spark_batch, manifest
from tests.support.cases.moments import make_judgement
from tests.support.simulated.trials import make_trial
from tests.support.simulated.watches import make_version
from tests.unit.operator.shell.builders import FakeClock, FakeCluster, make_model, make_object, make_store
from tests.unit.operator.shell.test_stubs import flooded

KEY = Key("team", "digits")
LASTS = 10.0
META = {"name": "digits", "namespace": "team", "labels": {LABEL_OWNER: "digits"}}
SERVICE = Apply({"apiVersion": "v1", "kind": "Service", "metadata": META, "spec": {"port": 1}})
ROUTE = Apply({"apiVersion": "v1", "kind": "HTTPRoute", "metadata": META, "spec": {"weight": 1}})
STATUS = ApplyStatus({"apiVersion": API_VERSION, "kind": "ModelDeployment", "metadata": META, "status": {"url": "x"}})
STARTED = make_event(Reason.ROLLOUT_STARTED, "now", record=("Service", "digits"), time=1000.0)


@dataclass
class Pass:
    """A reconciler whose decision is given, and what is needed to look at its work."""

    reconciler: Reconciler
    cluster: FakeCluster
    telemetry: Telemetry
    lead: dict[str, float]
    woken: list[Woken]
    told: list[Notice]
    let_in: list[Key]
    """Those that got a slot after they had waited."""

    def sample(self, name: str, **labels: str) -> float:
        return self.telemetry.registry.get_sample_value(name, labels) or 0.0


Given = Callable[..., Pass]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    def build(
        *plans: Plan | Exception, model: dict[str, Any] | None = None, slots: int = SLOTS, **cluster: Any
    ) -> Pass:
        """The decisions of consecutive reconciles; the last one stays."""
        left = list(plans)

        def decided(*_: object) -> Plan:
            plan = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(plan, Exception):
                raise plan
            return plan

        monkeypatch.setattr(decide, "decide", decided)
        told: list[Notice] = []
        woken: list[Woken] = []
        let_in: list[Key] = []
        store, fake, telemetry, lead = make_store(), FakeCluster(**cluster), Telemetry(), {"left": 60.0}
        clock = FakeClock()
        known = model or make_model()
        store.put(known)
        fake.stored[identity_of(known)] = known
        reconciler = make_reconciler(
            store,
            fake,
            clock,
            news=Announcer(fake, told.extend, clock),
            wake=woken.append,
            lead=Lead(may_write=lambda: lead["left"] > 0, seconds_left=lambda: lead["left"]),
            waiting=Waiters(Lane(let_in.append, monotonic=clock.monotonic, slots=slots)),
            telemetry=telemetry,
        )
        return Pass(reconciler, fake, telemetry, lead, woken, told, let_in)

    return build


def understood(**parts: Any) -> Any:
    """What a reconcile makes of a snapshot, as far as a reconciler looks at it."""
    return SimpleNamespace(**({"ahead": None, "compared": None, "watched": None} | parts))


async def test_an_empty_plan_writes_nothing_and_rests(given: Given) -> None:
    case = given(Plan())
    assert await case.reconciler.reconcile(KEY) == Done(None)
    assert case.cluster.writes == []
    assert case.sample("sluice_reconcile_duration_seconds_count", result="ok") == 1


class Waiting:
    """Prometheus takes its time: a reconcile has its samples as soon as they are put here."""

    def __init__(self) -> None:
        self.samples: Look | None = None
        self.asked: list[tuple[Question, ...]] = []

    def look(self, key: Key, questions: Sequence[Question]) -> Look | None:
        assert key == KEY
        self.asked.append(tuple(questions))
        return self.samples

    def again(self, _: Key) -> bool:
        return False


def passes_ask(monkeypatch: pytest.MonkeyPatch, *, judges: bool = False) -> None:
    """Every reconcile wants to know the same, and reads nothing into it."""
    inquiry = Inquiry((Question("up", "up", 20),), judges=judges)
    monkeypatch.setattr(prepare, "prepare", lambda seen, _: understood(seen=seen, inquiry=inquiry))
    monkeypatch.setattr(prepare, "read", lambda *_: Findings())


async def test_a_pass_that_lacks_samples_ends_and_the_next_one_decides_on_what_is_there_then(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, metrics, question = given(Plan(writes=(SERVICE,))), Waiting(), Question("up", "up", 20)
    case.reconciler.metrics = metrics
    decided: list[tuple[Any, Replies]] = []

    def read_once(prepared: Any, replies: Replies, _: object) -> Findings:
        decided.append((prepared, replies))
        return Findings()

    ahead: list[Trial] = []
    monkeypatch.setattr(
        prepare,
        "prepare",
        lambda seen, _: understood(seen=seen, inquiry=Inquiry((question,)), ahead=ahead[0] if ahead else None),
    )
    monkeypatch.setattr(prepare, "read", read_once)

    assert await case.reconciler.reconcile(KEY) == Done(SAMPLES_SECONDS)
    assert (case.cluster.writes, decided) == ([], [])

    metrics.samples = Look({}, pending=True)
    assert await case.reconciler.reconcile(KEY) == Done(CONFIRM_SECONDS), "something else has happened meanwhile"
    assert decided.pop()[1] == Replies(pending=True)
    ahead.append(make_trial())
    assert await case.reconciler.reconcile(KEY) == Done(SAMPLES_SECONDS), "the forecast comes before the first weight"
    assert decided == []

    ahead.clear()
    case.reconciler.store.put(make_model(version=7, metadata={**make_model()["metadata"], "resourceVersion": "7"}))
    metrics.samples = Look({"up": Failed("away")}, 990.0)
    assert await case.reconciler.reconcile(KEY) == Done(None)
    [(prepared, replies)] = decided
    assert prepared.seen.deployment.metadata.resource_version == "7"
    assert replies == Replies(metrics={"up": Failed("away")}, moment=990.0)
    assert metrics.asked == [(question,)] * 4


async def test_what_passes_is_written_where_it_lasts(given: Given) -> None:
    case, clock = given(Plan(writes=(replace(STATUS, after_seconds=LASTS),), requeue_after=60.0)), FakeClock()
    case.reconciler.clock = clock
    assert await case.reconciler.reconcile(KEY) == Done(LASTS)
    clock.seconds += LASTS - 1.0
    assert await case.reconciler.reconcile(KEY) == Done(1.0)
    assert case.cluster.writes == []
    clock.seconds += 1.0
    assert await case.reconciler.reconcile(KEY) == Done(60.0)
    told = ("ApplyStatus", "ModelDeployment")
    assert case.cluster.writes == [told]
    assert await case.reconciler.reconcile(KEY) == Done(60.0)
    assert case.cluster.writes == [told, told], "what it says by now is told at once"


async def test_what_has_passed_is_forgotten(given: Given) -> None:
    shortly = Plan(writes=(replace(STATUS, after_seconds=LASTS),))
    case, clock = given(shortly, Plan(), shortly), FakeClock()
    case.reconciler.clock = clock
    for _ in range(3):
        await case.reconciler.reconcile(KEY)
        clock.seconds += LASTS - 1.0
    assert case.cluster.writes == []


async def test_a_pass_that_finds_no_slot_writes_nothing_and_is_let_in_later(given: Given) -> None:
    case = given(Plan(writes=(SERVICE,), requeue_after=5.0), slots=1)
    lane, other = case.reconciler.waiting.lane, Key("team", "other")
    assert lane.enter(other)

    assert await case.reconciler.reconcile(KEY) == Done(None)
    assert (case.cluster.writes, case.let_in) == ([], [])
    assert case.sample("sluice_reconcile_duration_seconds_count", result="waits") == 1

    lane.leave(other)
    assert case.let_in == [KEY]
    assert await case.reconciler.reconcile(KEY) == Done(BUSY_CONFIRM_SECONDS)
    assert case.cluster.writes == [("Apply", "Service")]
    assert lane.enter(other), "the slot was given back"


async def test_what_is_watched_is_noted_by_a_pass_and_forgotten_without_the_lease(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, version, seen = given(Plan()), make_version(KEY.name, namespace=KEY.namespace), list[object]()

    def read(prepared: Any, replies: Replies, watch: object) -> Findings:
        seen.append(watch)
        return Findings()

    monkeypatch.setattr(prepare, "prepare", lambda seen, _: understood(inquiry=Inquiry(), watched=version))
    monkeypatch.setattr(prepare, "read", read)
    await case.reconciler.reconcile(KEY)
    assert seen == [Watch(version.revision)], "it has not been looked at yet"
    assert case.reconciler.watching.count() == 1
    case.lead["left"] = 0.0
    await case.reconciler.reconcile(KEY)
    assert case.reconciler.watching.count() == 0


async def test_the_more_wait_the_less_often_each_is_looked_at(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    case, metrics = given(Plan(writes=(SERVICE,), requeue_after=0.1), slots=1), Waiting()
    case.reconciler.metrics, metrics.samples = metrics, Look({"up": Failed("away")}, 990.0)
    asked = [(Question("up", "up", 20),), (Question("up", "up", 20),), ()]
    monkeypatch.setattr(
        prepare,
        "prepare",
        lambda seen, _: understood(seen=seen, inquiry=Inquiry(asked.pop(0), judges=True)),
    )
    monkeypatch.setattr(prepare, "read", lambda *_: Findings())
    lane = case.reconciler.waiting.lane
    lane.enter(Key("team", "other"))
    assert await case.reconciler.reconcile(KEY) == Done(SAMPLES_SECONDS), "never at once: nothing has been written"
    for number in range(999):
        lane.enter(Key("team", f"m{number}"))
    assert await case.reconciler.reconcile(KEY) == Done(20.0)
    assert await case.reconciler.reconcile(KEY) == Done(None), "without samples there is nothing to find"


async def test_whoever_waited_and_has_nothing_to_write_any_more_gives_its_slot_back(given: Given) -> None:
    case = given(Plan(writes=(SERVICE,)), Plan(), slots=1)
    lane, other = case.reconciler.waiting.lane, Key("team", "other")
    lane.enter(other)
    await case.reconciler.reconcile(KEY)
    case.reconciler.store.put(make_model(version=2))
    lane.leave(other)
    assert await case.reconciler.reconcile(KEY) == Done(None)
    assert lane.enter(other)
    assert lane.waiting() == 0


@pytest.mark.parametrize(
    ("waits_seconds", "happens", "begins", "written"),
    [
        pytest.param(9.0, False, False, "Service", id="nothing happens"),
        pytest.param(9.0, True, False, "HTTPRoute", id="something happens to it"),
        pytest.param(11.0, False, False, "HTTPRoute", id="for long"),
        pytest.param(9.0, False, True, "HTTPRoute", id="a release begins"),
    ],
)
async def test_what_is_decided_is_written_when_there_is_a_slot_unless_something_happens_or_it_is_old(
    given: Given, waits_seconds: float, happens: bool, begins: bool, written: str
) -> None:
    case = given(Plan(writes=(SERVICE,), begins=begins), Plan(writes=(ROUTE,)), slots=1)
    lane, other, clock = case.reconciler.waiting.lane, Key("team", "other"), case.reconciler.clock
    assert isinstance(clock, FakeClock)
    lane.enter(other)
    await case.reconciler.reconcile(KEY)
    clock.seconds += waits_seconds
    if happens:
        case.reconciler.store.put(make_object("Pod", "digits-1", owner="digits"))
    await case.reconciler.reconcile(KEY)
    assert case.cluster.writes == [], "there is no slot yet"
    lane.leave(other)
    await case.reconciler.reconcile(KEY, Why.INTENT)
    assert case.cluster.writes == [("Apply", written)]
    assert case.reconciler.waiting.decided == {}


async def test_nothing_that_was_decided_is_written_into_a_namespace_that_is_deleted_meanwhile(given: Given) -> None:
    case = given(Plan(writes=(SERVICE,)), slots=1)
    lane, other = case.reconciler.waiting.lane, Key("team", "other")
    lane.enter(other)
    await case.reconciler.reconcile(KEY)
    namespace = make_object("Namespace", "team", namespace="")
    namespace["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    case.reconciler.store.put(namespace)
    lane.leave(other)
    await case.reconciler.reconcile(KEY, Why.INTENT)
    assert ("Apply", "Service") not in case.cluster.writes


@pytest.mark.parametrize(
    ("rollback", "after"),
    [
        pytest.param(None, BUSY_CONFIRM_SECONDS, id="of a plan like any other"),
        pytest.param((), CONFIRM_SECONDS, id="of a rollback"),
    ],
)
async def test_while_others_wait_what_follows_is_looked_at_a_little_later(
    given: Given, rollback: tuple[Write, ...] | None, after: float
) -> None:
    case = given(Plan(writes=(SERVICE,), rollback=rollback), slots=1)
    lane = case.reconciler.waiting.lane
    assert lane.enter(KEY)
    assert not lane.enter(Key("team", "other"))
    assert await case.reconciler.reconcile(KEY) == Done(after)


async def test_a_rollback_is_let_in_first(given: Given) -> None:
    case = given(Plan(writes=(SERVICE,), rollback=()), slots=1)
    lane, before = case.reconciler.waiting.lane, [Key("team", name) for name in ("a", "b")]
    assert [lane.enter(key) for key in before] == [True, False]
    await case.reconciler.reconcile(KEY)
    lane.leave(before[0])
    assert case.let_in == [KEY]


async def test_what_was_known_when_a_pass_had_to_wait_is_not_asked_again(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, metrics = given(Plan(writes=(SERVICE,), requeue_after=5.0), slots=1), Waiting()
    case.reconciler.metrics = metrics
    questions = [Question("up", "up", window) for window in (20, 23, 40)]
    read: list[Replies] = []

    def asking(seen: Any, _: Any) -> Any:
        return understood(seen=seen, inquiry=Inquiry((questions[0],), judges=True))

    monkeypatch.setattr(prepare, "prepare", asking)
    monkeypatch.setattr(prepare, "read", lambda _, replies, __: read.append(replies) or Findings())
    lane, other, clock = case.reconciler.waiting.lane, Key("team", "other"), case.reconciler.clock
    assert isinstance(clock, FakeClock)
    metrics.samples = Look({"up": Failed("away")}, clock.now())

    lane.enter(other)
    await case.reconciler.reconcile(KEY)
    await case.reconciler.reconcile(KEY)
    assert len(metrics.asked) == 2, "as long as it waits, it is looked at anew"

    clock.seconds += 3
    del questions[0]  # the same moment is now three seconds further away
    case.reconciler.store.put(make_model(version=2))
    lane.leave(other)
    assert await case.reconciler.reconcile(KEY) == Done(BUSY_CONFIRM_SECONDS)
    assert (len(metrics.asked), len(read)) == (2, 3)
    assert case.reconciler.waiting.kept == {}

    lane.enter(other)
    await case.reconciler.reconcile(KEY)
    del questions[0]  # more is wanted now than was asked for
    case.reconciler.store.put(make_model(version=3))
    lane.leave(other)
    await case.reconciler.reconcile(KEY)
    assert len(metrics.asked) == 4


async def test_who_asks_while_it_waits_for_a_slot_keeps_its_place(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, metrics = given(Plan(writes=(SERVICE,), requeue_after=5.0), slots=1), Waiting()
    case.reconciler.metrics = metrics
    passes_ask(monkeypatch, judges=True)
    lane, other, later = case.reconciler.waiting.lane, Key("team", "other"), Key("team", "later")
    lane.enter(other)
    metrics.samples = Look({"up": Failed("away")}, case.reconciler.clock.now())
    await case.reconciler.reconcile(KEY)
    lane.enter(later)

    metrics.samples = None
    assert await case.reconciler.reconcile(KEY) == Done(SAMPLES_SECONDS)
    lane.leave(other)
    assert case.let_in == [KEY]
    assert await case.reconciler.reconcile(KEY) == Done(BUSY_CONFIRM_SECONDS)
    assert case.cluster.writes == [("Apply", "Service")], "by what it knew when it had to wait"
    assert case.let_in == [KEY, later]


async def test_a_slot_is_not_kept_while_samples_are_asked_for(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    case, metrics = given(Plan(writes=(SERVICE,)), slots=1), Waiting()
    lane, other = case.reconciler.waiting.lane, Key("team", "other")
    lane.enter(other)
    await case.reconciler.reconcile(KEY)
    lane.leave(other)
    case.reconciler.store.put(make_model(version=2))
    case.reconciler.metrics = metrics
    passes_ask(monkeypatch)
    later, clock = Key("team", "later"), case.reconciler.clock
    assert isinstance(clock, FakeClock)
    clock.seconds += 1
    lane.enter(other)
    lane.enter(later)
    await case.reconciler.reconcile(KEY)
    assert case.let_in == [KEY, other], "the slot was given back"
    assert case.reconciler.waiting.lane.waiting() == 1

    metrics.samples = Look({"up": Failed("away")}, clock.now())
    await case.reconciler.reconcile(KEY)
    lane.leave(other)
    assert case.let_in == [KEY, other, KEY], "with its samples it has the place that it had"


async def test_where_many_wait_whose_turn_has_come_writes_by_what_it_has_asked_for_then(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it asks at each of its turns, gives its slot to others that do the same, and nobody writes."""
    case, metrics = given(Plan(writes=(SERVICE,)), slots=1), Waiting()
    lane, other, later, clock = (
        case.reconciler.waiting.lane,
        Key("team", "other"),
        Key("team", "later"),
        case.reconciler.clock,
    )
    assert isinstance(clock, FakeClock)
    case.reconciler.metrics = metrics
    passes_ask(monkeypatch, judges=True)
    inquiry = Inquiry((Question("up", "up", 20),))
    case.reconciler.waiting.kept.update(
        {Key("team", f"m{number}"): KeptReplies(inquiry, Replies(), clock.now()) for number in range(MOST_KEPT)}
    )
    lane.enter(other)
    metrics.samples = Look({"up": Failed("away")}, clock.now())
    await case.reconciler.reconcile(KEY)
    clock.seconds += 60
    lane.leave(other)
    metrics.samples = None
    await case.reconciler.reconcile(KEY, Why.INTENT)
    assert case.cluster.writes == [], "what it knew is too old, and it asks"
    lane.enter(later)
    metrics.samples = Look({"up": Failed("away")}, clock.now())
    await case.reconciler.reconcile(KEY, Why.TIMER)
    lane.leave(later)
    metrics.samples = None
    assert await case.reconciler.reconcile(KEY, Why.INTENT) == Done(BUSY_CONFIRM_SECONDS)
    assert case.cluster.writes == [("Apply", "Service")]


async def test_before_a_version_has_users_only_what_happens_is_looked_at(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, metrics = given(Plan(writes=(SERVICE,), requeue_after=5.0), slots=1), Waiting()
    case.reconciler.metrics = metrics
    passes_ask(monkeypatch)
    metrics.samples = Look({"up": Failed("away")}, case.reconciler.clock.now())
    case.reconciler.waiting.lane.enter(Key("team", "other"))
    assert await case.reconciler.reconcile(KEY) == Done(None)


@pytest.mark.parametrize("judges", [False, True])
async def test_what_happens_to_who_waits_for_a_slot_is_decided_on_then_unless_a_version_may_have_to_go_back(
    given: Given, monkeypatch: pytest.MonkeyPatch, judges: bool
) -> None:
    case = given(Plan(writes=(SERVICE,)), slots=1)
    prepared: list[Any] = []
    monkeypatch.setattr(
        prepare,
        "prepare",
        lambda seen, _: prepared.append(seen) or understood(inquiry=Inquiry(judges=judges)),
    )
    monkeypatch.setattr(prepare, "read", lambda *_: Findings())
    lane, other = case.reconciler.waiting.lane, Key("team", "other")
    lane.enter(other)
    await case.reconciler.reconcile(KEY)
    assert await case.reconciler.reconcile(KEY, Why.NEWS) == Done(None)
    assert len(prepared) == 1 + judges
    await case.reconciler.reconcile(KEY, Why.INTENT)
    assert len(prepared) == 2 + judges
    lane.leave(other)
    assert await case.reconciler.reconcile(KEY, Why.INTENT) == Done(BUSY_CONFIRM_SECONDS)


class Again(Waiting):
    """Asks the same again, if it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.agains = 0

    def again(self, key: Key) -> bool:
        self.agains += 1
        return True


async def test_what_is_due_by_time_alone_asks_before_anything_is_read(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, metrics = given(Plan(), Plan(writes=(SERVICE,)), Plan()), Again()
    case.reconciler.metrics, metrics.samples = metrics, Look({})
    read: list[Any] = []
    parsed = worlds.parsed
    monkeypatch.setattr(worlds, "parsed", lambda world: read.append(world) or parsed(world))
    assert await case.reconciler.reconcile(KEY, Why.TIMER) == Done(SAMPLES_SECONDS)
    assert (metrics.agains, len(read)) == (1, 0)
    await case.reconciler.reconcile(KEY, Why.NEWS)
    await case.reconciler.reconcile(KEY, Why.INTENT)
    assert (metrics.agains, len(read)) == (1, 2)
    await case.reconciler.reconcile(KEY, Why.TIMER)
    assert (metrics.agains, len(read)) == (1, 3), "what was written is confirmed at once"


class Comparison:
    """What is compared, and what was found in it so far."""

    def __init__(self) -> None:
        self.found = Findings()
        self.read_at: list[float] = []

    def later(self, now: float, _: Any) -> "Comparison":
        self.read_at.append(now)
        return self

    def inquiry(self) -> Inquiry:
        return Inquiry((Question("up", "up", 20),), judges=True)

    def read(self, _: Replies) -> Findings:
        return self.found


async def test_while_a_release_waits_to_be_written_only_the_judge_looks_on(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, metrics, compared = given(Plan(writes=(SERVICE,), rollback=()), slots=1), Waiting(), Comparison()
    case.reconciler.metrics, metrics.samples = metrics, Look({"up": Failed("away")}, 990.0)
    whole: list[Any] = []
    monkeypatch.setattr(
        prepare,
        "prepare",
        lambda seen, _: whole.append(seen) or understood(inquiry=compared.inquiry(), compared=compared),
    )
    monkeypatch.setattr(prepare, "read", lambda *_: Findings())
    lane, other = case.reconciler.waiting.lane, Key("team", "other")
    lane.enter(other)
    await case.reconciler.reconcile(KEY)
    assert await case.reconciler.reconcile(KEY, Why.TIMER) == Done(SAMPLES_SECONDS)
    assert (len(whole), len(compared.read_at)) == (1, 1)
    metrics.samples = None
    assert await case.reconciler.reconcile(KEY, Why.TIMER) == Done(SAMPLES_SECONDS)
    metrics.samples = Look({}, pending=True)
    assert await case.reconciler.reconcile(KEY, Why.TIMER) == Done(SAMPLES_SECONDS)
    assert len(whole) == 1, "nothing new is known"

    await case.reconciler.reconcile(KEY, Why.NEWS)
    assert len(whole) == 2, "what happens is looked at as a whole"
    metrics.samples, accused = Look({"up": Failed("away")}, 995.0), make_judgement(refuses="nearly everything")
    compared.found = Findings(judgement=accused)
    await case.reconciler.reconcile(KEY, Why.TIMER)
    assert len(whole) == 3, "and so is what speaks against a version"
    lane.leave(other)
    assert await case.reconciler.reconcile(KEY, Why.INTENT) == Done(CONFIRM_SECONDS)
    assert case.reconciler.waiting.compared == {}


class Once(Waiting):
    """As Prometheus is really asked: what a reconcile has read is gone."""

    def look(self, key: Key, questions: Sequence[Question]) -> Look | None:
        answers, self.samples = self.samples, None
        return answers


async def test_a_release_that_waits_and_is_accused_goes_to_the_front_by_the_samples_that_accuse_it(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, metrics, compared = (
        given(Plan(writes=(SERVICE,)), Plan(writes=(SERVICE,), rollback=()), slots=1),
        Once(),
        Comparison(),
    )
    case.reconciler.metrics = metrics
    monkeypatch.setattr(prepare, "prepare", lambda seen, _: understood(inquiry=compared.inquiry(), compared=compared))
    monkeypatch.setattr(prepare, "read", lambda *_: compared.found)
    lane, other, first = case.reconciler.waiting.lane, Key("team", "other"), Key("team", "first")
    lane.enter(other)
    lane.enter(first)
    metrics.samples = Look({"up": Failed("away")}, 990.0)
    await case.reconciler.reconcile(KEY)

    compared.found = Findings(judgement=make_judgement(refuses="nearly everything"))
    metrics.samples = Look({"up": Failed("away")}, 995.0)
    await case.reconciler.reconcile(KEY, Why.TIMER)
    lane.leave(other)
    assert case.let_in == [KEY], "its rollback does not wait behind others"


@pytest.mark.parametrize(
    ("found", "want"),
    [
        (make_judgement(), Why.LOOK),
        (make_judgement(doubt="against it so far: errors"), Why.DOUBT),
        (make_judgement(refuses="nearly everything"), Why.DOUBT),
    ],
)
async def test_what_something_speaks_against_is_looked_at_before_others(
    given: Given, monkeypatch: pytest.MonkeyPatch, found: Judgement, want: Why
) -> None:
    case, metrics = given(Plan(requeue_after=5.0)), Waiting()
    case.reconciler.metrics, metrics.samples = metrics, Look({"up": Failed("away")}, 990.0)
    passes_ask(monkeypatch, judges=True)
    monkeypatch.setattr(prepare, "read", lambda *_: Findings(judgement=found))
    assert await case.reconciler.reconcile(KEY) == Done(5.0, doubt=want is Why.DOUBT)
    assert case.reconciler.why_looked(KEY) is want
    monkeypatch.setattr(prepare, "read", lambda *_: Findings())
    assert await case.reconciler.reconcile(KEY) == Done(5.0)
    assert case.reconciler.why_looked(KEY) is Why.LOOK


async def test_the_more_lack_samples_the_less_often_each_looks_without_them(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, metrics = given(Plan()), Waiting()
    case.reconciler.metrics = metrics
    passes_ask(monkeypatch)
    waiting = case.reconciler.waiting
    for number in range(999):
        waiting.lacks(Key("team", f"m{number}"))
    assert await case.reconciler.reconcile(KEY) == Done(100.0)
    metrics.samples = Look({"up": Failed("away")}, 990.0)
    assert await case.reconciler.reconcile(KEY) == Done(None)
    assert KEY not in waiting.lacking["team"]


def test_a_namespace_where_many_wait_has_no_other_looked_at_less_often() -> None:
    lane: Lane[Key] = Lane(lambda _: None, monotonic=lambda: 0.0, share=lambda key: key.namespace, slots=1)
    waiting = Waiters(lane)
    busy, other = [Key("busy", f"m{number}") for number in range(5000)], Key("other", "m")
    for key in (*busy, other):
        waiting.lacks(key)
        lane.enter(key)
        waiting.kept[key] = KeptReplies(Inquiry(), None, 0.0)
        waiting.compared[key] = understood()
    assert waiting.lacks(other) == waiting.look_after(other, 1.0) == SAMPLES_SECONDS
    assert (waiting.lacks(busy[1]), waiting.look_after(busy[1], 1.0)) == (1000.0, 4999 * 2 / 50)
    for key in (*busy, other, other):
        waiting.has_samples(key)
    assert not waiting.lacking


async def test_what_is_gone_is_asked_about_no_more(given: Given) -> None:
    case, metrics = given(Plan(), model=make_model("other")), Waiting()
    case.reconciler.metrics = metrics
    await case.reconciler.reconcile(KEY)
    assert metrics.asked == [()]


async def test_writes_keep_their_order_and_are_followed_by_events_and_a_confirming_pass(given: Given) -> None:
    case = given(Plan(writes=(SERVICE, ROUTE, STATUS), events=(STARTED,), requeue_after=7.0))
    assert await case.reconciler.reconcile(KEY) == Done(CONFIRM_SECONDS)
    assert case.cluster.writes == [("Apply", "Service"), ("Apply", "HTTPRoute"), ("ApplyStatus", "ModelDeployment")]
    assert [event.reason for event in case.cluster.events] == ["RolloutStarted"]
    assert case.reconciler.store.get("Service", "team", "digits") is not None
    assert case.sample("sluice_api_writes_total", kind="HTTPRoute", verb="apply") == 1


async def test_news_that_could_not_be_sent_are_sent_by_a_pass_that_writes_nothing(given: Given) -> None:
    case = given(Plan(writes=(SERVICE,), events=(STARTED,)), Plan())
    case.cluster.event_error = errors.Unavailable("503")
    assert await case.reconciler.reconcile(KEY) == Done(CONFIRM_SECONDS)
    assert await case.reconciler.reconcile(KEY) == Done(AGAIN_SECONDS), "at rest but for the news"
    case.cluster.event_error = None
    assert await case.reconciler.reconcile(KEY) == Done(None)
    assert [event.reason for event in case.cluster.events] == ["RolloutStarted"]


async def test_what_a_failed_pass_has_recorded_is_told_and_nothing_else(given: Given) -> None:
    routed = make_event(Reason.DRIFT_CORRECTED, "put back", record=("HTTPRoute", "digits"), time=1000.0)
    plan = Plan(writes=(SERVICE, ROUTE), events=(STARTED, routed))
    case = given(plan, refuse=failing(errors.Conflict("409")))
    assert isinstance(await case.reconciler.reconcile(KEY), Retry)
    assert [event.reason for event in case.cluster.events] == ["RolloutStarted"]


async def test_news_of_a_model_that_is_deleted_are_dropped(given: Given) -> None:
    case = given(Plan(writes=(SERVICE,), events=(STARTED,)))
    case.cluster.event_error = errors.Unavailable("503")
    await case.reconciler.reconcile(KEY)
    assert case.reconciler.news.boards.keys() == {KEY}
    case.reconciler.store.drop(case.cluster.stored["ModelDeployment", "team", "digits"])
    assert await case.reconciler.reconcile(KEY) == Done(None)
    assert case.reconciler.news.boards == {}


async def test_a_status_write_alone_needs_no_confirmation(given: Given) -> None:
    case = given(Plan(writes=(STATUS,), requeue_after=7.0))
    assert await case.reconciler.reconcile(KEY) == Done(7.0)


async def test_what_an_own_write_means_to_others_wakes_them(given: Given) -> None:
    """Its echo tells the store nothing new, so a run that waits for a stable version would wait until the next list."""
    case = given(Plan(writes=(STATUS, SERVICE)))
    batch = make_object("BatchInference", "churn", spec={"modelDeploymentRef": {"name": "digits"}})
    case.reconciler.store.put(batch)
    await case.reconciler.reconcile(KEY)
    assert case.woken == [Woken(frozenset({Key("team", "churn", BATCH)}))]


async def test_a_write_that_changes_nothing_ends_the_passes(given: Given) -> None:
    case = given(Plan(writes=(SERVICE,)))
    assert await case.reconciler.reconcile(KEY) == Done(CONFIRM_SECONDS)
    assert await case.reconciler.reconcile(KEY) == Done(None)


async def test_a_plan_that_never_comes_to_rest_is_slowed_down(given: Given) -> None:
    spec = {"model": {"format": "onnx", "uri": "s3://b/p"}}
    passes = [
        Plan(writes=(Apply({**STATUS.manifest, "spec": spec, "n": n}, "ModelDeployment-digits"),)) for n in range(30)
    ]
    case = given(*passes)
    pauses = []
    for _ in passes:
        result = await case.reconciler.reconcile(KEY)
        assert isinstance(result, Done)
        assert result.after is not None
        pauses.append(result.after)
    assert pauses[:QUIET_RECONCILES] == [CONFIRM_SECONDS] * QUIET_RECONCILES
    assert pauses[-1] == 10.0
    assert pauses == sorted(pauses)


async def test_who_fights_over_a_field_is_answered_ever_more_slowly_but_for_ever(
    given: Given, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody else writes right after every reconcile of ours, and wakes us at once, for a minute and a half."""
    case = given(Plan(writes=(SERVICE, STATUS)))
    clock = case.reconciler.clock
    assert isinstance(clock, FakeClock)
    for _ in range(1800):
        case.cluster.stored.pop(("Service", "team", "digits"), None)
        result = await case.reconciler.reconcile(KEY)
        assert isinstance(result, Done)
        clock.seconds += 0.05
    written = case.cluster.writes.count(("Apply", "Service"))
    assert written == pytest.approx(WRITING_RECONCILES + 90 / WRITING_SECONDS, abs=1)
    assert case.cluster.writes.count(("ApplyStatus", "ModelDeployment")) == written, "the order of writes is one piece"
    assert caplog.text.count("somebody else keeps changing the same objects") == 1
    clock.seconds += WRITING_RECONCILES * WRITING_SECONDS
    assert await case.reconciler.reconcile(KEY) != Done(WRITING_SECONDS), "at rest the allowance grows back"


async def test_a_deleted_object_leaves_the_store_at_once(given: Given) -> None:
    case = given(Plan(writes=(Delete(Ref("v1", "Service", "digits", "team")),)))
    case.reconciler.store.put(make_object("Service", "digits", owner="digits"))
    assert await case.reconciler.reconcile(KEY) == Done(CONFIRM_SECONDS)
    assert case.reconciler.store.get("Service", "team", "digits") is None


@pytest.mark.parametrize(
    "model",
    [make_model("other"), {**make_model(), "metadata": {**make_model()["metadata"], "deletionTimestamp": "now"}}],
)
async def test_what_is_gone_or_going_is_left_alone(given: Given, model: dict[str, Any]) -> None:
    case = given(Plan(writes=(SERVICE,)), model=model)
    assert await case.reconciler.reconcile(KEY) == Done(None)
    assert case.cluster.writes == []


async def test_without_the_lease_nothing_is_written(given: Given) -> None:
    case = given(Plan(writes=(SERVICE,)))
    case.lead["left"] = -1.0
    assert await case.reconciler.reconcile(KEY) == Done(None)
    assert case.cluster.writes == []


async def test_what_the_operator_fails_at_is_said_in_the_condition(given: Given) -> None:
    """The log alone reaches no user. The condition is written once, and goes with the cause."""
    case = given(RecursionError("maximum recursion depth exceeded"))
    for _ in range(3):
        assert await case.reconciler.reconcile(KEY) == Retry(UNEXPECTED_SECONDS)
    assert case.cluster.writes == [("ApplyStatus", "ModelDeployment")]
    assert [event.reason for event in case.cluster.events] == [Reason.OPERATOR_DEFECT]
    status = case.cluster.stored["ModelDeployment", "team", "digits"]["status"]
    stalled = next(each for each in status["conditions"] if each["type"] == "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "OperatorDefect")
    assert "(RecursionError: maximum recursion depth exceeded)" in stalled["message"]
    assert case.sample("sluice_reconcile_duration_seconds_count", result="error") == 3


async def test_where_even_the_condition_cannot_be_written_others_go_on(given: Given) -> None:
    case = given(ValueError("odd"), refuse=lambda _: errors.Unavailable("503"))
    assert await case.reconciler.reconcile(KEY) == Retry(UNEXPECTED_SECONDS)
    assert case.cluster.writes == []


async def test_a_slow_write_goes_on_while_the_lease_is_renewed(given: Given) -> None:
    case = given(Plan(writes=(SERVICE,)))
    case.lead["left"] = 0.01
    answered = asyncio.Event()
    case.cluster.pause = answered.wait
    passing = asyncio.create_task(case.reconciler.reconcile(KEY))
    await asyncio.sleep(0.03)
    assert not passing.done()
    answered.set()
    assert await passing == Done(CONFIRM_SECONDS)


async def test_a_slow_write_is_given_up_with_the_lease(given: Given) -> None:
    case = given(Plan(writes=(SERVICE,)))
    case.lead["left"] = 0.01
    case.cluster.pause = asyncio.Event().wait
    passing = asyncio.create_task(case.reconciler.reconcile(KEY))
    await asyncio.sleep(0)
    case.lead["left"] = 0.0
    assert await passing == Retry()
    assert case.cluster.writes == []
    assert case.sample("sluice_reconcile_duration_seconds_count", result="not_leader") == 1


async def test_the_answer_to_a_deletion_does_not_take_the_successor(given: Given) -> None:
    """By the time it is read, another object of the name may be known from a watch."""
    case = given(Plan(writes=(Delete(Ref("v1", "Service", "digits", "team")),)))
    case.reconciler.store.put(make_object("Service", "digits", owner="digits", uid="one", version=1))
    successor = make_object("Service", "digits", owner="digits", uid="two", version=3)
    case.cluster.before_write = lambda: case.reconciler.store.put(successor) and None
    await case.reconciler.reconcile(KEY)
    kept = case.reconciler.store.get("Service", "team", "digits")
    assert kept is not None
    assert kept["metadata"]["uid"] == "two"


async def test_a_lease_lost_between_two_writes_stops_the_second(given: Given) -> None:
    case = given(Plan(writes=(SERVICE, ROUTE), events=(STARTED,)))

    def lose() -> None:
        case.lead["left"] = 0.0

    case.cluster.before_write = lose
    assert isinstance(await case.reconciler.reconcile(KEY), Retry)
    assert case.cluster.writes == [("Apply", "Service")]
    assert case.cluster.events == []


def failing(error: errors.ApiError, kind: str = "HTTPRoute") -> Callable[[Write], errors.ApiError | None]:
    def refuse(write: Write) -> errors.ApiError | None:
        return error if not isinstance(write, Delete) and write.manifest["kind"] == kind else None

    return refuse


@pytest.mark.parametrize("error", [errors.Conflict("409"), errors.Unavailable("503")])
async def test_what_passes_is_tried_again_without_a_word_in_the_status(given: Given, error: errors.ApiError) -> None:
    case = given(Plan(writes=(SERVICE, ROUTE, STATUS)), refuse=failing(error))
    assert isinstance(await case.reconciler.reconcile(KEY), Retry)
    assert case.cluster.writes == [("Apply", "Service")]
    assert case.sample("sluice_api_errors_total", kind="HTTPRoute", error=type(error).__name__) == 1


@pytest.mark.parametrize("error", [errors.Denied("403: httproutes"), errors.Refused("422: spec.rules")])
async def test_what_does_not_pass_becomes_a_condition(given: Given, error: errors.ApiError) -> None:
    case = given(Plan(writes=(SERVICE, ROUTE, STATUS)), refuse=failing(error))
    result = await case.reconciler.reconcile(KEY)
    assert isinstance(result, Done)
    assert result.after is not None
    assert 0 < result.after <= FAILED_SECONDS
    assert case.cluster.writes == [("Apply", "Service"), ("ApplyStatus", "ModelDeployment")]
    assert str(error) in said(case.cluster.stored[("ModelDeployment", "team", "digits")])
    await case.reconciler.reconcile(KEY)
    assert case.cluster.writes.count(("ApplyStatus", "ModelDeployment")) == 1


WRITTEN = (
    *("ControllerRevision", "ModelRollout", "Deployment", "Service", "PodDisruptionBudget", "HTTPRoute", "GRPCRoute"),
    *("HorizontalPodAutoscaler", "ScaledObject", "Job", "SparkApplication"),
)
"""Every kind that the operator creates."""
OWNER = {"kind": "ModelDeployment", "name": "digits", "uid": "ModelDeployment-digits", "controller": True}
OURS = owned_labels("digits")
FOREIGN = {"kind": "ReplicaSet", "name": "web", "uid": "web-1", "controller": True}


def in_the_way(kind: str, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": "digits", "namespace": "team", "uid": "other", "resourceVersion": "7", **metadata},
        "spec": {"theirs": True},
    }


def child(kind: str) -> Apply:
    metadata = {"name": "digits", "namespace": "team", "labels": OURS, "ownerReferences": [OWNER]}
    return Apply({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": {"ours": True}})


def placed(case: Pass, found: dict[str, Any]) -> tuple[str, str, str]:
    """The API server has an object that the store does not know of."""
    place = identity_of(found)
    case.cluster.stored[place] = found
    return place


@pytest.mark.parametrize("kind", WRITTEN)
async def test_a_foreign_object_is_left_as_it_is_and_its_owner_named(given: Given, kind: str) -> None:
    case = given(Plan(writes=(child(kind), STATUS)))
    found = in_the_way(kind, ownerReferences=[FOREIGN])
    place = placed(case, found)
    result = await case.reconciler.reconcile(KEY)
    assert isinstance(result, Done)
    assert result.after is not None
    assert case.cluster.stored[place] is found
    assert case.cluster.writes == [("ApplyStatus", "ModelDeployment")], "what comes after it is not written either"
    model = case.cluster.stored["ModelDeployment", "team", "digits"]
    stalled = next(each for each in model["status"]["conditions"] if each["type"] == "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "NameTaken")
    assert f"{kind} team/digits exists already, and belongs to ReplicaSet web, not to ModelDeployment digits" in said(
        model
    )
    assert case.sample("sluice_api_errors_total", kind=kind, error="Occupied") == 1

    del case.cluster.stored[place]
    assert await case.reconciler.reconcile(KEY) == Done(CONFIRM_SECONDS)
    assert case.cluster.stored[place]["spec"] == {"ours": True}


@pytest.mark.parametrize("kind", WRITTEN)
async def test_our_own_object_that_lost_its_labels_gets_them_back(given: Given, kind: str) -> None:
    case = given(Plan(writes=(child(kind),)))
    place = placed(case, in_the_way(kind, ownerReferences=[OWNER]))
    assert await case.reconciler.reconcile(KEY) == Done(CONFIRM_SECONDS)
    stored = case.cluster.stored[place]
    assert (stored["metadata"]["uid"], stored["metadata"]["labels"]) == ("other", OURS)
    assert case.cluster.reads == [(kind, "digits")]


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"labels": OURS, "ownerReferences": [OWNER]}, id="ours"),
        pytest.param({"labels": OURS}, id="ours, restored without owners"),
    ],
)
async def test_what_the_store_had_not_seen_yet_is_decided_on_by_the_next_reconcile(
    given: Given, metadata: dict[str, Any]
) -> None:
    case = given(Plan(writes=(child("Service"),)))
    place = placed(case, in_the_way("Service", **metadata))
    assert isinstance(await case.reconciler.reconcile(KEY), Retry)
    assert (case.cluster.writes, case.cluster.stored[place]["spec"]) == ([], {"theirs": True})
    known = case.reconciler.store.get("Service", "team", "digits")
    assert known is not None
    assert known["metadata"]["uid"] == "other"


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"labels": OURS, "ownerReferences": [{**OWNER, "uid": "earlier"}]}, id="of an earlier model"),
        pytest.param({"deletionTimestamp": "2026-01-01T00:00:00Z"}, id="being deleted"),
    ],
)
async def test_a_name_that_becomes_free_is_waited_for(given: Given, metadata: dict[str, Any]) -> None:
    case = given(Plan(writes=(child("Service"),)))
    place = placed(case, in_the_way("Service", **metadata))
    assert isinstance(await case.reconciler.reconcile(KEY), Retry)
    assert (case.cluster.writes, case.cluster.stored[place]["spec"]) == ([], {"theirs": True})
    assert case.reconciler.store.get("Service", "team", "digits") is None


async def test_what_was_deleted_and_made_anew_by_somebody_else_is_not_taken_for_ours(given: Given) -> None:
    """No watch event has told of it yet."""
    ours = make_object("Service", "digits", uid="before", owner="digits")
    case = given(Plan(writes=(replace(child("Service"), uid="before"),)))
    case.reconciler.store.put(ours)
    place = placed(case, in_the_way("Service", managedFields=[{"manager": "helm", "operation": "Apply"}]))
    assert isinstance(await case.reconciler.reconcile(KEY), Done)
    assert case.cluster.stored[place]["spec"] == {"theirs": True}
    assert "belongs to whoever writes it as helm" in said(case.cluster.stored["ModelDeployment", "team", "digits"])


async def test_what_was_deleted_is_created_by_the_next_reconcile(given: Given) -> None:
    case = given(Plan(writes=(replace(child("Service"), uid="before"),)), Plan(writes=(child("Service"),)))
    case.reconciler.store.put(make_object("Service", "digits", uid="before", owner="digits"))
    assert isinstance(await case.reconciler.reconcile(KEY), Retry)
    assert case.reconciler.store.get("Service", "team", "digits") is None
    assert await case.reconciler.reconcile(KEY) == Done(CONFIRM_SECONDS)
    assert case.cluster.writes == [("Apply", "Service")]


@pytest.mark.parametrize("kind", ["Job", "SparkApplication"])
async def test_a_run_of_batch_inference_leaves_foreign_objects_as_they_are(
    given: Given, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    batch = manifest(make_spark_batch())
    where = batch["metadata"]["namespace"]
    named = {"name": "churn-1", "namespace": where}
    run = Apply({"apiVersion": "v1", "kind": kind, "metadata": named, "spec": {"ours": True}})
    monkeypatch.setattr(batch_decide, "decide", lambda *_: Plan(writes=(run,)))
    case = given(Plan(), model=batch)
    found = in_the_way(kind, **named, ownerReferences=[FOREIGN])
    place = placed(case, found)
    assert isinstance(await case.reconciler.reconcile(Key(where, "churn", BATCH)), Done)
    assert case.cluster.stored[place] is found
    conditions = case.cluster.stored["BatchInference", where, "churn"]["status"]["conditions"]
    complete = next(each for each in conditions if each["type"] == "Complete")
    assert (complete["status"], complete["reason"]) == ("False", "NameTaken")
    assert f"{kind} {where}/churn-1 exists already, and belongs to ReplicaSet web" in complete["message"]


async def test_an_object_that_is_known_costs_no_request_more(given: Given) -> None:
    case = given(Plan(writes=(child("Service"),)), Plan(writes=(replace(child("Service"), uid="Service/team/digits"),)))
    for _ in range(2):
        await case.reconciler.reconcile(KEY)
    assert case.cluster.writes == [("Apply", "Service")] * 2
    assert case.cluster.reads == []


def said(model: Object) -> str:
    return " ".join(
        condition["message"] for condition in model["status"]["conditions"] if condition["status"] == "True"
    )


async def test_a_status_that_cannot_be_written_either_is_only_logged(
    given: Given, caplog: pytest.LogCaptureFixture
) -> None:
    case = given(Plan(writes=(ROUTE,)), refuse=lambda _: errors.Denied("403: all"))
    assert isinstance(await case.reconciler.reconcile(KEY), Done)
    assert "cannot report it in the status either" in caplog.text


async def test_a_model_that_vanishes_during_a_pass_is_not_made_a_fuss_of(
    given: Given, caplog: pytest.LogCaptureFixture
) -> None:
    case = given(Plan(writes=(SERVICE,)), refuse=lambda _: errors.Missing("404: the namespace goes"))
    assert isinstance(await case.reconciler.reconcile(KEY), Retry)
    assert case.cluster.events == []
    assert len(caplog.records) == 1


def make_left(case: Pass, kind: str, **metadata: Any) -> None:
    """An object that has outlived its model."""
    raw = make_object(kind, "digits-b-1")
    raw["metadata"] |= {"labels": owned_labels("digits"), **metadata}
    case.reconciler.store.put(raw)
    case.cluster.stored[identity_of(raw)] = raw


async def test_what_a_model_leaves_behind_is_forgotten_a_day_later(given: Given) -> None:
    case = given(Plan(), model=make_model("other"))
    make_left(case, "ModelRollout")
    assert set(case.reconciler.store.keys()) == {KEY, Key("team", "other")}, "a new leader looks at it, too"
    assert await case.reconciler.reconcile(KEY) == Done(CONFIRM_SECONDS)
    assert await case.reconciler.reconcile(KEY) == Done(REMEMBERED_SECONDS)
    assert case.cluster.writes == [("Patch", "ModelRollout")]
    clock = case.reconciler.clock
    assert isinstance(clock, FakeClock)
    clock.seconds += REMEMBERED_SECONDS
    await case.reconciler.reconcile(KEY)
    assert case.cluster.writes[1:] == [("Delete", "ModelRollout")]
    assert await case.reconciler.reconcile(KEY) == Done(None)
    assert (case.reconciler.memories, case.reconciler.allowances, case.reconciler.remembered) == ({}, {}, {})
    assert case.reconciler.store.keys() == (Key("team", "other"),)


@pytest.mark.parametrize(
    "why",
    ["another leads", "kinds not seen", "not seen in there", "namespace ends", "objects not known", "a batch"],
)
async def test_nothing_is_forgotten_unless_it_is_known_that_the_model_is_gone(given: Given, why: str) -> None:
    case = given(Plan(), model=make_model("other"))
    store, key = case.reconciler.store, KEY
    make_left(case, "ModelRollout")
    match why:
        case "another leads":
            case.lead["left"] = 0.0
        case "kinds not seen":
            store.access.denied.add(("modeldeployments", ""))
        case "not seen in there":
            store.access.denied.add(("modelrollouts", "team"))
        case "namespace ends":
            ending = make_object("Namespace", "team", namespace="")
            ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            store.put(ending)
        case "objects not known":
            flooded(store, "team")
        case "a batch":
            key = Key("team", "digits", BATCH)
    assert await case.reconciler.reconcile(key) == Done(None)
    assert case.cluster.writes == []


async def test_what_may_not_be_forgotten_is_tried_again_later_and_said_once(
    given: Given, caplog: pytest.LogCaptureFixture
) -> None:
    case = given(Plan(), model=make_model("other"), refuse=lambda _: errors.Denied("403: modelrollouts"))
    make_left(case, "ModelRollout")
    for _ in range(2):
        assert await case.reconciler.reconcile(KEY) == Done(FAILED_SECONDS)
    assert [record.getMessage() for record in caplog.records] == ["403: modelrollouts"]


async def test_a_defect_is_logged_once_with_its_place_and_tried_again_later(
    given: Given, caplog: pytest.LogCaptureFixture
) -> None:
    case = given(ZeroDivisionError("weights"))
    with caplog.at_level(logging.WARNING):
        assert await case.reconciler.reconcile(KEY) == Retry(UNEXPECTED_SECONDS)
        assert await case.reconciler.reconcile(KEY) == Retry(UNEXPECTED_SECONDS)
    assert caplog.text.count("ZeroDivisionError: weights") == 1
    assert caplog.text.count("Traceback") == 1
    assert case.sample("sluice_reconcile_duration_seconds_count", result="error") == 2


async def test_a_spec_that_slipped_through_is_a_condition_with_the_field(given: Given) -> None:
    model = make_model()
    model["spec"]["replicas"] = "many"
    case = given(ZeroDivisionError("must not be asked"), model=model)
    assert isinstance(await case.reconciler.reconcile(KEY), Done)
    assert "spec.replicas" in said(case.cluster.stored[("ModelDeployment", "team", "digits")])
    assert await case.reconciler.reconcile(KEY) == Done(None)
    assert case.cluster.writes == [("ApplyStatus", "ModelDeployment")]


async def test_ends_and_verdicts_of_rollouts_are_counted(given: Given) -> None:
    nobodys = {"name": "digits", "namespace": "team"}

    def status(**fields: str) -> ApplyStatus:
        return ApplyStatus({"apiVersion": API_VERSION, "kind": "ModelRollout", "metadata": nobodys, "status": fields})

    plans = [Plan(writes=(status(verdict="Wait"),)), Plan(writes=(status(verdict="Advance", outcome="Promoted"),))]
    case = given(*plans, plans[-1])
    for _ in range(3):
        await case.reconciler.reconcile(KEY)
    assert case.sample("sluice_verdicts_total", verdict="Wait") == 1
    assert case.sample("sluice_rollouts_total", outcome="Promoted") == 1


def test_woken_is_false_only_for_nobody() -> None:
    assert not Woken()
    assert Woken(spread=True)
    assert Woken(frozenset({KEY}))
