"""Notices on their way: order, retries, bounds, and that whoever submits them waits for nobody."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import pytest

from sluice.shell.reporting import notifications
from sluice.shell.reporting.notifications import LANE_LIMIT, PATIENCE_SECONDS, REMEMBERED, Notifications
from sluice.shell.reporting.telemetry import Telemetry
from sluice_core.api.v1alpha1.rolloutpolicy import NotificationFormat
from sluice_core.decide.notify import Delivered, Delivery, NoAddress, SinkRefused, TryAgain
from sluice_core.kernel.plan import Endpoint, Notice
from tests.unit.operator.shell.builders import FakeClock, eventually

SLACK = Endpoint("slack", NotificationFormat.SLACK, "hooks", "slack")
HOOK = Endpoint("hook", NotificationFormat.CLOUD_EVENTS, "hooks", "hook")


def make_notice(number: int = 1, endpoint: Endpoint = SLACK) -> Notice:
    return Notice(
        endpoint,
        id=f"id-{number}",
        time="2026-03-01T12:00:00Z",
        reason=f"Weight{number}",
        message="",
        warning=False,
        namespace="team",
        model="digits",
    )


@dataclass
class FakeNotifier:
    """Answers as it is told, and remembers who was told what."""

    answer: Callable[[Notice], Delivery] = lambda _: Delivered()
    open: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is clear, no attempt comes to an end."""
    attempts: list[Notice] = field(default_factory=list)
    delivered: list[Notice] = field(default_factory=list)

    async def send(self, notice: Notice) -> Delivery:
        self.attempts.append(notice)
        await self.open.wait()
        answer = self.answer(notice)
        if isinstance(answer, Delivered):
            self.delivered.append(notice)
        return answer


@dataclass
class Scene:
    """A queue, its notifier and its metrics."""

    notifier: FakeNotifier = field(default_factory=FakeNotifier)
    telemetry: Telemetry = field(default_factory=Telemetry)

    def __post_init__(self) -> None:
        self.queue = Notifications(self.notifier, self.telemetry, monotonic=asyncio.get_running_loop().time)
        self.notifier.open.set()

    def count(self, outcome: str, notification: str = "slack") -> float:
        labels = {"notification": notification, "outcome": outcome}
        return self.telemetry.registry.get_sample_value("sluice_notifications_total", labels) or 0.0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.queue.run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_notices_arrive_in_their_order() -> None:
    scene = Scene()
    sent = [make_notice(number) for number in range(20)]
    async with scene.running():
        scene.queue.submit(sent[:10])
        scene.queue.submit(sent[10:])
        await eventually(lambda: scene.count("delivered") == 20)
    assert scene.notifier.delivered == sent


async def test_submitting_waits_for_nobody() -> None:
    scene = Scene()
    scene.notifier.open.clear()
    async with scene.running():
        scene.queue.submit([make_notice(1)])
        await eventually(lambda: len(scene.notifier.attempts) == 1)
        scene.queue.submit([make_notice(2), make_notice(1, HOOK)])
        await eventually(lambda: len(scene.notifier.attempts) == 2)
        assert scene.notifier.attempts == [make_notice(1), make_notice(1, HOOK)]
        scene.notifier.open.set()
        await eventually(lambda: scene.count("delivered") == 2)


async def test_one_endpoint_that_fails_does_not_hold_up_the_other() -> None:
    scene = Scene()
    scene.notifier.answer = lambda notice: TryAgain("down", 3600) if notice.endpoint is HOOK else Delivered()
    async with scene.running():
        scene.queue.submit([make_notice(1, HOOK), make_notice(2, HOOK), make_notice(1), make_notice(2)])
        await eventually(lambda: scene.count("delivered") == 2)
        await eventually(lambda: make_notice(1, HOOK) in scene.notifier.attempts)
        assert make_notice(2, HOOK) not in scene.notifier.attempts


async def test_what_was_submitted_is_not_sent_again() -> None:
    scene = Scene()
    async with scene.running():
        scene.queue.submit([make_notice(1), make_notice(1), make_notice(1, HOOK)])
        await eventually(lambda: scene.count("delivered") == 1)
        scene.queue.submit([make_notice(1), make_notice(2)])
        await eventually(lambda: scene.count("delivered") == 2)
    assert scene.notifier.delivered.count(make_notice(1)) == 1
    assert scene.count("delivered", "hook") == 1


async def test_what_is_remembered_is_bounded() -> None:
    scene = Scene()
    scene.queue.submit([make_notice(1)])
    for number in range(2, REMEMBERED + 2):
        scene.queue.submit([make_notice(number)])
    assert len(scene.queue._submitted) == REMEMBERED


