"""What is written for the versions of a release, beside what every reconcile writes."""

from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.decide import children
from sluice_core.kernel.plan import Delete
from sluice_core.rollout.capacity import capacity
from tests.support.cases import moments
from tests.support.cases.moments import CANDIDATE, STABLE, THIRD, make_test_rules, running
from tests.support.cases.situations import make_release, make_situation


def steps(**status: Any) -> ModelRollout:
    return make_release(THIRD, status=status)


def arms(**status: Any) -> ModelRollout:
    return make_release(STABLE, abTest=make_test_rules().to_wire(), strategy="ABTest", status=status)


@pytest.mark.parametrize("release", [steps, arms])
@pytest.mark.parametrize(
    ("status", "want"), [({"step": 1}, []), ({"step": 1, "replacedPod": "pod-0"}, ["pod-0"])], ids=["none", "one"]
)
def test_the_bad_pod_of_whichever_version_is_deleted(release: Any, status: dict[str, Any], want: list[str]) -> None:
    revisions = (running(STABLE), running(CANDIDATE), running(THIRD, pods=(moments.make_pod(),)))
    situation = make_situation(release(**status), revisions=revisions)
    kids = children.desired(situation, capacity.plan(situation, None), created=False)
    deleted = [write.ref.name for write in kids.writes if isinstance(write, Delete) and write.ref.kind == "Pod"]
    assert deleted == want
