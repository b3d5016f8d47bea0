"""Counts free devices: nodes, pods and quotas are listed when a release needs pods, and never watched."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from sluice import errors
from sluice.adapters.kube import LIST_SECONDS, Kube, Resource
from sluice.core.kernel.snapshot import Object
from sluice.core.situation import devices
from sluice.core.situation.devices import Devices, DevicesQuestion

PAGE_SIZE: Final = 500
NODES: Final = Resource("v1", "Node", "nodes", namespaced=False)
PODS: Final = Resource("v1", "Pod", "pods")
QUOTAS: Final = Resource("v1", "ResourceQuota", "resourcequotas")
NOT_OVER: Final = "status.phase!=Succeeded,status.phase!=Failed"


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
        # Of each page only what has such devices is kept: a cluster has many pods, and few hold any.
        nodes = [n async for n in self._all(NODES.path()) if devices.allocatable(n, resource) is not None]
        pods = [p async for p in self._all(PODS.path(), NOT_OVER) if devices.held(p, resource) > 0]
        quotas = [quota async for quota in self._all(QUOTAS.path(question.namespace))]
        return devices.count(question, nodes, pods, quotas)

    async def _all(self, path: str, fields: str = "") -> AsyncIterator[Object]:
        token = ""
        while True:
            query = {"limit": str(PAGE_SIZE), "fieldSelector": fields, "continue": token}
            answer = await self._kube.request("GET", path, query=query, seconds=LIST_SECONDS)
            for item in answer.get("items") or ():
                yield item
            token = (answer.get("metadata") or {}).get("continue") or ""
            if not token:
                return
