"""Troubles of services: the chance of an event on either version, second by second, through a day and a release.

A release begins at second 0; negative seconds are the stable version's history. Every trouble is drawn anew for each
release.
"""

import math
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import optimize, signal

Shares = npt.NDArray[np.float64]
"""The chance of an event, one entry a second; where pods are distinguished, a row for each."""

DAY: Final = 86_400
BASE: Final = 0.005
SHOCK_CHANCE: Final = 0.02
PODS: Final = 4
"""Pods of either version, where they are distinguished."""
R1: Final = 1.5
"""The worst that a step may let through: 1 + 2 x 25 %."""


Trouble = Callable[[np.random.Generator, int, int], tuple[Shares, Shares]]
"""(generator, seconds of history, seconds of release) -> shares of stable, and of an equal candidate."""


def plain(generator: np.random.Generator, past: int, future: int, *, base: float = BASE) -> tuple[Shares, Shares]:
    """Nothing happens."""
    both = np.full(past + future, base)
    return both, both.copy()


def shared_outages(
    generator: np.random.Generator,
    past: int,
    future: int,
    *,
    base: float = BASE,
    lasts: int = 30,
    every: int = 1200,
    share: float = 0.8,
) -> tuple[Shares, Shares]:
    """Most requests of both versions fail for a while, again and again."""
    seconds = np.arange(past + future) + generator.integers(every)
    both = np.where(seconds % every < lasts, share, base)
    return both, both.copy()


