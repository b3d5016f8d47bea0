"""The part of the operator's configuration that says where models are reached."""

from enum import StrEnum

from pydantic import Field

from sluice_core.api.v1alpha1.routing import GatewayRef
from sluice_judge.schema.model import ApiModel


class RoutingMode(StrEnum):
    """What splits requests among the versions of a model."""

    GATEWAY = "Gateway"
    """A Gateway, by the weights of its routes."""
    SERVICE = "Service"
    """One Service over the ready pods of both versions: shares are ratios of pods, and so approximate."""


class Reach(ApiModel):
    """Where models are reached: what a command of the plugin needs to show one."""

    routing: RoutingMode = RoutingMode.GATEWAY
    """Service: for clusters without the Gateway API; docs/without-a-gateway.md lists what is not possible then."""
    gateway: GatewayRef = Field(default_factory=lambda: GatewayRef(name="models", namespace="gateway"))
    """The Gateway of a ModelDeployment that names none."""
    gateway_url: str | None = None
    """The address at which users reach the gateway, such as `http://127.0.0.1:8080`; only shown to people."""
