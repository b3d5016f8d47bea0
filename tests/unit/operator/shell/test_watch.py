"""The watches: what an event does, how kopf is configured, and that it is started again with what can be watched."""

import asyncio
import itertools
import logging
import ssl
import threading
from asyncio import sslproto
from collections.abc import Callable
from typing import Any, ClassVar

import kopf
import pytest
from kopf._cogs.structs import references
from kopf._core.reactor import orchestration
from kubernetes.aio.client import Configuration

from sluice.shell.cache.keys import NOBODY, Key, Woken
from sluice.shell.informer import kopfparts
from sluice.shell.informer import watcher as watch
from sluice.shell.informer.lister import Relister
from sluice.shell.informer.watcher import Inlet, Watcher
from sluice.shell.reporting.telemetry import Telemetry
from sluice_core import errors
from sluice_core.adapters.kinds import BY_KIND, WATCHED, Resource
from sluice_core.adapters.kube import watched
from sluice_core.api.config import OperatorConfig
from tests.unit.operator.shell.builders import FakeLists, eventually, make_object, make_store

OURS = Woken(frozenset({Key("team", "digits")}))


async def never(_: Resource) -> str:
    """No list is made."""
    raise AssertionError


async def test_an_event_changes_the_store_and_wakes_its_model() -> None:
    store, woken, measures = make_store(), list[Woken](), Telemetry()
    inlet = Inlet(store, measures, woken.append, lambda _: False)
    pod = make_object("Pod", "p", owner="digits", version=3)
    inlet.deliver("ADDED", pod)
    inlet.deliver("MODIFIED", pod)
    inlet.deliver("DELETED", make_object("Pod", "p", owner="digits", version=4))
    assert woken == [OURS, NOBODY, OURS]
    assert store.count("Pod") == 0
    assert measures.registry.get_sample_value("sluice_watch_events_total", {"kind": "Pod"}) == 3


def test_kopf_only_watches() -> None:
    settings = watch.settings_of(WATCHED, never, lambda *_: None)
    assert not settings.posting.enabled
    assert settings.scanning.disabled
    for timeout in ("server_timeout", "client_timeout", "connect_timeout", "inactivity_timeout"):
        assert getattr(settings.watching, timeout) > 0
    registry = watch.registry_of(WATCHED, lambda: asyncio.sleep(0, Configuration()))
    assert len(registry._watching.get_all_handlers()) == len(WATCHED)
    for others in (registry._changing, registry._spawning, registry._indexing):
        assert others.get_all_handlers() == []


@pytest.mark.parametrize(
    ("namespaces", "forbidden", "want"),
    [
        ([], set(), {("pods", None), ("services", None), ("servingruntimes", None)}),
        (
            ["a", "b"],
            {"Service in b"},
            {("pods", "a"), ("services", "a"), ("pods", "b"), ("servingruntimes", None)},
        ),
    ],
)
async def test_kopf_watches_what_may_be_watched_in_each_namespace(
    monkeypatch: pytest.MonkeyPatch, namespaces: list[str], forbidden: set[str], want: set[tuple[str, str | None]]
) -> None:
    """One watch that is forbidden would end all others."""
    kinds = {"Pod", "Service", "ServingRuntime"}
    config = OperatorConfig(watch_namespaces=namespaces)
    usable = [each for each in watched(config) if each.kind in kinds and str(each) not in forbidden]
    spawned = set[tuple[str, str | None]]()

    async def spawn(*, watched_resources: Any, watched_namespaces: Any, **_: Any) -> None:
        for resource, namespace in itertools.product(watched_resources, watched_namespaces):
            spawned.add((resource.plural, namespace if resource.namespaced else None))

    monkeypatch.setattr(kopfparts, "KOPF_SPAWNS", spawn)
    found = [
        references.Resource(each.group, "v1", each.plural, namespaced=each.namespaced)
        for each in {each.kind: each for each in usable}.values()
    ]
    await orchestration.spawn_missing_watchers(
        processor=None,  # type: ignore[arg-type]
        settings=watch.settings_of(usable, never, lambda *_: None),
        indexed_resources=(),
        watched_resources=found,
        watched_namespaces=namespaces or [None],  # type: ignore[arg-type]
        ensemble=None,  # type: ignore[arg-type]
    )
    assert spawned == want


def test_a_kind_has_one_handler_in_however_many_namespaces() -> None:
    several = watched(OperatorConfig(watch_namespaces=["a", "b"]))
    registry = watch.registry_of(several, lambda: asyncio.sleep(0, Configuration()))
    assert len(registry._watching.get_all_handlers()) == len(WATCHED)


