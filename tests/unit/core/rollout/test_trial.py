"""What the judge is told of a running release."""

from dataclasses import replace

import pytest

from sluice.core.kernel.snapshot import Pod, Revision
from sluice.core.rollout import trial
from tests.support import moments
from tests.support.builders import NOW
from tests.support.moments import CANDIDATE, STABLE, at
from tests.support.situations import make_release, make_situation

DOWN = moments.running(STABLE, 0, replicas=0)
AWAY = moments.running(STABLE, 0)
HUNG = Pod("pod", ready=False, restarts=0, terminating=False, server_since=NOW - 600)
GONE = moments.running(CANDIDATE, 0)


@pytest.mark.parametrize(
    ("capacity", "stable", "candidate", "want"),
    [
        pytest.param("Recreate", DOWN, GONE, True, id="its pod is made again, and there is no room for another"),
        pytest.param("Recreate", DOWN, moments.running(CANDIDATE, 1), False, id="a pod answers"),
        pytest.param("Recreate", DOWN, replace(GONE, pods=(HUNG,)), False, id="its server runs on and does not answer"),
        pytest.param("Auto", DOWN, GONE, False, id="stable was scaled to nothing by somebody else"),
        pytest.param("Auto", AWAY, GONE, True, id="both are away"),
        pytest.param("Auto", moments.running(STABLE), GONE, False, id="stable serves"),
    ],
)
def test_an_outage_proves_nothing(capacity: str, stable: Revision, candidate: Revision, want: bool) -> None:
    step = {"permille": 1000, "startTime": at(-60)}
    release = make_release(
        capacity=capacity,
        steps=[{"weight": 100}],
        status={"step": 1, "permille": 1000, "steps": [step], "unreadySince": at(-10), "startTime": at(-90)},
    )
    made = trial.running_trial(make_situation(release, stable=stable, revisions=(stable, candidate)))
    assert made is not None
    assert made.outage is want