async def test_a_failure_is_tried_again_until_it_succeeds() -> None:
    scene = Scene()
    scene.notifier.answer = lambda _: TryAgain("down") if len(scene.notifier.attempts) < 3 else Delivered()
    async with scene.running():
        scene.queue.submit([make_notice(1), make_notice(2)])
        await eventually(lambda: scene.count("delivered") == 2)
    assert scene.notifier.attempts == [make_notice(1)] * 3 + [make_notice(2)]


@pytest.mark.parametrize(
    ("answer", "outcome"), [(SinkRefused("410"), "refused"), (NoAddress("no Secret"), "no_address")]
)
async def test_what_more_attempts_would_not_help_is_given_up_at_once(
    answer: Delivery, outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    scene.notifier.answer = lambda notice: answer if notice == make_notice(1) else Delivered()
    async with scene.running():
        scene.queue.submit([make_notice(1), make_notice(2)])
        await eventually(lambda: scene.count("delivered") == 1)
    assert scene.count(outcome) == 1
    assert scene.notifier.attempts == [make_notice(1), make_notice(2)]
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert outcome in warning.getMessage()
    assert (warning.notification, warning.reason, warning.model) == ("slack", "Weight1", "team/digits")  # type: ignore[attr-defined]


async def test_patience_ends() -> None:
    scene = Scene()
    clock = FakeClock()
    queue = Notifications(scene.notifier, scene.telemetry, monotonic=clock.monotonic)
    scene.notifier.answer = lambda _: TryAgain("down")
    queue.submit([make_notice(1)])
    clock.seconds += PATIENCE_SECONDS
    queue.submit([make_notice(2)])
    task = asyncio.create_task(queue.run())
    await eventually(lambda: scene.notifier.attempts == [make_notice(1), make_notice(2)])
    assert scene.count("expired") == 1
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_full_lane_drops_its_oldest() -> None:
    scene = Scene()
    notices = [make_notice(number) for number in range(LANE_LIMIT + 3)]
    scene.queue.submit(notices)
    assert scene.count("dropped") == 3
    async with scene.running():
        await eventually(lambda: scene.count("delivered") == LANE_LIMIT)
    assert scene.notifier.delivered == notices[3:]


async def test_a_namespace_that_fills_a_lane_drops_no_notice_of_another() -> None:
    scene = Scene()
    other = replace(make_notice(-1), namespace="other")
    notices = [make_notice(number) for number in range(LANE_LIMIT + 3)]
    scene.queue.submit([notices[0], other, *notices[1:]])
    async with scene.running():
        await eventually(lambda: scene.count("delivered") == LANE_LIMIT)
    assert scene.count("dropped") == 4
    assert scene.notifier.delivered == [other, *notices[4:]]


async def test_a_lane_that_fills_while_its_first_is_on_its_way() -> None:
    scene = Scene()
    scene.notifier.open.clear()
    notices = [make_notice(number) for number in range(LANE_LIMIT + 1)]
    async with scene.running():
        scene.queue.submit(notices[:1])
        await eventually(lambda: len(scene.notifier.attempts) == 1)
        scene.queue.submit(notices[1:])
        scene.notifier.open.set()
        await eventually(lambda: scene.count("delivered") == LANE_LIMIT)
    assert scene.count("dropped") == 1
    assert scene.notifier.delivered == notices


async def test_a_defect_ends_one_notice_and_says_nothing_of_its_text(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()

    def broken(notice: Notice) -> Delivery:
        if notice == make_notice(1):
            raise ValueError("https://hooks.example/secret")
        return Delivered()

    scene.notifier.answer = broken
    async with scene.running():
        scene.queue.submit([make_notice(1), make_notice(2)])
        await eventually(lambda: scene.count("delivered") == 1)
    assert scene.count("refused") == 1
    assert "ValueError" in caplog.text
    assert "hooks.example" not in caplog.text


async def test_what_is_left_at_the_end_is_tried_once_more() -> None:
    scene = Scene()
    scene.notifier.answer = lambda _: TryAgain("down", 3600)
    async with scene.running():
        scene.queue.submit([make_notice(1), make_notice(2), make_notice(1, HOOK)])
        await eventually(lambda: len(scene.notifier.attempts) == 2)
        scene.notifier.answer = lambda notice: Delivered() if notice.endpoint is SLACK else TryAgain("down")
    assert scene.notifier.delivered == [make_notice(1), make_notice(2)]
    assert scene.count("lost", "hook") == 1


async def test_the_end_does_not_wait_for_an_endpoint_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "DRAIN_SECONDS", 0.05)
    scene = Scene()
    scene.notifier.open.clear()
    task = asyncio.create_task(scene.queue.run())
    await asyncio.sleep(0)
    task.cancel()
    scene.queue.submit([make_notice(1), make_notice(2)])
    with suppress(asyncio.CancelledError):
        await task
    assert scene.count("lost") == 2
    assert scene.notifier.attempts == [make_notice(1)]
