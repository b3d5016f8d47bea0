"""The watches against a real API server."""

import asyncio
import threading
from pathlib import Path
from typing import Final

from lab.apiserver import ApiServer
from sluice.shell.informer.watcher import KopfThread
from sluice_core.adapters import kube as kube_adapter
from sluice_core.adapters.kinds import BY_KIND
from tests.support import patience
from tests.support.cases.objects import open_definition
from tests.support.live.kube import Kube, wait_until

EVERYTHING: Final = "0"
"""A watch from this version on tells of what there is."""
SCALED_OBJECTS: Final = open_definition("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")


def test_a_kind_that_goes_while_it_is_watched_ends_the_watches(api_server: ApiServer, cluster: Kube) -> None:
    """As when KEDA is uninstalled; they are started again with the kinds that are left."""
    cluster.install_crds([SCALED_OBJECTS])
    heard, ended = threading.Event(), threading.Event()
    thread = KopfThread(
        (BY_KIND["ServingRuntime"], BY_KIND["ScaledObject"]),
        lambda: kube_adapter.load_configuration(Path(api_server.kubeconfig)),
        lambda _: asyncio.sleep(0, EVERYTHING),
        lambda *_: heard.set(),
        ended.set,
    )
    thread.start()
    try:
        assert heard.wait(patience.HANG_SECONDS), "the other kind is watched"
        path = f"{cluster.path(SCALED_OBJECTS)}/{SCALED_OBJECTS['metadata']['name']}"
        cluster.http.delete(path).raise_for_status()
        wait_until(ended.is_set)
        thread.join(patience.HANG_SECONDS)
        assert not thread.is_alive()
    finally:
        thread.stop_flag.set()
        thread.join(patience.HANG_SECONDS)