def shared_shocks(
    generator: np.random.Generator,
    past: int,
    future: int,
    *,
    base: float = BASE,
    times: float = 20,
    scrape: int = 5,
    pods: int | None = None,
) -> tuple[Shares, Shares]:
    """In one of fifty scrapes, both are this many times as bad. pods: None where they are not distinguished."""
    shocked = generator.random(-(-(past + future) // scrape)) < SHOCK_CHANCE
    both = np.minimum(1.0, base * np.where(np.repeat(shocked, scrape)[: past + future], times, 1.0))
    if pods is not None:
        both = np.repeat(both[None, :], pods, axis=0)
    return both, both.copy()


def bursts(
    generator: np.random.Generator,
    past: int,
    future: int,
    *,
    base: float = BASE,
    cv: float,
    scrape: int = 5,
    pods: int | None = None,
) -> tuple[Shares, Shares]:
    """The share is drawn anew for each scrape, from a beta distribution: counts are beta-binomial.

    For each version, or for each pod where they are distinguished.
    """
    both = (1 - base) / (base * cv * cv) - 1
    drawn = generator.beta(both * base, both * (1 - base), (2, pods or 1, -(-(past + future) // scrape)))
    shares = np.repeat(drawn, scrape, axis=2)[..., : past + future]
    stable, candidate = shares if pods is not None else shares[:, 0]
    return stable, candidate


def outage_at(
    generator: np.random.Generator,
    past: int,
    future: int,
    *,
    begin: int,
    lasts: int,
    base: float = BASE,
    share: float = 0.8,
) -> tuple[Shares, Shares]:
    """One shared outage, at a known second of the release."""
    both = np.full(past + future, base)
    both[past + begin : past + begin + lasts] = share
    return both, both.copy()


def stable_alone(
    generator: np.random.Generator, past: int, future: int, *, begin: int, lasts: int, times: float, base: float = BASE
) -> tuple[Shares, Shares]:
    """Only the stable version has a bad time."""
    stable = np.full(past + future, base)
    candidate = stable.copy()
    stable[past + begin : past + begin + lasts] *= times
    return stable, candidate


def drift(
    generator: np.random.Generator, past: int, future: int, *, first: float, last: float
) -> tuple[Shares, Shares]:
    """The share of both moves in a straight line over the release."""
    both = np.concatenate([np.full(past, first), np.linspace(first, last, future)])
    return both, both.copy()


def swings(
    generator: np.random.Generator, past: int, future: int, *, base: float = BASE, tau: float, sd: float
) -> tuple[Shares, Shares]:
    """Each version's share swings slowly and independently: an Ornstein-Uhlenbeck process of its logarithm."""
    keep = math.exp(-1 / tau)
    noise = generator.normal(0, sd * math.sqrt(1 - keep * keep), (2, past + future))
    noise[:, 0] = generator.normal(0, sd, 2)
    logs = signal.lfilter([1.0], [1.0, -keep], noise, axis=1)
    stable, candidate = np.minimum(1.0, base * np.exp(logs - sd * sd / 2))
    return stable, candidate


def pods_swing(
    generator: np.random.Generator,
    past: int,
    future: int,
    *,
    base: float = BASE,
    tau: float,
    sd: float,
    pods: int = PODS,
) -> tuple[Shares, Shares]:
    """The same for each pod. One row a pod."""
    keep = math.exp(-1 / tau)
    noise = generator.normal(0, sd * math.sqrt(1 - keep * keep), (2, pods, past + future))
    noise[:, :, 0] = generator.normal(0, sd, (2, pods))
    logs = signal.lfilter([1.0], [1.0, -keep], noise, axis=2)
    stable, candidate = np.minimum(1.0, base * np.exp(logs - sd * sd / 2))
    return stable, candidate


def pods_differ(
    generator: np.random.Generator, past: int, future: int, *, base: float = BASE, sd: float, pods: int = PODS
) -> tuple[Shares, Shares]:
    """Each pod has a lasting share of its own. One row a pod."""
    shares = base * np.exp(generator.normal(0, sd, (2, pods, 1)) - sd * sd / 2)
    stable, candidate = np.broadcast_to(np.minimum(1.0, shares), (2, pods, past + future))
    return stable, candidate


def pods_alike(
    generator: np.random.Generator, past: int, future: int, *, base: float = BASE, pods: int = PODS
) -> tuple[Shares, Shares]:
    """Nothing happens, and pods are distinguished."""
    stable, candidate = np.full((2, pods, past + future), base)
    return stable, candidate


def cold(
    generator: np.random.Generator,
    past: int,
    future: int,
    *,
    base: float,
    share: float,
    lasts: int,
    step_seconds: int,
    steps: int = 4,
) -> tuple[Shares, Shares]:
    """The candidate's new pods are slow at first: at the beginning of each step, and of the bake."""
    stable = np.full(past + future, base)
    candidate = stable.copy()
    seconds = np.arange(future)
    candidate[past:][(seconds % step_seconds < lasts) & (seconds < steps * step_seconds)] = share
    return stable, candidate


def queueing(
    generator: np.random.Generator,
    past: int,
    future: int,
    *,
    pods: tuple[int, ...],
    others: int,
    load: float,
    share: float,
    step_seconds: int,
) -> tuple[Shares, Shares]:
    """Every pod is as fast and as busy as any other, but requests wait for the next one of their version's (M/M/c).

    pods: the candidate's, step by step; others: stable's. share: of stable's answers that are slower than the boundary.
    """
    boundary = optimize.brentq(lambda time: _slower(time, others, load) - share, 0.0, 100.0)
    stable = np.full(past + future, share)
    each = [_slower(boundary, many, load) for many in pods]
    step = np.minimum(np.arange(future) // step_seconds, len(pods) - 1)
    return stable, np.concatenate([np.full(past, share), np.array(each)[step]])


def _slower(time: float, pods: int, load: float) -> float:
    """The share of answers that take longer, in units of the mean service time, with this many pods at this load
    each."""
    offered = pods * load
    full = offered**pods / math.factorial(pods) / (1 - load)
    waits = full / (math.fsum(offered**busy / math.factorial(busy) for busy in range(pods)) + full)
    spare = pods - 1 - offered
    grows = time if abs(spare) < 1e-9 else -math.expm1(-spare * time) / spare
    return math.exp(-time) * (1 + waits * grows)
