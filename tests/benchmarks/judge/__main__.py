"""The published figures of the judge: `python -m tests.benchmarks.judge [--rollouts N] [--seed S] [only these ...]`.

Prints one line a figure, with the figure that it has to reach; exit status 1 if one is missed.
"""

import argparse
import sys
import time

import numpy as np

from tests.benchmarks.judge import scenarios, vectorised


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.judge", description=__doc__)
    parser.add_argument("only", nargs="*", help="parts of the names of the figures to measure; default: all")
    parser.add_argument("--rollouts", type=int, default=1000, help="simulated rollouts a figure (default: 1000)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    difference = vectorised.largest_difference(np.random.default_rng(options.seed))
    print(f"numpy form against sluice.stats: largest difference {difference:.1e} nats")
    missed = difference > 1e-8
    for name, measure in scenarios.FIGURES.items():
        if options.only and not any(part in name for part in options.only):
            continue
        started = time.perf_counter()
        figure = measure(options.rollouts, options.seed)
        missed |= not figure.reached
        mark = "ok  " if figure.reached else "MISS"
        print(
            f"{mark} {name:<58} {figure.text:<48} to reach: {figure.target:<28} {time.perf_counter() - started:5.1f} s"
        )
        sys.stdout.flush()
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
