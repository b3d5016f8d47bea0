"""The judge's evidence for thousands of rollouts at once: an independent numpy form of `sluice_judge.stats`.

One row is one rollout. `largest_difference` replays rows through the real modules, so that figures measured here hold
for the shipped code.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from sluice_judge.stats import confidence, dispersion, eprocess, evidence, sampletest, usual

Array = npt.NDArray[np.floating]
Numbers = npt.NDArray[np.floating] | npt.NDArray[np.integer]
Rows = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """Counts of one scrape, one entry a rollout."""

    candidate_requests: Numbers
    candidate_events: Numbers
    stable_requests: Numbers
    stable_events: Numbers

    def take(self, rows: npt.NDArray[np.intp]) -> "Batch":
        return Batch(
            self.candidate_requests[rows],
            self.candidate_events[rows],
            self.stable_requests[rows],
            self.stable_events[rows],
        )


class Processes:
    """One e-process of the same test for each rollout; `log_evidence` has an entry for each."""

    def __init__(self, test: evidence.SequentialTest, rollouts: int) -> None:
        self._test = test
        self._log_wealths = np.full((rollouts, len(test.alternatives)), -np.inf)
        self._scrapes = np.zeros(rollouts)
        self.log_evidence: Array = np.zeros(rollouts)

    def observe(self, batch: Batch, phi: Array, rows: Rows, shares: Array, largest: Array) -> None:
        """Counts the scrape in those rows. phi: the dispersion of each; shares: the usual rates in it; largest: cap of
        ln e."""
        chosen = np.flatnonzero(rows & _informative(self._test, batch))
        self._scrapes[chosen] += 1
        k = self._scrapes[chosen, None]
        log_e = log_increments(self._test, batch.take(chosen), phi[chosen, None], shares[chosen, None])
        log_e = np.minimum(log_e, largest[chosen, None])
        self._log_wealths[chosen] = log_e + np.logaddexp(self._log_wealths[chosen], -np.log(k * (k + 1)))
        self.log_evidence[chosen] = np.logaddexp(_log_mean(self._log_wealths[chosen]), -np.log(k[:, 0] + 1))

    def restart(self, rows: Rows) -> None:
        self._log_wealths[rows] = -np.inf
        self._scrapes[rows] = 0
        self.log_evidence[rows] = 0


class Usuals:
    """The stable version's usual rates in each rollout; `shares` and `incidents` have an entry for each."""

    def __init__(self, requests: Array, events: Array) -> None:
        self._requests, self._events = requests, events
        self._alarms = np.zeros(len(requests))

    @property
    def shares(self) -> Array:
        known: Array = np.where(self._requests > 0, (self._events + 0.5) / (self._requests + 1), 0.0)
        return known

    @property
    def incidents(self) -> Rows:
        return np.asarray(self._alarms >= usual.ALARM)

    def observe(self, requests: Numbers, events: Numbers, phi: Array, *, seconds: float) -> None:
        """A scrape of the stable version, this many seconds after the previous one."""
        seen, known = requests > 0, self._requests > 0
        expected = self.shares * requests
        gain = (events * np.log(usual.MULTIPLE) - (usual.MULTIPLE - 1) * expected) / phi
        alarms = np.clip(self._alarms * np.exp(-seconds / usual.ALARM_SECONDS) + gain, 0.0, usual.LARGEST_ALARM)
        self._alarms = np.where(seen & known, alarms, self._alarms)
        counted = np.where(known & self.incidents, np.minimum(events, usual.MULTIPLE * expected), events)
        forget = np.where(known & self.incidents, usual.INCIDENT_FORGET_SECONDS, usual.FORGET_SECONDS)
        kept = np.where(seen, np.exp(-seconds / forget), 1.0)
        self._requests = kept * self._requests + np.where(seen, requests, 0)
        self._events = kept * self._events + np.where(seen, counted, 0)


