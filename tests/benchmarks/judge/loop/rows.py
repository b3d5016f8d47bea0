"""The closed loop's table: a row for each promise, in worlds that can break it."""

import dataclasses
import math
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np

from sluice_judge.schema.objectives import Events, FailureRatio, Latency, Objective
from tests.benchmarks.judge import troubles
from tests.benchmarks.judge.loop.world import Hang, Incident, Queue, Seconds, World

NOTICED: Final = 0.005
"""Fewer errors than `ignoreBelow` are no fault."""
ERRORS: Final = Objective(
    name="errors",
    failure_ratio=FailureRatio(
        events=Events.SERVER_ERRORS, maximum="2%", ignore_below="0.5%", relative_tolerance="25%"
    ),
)
MAXIMUM: Final = Objective(name="errors", failure_ratio=FailureRatio(events=Events.SERVER_ERRORS, maximum="2%"))
SLOWER: Final = Objective(name="latency", latency=Latency(relative_tolerance="25%"))


def errors(base: float = 0.001, **changes: Any) -> World:
    """A service whose requests fail one by one."""
    return dataclasses.replace(World(partial(troubles.plain, base=base), (ERRORS,)), **changes)


def hang_together(seconds: float, limit: float, share: float = 1.0) -> World:
    """Both versions hang from a minute into the bake on, for two minutes."""
    return errors(
        hang=Hang(seconds),
        limit_seconds=limit,
        incidents=(Incident(60.0, 120.0, share, in_bake=True),),
        weights=(50,),
        requests_per_second=100,
        deadline_seconds=3600,
    )


def loads_slowly(busy: float, seconds: float, replicas: int = 4) -> World:
    """Equal pods with a queue each, that take long to load."""
    service = Queue(50.0, busy)
    return World(
        objectives=(SLOWER,),
        queue=service,
        replicas=replicas,
        loading_seconds=seconds,
        requests_per_second=replicas * busy * 20,
        deadline_seconds=3 * 3600,
    )


def one_of_ten(**changes: Any) -> World:
    """Ten pods that share a queue, and a candidate that begins with one pod, beside a baseline of one."""
    service = Queue(50.0, 0.5, pooled=True)
    world = World(
        objectives=(SLOWER,),
        queue=service,
        replicas=10,
        loading_seconds=30,
        requests_per_second=100,
        weights=(10, 25, 50),
        baseline=True,
        deadline_seconds=3 * 3600,
    )
    return dataclasses.replace(world, **changes)


def grows(seconds: Seconds, *, times: float = 20.0, over: float = 120.0, begin: float = 60.0) -> Seconds:
    """An exponential rise of the rate of requests."""
    return np.exp(math.log(times) * np.clip((seconds - begin) / over, 0, 1))


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """equal: nothing may roll it back. bad: nothing may let it through, to the next step or to the end."""

    equal: World | None = None
    bad: World | None = None
    found: World | None = None
    """A version that the bake has to find."""


ROWS: Final[Mapping[str, Row]] = {
    "both hang 55 s in the bake, 60 s allowed": Row(hang_together(55, 60)),
    "both hang 120 s in the bake, 120 s allowed": Row(hang_together(120, 120)),
    "both hang 120 s in the bake, no limit": Row(hang_together(120, math.inf)),
    "a fifth of both hangs 90 s in the bake, no limit": Row(hang_together(90, math.inf, 0.2)),
    **{
        f"4 pods {busy:.0%} busy, a queue each, load {seconds} s": Row(loads_slowly(busy, seconds))
        for busy in (0.4, 0.6)
        for seconds in (60, 120, 300)
    },
    "1 pod of 10, baseline; +30 %": Row(one_of_ten(), bad=one_of_ten(slowdown=1.3)),
    "1 pod of 10, baseline, 80 % busy; +30 %": Row(
        one_of_ten(requests_per_second=160), bad=one_of_ten(requests_per_second=160, slowdown=1.3)
    ),
    "×20, hangs of 120 s, no limit": Row(
        bad=errors(factor=20, hang=Hang(120), limit_seconds=math.inf, requests_per_second=100, weights=(25,))
    ),
    "20 % hang 300 s, 1,000/s, no limit": Row(
        bad=errors(factor=200, hang=Hang(300), limit_seconds=math.inf, requests_per_second=1000)
    ),
    "×4 that are time-outs of 60 s, traffic grows ×20": Row(
        bad=errors(
            0.005, factor=4, hang=Hang(60), limit_seconds=60, requests_per_second=50, growth=grows, weights=(25,)
        )
    ),
    "×2 of 2 %, the candidate's time-outs of 60 s, traffic grows ×20": Row(
        bad=errors(
            0.02,
            factor=2,
            hang=Hang(60, stable=False),
            limit_seconds=60,
            requests_per_second=50,
            growth=grows,
            weights=(25,),
        )
    ),
    **{
        f"2 % fail at once, good answers take {seconds} s, {rate}/s{'' if gauge else ', no limit, no gauge'}": Row(
            errors(
                0.02,
                answer_seconds=seconds,
                limit_seconds=60 if gauge else math.inf,
                gauge=gauge,
                requests_per_second=rate,
                minimum_seconds=2 * seconds,
                deadline_seconds=900,
            )
        )
        for seconds, rate, gauge in ((30, 100, True), (60, 50, True), (120, 50, False))
    },
    "incidents of 30 s time-outs, once in 10 min": Row(
        errors(
            hang=Hang(30),
            incidents=(Incident(60, 60, 0.8, again_every=600, in_bake=True),),
            weights=(50,),
            requests_per_second=100,
        )
    ),
    **{
        f"0.05 → 1.8 % in the bake, 2 % allowed{'' if rate == 100 else f', {rate}/s'}": Row(
            found=errors(
                0.0005, factor=36, worse_from=Incident(60, in_bake=True), weights=(50,), requests_per_second=rate
            )
        )
        for rate in (100, 50, 20, 10, 5)
    },
    "a maximum alone; an outage of a minute in the bake": Row(
        dataclasses.replace(
            errors(0.002, incidents=(Incident(60, 60, 0.3, in_bake=True),), weights=(50,), requests_per_second=100),
            objectives=(MAXIMUM,),
        )
    ),
    "0.1 → 2 % in the bake, an outage of a minute before": Row(
        found=errors(factor=20, worse_from=Incident(60, in_bake=True), incidents=(Incident(30, 60),), weights=(50,))
    ),
    "errors double every five minutes from 0.05 %": Row(found=errors(0.0005, doubles_every=300)),
    "dead after 20 min": Row(found=errors(factor=1000, worse_from=Incident(1200.0))),
}
