"""KEDA's own definition takes the ScaledObjects that are written, field by field."""

import pytest
import yaml

from lab import gotools, keda
from sluice_core.render import scaledobject
from sluice_core.render.scaledobject import Signal
from tests.support.cases import builders
from tests.support.live.kube import Kube


@pytest.fixture(scope="module")
def served(kube: Kube) -> Kube:
    """The client, once ScaledObjects are served."""
    folder = gotools.module_folder(keda.NAME, keda.MODULE) / "config" / "crd" / "bases"
    kube.install_crds([yaml.safe_load((folder / "keda.sh_scaledobjects.yaml").read_text())])
    return kube


@pytest.mark.slow
@pytest.mark.parametrize(("minimum", "down"), [(0, False), (2, False), (0, True)])
def test_a_scaled_object_is_accepted(served: Kube, minimum: int, down: bool) -> None:
    target = {"metric": "InFlightRequests", "value": 4}
    deployment = builders.make_model_deployment(
        namespace="default", spec={"autoscaling": {"minimumReplicas": 0, "maximumReplicas": 6, "target": target}}
    )
    manifest = scaledobject.desired_scaled_object(
        builders.make_revision(),
        deployment,
        Signal("in_flight", shared=True, wakes="asked"),
        prometheus_url="http://prometheus:9090",
        minimum=minimum,
        down=down,
    )
    served.apply(manifest, manager="sluice", dry_run=True).raise_for_status()
