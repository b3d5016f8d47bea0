"""The cold start: what is not cached yet is made in two lanes side by side, with an estimate of what remains.

compile   the Go programs one after another; each keeps all cores busy
fetch     what waits for the network and the disk: Debian packages, the modules of the next programs, Envoy, base images,
          and the images that stand on these

The images of programs come last, from what both lanes made. What only tests need is built by the tests that need it.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Final

from lab import baseimages, console, gotools, hostpackages

REFRESH_SECONDS: Final = 2

# Seconds on two idle cores of the usual machine (`machine.py`), each without what those before it have compiled; the
# estimate follows the speed of this machine. The first one shows that speed early, and compiles what others share.
COMPILE_SECONDS: Final = {
    "etcd": 45,
    "kubernetes": 190,
    "coredns": 5,
    "prometheus": 40,
    "versitygw": 23,
    "helm": 12,
    "containerd": 34,
    "contour": 62,
    "registry": 4,
    "kstatus": 14,
    "promtool": 60,
    "vegeta": 12,
    "kwok": 50,
    "helm3": 60,
    "keda": 430,
    "spark-operator": 120,
    "envoy-gateway": 170,
    "traefik": 170,
}
MODULES_SECONDS: Final = 15  # of one program
DEBIAN_SECONDS: Final = 15
ENVOY_SECONDS: Final = 10
BASES_SECONDS: Final = 50


@dataclass(frozen=True, slots=True)
class Step:
    """Something to make once. seconds: what it takes on two idle cores, roughly."""

    name: str
    seconds: float
    make: Callable[[], object]


def setup(*images: Step) -> None:
    """Everything that can be prepared before a cluster runs: packages, programs, images.

    images: further ones, made from the base images while programs compile.
    """
    programs = _of_the_lab()
    further = (Step("base images", 0, baseimages.ensure_python), *images) if images else ()
    run(compile_lane(programs), (*_debian(), *modules_lane(programs), *_rest(), *further))
    baseimages.ensure()


def planned_seconds() -> float:
    """What `setup` is going to take on two cores of the usual machine; 0 where everything is cached."""
    lanes = compile_lane(_of_the_lab()), (*_debian(), *_rest())
    return max(sum(step.seconds for step in lane) for lane in lanes)


def _of_the_lab() -> tuple[str, ...]:
    return tuple(name for name in COMPILE_SECONDS if not gotools.TOOLS[name].on_demand)


def build(*programs: str) -> None:
    """Go programs by name, those of slow tests included."""
    run(compile_lane(programs), modules_lane(programs))


def compile_lane(programs: Sequence[str]) -> tuple[Step, ...]:
    return tuple(Step(name, COMPILE_SECONDS[name], partial(gotools.ensure, name)) for name in _missing(programs))


def modules_lane(programs: Sequence[str]) -> tuple[Step, ...]:
    """The modules of all but the first, whose build downloads its own."""
    later = _missing(programs)[1:]
    return (Step("Go modules", MODULES_SECONDS * len(later), partial(gotools.fetch, *later)),) if later else ()


def _missing(programs: Sequence[str]) -> list[str]:
    return [name for name in COMPILE_SECONDS if name in programs and not gotools.is_built(gotools.TOOLS[name])]


def _debian() -> list[Step]:
    step = Step("Debian packages", DEBIAN_SECONDS, hostpackages.ensure_debian)
    return [step] if hostpackages.missing() else []


def _rest() -> list[Step]:
    steps = {
        hostpackages.envoy(): Step("Envoy", ENVOY_SECONDS, hostpackages.ensure_envoy),
        baseimages.rootfs(): Step("base images", BASES_SECONDS, baseimages.ensure_python),
    }
    return [step for path, step in steps.items() if not path.exists()]


class Lane:
    """Steps one after another, and how far they are."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._finished: list[float] = []  # seconds that each finished step took
        self._step_began = time.monotonic()

    @property
    def running(self) -> str:
        return self._steps[len(self._finished)].name if len(self._finished) < len(self._steps) else ""

    @property
    def remaining_seconds(self) -> float:
        return remaining_seconds(
            [step.seconds for step in self._steps], list(self._finished), time.monotonic() - self._step_began
        )

    def work(self, stop: threading.Event, finished: Callable[[], None]) -> None:
        """Make the steps, until another lane fails; an error of its own stops the others."""
        try:
            for step in self._steps:
                if stop.is_set():
                    return
                self._step_began = time.monotonic()
                step.make()
                self._finished.append(time.monotonic() - self._step_began)
                finished()
        except BaseException:
            stop.set()
            raise


def remaining_seconds(planned: Sequence[float], finished: Sequence[float], running: float) -> float:
    """What remains of a lane: the plan, scaled by how slow this machine has been so far.

    planned: seconds of each step. finished: seconds that the first ones took. running: since when the next one runs.
    """
    rest = planned[len(finished) :]
    if not rest:
        return 0
    past = sum(planned[: len(finished)])
    slowness = sum(finished) / past if past else 1
    slowness = max(slowness, (sum(finished) + running) / (past + rest[0]))  # longer than planned already
    return max(rest[0] * slowness - running, 0) + sum(rest[1:]) * slowness


def run(*plans: Sequence[Step]) -> None:
    """Make the steps of each lane in their order, the lanes side by side; raises what the first that failed raised."""
    lanes = [Lane(plan) for plan in plans if plan]
    if not lanes:
        return
    stop = threading.Event()
    with ThreadPoolExecutor(len(lanes)) as pool:
        working = [pool.submit(lane.work, stop, partial(_say_estimate, lanes)) for lane in lanes]
        while wait(working, timeout=REFRESH_SECONDS, return_when=FIRST_EXCEPTION).not_done and not stop.is_set():
            console.live(estimate(lanes))
    for each in working:
        each.result()


def _say_estimate(lanes: Sequence[Lane]) -> None:
    if any(lane.running for lane in lanes):
        console.say(estimate(lanes))


def estimate(lanes: Sequence[Lane]) -> str:
    minutes = max(lane.remaining_seconds for lane in lanes) / 60
    left = f"about {minutes:.0f} min left" if minutes >= 1 else "less than a minute left"
    return f"{left}; now: {', '.join(lane.running for lane in lanes if lane.running)}"
