"""The Spark operator's own definition takes the SparkApplications that are written, field by field."""

import pytest
import yaml

from lab import sparkoperator
from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.batchinference import BatchRun
from sluice_core.render.jobs import sparkapplication
from tests.support.cases import builders
from tests.support.live.kube import Kube


@pytest.fixture(scope="module")
def served(kube: Kube) -> Kube:
    """The client, once SparkApplications are served."""
    kube.install_crds([yaml.safe_load(path.read_text()) for path in sparkoperator.definitions()])
    return kube


@pytest.mark.slow
@pytest.mark.parametrize("spec", [{}, {"suspend": True}, {"resources": {"limits": {"cpu": "1", "memory": "3Gi"}}}])
def test_a_spark_application_is_accepted(served: Kube, spec: dict[str, object]) -> None:
    manifest = sparkapplication.desired_application(
        builders.make_spark_batch(**spec), BatchRun(name="churn-1"), builders.make_revision(), OperatorConfig()
    )
    manifest["metadata"]["namespace"] = "default"
    served.apply(manifest, manager="sluice", dry_run=True).raise_for_status()
