"""The Job that makes a variant of a model, and stores it beside the model."""

from typing import Any, Final

from sluice.api.config import OperatorConfig
from sluice.api.v1alpha1.modeldeployment import ModelDeployment
from sluice.api.v1alpha1.variants import Variant
from sluice.core.kernel import naming
from sluice.core.render import common, downloader
from sluice.core.situation import variants

CONTAINER: Final = "optimizer"
TRIES: Final = 2
"""Further attempts after one that failed."""


def desired_job(deployment: ModelDeployment, variant: Variant, config: OperatorConfig) -> dict[str, Any]:
    """Its pod has no label of a revision, and that of the model with an addition: nobody sends it requests."""
    spec = deployment.spec
    placement = {
        "imagePullSecrets": [ref.to_wire() for ref in spec.image_pull_secrets or ()],
        "serviceAccountName": spec.service_account_name,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": common.child_metadata(deployment, variants.job_name(deployment, variant)),
        "spec": {
            "backoffLimit": TRIES,
            "template": {
                "metadata": {"labels": naming.aside_labels(deployment.metadata.name, variants.ASIDE)},
                "spec": {
                    "restartPolicy": "Never",
                    **common.pod_fields(),
                    "containers": [_container(deployment, variant, config)],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                    **{name: value for name, value in placement.items() if value},
                },
            },
        },
    }


def _container(deployment: ModelDeployment, variant: Variant, config: OperatorConfig) -> dict[str, Any]:
    optimize = variant.optimize
    arguments = {
        "--uri": deployment.spec.model_uri,
        "--target": variants.uri_of(deployment.spec.model_uri, variant),
        "--quantization": optimize.quantization.value,
        **({"--calibration-uri": optimize.calibration_uri} if optimize.calibration_uri is not None else {}),
    }
    return {
        "name": CONTAINER,
        "image": config.optimizer.image,
        "imagePullPolicy": config.optimizer.image_pull_policy,
        "args": [common.literal(part) for pair in arguments.items() for part in pair],
        "env": downloader.credentials(deployment.spec.model_uri, deployment.spec.model.credentials_secret_ref),
        "resources": config.optimizer.resources.to_wire(),
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "securityContext": common.sealed(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
