"""Counts free devices: nodes, pods and quotas are listed when a release needs pods, and never watched."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from sluice_core import errors
from sluice_core.adapters.kinds import Resource
from sluice_core.adapters.kube import Kube
from sluice_core.kernel.snapshot import Object
from sluice_core.situation import devices
from sluice_core.situation.devices import Devices, DevicesQuestion

NODES: Final = Resource("v1", "Node", "nodes", namespaced=False)
PODS: Final = Resource("v1", "Pod", "pods")
QUOTAS: Final = Resource("v1", "ResourceQuota", "resourcequotas")
NOT_OVER: Final = "status.phase!=Succeeded,status.phase!=Failed"


class UncountedDevices:
    """Counts nothing, where only some namespaces are visible."""

    async def devices(self, question: DevicesQuestion) -> Devices | None:  # noqa: ARG002 - it is always the same
        return Devices(unknown="free devices are not counted with config.watchNamespaces, so the scheduler decides")


class FreeDevices:
    """Implements `ports.Accelerators`."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        # One count at a time: many releases that wait together must not list all pods together.
        self._turn = asyncio.Lock()

    async def devices(self, question: DevicesQuestion) -> Devices | None:
        async with self._turn:
            try:
                return await self._count(question)
            except errors.Denied as error:
                return Devices(unknown=f"free devices cannot be counted, so the scheduler decides: {error}")
            except errors.ApiError:
                return None

    async def _count(self, question: DevicesQuestion) -> Devices:
        resource = question.resource
        # Each page is reduced to the pods with such devices: a cluster has many pods, and few hold any.
        nodes = [n async for n in self._all(NODES) if devices.allocatable(n, resource) is not None]
        pods = [p async for p in self._all(PODS, fields=NOT_OVER) if devices.held(p, resource) > 0]
        quotas = [quota async for quota in self._all(QUOTAS, namespace=question.namespace)]
        return devices.count(question, nodes, pods, quotas)

    async def _all(self, resource: Resource, *, namespace: str = "", fields: str = "") -> AsyncIterator[Object]:
        async for answer in self._kube.documents(resource, namespace=namespace, fields=fields):
            for item in answer.get("items") or ():
                yield item
            del answer
