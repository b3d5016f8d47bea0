"""The ScaledObject of a revision."""

from typing import Any

import pytest

from sluice_core.render import scaledobject
from sluice_core.render.scaledobject import Signal
from tests.support.cases import builders

SIGNAL = Signal("in_flight", shared=True, wakes="asked")
REVISION = builders.make_revision()


def desired(signal: Signal = SIGNAL, minimum: int = 2, least: int = 2, **how: bool) -> dict[str, Any]:
    target = {"metric": "InFlightRequests", "value": 4}
    settings = {"minimumReplicas": least, "maximumReplicas": 6, "scaleDownAfterSeconds": 90, "target": target}
    deployment = builders.make_model_deployment(spec={"autoscaling": settings})
    return scaledobject.desired_scaled_object(
        REVISION, deployment, signal, prometheus_url="http://prometheus:9090", minimum=minimum, **how
    )


def test_it_scales_the_deployment_of_its_name_by_the_signal() -> None:
    manifest = desired()
    assert manifest["metadata"]["name"] == REVISION.name
    assert "annotations" not in manifest["metadata"]
    assert manifest["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": REVISION.name},
        "minReplicaCount": 2,
        "maxReplicaCount": 6,
        "pollingInterval": 10,
        "cooldownPeriod": 90,
        "initialCooldownPeriod": 90,
        "advanced": {
            "horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 90}}},
        },
        "triggers": [
            {
                "type": "prometheus",
                "metricType": "AverageValue",
                "metadata": {
                    "serverAddress": "http://prometheus:9090",
                    "query": "in_flight",
                    "threshold": "4",
                    "ignoreNullValues": "false",
                },
            }
        ],
    }


def test_a_mean_is_no_sum_over_the_pods() -> None:
    (trigger,) = desired(Signal("waited", shared=False))["spec"]["triggers"]
    assert trigger["metricType"] == "Value"


def test_what_may_sleep_is_woken_by_requests_and_asks_for_one_pod() -> None:
    spec = desired(minimum=0, least=0)["spec"]
    assert spec["minReplicaCount"] == 0
    wakes = spec["triggers"][1]["metadata"]
    assert (wakes["query"], wakes["threshold"]) == ("asked", "1000000")


@pytest.mark.parametrize(
    ("name", "minimum", "how", "want"),
    [
        ("a release needs more", 4, {}, (4, 6)),
        ("the maximum was lowered in the middle", 9, {}, (6, 6)),
        ("devices change hands", 3, {"pinned": True}, (3, 3)),
        ("none yet", 0, {"pinned": True}, (0, 1)),
    ],
)
def test_a_release_moves_the_bounds(name: str, minimum: int, how: dict[str, bool], want: tuple[int, int]) -> None:
    spec = desired(minimum=minimum, **how)["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == want, name


def test_keda_keeps_out_while_a_release_takes_it_down() -> None:
    annotations = desired(minimum=0, down=True)["metadata"]["annotations"]
    assert annotations == {"autoscaling.keda.sh/paused-replicas": "0"}