async def test_kopf_does_not_warn_that_it_hears_no_signals(caplog: pytest.LogCaptureFixture) -> None:
    """The operator hears them."""
    settings = watch.settings_of((), never, lambda *_: None)
    registry = watch.registry_of((), lambda: asyncio.sleep(0, Configuration()))
    begins = kopf.spawn_tasks(registry=registry, settings=settings, identity=kopfparts.IDENTITY, clusterwide=True)
    await asyncio.to_thread(asyncio.run, begins)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_connection_takes_little_memory() -> None:
    """There is one for each watch, and thirty namespaces have hundreds of them."""
    loop, context = asyncio.get_running_loop(), ssl.create_default_context()
    connection = sslproto.SSLProtocol(loop, asyncio.Protocol(), context, loop.create_future())
    connection._app_transport._closed = True  # it never was open
    assert len(connection._ssl_buffer) == kopfparts.TLS_BUFFER_BYTES < 2**16


@pytest.mark.parametrize(("token", "scheme"), [("bearer abc", "bearer"), ("Bearer abc", "Bearer"), ("abc", "Bearer")])
def test_kopf_uses_our_credentials(token: str, scheme: str) -> None:
    configuration = Configuration()
    configuration.host = "https://10.0.0.1"
    configuration.ssl_ca_cert = "/ca.crt"
    configuration.api_key["BearerToken"] = token
    connection = watch.connection_of(configuration)
    assert (connection.server, connection.ca_path) == ("https://10.0.0.1", "/ca.crt")
    assert (connection.scheme, connection.token) == (scheme, "abc")


class FakeThread:
    """Stands for kopf; ends when it is told to, by itself or by the watcher."""

    started: ClassVar[list["FakeThread"]] = []

    def __init__(self, resources: tuple[Resource, ...], *rest: Any) -> None:
        self.kinds = {resource.kind for resource in resources}
        self.ended: Callable[[], None] = rest[-1]
        self.stop_flag = threading.Event()

    def start(self) -> None:
        self.started.append(self)

    def is_alive(self) -> bool:
        return not self.stop_flag.is_set()

    def join(self, _: float) -> None:
        assert self.stop_flag.is_set()


async def test_kopf_is_started_again_when_it_ends_and_when_other_kinds_can_be_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = FakeThread.started = []
    monkeypatch.setattr(watch, "KopfThread", FakeThread)
    monkeypatch.setattr(watch, "FIRST_RESTART_SECONDS", 0.01)
    lists, store = FakeLists({"Pod": errors.Denied("403")}), make_store()
    monotonic = asyncio.get_running_loop().time
    relister = Relister(lists, store, wake=lambda _: None, monotonic=monotonic)
    await relister.refresh()
    inlet = Inlet(store, Telemetry(), lambda _: None, lambda _: False)
    watcher = Watcher(lambda: asyncio.sleep(0, Configuration()), relister, inlet, monotonic)
    assert watcher.problem is not None
    task = asyncio.create_task(watcher.run())
    await eventually(lambda: len(started) == 1)
    assert watcher.problem is None
    assert started[0].kinds == set(BY_KIND) - {"Pod", "Lease", "Event"}
    started[0].ended()
    await eventually(lambda: len(started) == 2)
    lists.collections.clear()
    await relister.refresh()
    await eventually(lambda: len(started) == 3)
    assert "Pod" in started[2].kinds
    assert [thread.is_alive() for thread in started] == [False, False, True]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not started[2].is_alive()


async def test_what_cannot_be_watched_any_more_is_found_by_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    started = FakeThread.started = []
    monkeypatch.setattr(watch, "KopfThread", FakeThread)
    monkeypatch.setattr(watch, "FIRST_RESTART_SECONDS", 0.01)
    lists, store, monotonic = FakeLists(), make_store(), asyncio.get_running_loop().time
    relister = Relister(lists, store, wake=lambda _: None, monotonic=monotonic)
    await relister.refresh()
    inlet = Inlet(store, Telemetry(), lambda _: None, lambda _: False)
    watcher = Watcher(lambda: asyncio.sleep(0, Configuration()), relister, inlet, monotonic)
    tasks = [asyncio.create_task(watcher.run()), asyncio.create_task(relister.run())]
    await eventually(lambda: len(started) == 1 and all(lists.asked.count(resource.kind) == 2 for resource in WATCHED))
    lists.collections["ScaledObject"] = errors.Missing("404")
    started[-1].ended()
    await eventually(lambda: "ScaledObject" not in started[-1].kinds)
    assert "Deployment" in started[-1].kinds
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