class Sequences:
    """One confidence sequence for each test."""

    def __init__(self, tests: int) -> None:
        self._log_likelihoods = np.zeros((tests, confidence.POINTS))

    def observe(self, batch: Batch) -> None:
        """Both arms have users in every row."""
        log_ratios = np.array(confidence.LOG_RATIOS)
        share = (batch.candidate_requests / (batch.candidate_requests + batch.stable_requests))[:, None]
        events = (batch.candidate_events + batch.stable_events)[:, None]
        gained = batch.candidate_events[:, None] * log_ratios - events * np.log1p(share * np.expm1(log_ratios))
        self._log_likelihoods += gained

    def log_evidence_of_difference(self) -> Array:
        """The larger of ln E_up(1) and ln E_down(1)."""
        gains = self._log_likelihoods - self._log_likelihoods[:, confidence.EQUAL, None]
        larger: Array = np.maximum(_log_mean(gains[:, confidence.EQUAL + 1 :]), _log_mean(gains[:, : confidence.EQUAL]))
        return larger


def log_increments(test: evidence.SequentialTest, batch: Batch, phi: Array, shares: Array) -> Array:
    """ln e, rollouts x alternatives. phi, shares: the dispersion and the usual rates of each rollout, in columns."""
    grid = np.array(test.alternatives)
    n, x = batch.candidate_requests[:, None] * 1.0, batch.candidate_events[:, None]
    stable_n, stable_x = batch.stable_requests[:, None] * 1.0, batch.stable_events[:, None]
    found: Array
    match test:
        case evidence.AbsoluteTest():
            return _absolute(n, x, grid, test.limit) / phi
        case evidence.RelativeTest():
            found = np.minimum(_relative(batch, grid, test.null_ratio) / phi, test.largest)
        case evidence.JointTest():
            odds = _odds(batch, grid, test.null_ratio)
            rates = np.minimum(1.0, test.limit * grid / test.null_ratio * odds ** (evidence.OF_STABLE - 1))
            compared = _relative(batch, grid, test.null_ratio)
            found = np.minimum(compared, _absolute(n, x, rates, test.limit)) / phi
        case evidence.LimitTest():
            expected = np.clip(shares, 0.1 * test.limit, 0.75 * test.limit)
            keeps = _absolute(stable_n, stable_x, expected, test.limit) / phi
            compared = _relative(batch, np.array(test.ratios), 1.0) / phi
            other = np.logaddexp(keeps + np.log(evidence.KEEPS), compared + np.log1p(-evidence.KEEPS))
            found = np.minimum(_absolute(n, x, grid, test.limit) / phi, other)
        case sampletest.SampleTest():
            won = _sampled(test, batch, shares[:, 0])[:, None]
            found = np.log1p(np.maximum(grid * won, -1 + 1e-15)) / phi
        case _:
            raise TypeError(type(test))
    return found


def _sampled(test: sampletest.SampleTest, batch: Batch, shares: Array) -> Array:
    """f - max(g, 1 - (1 - p*)^m) of each rollout; 0 where there is no sample."""
    n, stable_n, r0 = batch.candidate_requests * 1.0, batch.stable_requests * 1.0, test.null_ratio
    rise = np.minimum(sampletest.RISE * shares, 0.5 / r0)
    known, rise = rise > 0, np.where(rise > 0, rise, 0.1)
    ratio = np.where(known, np.log1p(-r0 * rise) / np.log1p(-rise), r0)
    enough = sampletest.EVENTS / np.maximum(np.maximum(r0 * shares, test.limit), 1e-9)
    size = np.floor(np.minimum(np.minimum(n, (stable_n - 1) / ratio), np.maximum(1.0, enough)))
    sampled, size = size >= 1, np.maximum(size, 1.0)
    without = _without_event(stable_n, batch.stable_events, np.ceil(ratio * size - 1e-9))
    allowed = np.maximum(1 - without, -np.expm1(size * np.log1p(-test.limit)))
    won: Array = np.where(sampled, 1 - _without_event(n, batch.candidate_events, size) - allowed, 0.0)
    return won


