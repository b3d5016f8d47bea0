"""News of one object: each is told once, in order, or given up; what is kept of it is bounded."""

from dataclasses import dataclass, field, replace

import pytest

from sluice.shell.cache.keys import Key
from sluice.shell.reporting.news import PATIENCE_SECONDS, WAITING_LIMIT, Announcer
from sluice_core import errors
from sluice_core.api.v1alpha1.rolloutpolicy import NotificationFormat
from sluice_core.kernel.news import RECENT_SECONDS
from sluice_core.kernel.plan import Endpoint, Event, Notice, Plan, Ref
from sluice_core.kernel.reasons import Reason
from tests.support.cases.builders import NOW, make_event
from tests.unit.operator.shell.builders import FakeClock, FakeCluster, make_model

KEY = Key("team", "digits")
ABOUT = make_model()
RECORD = ("ModelRollout", "digits-1")


@dataclass
class Counting(FakeCluster):
    """Counts how many events it was asked to take."""

    asked: int = 0

    async def emit(self, about: Ref, event: Event) -> None:
        self.asked += 1
        await super().emit(about, event)


@dataclass
class Case:
    cluster: Counting = field(default_factory=Counting)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))
    notices: list[Notice] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.news = Announcer(self.cluster, self.notices.extend, self.clock)

    async def told(self, *events: Event, unrecorded: frozenset[tuple[str, str]] = frozenset()) -> bool:
        self.news.hear(KEY, Plan(events=events), unrecorded)
        return await self.news.tell(KEY, ABOUT)

    def sent(self) -> list[str]:
        return [event.message for event in self.cluster.events]


def happened(message: str = "v2 serves", time: float = NOW) -> Event:
    return make_event(Reason.PROMOTED, message, time=time, record=RECORD)


async def test_what_plans_list_again_is_sent_once() -> None:
    case = Case()
    for _ in range(3):
        assert await case.told(happened())
        assert await case.told(), "and not again after a plan that did not list it, such as one that failed"
    assert case.sent() == ["v2 serves"]


async def test_what_the_status_says_is_told_to_who_is_notified_alone() -> None:
    case = Case()
    event = replace(happened(), in_status=True)
    endpoint = Endpoint("hook", NotificationFormat.CLOUD_EVENTS, "hooks", "hook")
    notice = Notice(endpoint, event.id, "", "Promoted", event.message, warning=False, namespace="team", model="digits")
    plan = Plan(events=(event,), notices=(notice,))
    for _ in range(2):
        case.news.hear(KEY, plan)
        assert await case.news.tell(KEY, ABOUT)
    assert (case.sent(), case.notices) == ([], [notice])


async def test_what_is_not_recorded_is_not_told() -> None:
    case = Case()
    assert await case.told(happened(), unrecorded=frozenset({RECORD}))
    assert case.sent() == []
    assert case.news.boards == {}


@pytest.mark.parametrize("error", [errors.Unavailable("503"), errors.Conflict("409: a quota changes")])
async def test_what_is_not_taken_waits_in_order_without_asking_for_each(error: errors.ApiError) -> None:
    case = Case()
    case.cluster.event_error = error
    assert not await case.told(happened("one"), happened("two"))
    assert case.cluster.asked == 1
    case.cluster.event_error = None
    assert await case.told(happened("three"))
    assert case.sent() == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("error", "after", "lost"),
    [
        pytest.param(errors.Unavailable("503"), PATIENCE_SECONDS + 1, True, id="it was never taken"),
        pytest.param(errors.Refused("422"), 0.0, True, id="it never will be"),
        pytest.param(KeyError("defect"), 0.0, True, id="the operator fails at it"),
        pytest.param(errors.Missing("404"), 0.0, False, id="the namespace goes, and its events with it"),
    ],
)
async def test_what_can_never_be_told_is_given_up(
    caplog: pytest.LogCaptureFixture, error: Exception, after: float, lost: bool
) -> None:
    case = Case()
    case.cluster.event_error = error
    case.clock.seconds += after
    assert await case.told(happened())
    assert ("an event was lost: Promoted" in caplog.text) == lost


async def test_what_waits_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    case = Case()
    case.cluster.event_error = errors.Unavailable("503")
    await case.told(*(happened(str(n)) for n in range(WAITING_LIMIT + 5)))
    assert caplog.text.count("an event was lost") == 5
    case.cluster.event_error = None
    assert await case.told()
    assert case.sent() == [str(n) for n in range(5, WAITING_LIMIT + 5)]


async def test_what_is_remembered_is_bounded_and_goes_with_time() -> None:
    case = Case()
    await case.told(*(happened(str(n)) for n in range(WAITING_LIMIT)))
    await case.told(happened("last"))
    assert len(case.news.boards[KEY].told) == WAITING_LIMIT
    case.clock.seconds += RECENT_SECONDS + 1
    assert await case.told()
    assert case.news.boards == {}


async def test_nothing_is_kept_of_what_has_gone() -> None:
    case = Case()
    case.cluster.event_error = errors.Unavailable("503")
    await case.told(happened())
    case.news.forget(KEY)
    case.news.forget(KEY)
    assert await case.news.tell(KEY, ABOUT)
    assert case.news.boards == {}
