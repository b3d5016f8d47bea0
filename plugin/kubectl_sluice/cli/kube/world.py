"""Reads what the operator sees of one ModelDeployment, so that its own pure decision can be made here."""

import asyncio
import time
from typing import Final

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.cli.console import Failure
from kubectl_sluice.cli.kube import cluster, installation
from sluice_core import errors
from sluice_core.adapters import gateways, kinds
from sluice_core.adapters.kinds import Resource
from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel.snapshot import Object, Snapshot, World
from sluice_core.parsing import ownkinds, worlds
from sluice_core.situation import devices
from sluice_core.situation.devices import Devices, DevicesQuestion
from sluice_judge.gateways import UnknownPreset
from sluice_judge.presets import GatewayPreset

OWNED: Final = (*(resource for resource in kinds.WATCHED if resource.selector), kinds.BY_KIND["ModelRollout"])
"""Kinds of which a ModelDeployment has its own objects."""
DISPENSABLE: Final = frozenset(
    {"Pod", "PodDisruptionBudget", "Job", "HorizontalPodAutoscaler", "ScaledObject", "Gateway", "ModelDeployment"}
)
"""Kinds that a forecast can do without: those that we may not read count as absent."""
NODES: Final = Resource("v1", "Node", "nodes", namespaced=False)
QUOTAS: Final = Resource("v1", "ResourceQuota", "resourcequotas")


def preset_of(config: OperatorConfig) -> GatewayPreset:
    """The gateway that the operator is configured for; a `Failure` where this plugin does not know it."""
    try:
        return gateways.preset_of(config)
    except UnknownPreset as error:
        raise Failure(f"{error}, or a plugin as new as the operator") from error


async def fetch_world(api: kubectl.Kubectl, deployment: Object, config: OperatorConfig) -> World:
    """Everything that a decision on this ModelDeployment reads; the deployment need not exist yet."""
    metadata = deployment["metadata"]
    selector = kubectl.owned_by(metadata["name"])
    listed = await asyncio.gather(*(_listed(api, kind, metadata["namespace"], selector) for kind in OWNED))
    owned = {kind.kind: objects for kind, objects in zip(OWNED, listed, strict=True)}
    runtimes, policies, gateways, everybody, routes = await asyncio.gather(
        api.fetch_all(kinds.BY_KIND["ServingRuntime"]),
        api.fetch_all(kinds.BY_KIND["RolloutPolicy"]),
        _listed(api, kinds.BY_KIND["Gateway"]),
        _listed(api, kinds.BY_KIND["ModelDeployment"]),
        _routes(api),
    )
    own = (metadata["namespace"], metadata["name"])
    return World(
        now=time.time(),
        deployment=deployment,
        owned=tuple(object_ for objects in listed for object_ in objects or ()),
        runtimes=runtimes,
        policies=policies,
        gateways=gateways or (),
        rivals=tuple(d for d in everybody or () if (d["metadata"]["namespace"], d["metadata"]["name"]) != own),
        rival_routes=routes,
        config=config,
        preset=preset_of(config),
        gateway_api=owned["HTTPRoute"] is not None,
        grpc_api=owned["GRPCRoute"] is not None,
        keda_api=owned["ScaledObject"] is not None,
    )


async def fetch_snapshot(session: cluster.Session) -> Snapshot:
    """The operator's snapshot of an existing ModelDeployment."""
    name = (await session.fetch()).deployment.metadata.name  # fails with a message where there is none
    raw = await session.cluster.fetch(kinds.BY_KIND[ModelDeployment.kind], session.namespace, name)
    config = (await installation.fetch(session.cluster)).config
    snapshot = worlds.parsed(await fetch_world(session.cluster, raw, config))
    if isinstance(snapshot, ownkinds.InvalidSpec):
        raise Failure(f"ModelDeployment {session.namespace}/{name}: {snapshot.path}: {snapshot.message}")
    return snapshot


async def fetch_devices(api: kubectl.Kubectl, question: DevicesQuestion) -> Devices:
    """The free devices, or why they cannot be counted from here."""
    try:
        nodes, pods, quotas = await asyncio.gather(
            api.fetch_all(NODES),
            api.fetch_all(kinds.BY_KIND["Pod"]),
            api.fetch_all(QUOTAS, namespace=question.namespace),
        )
    except errors.Denied as error:
        return Devices(unknown=str(error))
    return devices.count(question, nodes, pods, quotas)


async def _routes(api: kubectl.Kubectl) -> tuple[Object, ...]:
    """The visible routes of all models: they show whose host names serve without being allowed to."""
    try:
        return await _listed(api, kinds.BY_KIND["HTTPRoute"], selector=kinds.BY_KIND["HTTPRoute"].selector) or ()
    except errors.Denied:
        return ()


async def _listed(
    api: kubectl.Kubectl, kind: Resource, namespace: str = "", selector: str = ""
) -> tuple[Object, ...] | None:
    """None where the kind is not served at all. `Denied` where we may not list it and need it."""
    try:
        return await api.fetch_all(kind, namespace=namespace, selector=selector)
    except errors.Denied:
        if kind.kind not in DISPENSABLE:
            raise
        return ()
    except errors.Missing:
        return None
