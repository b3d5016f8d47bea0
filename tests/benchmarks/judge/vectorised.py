"""The judge's evidence for thousands of rollouts at once: an independent numpy form of `sluice.stats`.

One row is one rollout. `largest_difference` replays rows through the real modules, so that figures measured here are
figures of the code that ships.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from sluice.stats import eprocess, evidence

Array = npt.NDArray[np.floating]
Numbers = npt.NDArray[np.floating] | npt.NDArray[np.integer]


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """Counts of one scrape, one entry a rollout."""

    candidate_requests: Numbers
    candidate_events: Numbers
    stable_requests: Numbers
    stable_events: Numbers


class Processes:
    """One e-process of the same test for each rollout."""

    def __init__(self, test: evidence.SequentialTest, rollouts: int) -> None:
        self._test = test
        self._log_wealths = np.full((rollouts, len(test.alternatives)), -np.inf)
        self._scrapes = np.zeros(rollouts)

    def observe(self, batch: Batch, dispersion: float, rows: npt.NDArray[np.bool_]) -> None:
        """Count the scrape in those rows."""
        log_e, informative = log_increments(self._test, batch)
        rows = rows & informative
        self._scrapes[rows] += 1
        k = self._scrapes[rows, None]
        self._log_wealths[rows] = log_e[rows] / dispersion + np.logaddexp(self._log_wealths[rows], -np.log(k * (k + 1)))

    def restart(self, rows: npt.NDArray[np.bool_]) -> None:
        self._log_wealths[rows] = -np.inf
        self._scrapes[rows] = 0

    def log_evidence(self) -> Array:
        evidences: Array = np.logaddexp(log_mean(list(self._log_wealths.T)), -np.log(self._scrapes + 1))
        return evidences


def log_increments(test: evidence.SequentialTest, batch: Batch) -> tuple[Array, npt.NDArray[np.bool_]]:
    """ln e before dispersion (rollouts x alternatives), and which rollouts got information from this scrape."""
    grid = np.array(test.alternatives)
    n, x = batch.candidate_requests[:, None] * 1.0, batch.candidate_events[:, None]
    if isinstance(test, evidence.AbsoluteTest):
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = np.where(x > 0, x * np.log(grid / test.limit), 0.0)
        return gain - n * (grid - test.limit), n[:, 0] > 0
    assert isinstance(test, evidence.RelativeTest)
    events, requests = x + batch.stable_events[:, None], n + batch.stable_requests[:, None]
    share = np.divide(n, requests, out=np.zeros_like(n), where=requests > 0)
    odds = (share * grid + 1 - share) / (share * test.null_ratio + 1 - share)
    log_e = x * np.log(grid / test.null_ratio) - events * np.log(odds)
    return log_e, ((events > 0) & (share > 0) & (share < 1))[:, 0]


def log_mean(terms: list[Array]) -> Array:
    """ln(mean of e^term) over the list, entry by entry."""
    total: Array = np.logaddexp.reduce(terms) - np.log(len(terms))
    return total


def largest_difference(generator: np.random.Generator, *, scrapes: int = 150, rollouts: int = 3) -> float:
    """Between this module and `sluice.stats`, in log-evidence, over random rollouts of every test."""
    return max(
        _difference(test, generator, scrapes, rollouts)
        for test in (
            evidence.relative_up(1.25),
            evidence.relative_down(1.5),
            evidence.absolute_bad(0.005),
            evidence.absolute_good(0.005),
        )
    )


def _difference(test: evidence.SequentialTest, generator: np.random.Generator, scrapes: int, rollouts: int) -> float:
    fast, real = Processes(test, rollouts), [eprocess.start(test)] * rollouts
    for _ in range(scrapes):
        requests = generator.poisson((30, 200), (rollouts, 2))
        events = generator.binomial(requests, (0.006, 0.004))
        fast.observe(
            Batch(requests[:, 0], events[:, 0], requests[:, 1], events[:, 1]), 1.3, np.ones(rollouts, dtype=bool)
        )
        real = [
            process.observe(evidence.Counts(int(n[0]), int(x[0]), int(n[1]), int(x[1])), dispersion=1.3)
            for process, n, x in zip(real, requests, events, strict=True)
        ]
    return float(np.max(np.abs(fast.log_evidence() - [process.log_evidence for process in real])))
