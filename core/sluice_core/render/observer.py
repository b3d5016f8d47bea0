"""The observer of a model: one pod that gets copies of its requests and counts them by the bins of a reference.

Image and rights are the platform's: the user names the ConfigMap with the bins, and the share that is counted. The pod
has no account, writes nothing, and no selector of the model matches it.
"""

from typing import Any, Final

from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.observer import Observer
from sluice_core.kernel import naming
from sluice_core.render import aside, common

PORT: Final = 8080
CONTAINER: Final = "observer"
FOLDER: Final = "/reference"
VOLUME: Final = "reference"


def desired_observer(
    deployment: ModelDeployment,
    observer: Observer,
    config: OperatorConfig,
    *,
    percent: int,
    asks: tuple[str, str] | None,
) -> dict[str, Any]:
    """Its Deployment.

    Args:
        deployment: the model.
        observer: its spec.
        config: the operator's.
        percent: share of the copies that is counted.
        asks: (address, revision) of the version that answers copies again; None: none.
    """
    return aside.desired_aside(
        deployment,
        naming.observer_name(deployment.metadata.name),
        naming.OBSERVER,
        container=_container(deployment.metadata.name, config, percent, asks),
        # Without the ConfigMap the pod waits for it, unready, and gets no copies.
        volumes=[{"name": VOLUME, "configMap": {"name": observer.reference.name, "optional": True}}],
        annotations=common.scraped(PORT, "/metrics"),
    )


def _container(name: str, config: OperatorConfig, percent: int, asks: tuple[str, str] | None) -> dict[str, Any]:
    asked = [] if asks is None else [f"--ask={asks[0]}", f"--revision={asks[1]}"]
    probe = {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 5}
    return {
        "name": CONTAINER,
        "image": config.observer.image,
        "imagePullPolicy": config.observer.image_pull_policy,
        "args": [f"--reference={FOLDER}", f"--model={name}", f"--percent={percent}", f"--port={PORT}", *asked],
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": probe,
        "resources": config.observer.resources.to_wire(),
        "volumeMounts": [{"name": VOLUME, "mountPath": FOLDER, "readOnly": True}],
        "securityContext": common.sealed(),
    }