def _without_event(requests: Array, events: Numbers, drawn: Array) -> Array:
    """The chance that none of this many, drawn without replacement, is an event."""
    possible = requests - events >= drawn
    good = np.where(possible, requests - events, drawn)
    everything = np.maximum(requests, drawn)
    log = gammaln(good + 1) - gammaln(good - drawn + 1) - gammaln(everything + 1) + gammaln(everything - drawn + 1)
    chance: Array = np.where(events <= 0, 1.0, np.where(possible, np.exp(log), 0.0))
    return chance


def _absolute(n: Numbers, x: Numbers, rates: Numbers, limit: float) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(x > 0, x * np.log(rates / limit), 0.0)
    absolute: Array = gain - n * (rates - limit)
    return absolute


def _relative(batch: Batch, ratios: Numbers, null_ratio: float) -> Array:
    x = batch.candidate_events[:, None]
    odds = _odds(batch, ratios, null_ratio)
    relative: Array = x * np.log(ratios / null_ratio) - (x + batch.stable_events[:, None]) * np.log(odds)
    return relative


def _odds(batch: Batch, ratios: Numbers, null_ratio: float) -> Array:
    n = batch.candidate_requests[:, None] * 1.0
    share = n / (n + batch.stable_requests[:, None])
    odds: Array = (share * ratios + 1 - share) / (share * null_ratio + 1 - share)
    return odds


def measured_dispersion(histories: Sequence[tuple[Array, Array]], *, initial: float) -> Array:
    """F5 of each row. A history: events (rollouts x scrapes) of two halves with equally many requests."""
    found = np.full(len(histories[0][0]), -np.inf)
    for events_a, events_b in histories:
        found = np.where(np.isfinite(found), found, _longest_dispersion(events_a, events_b))
    dispersed: Array = np.where(np.isfinite(found), np.maximum(1.0, found), max(1.0, initial))
    return dispersed


def largest_difference(generator: np.random.Generator, *, scrapes: int = 150, rollouts: int = 3) -> float:
    """Between this module and `sluice_judge.stats`, in nats of evidence and in dispersion, over random rollouts."""
    tests = (
        evidence.relative_up(1.25),
        evidence.relative_close(1.5),
        evidence.absolute_bad(0.005),
        evidence.absolute_good(0.005),
        evidence.higher_worse(0.1),
        evidence.higher_close(0.1),
        evidence.joint(1.25, 0.005),
        evidence.over_limit(0.005),
        sampletest.SampleTest(1.25, 0.005),
        sampletest.SampleTest(1.5, 0.0),
    )
    processes = (_difference(test, generator, scrapes, rollouts) for test in tests)
    return max(*processes, _sequence_difference(generator, scrapes), _dispersion_difference(generator))


def _informative(test: evidence.SequentialTest, batch: Batch) -> Rows:
    if isinstance(test, evidence.AbsoluteTest):
        return np.asarray(batch.candidate_requests > 0)
    both = (batch.candidate_requests > 0) & (batch.stable_requests > 0)
    if isinstance(test, evidence.JointTest | evidence.LimitTest | sampletest.SampleTest):
        return np.asarray(both)
    return np.asarray(both & (batch.candidate_events + batch.stable_events > 0))


def _log_mean(log_values: Array) -> Array:
    """ln of the mean of e^value in each row."""
    highest = np.maximum(log_values.max(axis=1, initial=-np.inf), -1e300)
    mean: Array = highest + np.log(np.exp(log_values - highest[:, None]).mean(axis=1))
    return mean


def _blocks(events: Array, length: int) -> Array:
    whole = events.shape[1] // length * length
    blocks: Array = events[:, :whole].reshape(len(events), -1, length).sum(axis=2)
    return blocks


