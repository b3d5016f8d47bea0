"""The Job that creates a variant of a model, and stores it beside the model."""

from typing import Any, Final

from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.variants import Variant
from sluice_core.kernel import naming
from sluice_core.render import common
from sluice_core.render.pod import downloader
from sluice_judge import hashing

ASIDE: Final = "variants"
TRIES: Final = 2
"""Retries after a failed attempt."""


def uri_of(uri: str, variant: Variant) -> str:
    """Beside the model, not below it: a download of the model's folder must not include its variants."""
    made_by = hashing.stable_hash(variant.optimize.model_dump(mode="json", by_alias=True, exclude_defaults=True), 6)
    return f"{uri.rstrip('/').removesuffix('.onnx')}.{variant.name}-{made_by}"


def job_name(deployment: ModelDeployment, variant: Variant) -> str:
    """A new model, or a change of the variant, has a new Job: a Job's pod can never change."""
    target = uri_of(deployment.spec.model_uri, variant)
    return f"{deployment.metadata.name}-v{hashing.stable_hash(target)}"


def desired_job(deployment: ModelDeployment, variant: Variant, config: OperatorConfig) -> dict[str, Any]:
    """Its pod has no revision label, and the model's label with a suffix, so that it gets no requests."""
    spec = deployment.spec
    placement = {
        "imagePullSecrets": [ref.to_wire() for ref in spec.image_pull_secrets or ()],
        "serviceAccountName": spec.service_account_name,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": common.child_metadata(deployment, job_name(deployment, variant)),
        "spec": {
            "backoffLimit": TRIES,
            "template": {
                "metadata": {"labels": naming.aside_labels(deployment.metadata.name, ASIDE)},
                "spec": {
                    "restartPolicy": "Never",
                    **common.pod_fields(),
                    "containers": [_container(deployment, variant, config)],
                    "volumes": [
                        {"name": "tmp", "emptyDir": {"sizeLimit": config.storage_initializer.maximum_model_size}},
                        *downloader.certificate_volumes(config),
                    ],
                    **{name: value for name, value in placement.items() if value},
                },
            },
        },
    }


def _container(deployment: ModelDeployment, variant: Variant, config: OperatorConfig) -> dict[str, Any]:
    optimize = variant.optimize
    arguments = {
        "--uri": deployment.spec.model_uri,
        "--target": uri_of(deployment.spec.model_uri, variant),
        "--quantization": optimize.quantization.value,
        **({"--calibration-uri": optimize.calibration_uri} if optimize.calibration_uri is not None else {}),
    }
    return {
        "name": naming.OPTIMIZER_CONTAINER,
        "image": config.optimizer.image,
        "imagePullPolicy": config.optimizer.image_pull_policy,
        "args": [
            *(common.literal(part) for pair in arguments.items() for part in pair),
            *downloader.connection_arguments(config),
        ],
        "env": [
            *downloader.credentials(deployment.spec.model_uri, deployment.spec.model.credentials_secret_ref),
            *downloader.proxies(config),
        ],
        "resources": config.optimizer.resources.to_wire(),
        "volumeMounts": [common.TMP_MOUNT, *downloader.certificate_mounts(config)],
        "securityContext": common.sealed(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
