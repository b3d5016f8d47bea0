"""A real etcd whose data is put back under a running API server: the store notices, and is as the API server says."""

import asyncio
import gc
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from lab import apiserver
from lab.apiserver import ApiServer
from sluice.adapters.clock import SystemClock
from sluice.shell.cache.keys import Key
from sluice.shell.cache.store import Store
from sluice.shell.informer.lister import Relister
from sluice.shell.informer.watcher import Inlet, Watcher
from sluice.shell.reporting.telemetry import Telemetry
from sluice_core.adapters import kube as kube_adapter
from sluice_core.adapters.kinds import BY_KIND
from sluice_core.api.config import OperatorConfig
from sluice_core.kernel.naming import LABEL_OWNER, owned_labels
from sluice_judge.gateways import PRESETS
from tests.support import patience
from tests.support.live.kube import Kube

RESOURCES: Final = (BY_KIND["Service"], BY_KIND["ControllerRevision"])
RELIST_SECONDS: Final = 3.0
KEY: Final = Key("default", "digits")


def service(name: str, port: int) -> dict[str, Any]:
    labels = owned_labels(KEY.name)
    assert LABEL_OWNER in labels
    metadata = {"name": name, "namespace": "default", "labels": labels}
    ports = [{"name": "http", "port": port, "protocol": "TCP"}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    started = apiserver.start(tmp_path / "control-plane")
    yield started
    started.stop()
    gc.collect()  # connections to the API server that was ended are closed by nobody; pytest has let go of the log


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(patience.seconds(60)):
        while not holds():  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0.05)


def known(store: Store) -> dict[str, int]:
    """Ports by name, as the store has them."""
    return {each["metadata"]["name"]: each["spec"]["ports"][0]["port"] for each in store.owned(KEY)}


# A connection that is reset in its TLS handshake leaves the socket itself, an older one its transport.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_restored_etcd_is_noticed_and_everything_is_read_anew(
    server: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.run(restore(server, tmp_path))
    caplog.clear()  # what was logged keeps the errors, and these the connections


async def restore(server: ApiServer, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    with Kube.connected(server.kubeconfig) as kube:
        for name in ("changed", "deleted"):
            kube.apply(service(name, 1), manager="tests").raise_for_status()
    server.with_data(lambda data: shutil.copytree(data, backup))
    api = kube_adapter.Kube(
        await kube_adapter.load_configuration(server.kubeconfig), clock=SystemClock(), identity="test"
    )
    monotonic, store = asyncio.get_running_loop().time, Store(OperatorConfig(), PRESETS["contour"])
    relister = Relister(
        api,
        store,
        wake=lambda _: None,
        monotonic=monotonic,
        resources=RESOURCES,
        interval_seconds=RELIST_SECONDS,
    )
    inlet = Inlet(store, Telemetry(), lambda _: None, lambda _: False)
    watcher = Watcher(lambda: kube_adapter.load_configuration(server.kubeconfig), relister, inlet, monotonic)
    tasks = [asyncio.create_task(relister.run())]
    await relister.complete.wait()
    tasks.append(asyncio.create_task(watcher.run()))
    await asyncio.to_thread(change, server)
    await eventually(lambda: known(store) == {"changed": 20, "new": 1})
    await asyncio.to_thread(server.with_data, lambda data: put_back(data, backup))
    await eventually(lambda: known(store) == {"changed": 1, "deleted": 1})
    with Kube.connected(server.kubeconfig) as kube:
        await asyncio.to_thread(lambda: kube.apply(service("changed", 2), manager="tests").raise_for_status())
    await eventually(lambda: known(store) == {"changed": 2, "deleted": 1})
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await api.close()


def change(server: ApiServer) -> None:
    """An object changes often, one goes, and one comes: all of that the backup does not have."""
    with Kube.connected(server.kubeconfig) as kube:
        for port in range(2, 21):
            kube.apply(service("changed", port), manager="tests").raise_for_status()
        kube.apply(service("new", 1), manager="tests").raise_for_status()
        path = f"{kube.path(service('deleted', 1))}/deleted"
        kube.http.delete(path).raise_for_status()


def put_back(data: Path, backup: Path) -> None:
    shutil.rmtree(data)
    shutil.copytree(backup, data)
