"""Leader election: never two at a time, whatever the clocks say; a quick handover; silence when the API is away."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.shell.leadership.election import Elector, Timing
from sluice_core import errors
from sluice_core.kernel.snapshot import Object
from sluice_core.ports import Clock
from tests.support.simulated import virtualloop
from tests.support.simulated.virtualloop import LoopClock
from tests.unit.operator.shell.builders import FakeClock

TIMING = Timing(15.0)


class FakeLeases:
    """One Lease with optimistic locking."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.error: errors.ApiError | None = None
        self.asked: list[str] = []
        self.between: Any = None
        """Called after a read, to let somebody else come first."""

    async def read_lease(self, namespace: str, name: str, *, seconds: float) -> Object | None:
        self.asked.append("read")
        if self.error is not None:
            raise self.error
        seen = None if self.lease is None else dict(self.lease)
        if self.between is not None:
            between, self.between = self.between, None
            await between()
        return seen

    async def write_lease(self, lease: Object, *, seconds: float) -> Object:
        self.asked.append("write")
        if self.error is not None:
            raise self.error
        held = self.lease["metadata"]["resourceVersion"] if self.lease is not None else None
        if lease["metadata"].get("resourceVersion") != held:
            raise errors.Conflict("lease changed")
        self.version += 1
        self.lease = {**lease, "metadata": {**lease["metadata"], "resourceVersion": str(self.version)}}
        return self.lease


def make_elector(leases: FakeLeases, identity: str, clock: Clock) -> Elector:
    return Elector(leases, namespace="ns", name="sluice", identity=identity, timing=TIMING, clock=clock)


async def test_the_first_leads_and_the_second_waits_for_the_lease_to_expire() -> None:
    leases, clock = FakeLeases(), FakeClock()
    one, two = make_elector(leases, "one", clock), make_elector(leases, "two", clock)
    await one.attempt()
    await two.attempt()
    assert (one.is_leader, two.is_leader) == (True, False)
    clock.seconds += TIMING.duration - 0.1
    await two.attempt()
    assert not two.is_leader
    clock.seconds += 0.2
    await two.attempt()
    assert (one.is_leader, two.is_leader) == (False, True)
    assert leases.lease is not None
    assert leases.lease["spec"]["leaseTransitions"] == 2


async def test_a_renewal_keeps_the_others_away() -> None:
    leases, clock = FakeLeases(), FakeClock()
    one, two = make_elector(leases, "one", clock), make_elector(leases, "two", clock)
    for _ in range(20):
        await one.attempt()
        await two.attempt()
        assert (one.is_leader, two.is_leader) == (True, False)
        clock.seconds += TIMING.retry


async def test_a_released_lease_is_taken_at_the_next_look() -> None:
    leases, clock = FakeLeases(), FakeClock()
    one, two = make_elector(leases, "one", clock), make_elector(leases, "two", clock)
    await one.attempt()
    await two.attempt()
    await one.release()
    assert not one.is_leader
    await two.attempt()
    assert two.is_leader


async def test_without_the_api_a_leader_falls_silent_before_another_may_lead() -> None:
    leases, clock = FakeLeases(), FakeClock()
    one = make_elector(leases, "one", clock)
    await one.attempt()
    leases.error = errors.Unavailable("away")
    clock.seconds += TIMING.renew_within - 0.1
    await one.attempt()
    assert one.is_leader
    assert one.problem is not None
    assert "away" in one.problem
    clock.seconds += 0.2
    assert not one.is_leader


async def test_who_comes_second_in_a_race_does_not_lead() -> None:
    leases, clock = FakeLeases(), FakeClock()
    one, two = make_elector(leases, "one", clock), make_elector(leases, "two", clock)
    leases.between = two.attempt
    await one.attempt()
    assert (one.is_leader, two.is_leader) == (False, True)


async def test_a_lease_that_somebody_deletes_is_made_again() -> None:
    leases, clock = FakeLeases(), FakeClock()
    one = make_elector(leases, "one", clock)
    await one.attempt()
    leases.lease = None
    await one.attempt()
    assert one.is_leader
    assert leases.lease is not None


async def test_missing_permission_is_named() -> None:
    leases, clock = FakeLeases(), FakeClock()
    leases.error = errors.Denied("GET leases: 403 Forbidden")
    one = make_elector(leases, "one", clock)
    await one.attempt()
    assert not one.is_leader
    assert one.problem == "lease ns/sluice: GET leases: 403 Forbidden"


