"""The first line of `make demo`: how long it takes. Needs Python alone, since nothing is installed yet.

python3 -m demo.forecast CLUSTER SCENARIO
"""

import contextlib
import sys
from typing import Final

from demo import cluster
from demo.cluster import Kind
from lab import coldstart, machine

STORY_MINUTES: Final = {"default": 8, "all": 20, "llm": 12}
"""The releases of a scenario: mostly waiting for evidence, so that any machine takes as long. Measured for `default`,
estimated for the others."""


def line(kind: Kind, scenario: str) -> str:
    """Raises KeyError for a scenario that there is not."""
    story, seconds = STORY_MINUTES[scenario], coldstart.planned_seconds() if kind is Kind.LAB else 0
    if not seconds:
        return f"make demo: about {story} minutes"
    once = max(1, round(machine.seconds(seconds) / 60))
    return f"make demo: about {once + story} minutes; {once} of them to build Kubernetes, only once"


if __name__ == "__main__":
    with contextlib.suppress(KeyError, ValueError):  # the demo itself says what is wrong with its arguments
        print(line(cluster.chosen(Kind(sys.argv[1])), sys.argv[2]), flush=True)
