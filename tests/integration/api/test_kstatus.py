"""kstatus, by which Flux waits, on objects that a real API server has stored."""

from typing import Any

import pytest

from tests.support import kstatus
from tests.support.cases.objects import batch, deployment, rollout
from tests.support.live.kube import Kube


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(deployment(name="unseen"), id="ModelDeployment"),
        pytest.param(rollout(name="unseen-1"), id="ModelRollout"),
        pytest.param(batch(name="unseen"), id="BatchInference"),
    ],
)
def test_what_no_operator_has_looked_at_is_in_progress(kube: Kube, given: dict[str, Any]) -> None:
    created = kube.create({**given, "status": {"observedGeneration": 1}}).raise_for_status().json()
    assert kube.get(given)["status"] == {"observedGeneration": -1}
    assert kstatus.status_of(kube.get(given)) == "InProgress"
    assert kstatus.status_of(created) == "InProgress", "kubectl and Flux may judge the answer"


def test_a_status_that_was_stored_stays_as_it_is(kube: Kube) -> None:
    """Also one of an operator that stated no generation of a ModelRollout."""
    given = rollout(name="older-1")
    kube.create(given).raise_for_status()
    ended = {"outcome": "Promoted", "reason": "Promoted"}
    kube.patch(given, {"status": {**ended, "observedGeneration": None}}, subresource="/status").raise_for_status()
    assert kube.get(given)["status"] == ended
    assert kstatus.status_of(kube.get(given)) == "Current"