def _longest_dispersion(events_a: Array, events_b: Array) -> Array:
    """The largest over the block lengths; minus infinity where none is conclusive."""
    lengths = [length for length in dispersion.BLOCK_LENGTHS if events_a.shape[1] >= length]
    largest: Array = np.max(
        [_mean_dispersion(_blocks(events_a, length), _blocks(events_b, length)) for length in lengths], axis=0
    )
    return largest


def _mean_dispersion(events_a: Array, events_b: Array) -> Array:
    """Minus infinity for rows with too few conclusive blocks."""
    variance = (events_a + events_b) / 4
    telling = variance >= dispersion.MINIMUM_VARIANCE
    ratios = np.divide(((events_a - events_b) / 2) ** 2, variance, out=np.zeros_like(variance), where=telling)
    blocks = telling.sum(axis=1)
    mean: Array = np.where(blocks >= dispersion.MINIMUM_BLOCKS, ratios.sum(axis=1) / np.maximum(blocks, 1), -np.inf)
    return mean


def _difference(test: evidence.SequentialTest, generator: np.random.Generator, scrapes: int, rollouts: int) -> float:
    fast, real = Processes(test, rollouts), [eprocess.start(test)] * rollouts
    usuals, known = Usuals(np.zeros(rollouts), np.zeros(rollouts)), [usual.Usual()] * rollouts
    for scrape in range(scrapes):
        requests = generator.poisson((3000, 20000) if scrape % 10 == 0 else (30, 200), (rollouts, 2))
        events = generator.binomial(requests, (0.006, 0.004))
        everyone = np.ones(rollouts, dtype=bool)
        batch = Batch(requests[:, 0], events[:, 0], requests[:, 1], events[:, 1])
        fast.observe(batch, 1.3 * everyone, everyone, usuals.shares, 2.0 * everyone)
        usuals.observe(batch.stable_requests, batch.stable_events, 1.3 * everyone, seconds=5.0)
        real = [
            process.observe(_counts(n, x), dispersion=1.3, usual=one.share, largest=2.0)
            for process, one, n, x in zip(real, known, requests, events, strict=True)
        ]
        known = [
            one.observe(n[1], x[1], time=5.0 * scrape, dispersion=1.3)
            for one, n, x in zip(known, requests, events, strict=True)
        ]
    shares = np.max(np.abs(usuals.shares - [one.share for one in known]))
    return float(max(shares, np.max(np.abs(fast.log_evidence - [process.log_evidence for process in real]))))


def _sequence_difference(generator: np.random.Generator, scrapes: int) -> float:
    fast, real = Sequences(1), confidence.start()
    for _ in range(scrapes):
        requests = generator.poisson((300, 200))
        events = generator.binomial(requests, (0.06, 0.04))
        fast.observe(Batch(requests[:1], events[:1], requests[1:], events[1:]))
        real = real.observe(_counts(requests, events), dispersion=1.0)
    sides = (real.log_evidence_above()[confidence.EQUAL], real.log_evidence_below()[confidence.EQUAL - 1])
    return abs(float(fast.log_evidence_of_difference()[0]) - max(sides))


def _dispersion_difference(generator: np.random.Generator) -> float:
    """Rows where an hour is enough, and rows that need the day."""
    means = np.array((0.02, 0.05, 0.3))[:, None]
    hour, day = (5.0 * generator.poisson(means * share, (2, 3, 720)) for share in (1, 20))
    real = [dispersion.estimate(*(_halves(history[:, row]) for history in (hour, day)), initial=1) for row in range(3)]
    return float(np.max(np.abs(measured_dispersion([tuple(hour), tuple(day)], initial=1) - real)))


def _halves(events: Array) -> list[dispersion.Halves]:
    return [dispersion.Halves(100, float(a), 100, float(b)) for a, b in events.T]


def _counts(requests: Numbers, events: Numbers) -> evidence.Counts:
    return evidence.Counts(int(requests[0]), int(events[0]), int(requests[1]), int(events[1]))
