"""Evidence carried from scrape to scrape: a mixture over alternatives and over starting times (F2).

    A_k(g) = e_k(g) (A_{k-1}(g) + w_k),   A_0 = 0,   w_k = 1/(k (k+1))
    E_K    = sum over g of pi_g A_K(g) + 1/(K+1)

Read it as betting. The reserve starts at 1. With every informative scrape a part w_k of it is put on each alternative g
and multiplies by e_k(g) from then on; 1/(K+1) has not been bet yet.

    reserve   1 ──w_1──> A(g) ──·e_1──·e_2──·e_3──·e_4──>     a fault that was there from the start
                └──────w_3──────────────> ·e_3──·e_4──>       a fault that began at scrape 3 pays on this bet in full,
                                                              undiluted by two healthy scrapes before it
Under the null no e gains on average, so E is a supermartingale that starts at 1: P(it ever reaches 1/alpha) <= alpha.
The late starts are the e-detector idea of Shin, Ramdas & Rinaldo (arXiv 2203.03532).
"""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import TypeGuard

from sluice_judge.stats import evidence, logspace, sampletest


@dataclasses.dataclass(frozen=True, slots=True)
class EProcess:
    """The evidence against one null hypothesis after `scrapes` informative scrapes; `log_wealths` is ln A(g)."""

    test: evidence.SequentialTest
    scrapes: int
    log_wealths: tuple[float, ...]

    def observe(
        self, counts: evidence.Counts, *, dispersion: float, usual: float = 0.0, largest: float = math.inf
    ) -> "EProcess":
        """The process after one more scrape; itself if the scrape has no information (e = 1).

        dispersion: F5, >= 1, the same for the whole rollout. usual: see `expecting`. largest: the maximum of ln e,
        however it was chosen: min(e, c) has no larger expectation than e. With 0 the scrape can only speak for the
        null.
        """
        if not (math.isfinite(dispersion) and dispersion >= 1):
            raise ValueError(f"dispersion: {dispersion} is not a finite number >= 1; use dispersion.estimate")
        log_increments = expecting(self.test, usual).log_increments(counts, dispersion)
        if log_increments is None:
            return self
        if largest < math.inf:
            log_increments = tuple([gain if gain < largest else largest for gain in log_increments])
        scrapes = self.scrapes + 1
        log_stake = -math.log(scrapes * (scrapes + 1))
        return EProcess(self.test, scrapes, logspace.grown(self.log_wealths, log_stake, log_increments))

    def staked(self, log_factors: Sequence[float]) -> "EProcess":
        """The process with the stake of one more scrape, each alternative's multiplied by a factor of at most 1."""
        scrapes = self.scrapes + 1
        log_stake = -math.log(scrapes * (scrapes + 1))
        pairs = zip(self.log_wealths, log_factors, strict=True)
        wealths = tuple([logspace.storable(logspace.log_add(log, log_stake + factor)) for log, factor in pairs])
        return EProcess(self.test, scrapes, wealths)

    def multiplied(self, log_increments: Sequence[float]) -> "EProcess":
        """The process whose bets have won, or lost, this much, without a new stake."""
        pairs = zip(self.log_wealths, log_increments, strict=True)
        return EProcess(self.test, self.scrapes, tuple([logspace.storable(log + gain) for log, gain in pairs]))

    @property
    def log_evidence(self) -> float:
        """ln E_K. 0 at the start; at least ln(1/alpha) means that the null is refuted at level alpha."""
        return _log_evidence(self.scrapes, self.log_wealths)

    def to_state(self) -> dict[str, object]:
        """A compact JSON value: `k`, the informative scrapes, and `a`, the log-wealths (null: ln 0)."""
        return {"k": self.scrapes, "a": [None if a == logspace.LOG_ZERO else a for a in self.log_wealths]}


@functools.lru_cache(maxsize=1024)
def _log_evidence(scrapes: int, log_wealths: tuple[float, ...]) -> float:
    """Cached, since every role of a process asks for it."""
    log_reserve = -math.log(scrapes + 1)
    if not log_wealths:
        return log_reserve
    return logspace.log_add(logspace.log_mean(log_wealths), log_reserve)


def expecting(test: evidence.SequentialTest, usual: float) -> evidence.SequentialTest:
    """The test for a scrape, given the stable version's usual rate of events (0..1), known before it."""
    match test:
        case evidence.LimitTest() | sampletest.SampleTest():
            return dataclasses.replace(test, usual=usual)
        case _:
            return test


def start(test: evidence.SequentialTest) -> EProcess:
    """The process before the first scrape: everything in the reserve, evidence 1."""
    return EProcess(test, 0, (logspace.LOG_ZERO,) * len(test.alternatives))


def restore(test: evidence.SequentialTest, state: Mapping[str, object]) -> EProcess:
    """The process that `to_state` was called on, bit for bit. Raises ValueError for a state of another test."""
    scrapes, log_wealths = state.get("k"), state.get("a")
    if not _is_count(scrapes) or not isinstance(log_wealths, list):
        raise ValueError(f'state: {dict(state)!r} has no count "k" and list "a"; start the process anew')
    if len(log_wealths) != len(test.alternatives):
        raise ValueError(
            f"state.a: {len(log_wealths)} log-wealths for a grid of {len(test.alternatives)} alternatives;"
            " the state belongs to another test, start the process anew"
        )
    if set(map(type, log_wealths)) == {float} and all(map(math.isfinite, log_wealths)):  # the usual case, at full speed
        return EProcess(test, scrapes, tuple(log_wealths))
    return EProcess(test, scrapes, tuple(_log_wealth(index, value) for index, value in enumerate(log_wealths)))


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _log_wealth(index: int, value: object) -> float:
    if value is None:
        return logspace.LOG_ZERO
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ValueError(f"state.a[{index}]: {value!r} is neither a finite number nor null; start the process anew")
