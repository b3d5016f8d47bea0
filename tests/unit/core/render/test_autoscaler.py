"""The HorizontalPodAutoscaler of a revision."""

from typing import Any

import pytest

from sluice_core.render import autoscaler
from tests.support.cases import builders


def desired(minimum: int, **autoscaling: Any) -> dict[str, Any]:
    settings = {"minimumReplicas": 2, "maximumReplicas": 6, **autoscaling}
    deployment = builders.make_model_deployment(spec={"autoscaling": settings})
    return autoscaler.desired_autoscaler(builders.make_revision(), deployment, minimum=minimum)


def test_it_scales_the_deployment_of_its_name_by_the_model_servers_use() -> None:
    revision = builders.make_revision()
    manifest = desired(2, target={"metric": "Memory", "utilizationPercent": 80})
    assert manifest["metadata"]["name"] == revision.name
    assert manifest["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": revision.name},
        "minReplicas": 2,
        "maxReplicas": 6,
        "metrics": [
            {
                "type": "ContainerResource",
                "containerResource": {
                    "name": "memory",
                    "container": "triton",
                    "target": {"type": "Utilization", "averageUtilization": 80},
                },
            }
        ],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
    }


@pytest.mark.parametrize(
    ("name", "minimum", "pinned", "want"),
    [
        ("at rest", 2, False, (2, 6)),
        ("a release needs more", 4, False, (4, 6)),
        ("a small first step needs less", 1, False, (1, 6)),
        ("the maximum was lowered in the middle", 9, False, (6, 6)),
        ("devices change hands", 3, True, (3, 3)),
        ("none yet", 0, True, (1, 1)),
    ],
)
def test_a_release_moves_the_bounds(name: str, minimum: int, pinned: bool, want: tuple[int, int]) -> None:
    deployment = builders.make_model_deployment(spec={"autoscaling": {"minimumReplicas": 2, "maximumReplicas": 6}})
    manifest = autoscaler.desired_autoscaler(builders.make_revision(), deployment, minimum=minimum, pinned=pinned)
    assert (manifest["spec"]["minReplicas"], manifest["spec"]["maxReplicas"]) == want, name


def test_without_settings_there_is_no_autoscaler() -> None:
    with pytest.raises(ValueError, match=r"spec\.autoscaling is not set"):
        autoscaler.desired_autoscaler(builders.make_revision(), builders.make_model_deployment(), minimum=1)
