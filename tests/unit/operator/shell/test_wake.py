"""What happens puts its key into the queue: at once, or together with what follows while others wait to write."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from sluice.shell.app import Operator
from sluice.shell.cache.keys import Key, Woken
from sluice.shell.order.lane import Lane
from sluice.shell.order.workqueue import Done, Result, Why, WorkQueue
from sluice.shell.reconciler.waiting import TOGETHER_SECONDS

DIGITS, OTHERS = Key("team", "digits"), (Key("team", "a"), Key("team", "b"))


async def nothing(_: Key, __: Why) -> Result:
    return Done()


@pytest.mark.parametrize(
    ("busy", "why", "due"),
    [
        pytest.param(False, Why.NEWS, 0.0, id="nobody waits"),
        pytest.param(True, Why.NEWS, TOGETHER_SECONDS, id="others wait"),
        pytest.param(True, Why.SPEC, 0.0, id="what is wanted has changed"),
        pytest.param(True, Why.INTENT, 0.0, id="a person asks for it"),
    ],
)
def test_while_others_wait_what_happens_together_is_one_reconcile(busy: bool, why: Why, due: float) -> None:
    queue: WorkQueue[Key] = WorkQueue(nothing, monotonic=lambda: 0.0)
    lane: Lane[Key] = Lane(lambda _: None, monotonic=lambda: 0.0, slots=1)
    for key in OTHERS if busy else ():
        lane.enter(key)
    woken = Woken(frozenset({DIGITS}), asked=why is Why.INTENT, edited=why is Why.SPEC)
    Operator.wake(cast("Any", SimpleNamespace(queue=queue, lane=lane)), woken)
    assert queue.schedule.next_due() == due
    assert queue.schedule.pop(due) == DIGITS
    assert queue.schedule.why(DIGITS) is why
