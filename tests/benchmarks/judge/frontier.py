"""The optimum where pods swing or differ: what a single look after the hour, with knowledge of their law, can prove.

The judge does not know the law, and looks on every scrape. What that look cannot prove, no judge of the two versions'
counts can.
"""

import functools
from collections.abc import Mapping
from typing import Final

import numpy as np

from tests.benchmarks.judge import table, troubles
from tests.benchmarks.judge.figures import Figure, Measure
from tests.benchmarks.judge.shipped import Setting
from tests.benchmarks.judge.vectorised import Array

BETAS: Final = (0.01, 0.05, 0.13)
DRAWS: Final = 4
"""For one rollout: of a thousand, 1 % are forty draws."""
PAST: Final = 1
"""Seconds of history: no law here remembers one."""


def most_proven(setting: Setting, rollouts: int, seed: int) -> Figure:
    """How many equal versions a step of an hour can prove, for each share of borderline ones that it may let
    through."""
    generator = np.random.default_rng(seed)
    weight, seconds = setting.weights[0], setting.seconds
    drawn = [setting.trouble(generator, PAST, seconds) for _ in range(DRAWS * rollouts)]
    stable, candidate = (np.array([shares[..., PAST:].mean() for shares in each]) for each in zip(*drawn, strict=True))
    requests = setting.requests_per_second * seconds
    others = generator.poisson(stable * requests * (1 - weight))

    def ratio(times: float) -> Array:
        """Of the candidate's share of events to stable's, in orders; half an event is added to both."""
        ours = generator.poisson(candidate * times * requests * weight)
        found: Array = np.log((ours + 0.5) / weight) - np.log((others + 0.5) / (1 - weight))
        return found

    equal, edge = ratio(1.0), ratio(troubles.R1)
    found = ((beta, float(np.mean(equal < np.quantile(edge, beta)))) for beta in BETAS)
    return Figure("; ".join(f"{share:.0%} at β {beta:.0%}" for beta, share in found))


FIGURES: Final[Mapping[str, Measure]] = {
    name: functools.partial(most_proven, row.healthy)
    for name, row in table.ROWS.items()
    if row.healthy is not None and ("pod swings" in name or "pods differ" in name)
}
