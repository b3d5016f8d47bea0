"""Has something become worse, in years of looking every minute? A change detector with a guaranteed time between false
alarms.

An e-process bounds the chance that it *ever* accuses the innocent; in years that chance is used up, and evidence that an
old, good year has lost has to be won again. An e-detector adds up e-processes that begin at every minute:

    R_k(g) = e_k(g) (R_{k-1}(g) + 1),   R_0 = 0      Shiryaev-Roberts: all starts together; decides
    C_k(g) = e_k(g) max(C_{k-1}(g), 1),  C_0 = 1     CUSUM: the best start; says since when
    R_k    = mean over g of R_k(g);  alarm at R_k >= b

    minute     1     2     3     4     5     6
               ├─e_1─e_2─e_3─e_4─e_5─e_6──>            each start is an e-process, the sum of all of them is R
                     ├─e_2─e_3─e_4─e_5─e_6──>
                                 ├─e_5─e_6──>          C is the largest: it began at minute 5

While the null holds, E[e_k | past] <= 1, so R_k - k is a supermartingale and E[R_T] <= E[T] at every stopping time T.
At the alarm R_T >= b, hence E[T] >= b: on average b minutes or more pass until a false alarm, and again after each
restart. Nothing is assumed about the dependence of minutes; a minute may be left out, as long as the reason is not its
own events. The mean of several detectors is one.

Source: Shin, Ramdas & Rinaldo, E-detectors (arXiv 2203.03532), definitions 2.2 and 2.6, proposition 2.4.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sluice_judge.stats import evidence, logspace

MULTIPLES: Final = (1.15, 1.35, 1.7, 2.3, 3.5, 6.0, 12.0, 30.0)
"""The grid g: rates as multiples of the limit. The nearest is for twice the usual rate, with a margin of 1.5."""
LARGEST_LOG: Final = 700.0
"""Upper bound of evidence, ln: an alarm that lasts for weeks adds nothing after that."""


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """Counts since the start that looks most like the change, for one rate of the grid."""

    log: float = 0.0
    """ln C >= 0; 0: no evidence of a change now."""
    since: float = 0.0
    """When the first of its minutes began, seconds since the epoch."""
    requests: float = 0.0
    events: float = 0.0


_NO_RUN: Final = Run()


@dataclasses.dataclass(frozen=True, slots=True)
class EDetector:
    """The e-detector of one kind of event against a limit; `log_sums` is ln R(g)."""

    log_sums: tuple[float, ...] = (logspace.LOG_ZERO,) * len(MULTIPLES)
    runs: tuple[Run, ...] = (_NO_RUN,) * len(MULTIPLES)

    def observe(self, requests: float, events: float, *, limit: float, dispersion: float, begin: float) -> "EDetector":
        """The detector after one more minute; without a request, or with a limit that cannot be exceeded, it is
        unchanged.

        limit: p*, known before the minute, 0 < p*. dispersion: F5, >= 1, known before it as well. begin: the minute's.
        """
        if requests <= 0 or limit >= 1:
            return self
        test = evidence.AbsoluteTest(limit, tuple([min(1.0, limit * multiple) for multiple in MULTIPLES]))
        counts = evidence.Counts(max(requests, events), events, 0.0, 0.0)
        gains = test.log_increments(counts, dispersion) or (0.0,) * len(MULTIPLES)
        sums = [min(log, LARGEST_LOG) for log in logspace.grown(self.log_sums, 0.0, gains)]
        runs = [_grown(run, gain, counts, begin) for run, gain in zip(self.runs, gains, strict=True)]
        return EDetector(tuple(sums), tuple(runs))

    @property
    def log_evidence(self) -> float:
        """ln R; minus infinity at the start."""
        return logspace.log_mean(self.log_sums)

    @property
    def change(self) -> Run | None:
        """The start of the change, and the counts since then, by the rate that explains it best; None without evidence
        of a change. The start is the likeliest of all, so a share computed from it is a little too large.
        """
        best = max(self.runs, key=lambda run: run.log)
        return best if best.log > 0 else None

    def to_state(self) -> dict[str, object]:
        """A compact JSON value: `r`, the sums (null: ln 0), and `c`, the runs."""
        return {
            "r": [None if log == logspace.LOG_ZERO else log for log in self.log_sums],
            "c": [[run.log, run.since, run.requests, run.events] if run.log > 0 else [] for run in self.runs],
        }


def restore(state: Mapping[str, Any]) -> EDetector:
    """The detector that `to_state` was called on, bit for bit. Raises ValueError for anything else."""
    try:
        sums = tuple(logspace.LOG_ZERO if log is None else _finite(log) for log in state["r"])
        runs = tuple(Run(*map(_finite, run)) for run in state["c"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"state: not that of an e-detector ({error}); start it anew") from error
    if not len(sums) == len(runs) == len(MULTIPLES):
        raise ValueError(f"state: {len(sums)} sums for a grid of {len(MULTIPLES)} rates; start the e-detector anew")
    return EDetector(sums, runs)


def log_evidence(detectors: Sequence[EDetector]) -> float:
    """ln of the mean of R over several detectors, which is also one; minus infinity for none."""
    return logspace.log_mean([one.log_evidence for one in detectors]) if detectors else logspace.LOG_ZERO


def log_threshold(minutes: float) -> float:
    """ln b for this number of minutes (> 1) between false alarms."""
    if not 1 < minutes < math.inf:
        raise ValueError(f"minutes: {minutes} is not a finite number above 1")
    return math.log(minutes)


def _grown(run: Run, gain: float, counts: evidence.Counts, begin: float) -> Run:
    before = run if run.log > 0 else Run(since=begin)
    log = logspace.storable(min(before.log + gain, LARGEST_LOG))
    if log <= 0:
        return _NO_RUN
    return Run(log, before.since, before.requests + counts.candidate_requests, before.events + counts.candidate_events)


def _finite(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ValueError(f"state: {value!r} is not a finite number; start the e-detector anew")
