"""Requests of both versions, second by second, and when the gateway counts their answers."""

import dataclasses

import numpy as np
import numpy.typing as npt

from tests.benchmarks.judge.loop.gateway import BASELINE, CANDIDATE, STABLE
from tests.benchmarks.judge.loop.world import Incident, World

Amounts = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, slots=True)
class Answers:
    """One version's answers in one interval between two scrapes."""

    requests: int
    """Sent in it."""
    events: int
    """Of these, those that fail, now or later."""
    answered: int
    failed: int
    """Of the answered ones."""
    in_flight: float
    """At its end."""
    faster: tuple[int, ...]
    """Answered ones faster than each boundary."""
    wrong: int
    """Of the answered ones that did not fail."""


class Traffic:
    """The requests of one release."""

    def __init__(self, world: World, generator: np.random.Generator, horizon: int) -> None:
        self._world, self._generator = world, generator
        past = world.history_seconds
        stable, candidate = world.trouble(generator, past, horizon)
        self.before = stable[..., :past]
        self._shares = {STABLE: stable[..., past:], CANDIDATE: candidate[..., past:], BASELINE: stable[..., past:]}
        longest = 0 if world.hang is None else int(min(world.hang.seconds, world.limit_seconds))
        self._late = {revision: np.zeros(horizon + longest + 1, dtype=np.int64) for revision in self._shares}
        self._hangs = longest
        self._takes = int(world.answer_seconds)
        self._good = {revision: np.zeros(horizon + self._takes + 1, dtype=np.int64) for revision in self._shares}
        rate = world.requests_per_second * (1 - stable[..., past : past + self._takes])
        self._good[STABLE][: self._takes] = generator.poisson(rate)
        self.baking: float | None = None
        """When the bake began, seconds since the first weight."""

    def shares(self, revision: str, begin: int, end: int) -> npt.NDArray[np.float64]:
        """The chance of an event, second by second."""
        world, seconds = self._world, np.arange(begin, end, dtype=float)
        shares = self._shares[revision][..., begin:end]
        if revision == CANDIDATE:
            worse = world.worse(shares, seconds)
            since = world.worse_from
            shares = worse if since is None else np.where(self._active(since, seconds), worse, shares)
        for incident in world.incidents:
            if incident.stable or revision == CANDIDATE:
                shares = np.where(self._active(incident, seconds), np.maximum(shares, incident.share), shares)
        return shares

    def _active(self, incident: Incident, seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        if not incident.in_bake:
            return incident.active(seconds)
        if self.baking is None:
            return np.zeros(seconds.shape, dtype=bool)
        return incident.active(seconds - self.baking)

    def sent(self, begin: int, end: int, weights: npt.NDArray[np.float64], *, baseline: bool) -> dict[str, Amounts]:
        """Requests to each version, second by second. weights: the candidate's share in each second; baseline: whether
        as many go to the baseline."""
        world, seconds = self._world, np.arange(begin, end, dtype=float)
        rate = world.requests_per_second * (1.0 if world.growth is None else world.growth(seconds))
        total = self._generator.poisson(rate, end - begin)
        ours = self._generator.binomial(total, weights)
        if not baseline:
            return {CANDIDATE: ours, STABLE: total - ours}
        beside = self._generator.binomial(total - ours, np.minimum(1.0, weights / np.maximum(1 - weights, 1e-9)))
        return {CANDIDATE: ours, BASELINE: beside, STABLE: total - ours - beside}

    def answered(self, revision: str, begin: int, requests: Amounts, slower: tuple[float, ...] = ()) -> Answers:
        """The answers in the seconds from `begin` on. slower: the share of answers slower than each boundary, if pods
        make them slow; otherwise slow answers are the events, if these are slow ones at all."""
        world, end = self._world, begin + len(requests)
        events = self._generator.binomial(requests, self.shares(revision, begin, end))
        late, ended = self._late[revision], events
        if world.hang is not None and (world.hang.stable or revision == CANDIDATE):
            late[begin + self._hangs : end + self._hangs] += events
            ended = late[begin:end]
        good = self._good[revision]
        good[begin + self._takes : end + self._takes] += requests - events
        answered = int((good[begin:end] + ended).sum())
        failed = 0 if world.judges_latency else int(ended.sum())
        if slower:
            faster = self._faster(answered, slower)
        else:
            faster = (answered - int(ended.sum()),) if world.judges_latency else ()
        in_flight = float(late[end : end + self._hangs].sum() + good[end : end + self._takes].sum())
        in_flight += float(self._generator.poisson(requests.mean() * (world.answer_seconds - self._takes)))
        chance = world.wrong[revision == CANDIDATE]
        wrong = int(self._generator.binomial(answered - failed, chance)) if chance else 0
        return Answers(int(requests.sum()), int(events.sum()), answered, failed, in_flight, faster, wrong)

    def _faster(self, answered: int, slower: tuple[float, ...]) -> tuple[int, ...]:
        chances = -np.diff(np.array([1.0, *slower, 0.0]))
        return tuple(int(amount) for amount in np.cumsum(self._generator.multinomial(answered, chances))[:-1])
