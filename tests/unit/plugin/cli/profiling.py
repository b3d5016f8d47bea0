"""A cluster in memory that runs the generator of a profiled pod as a process of this machine."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.offline.profile import pod
from sluice_core import errors
from sluice_core.adapters.kinds import Resource
from tests.unit.plugin.cli.fakes import FakeCluster, Raw


@dataclass
class ProfilingCluster(FakeCluster):
    """Pods that are created run at once; `log` is what their generator says where it is not run."""

    log: str | None = None
    statuses: list[Raw] = field(default_factory=list)
    """What the kubelet says at each look after the first; the last one stays."""
    refusal: errors.ApiError | None = None
    lost: bool = False
    """Whether the answer to the creation is lost."""
    keeps: int = 0
    """Looks for which a deleted pod is still there."""
    processes: int | None = None
    """Whose processor time is the server's on this machine."""
    created: list[Raw] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    ending: set[str] = field(default_factory=set)
    away: int = 0
    """Looks at the log to which the API server does not answer."""
    folder: Path = Path()
    _running: asyncio.subprocess.Process | None = None

    async def create(self, kind: Resource, manifest: Raw) -> Raw:
        if self.refusal is not None:
            raise self.refusal
        stored = {**manifest, "kind": kind.kind, "status": {"phase": "Running"}}
        self.objects.append(stored)
        self.created.append(stored)
        if self.lost:
            raise errors.Unavailable("no answer")
        if self.log is None:
            await self._generate(manifest)
        return stored

    async def fetch(self, kind: Resource, namespace: str, name: str) -> Raw:
        found = await super().fetch(kind, namespace, name)
        if name in self.ending:
            self.keeps -= 1
            if self.keeps < 0:
                self.objects.remove(found)
                self.ending.remove(name)
                raise kubectl.NotFound("gone")
        if kind.kind == "Pod" and self.statuses:
            found["status"] = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return found

    async def delete(self, kind: Resource, namespace: str, name: str) -> None:
        self.deleted.append(name)
        self.ending.add(name)
        if self._running is not None and self._running.returncode is None:
            self._running.terminate()
            await self._running.wait()

    async def fetch_log(self, namespace: str, pod: str, container: str) -> str:
        self.away -= 1
        if self.away >= 0:
            raise errors.Unavailable("no answer")
        if self.log is not None:
            return self.log
        return (self.folder / "log").read_text()

    async def _generate(self, manifest: Raw) -> None:
        """As the kubelet starts the container: what it expands is expanded."""
        load = next((each for each in manifest["spec"]["containers"] if each["name"] == pod.GENERATOR), None)
        if load is None:
            return
        environment = {each["name"]: each["value"].replace("$$", "$") for each in load["env"]}
        plan: dict[str, Any] = json.loads(environment[pod.PLAN])
        environment[pod.PLAN] = json.dumps({**plan, "processes": self.processes})
        arguments = [part.replace("$$", "$") for part in load["command"][1:]]
        with (self.folder / "log").open("w") as log:
            self._running = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, env=environment | {"PATH": os.environ["PATH"]}, stdout=log, stderr=log
            )
