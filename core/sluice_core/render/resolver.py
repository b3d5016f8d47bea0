"""The resolver of a namespace: one pod that asks registries which version a URI names, with the namespace's credentials.

Image and rights are the platform's: it is the downloader's image, so that the same addresses, certificates and proxies
count. The Secret is the namespace's, mounted, so that changes count without a restart. The pod has no account.
"""

from typing import Any, Final

from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel import naming
from sluice_core.render import aside, common
from sluice_core.render.pod import downloader

PORT: Final = 8080
CONTAINER: Final = "resolver"
FOLDER: Final = "/etc/sluice/registry"
VOLUME: Final = "registry"
TOKEN: Final = "SLUICE_TOKEN"  # noqa: S105 - a variable


def desired_resolver(deployment: ModelDeployment, config: OperatorConfig) -> dict[str, Any]:
    """Its Deployment."""
    return aside.desired_aside(
        deployment,
        naming.resolver_name(deployment.metadata.name),
        naming.RESOLVER,
        container=_container(config),
        volumes=[
            # Without the Secret it runs, and reports that.
            {"name": VOLUME, "secret": {"secretName": config.registry.secret_name, "optional": True}},
            {"name": common.TMP_MOUNT["name"], "emptyDir": {"sizeLimit": "16Mi"}},
            *downloader.certificate_volumes(config),
        ],
    )


def _container(config: OperatorConfig) -> dict[str, Any]:
    plain = config.storage_initializer.plain_http_registries
    arguments = [
        f"--port={PORT}",
        f"--credentials={FOLDER}",
        *(f"--plain-http={registry}" for registry in plain),
        *downloader.connection_arguments(config),
    ]
    return {
        "name": CONTAINER,
        "image": config.storage_initializer.image,
        "imagePullPolicy": config.storage_initializer.image_pull_policy,
        "command": ["python3", "-m", "sluice_resolver"],
        "args": [common.literal(argument) for argument in arguments],
        "env": [
            {"name": TOKEN, "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
            *downloader.proxies(config),
        ],
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 5},
        "resources": config.registry.resources.to_wire(),
        "volumeMounts": [
            {"name": VOLUME, "mountPath": FOLDER, "readOnly": True},
            common.TMP_MOUNT,
            *downloader.certificate_mounts(config),
        ],
        "securityContext": common.sealed(),
    }
