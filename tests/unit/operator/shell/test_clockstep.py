"""A clock that is put back wakes everybody; one that runs, or jumps ahead, nobody."""

import asyncio
from dataclasses import dataclass

import pytest

from sluice.shell import clockstep
from sluice.shell.cache.keys import Woken
from tests.support.simulated import virtualloop
from tests.support.simulated.virtualloop import LoopClock


@dataclass
class SteppingClock(LoopClock):
    """The loop's clock, which somebody sets."""

    ahead: float = 0.0

    def now(self) -> float:
        return self.monotonic() + self.ahead


@pytest.mark.parametrize(
    ("steps", "want"),
    [
        pytest.param([0.0, 0.0], [], id="it runs"),
        pytest.param([0.0, -600.0, -600.0], [Woken(spread=True)], id="it is put back"),
        pytest.param([-600.0, -1200.0], [Woken(spread=True)] * 2, id="and again"),
        pytest.param([600.0, 600.0], [], id="it jumps ahead"),
        pytest.param([600.0, 0.0], [Woken(spread=True)], id="and is put right"),
        pytest.param([-0.02, -0.04], [], id="it is slewed"),
    ],
)
def test_a_clock_that_is_put_back_wakes_everybody(steps: list[float], want: list[Woken]) -> None:
    woken: list[Woken] = []
    clock = SteppingClock()

    async def main() -> None:
        watch = asyncio.create_task(clockstep.watch(clock, woken.append))
        await asyncio.sleep(clockstep.LOOK_SECONDS / 2)
        for ahead in steps:
            clock.ahead = ahead
            await asyncio.sleep(clockstep.LOOK_SECONDS)
        watch.cancel()

    virtualloop.run(main())
    assert woken == want
