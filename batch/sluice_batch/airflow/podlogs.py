"""Copies the logs of a run's pods into the task's log, while they run and at their end."""

import asyncio
import logging
from typing import Final, NoReturn

import aiohttp
from kubernetes_asyncio import client

from sluice_batch.airflow import client as kube

SECONDS: Final = 30.0
"""Pause between two looks."""
NOT_YET: Final = frozenset({400, 404})
"""Status codes for a container that has not started, and for a pod that is gone."""

log = logging.getLogger(__name__)


class PodLogs:
    """Logs each line once, if the connection may read it; logs once that it may not."""

    def __init__(self, cluster: kube.BatchInferences) -> None:
        self._cluster = cluster
        self._run = ""
        self._told: dict[str, str] = {}
        """The time of the last logged line, by pod."""
        self._refused = False

    def of(self, run: str) -> None:
        """The run whose pods to log from now on; empty: none yet."""
        if run != self._run:
            self._run, self._told = run, {}

    async def tell(self) -> None:
        """Logs new lines. Raises no error of the API server: a log changes no outcome."""
        if not self._run or self._refused:
            return
        try:
            for pod in await self._cluster.pods(self._run, first=self._told):
                await self._tell(pod)
        except (client.ApiException, aiohttp.ClientError, TimeoutError, OSError) as error:
            self._refused = isinstance(error, client.ApiException)
            log.info("The logs of the pods of %s are not shown: %s", self._run, kube.text_of(error))

    async def tell_on(self) -> NoReturn:
        """Repeats until it is cancelled."""
        while True:
            await asyncio.sleep(SECONDS)
            await self.tell()

    async def _tell(self, pod: client.V1Pod) -> None:
        name = pod.metadata.name
        try:
            text = await self._cluster.log_of(pod)
        except client.ApiException as error:
            if error.status in NOT_YET:
                return
            raise
        last = self._told.get(name, "")
        lines = [line for line in text.splitlines() if line.partition(" ")[0] > last]
        if not lines:
            return
        left_out = bool(last) and len(lines) == kube.LOGGED_LINES
        self._told[name] = lines[-1].partition(" ")[0]
        said = "\n".join(line.partition(" ")[2] for line in lines)
        log.info("Pod %s says%s:\n%s", name, " (earlier lines are left out)" if left_out else "", said)
