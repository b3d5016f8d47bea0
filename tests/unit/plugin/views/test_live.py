"""What is read without the operator."""

from typing import Any

import pytest

from kubectl_sluice.views.live import AddressState, PodCount, answered, counted, live
from sluice_core.kernel.snapshot import Pod
from sluice_judge import timestamps
from tests.unit.plugin.views.builders import CANDIDATE, STABLE, T0


def pod(name: str, revision: str, *, ready: str = "True", **metadata: Any) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"sluice.dev/revision": revision}, **metadata},
        "spec": {"containers": [{"name": "server"}]},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def field(seconds: float, **entry: Any) -> dict[str, Any]:
    return {"time": timestamps.rfc3339(T0 + seconds), **entry}


def test_moments_are_those_of_the_managed_fields() -> None:
    fields = [
        field(-400, manager="kubectl", fieldsV1={"f:spec": {}}),
        field(-10, manager="somebody", subresource="status"),
        field(-300, manager="sluice", subresource="status"),
        field(-200, manager="sluice", subresource="status"),
        field(-100, manager="sluice", fieldsV1={"f:metadata": {}}),
    ]
    found = live({"metadata": {"managedFields": fields}}, now=T0)
    assert (found.changed, found.written) == (T0 - 400, T0 - 200)
    assert live({"metadata": {}}, now=T0).written is None
    assert live(
        {"metadata": {"managedFields": [field(0, manager="sluice", subresource="status") | {"time": 7}]}}, now=T0
    )


def test_pods_are_counted_by_revision() -> None:
    pods = [
        pod("a", STABLE),
        pod("b", STABLE, ready="False"),
        pod("c", STABLE, deletionTimestamp="2026-03-01T12:00:00Z"),
        pod("d", CANDIDATE),
    ]
    found = live({"metadata": {}}, pods=pods, now=T0)
    assert found.pods == {STABLE: PodCount(1, 2), CANDIDATE: PodCount(1, 1)}
    assert found.pods_of("digits-3333333333") == PodCount(0, 0)
    assert live({"metadata": {}}, now=T0).pods_of(STABLE) is None


def test_a_pod_that_could_not_be_created_is_none() -> None:
    assert counted([Pod(name="", ready=False, restarts=0, terminating=False)]) == PodCount(0, 0)


@pytest.mark.parametrize(
    ("status", "revision", "state", "want"),
    [
        (200, STABLE, AddressState.ANSWERS, f"answered by {STABLE}"),
        (404, STABLE, AddressState.ANSWERS, f"answered by {STABLE}"),
        (200, "", AddressState.ANSWERS, "answers"),
        (503, STABLE, AddressState.REFUSES, f"{STABLE} answers 503"),
        (503, "", AddressState.REFUSES, "the gateway itself, or a server that does not speak V2, answers 503"),
        (404, "", AddressState.REFUSES, "the gateway itself, or a server that does not speak V2, answers 404"),
    ],
)
def test_an_answer_in_words(status: int, revision: str, state: AddressState, want: str) -> None:
    found = answered(status, revision)
    assert (found.state, found.words) == (state, want)
