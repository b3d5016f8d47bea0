"""News arrive whatever fails in between: each once, as events and as notices."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from sluice.shell.order.workqueue import Done
from sluice.shell.reporting.news import AGAIN_SECONDS, Announcer
from sluice_core import errors
from sluice_core.kernel.news import RECENT_SECONDS
from sluice_core.kernel.plan import ApplyStatus, Event, Notice, Ref, Write, target_of
from sluice_core.kernel.snapshot import Object
from tests.benchmarks import reconcileworld
from tests.benchmarks.reconcileworld import KEY, Outside, World
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.scenarios import DEAD, V2

HOOK = {"name": "hook", "urlSecretRef": {"name": "hooks"}}
Fault = Callable[[Write | Event], errors.ApiError | None]


@dataclass
class Api:
    """The simulated API server, behind a fault."""

    outside: Outside
    fault: Fault = lambda _: None
    answer_lost: bool = False
    """Whether a failing write takes effect all the same."""
    events: dict[str, Event] = field(default_factory=dict)
    """By name, like an API server."""
    repeated: int = 0

    async def write(self, write: Write) -> Object | None:
        error = self.fault(write)
        if error is None or self.answer_lost:
            stored = await self.outside.write(write)
        if error is not None:
            raise error
        return stored

    async def read(self, ref: Ref) -> Object | None:
        return await self.outside.read(ref)

    async def emit(self, about: Ref, event: Event) -> None:
        if (error := self.fault(event)) is not None:
            raise error
        self.repeated += event.id in self.events
        self.events.setdefault(event.id, event)


@dataclass
class Told:
    """A release behind the real reconciler, and its news."""

    world: World
    api: Api
    notices: list[Notice] = field(default_factory=list)
    due: float = 0.0
    """When the operator's queue next brings the model up, without an event."""

    @property
    def cluster(self) -> Cluster:
        return self.world.outside.cluster

    def restart(self) -> None:
        """Restarts the operator, which remembers nothing."""
        self.due = 0.0
        self.world = reconcileworld.make_world(self.cluster)
        self.world.reconciler.writer = replace(self.world.reconciler.writer, cluster=self.api)
        self.world.reconciler.news = Announcer(self.api, self._notify, self.world.outside)

    def _notify(self, notices: Sequence[Notice]) -> None:
        self.notices += notices

    def step(self) -> Done | None:
        """One reconcile after the world has moved; its result, if it succeeded."""
        self.world.watch()
        result = asyncio.run(self.world.reconciler.reconcile(KEY))
        if not isinstance(result, Done):
            self.due = self.cluster.now
            return None
        self.due = math.inf if result.after is None else self.cluster.now + result.after
        return result

    def run(self, seconds: int, until: Callable[[], bool] = lambda: False) -> None:
        for _ in range(seconds):
            self.cluster.tick()
            for _ in range(3):
                if self.world.watch() or self.due < self.cluster.now + 1:
                    self.step()
            if until():
                return

    @property
    def ended(self) -> bool:
        return self.cluster.newest().status.outcome is not None

    def reasons(self) -> list[str]:
        return [event.reason for event in self.api.events.values()]

    def noticed(self) -> list[str]:
        """As a receiver has them that recognises repeated ones."""
        return [notice.reason for notice in {notice.id: notice for notice in self.notices}.values()]


def releasing(uri: str = DEAD) -> Told:
    """A newly requested version."""
    cluster = scenarios.serving_cluster()
    cluster.shared["RolloutPolicy", "default"]["spec"]["notifications"] = [HOOK]
    world = reconcileworld.make_world(cluster)
    told = Told(world, Api(world.outside))
    told.restart()
    cluster.user_applies(scenarios.manifest(uri))
    return told


def failing_once(kind: str, error: errors.ApiError, *, when: Callable[[], bool]) -> Fault:
    left = [error]

    def fault(what: Write | Event) -> errors.ApiError | None:
        hit = not isinstance(what, Event) and target_of(what)[0] == kind and when()
        return left.pop() if hit and left else None

    return fault


@pytest.mark.parametrize("error", [errors.Unavailable("503"), errors.Conflict("409")])
@pytest.mark.parametrize("kind", ["ModelRollout", "HTTPRoute", "ModelDeployment"])
@pytest.mark.parametrize("answer_lost", [False, True])
def test_a_write_that_fails_once_loses_no_news(kind: str, error: errors.ApiError, answer_lost: bool) -> None:
    """The first of its kind once the release is over, before, at or after its record."""
    told = releasing()
    told.run(20, until=lambda: told.cluster.newest().status.permille > 0)
    told.api.answer_lost = answer_lost
    told.api.fault = failing_once(kind, error, when=lambda: kind == "ModelRollout" or told.ended)
    told.run(300, until=lambda: told.ended)
    told.run(3)
    assert told.ended
    for reasons in (told.reasons(), told.noticed()):
        assert [reasons.count(reason) for reason in ("RolloutStarted", "Weight5", "RolledBack")] == [1, 1, 1]
    assert told.api.repeated == 0
    assert len(told.notices) == len(told.noticed())


def test_an_event_that_is_not_taken_is_sent_later() -> None:
    told = releasing()
    told.api.fault = lambda what: errors.Unavailable("503") if isinstance(what, Event) else None
    told.run(300, until=lambda: told.ended)
    result = told.step()
    assert result is not None
    assert result.after is not None
    assert result.after <= AGAIN_SECONDS
    assert told.reasons() == []
    assert "RolledBack" in told.noticed(), "who is notified does not wait for the API server"
    told.api.fault = lambda _: None
    told.run(int(AGAIN_SECONDS) + 1)
    assert [reason for reason in told.reasons() if reason in ("RolloutStarted", "Weight5", "RolledBack")] == [
        "RolloutStarted",
        "Weight5",
        "RolledBack",
    ]


def test_a_status_that_was_written_as_the_operator_died_is_announced_by_the_next_one() -> None:
    told = releasing()
    told.run(300, until=lambda: told.ended)
    told.api.events.clear()  # nobody was told
    told.notices.clear()
    told.restart()
    told.run(1)
    for reasons in (told.reasons(), told.noticed()):
        assert [reasons.count(reason) for reason in ("RolloutStarted", "Weight5", "RolledBack")] == [1, 1, 1]


def test_a_restart_doubles_nothing_and_the_past_stays_past() -> None:
    told = releasing(V2)
    told.run(300, until=lambda: told.ended)
    told.run(3)
    before, noticed = dict(told.api.events), told.noticed()
    told.restart()
    told.run(3)
    assert told.api.events == before
    assert told.noticed() == noticed
    repeated, sent = told.api.repeated, len(told.notices)
    told.cluster.now += RECENT_SECONDS
    told.restart()
    told.run(3)
    assert (told.api.repeated, len(told.notices)) == (repeated, sent)


def test_a_drift_that_was_put_back_is_told_though_the_status_could_not_be_written() -> None:
    told = releasing(V2)
    told.run(20, until=lambda: told.cluster.newest().status.permille > 0)
    failed = failing_once("ModelDeployment", errors.Unavailable("503"), when=lambda: True)
    told.api.fault = lambda what: failed(what) if isinstance(what, ApplyStatus) else None
    route = told.cluster.objects["HTTPRoute", "digits"]
    route["spec"]["rules"][0]["backendRefs"][0]["weight"] = 7
    told.cluster.status().clear()
    told.run(2)
    assert "DriftCorrected" in told.reasons()