@given(st.lists(st.tuples(st.sampled_from(["one", "two", "three"]), st.floats(0, 8), st.booleans()), max_size=60))
def test_there_are_never_two_leaders(steps: list[tuple[str, float, bool]]) -> None:
    """Clocks whose origins differ by hours, replicas that sleep as long as they like, an API that comes and goes."""

    async def play() -> None:
        leases = FakeLeases()
        clocks = {"one": FakeClock(0.0), "two": FakeClock(9000.0), "three": FakeClock(-500.0)}
        electors = {name: make_elector(leases, name, clock) for name, clock in clocks.items()}
        for name, pause, away in steps:
            for clock in clocks.values():
                clock.seconds += pause
            leases.error = errors.Unavailable("away") if away else None
            await electors[name].attempt()
            assert sum(elector.is_leader for elector in electors.values()) <= 1

    asyncio.run(play())


@pytest.mark.parametrize("duration", [1.0, 3.0, 15.0, 60.0])
def test_there_are_several_tries_before_a_leader_falls_silent(duration: float) -> None:
    timing = Timing(duration)
    assert timing.retry * 3 <= timing.renew_within < timing.duration
    assert timing.retry + timing.request < timing.renew_within, "a renewal that hangs leaves time for another"


async def test_a_renewal_is_one_write_until_somebody_else_writes() -> None:
    leases, clock = FakeLeases(), FakeClock()
    one = make_elector(leases, "one", clock)
    await one.attempt()
    for _ in range(3):
        await one.attempt()
    assert leases.asked == ["read", "write", "write", "write", "write"]
    assert leases.lease is not None
    await leases.write_lease({**leases.lease, "spec": {**leases.lease["spec"], "note": "by hand"}}, seconds=1.0)
    leases.asked.clear()
    await one.attempt()
    assert (one.is_leader, one.term, leases.asked) == (True, 1, ["write", "read", "write"])


async def test_a_renewal_that_may_have_been_lost_is_looked_at_before_the_next() -> None:
    leases, clock = FakeLeases(), FakeClock()
    one = make_elector(leases, "one", clock)
    await one.attempt()
    leases.error = errors.Unavailable("no answer within 6 s")
    await one.attempt()
    leases.error = None
    leases.asked.clear()
    await one.attempt()
    assert (one.is_leader, one.term, leases.asked) == (True, 1, ["read", "write"])


async def test_a_lease_that_another_replica_had_meanwhile_begins_another_term() -> None:
    leases, clock = FakeLeases(), FakeClock()
    one, two = make_elector(leases, "one", clock), make_elector(leases, "two", clock)
    await one.attempt()
    await two.attempt()
    clock.seconds += TIMING.duration + 1
    await two.attempt()
    await two.release()
    await one.attempt()
    assert (one.is_leader, one.term) == (True, 2)


class SlowLeases(FakeLeases):
    """Half of the time passes before the API server does it, half of it after."""

    def __init__(self, latency_seconds: float) -> None:
        super().__init__()
        self.half = latency_seconds / 2

    async def read_lease(self, namespace: str, name: str, *, seconds: float) -> Object | None:
        await asyncio.sleep(self.half)
        seen = await super().read_lease(namespace, name, seconds=seconds)
        await asyncio.sleep(self.half)
        return seen

    async def write_lease(self, lease: Object, *, seconds: float) -> Object:
        if 2 * self.half > seconds:
            await asyncio.sleep(seconds)
            raise errors.Unavailable("no answer")
        await asyncio.sleep(self.half)
        stored = await super().write_lease(lease, seconds=seconds)
        await asyncio.sleep(self.half)
        return stored


@pytest.mark.parametrize(("latency_seconds", "share"), [(0.01, 1.0), (1.0, 1.0), (3.0, 1.0), (4.5, 1.0), (5.0, 0.99)])
def test_a_leader_with_a_slow_api_may_write(latency_seconds: float, share: float) -> None:
    """Share of the time after its first renewal, and no replica beside it at any moment."""

    async def play() -> None:
        leases, looks = SlowLeases(latency_seconds), 0
        electors = [make_elector(leases, name, LoopClock()) for name in ("one", "two")]
        gains: list[str] = []
        tasks = [asyncio.create_task(electors[0].run(lambda: gains.append("one")))]
        async with asyncio.timeout(60):
            while not gains:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        tasks.append(asyncio.create_task(electors[1].run(lambda: gains.append("two"))))
        for _ in range(3000):
            await asyncio.sleep(0.1)
            looks += electors[0].is_leader
        assert looks >= 3000 * share
        assert set(gains) == {"one"}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    virtualloop.run(play())


def test_the_end_of_a_silence_is_told() -> None:
    """What was not done meanwhile is to be done now; nobody else has led, so the term is the same."""

    async def play() -> None:
        leases, told = SlowLeases(5.6), list[int]()
        elector = make_elector(leases, "one", LoopClock())
        task = asyncio.create_task(elector.run(lambda: told.append(elector.term)))
        await asyncio.sleep(60)
        assert told[0] == told[-1] == 1
        assert len(told) > 2
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    virtualloop.run(play())
