"""The operator's own configuration: `/etc/sluice/config.yaml`, written by the chart from `values.config`."""

from typing import Annotated, Literal

from pydantic import Field

from sluice.api.base import ApiModel
from sluice.api.v1alpha1.modeldeployment import GatewayRef, Resources


class StorageInitializer(ApiModel):
    """The init container that downloads a model."""

    image: Annotated[str, Field(min_length=1)] = "ghcr.io/sluice-dev/storage-initializer:0.1.0"
    """Image with the `kserve-storage` library."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the kubelet pulls the image."""
    resources: Resources = Resources(
        requests={"cpu": "100m", "memory": "128Mi"},
        limits={"cpu": "1", "memory": "1Gi"},
    )
    """Compute resources of the init container."""


class OperatorConfig(ApiModel):
    """What the operator must know about its surroundings; every field has a default that fits the quickstart."""

    gateway: GatewayRef = GatewayRef(name="models", namespace="gateway")
    """The Gateway of a ModelDeployment that names none."""
    gateway_preset: Annotated[str, Field(min_length=1)] = "contour"
    """Which gateway it is, and so which metrics count its requests."""
    gateway_url: str | None = None
    """The address at which users reach the gateway, such as `http://127.0.0.1:8080`; only shown to people."""
    domain: Annotated[str, Field(min_length=1)] = "models.local"
    """The default host name of a model is `{name}.{namespace}.{domain}`."""
    prometheus_url: Annotated[str, Field(pattern=r"^https?://")] = "http://prometheus.monitoring:9090"
    """Base address of the Prometheus that scrapes the gateway."""
    storage_initializer: StorageInitializer = StorageInitializer()
    """The downloader of models."""
    history_limit: Annotated[int, Field(ge=1, le=100)] = 10
    """Finished ModelRollouts that are kept for each ModelDeployment."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least severe level that is logged."""
