"""The worlds behind the figures: the policies, and the behaviour of stable version and candidate."""

import math
from typing import Final

from tests.benchmarks.judge.objectives import failure_ratio, latency, success_ratio
from tests.benchmarks.judge.simulation import Plan, World, changing, constant

HOUR: Final = 3600.0
STEPS: Final = (0.05, 0.25, 0.5)
RELEASE: Final = Plan(STEPS, HOUR)
BY_CLOCK: Final = Plan(STEPS, HOUR, HOUR / len(STEPS))

BASE: Final = 0.005
"""Error rate of the stable version."""
HEALTHY_LATENCY: Final = (0.6, 0.3, 0.12, 0.05, 0.02, 0.008, 0.002, 0.0005)
ERRORS: Final = failure_ratio("errors", maximum=0.02, ignore_below=0.005, tolerance=0.25)
STRICT_ERRORS: Final = failure_ratio("errors", maximum=0.02, ignore_below=0.002, tolerance=0.25)
CONVERSIONS: Final = success_ratio("conversions", tolerance=0.1)
DEFAULT_POLICY: Final = (
    ERRORS,
    failure_ratio("rejections", ignore_below=0.01, tolerance=0.5),
    latency("latency", boundaries=len(HEALTHY_LATENCY), decisive=5, limit=0.05, tolerance=0.25),
)


def stay(weight: float, seconds: float = HOUR) -> Plan:
    """One weight (0..1) all along, whatever is proven."""
    return Plan((weight,), seconds, math.inf)


def default_world(
    requests_per_second: float,
    *,
    factor: float = 1.0,
    base: float = BASE,
    onset_seconds: float = 0.0,
    burst: int = 1,
    shock: float = 1.0,
) -> World:
    """For the default policy; from the onset on the candidate has `factor` times the stable version's errors."""
    stable = (constant(base), constant(0.005), constant(*HEALTHY_LATENCY))
    broken = changing(constant(base), constant(min(1.0, base * factor)), at_seconds=onset_seconds)
    return World(requests_per_second, stable, (broken, *stable[1:]), burst=burst, shock=shock)


def errors_world(requests_per_second: float, *, stable: float, candidate: float) -> World:
    """For one objective."""
    return World(requests_per_second, (constant(stable),), (constant(candidate),))
