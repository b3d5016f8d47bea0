"""Replaces parts of kopf that have no setting: the only module that imports or changes its private ones.

    lists     they would read everything a second time: a watch begins where a list of the Relister ended
    queues    kopf would queue each version of an object without a limit: the Inbox takes it first
    watches   one that is forbidden would end all others: only what may be watched is
    JSON      an object that is nested too deeply for Python's reader would end its watch, and with it all others, for
              good; a large one is trimmed as soon as it is read
    TLS       asyncio keeps 256 KiB for each connection, and there is one for each watch
    log       each start would warn that signals, which the operator handles, are ignored in a thread

`READ_IN` is the version of kopf that was read, and pyproject.toml allows no other minor version. `python -m pytest
tests/unit/operator/shell/test_inbox.py tests/unit/operator/shell/test_watch.py` says what a new one has changed.
"""

import dataclasses
import logging
from asyncio import sslproto
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import kopf
from kopf._cogs.clients import api as kopf_api
from kopf._cogs.clients import fetching, watching
from kopf._cogs.structs import references
from kopf._core.engines.peering import Identity
from kopf._core.reactor import orchestration, running

from sluice.shell.cache import trim
from sluice_core.adapters import deepjson
from sluice_core.kernel.snapshot import Object

READ_IN: Final = "1.45.2"
"""The version of kopf whose code the replacements were written for."""
IDENTITY: Final = Identity("sluice-operator")
"""Only kopf's peering needs one, which is off; without it kopf asks for the user's name, which a container lacks."""
TLS_BUFFER_BYTES: Final = 32 * 1024
LARGE_BYTES: Final = 128 * 1024
"""Bytes of an event's JSON beyond which its object is trimmed as soon as it is read."""
CHANGES: Final = frozenset({"ADDED", "MODIFIED", "DELETED"})
SIZE: Final = "bytes"
"""The field in which kopf's events carry the length of their JSON."""

Deliver = Callable[[str, Object, int], Awaitable[None] | None]
"""Receives a change and the length of its JSON; returns what the watch must await before it reads on, if anything:
`Inbox.put`."""


@dataclasses.dataclass
class WatchSettings(kopf.OperatorSettings):
    """kopf's settings, what may be watched, and the receiver."""

    deliver: Deliver = dataclasses.field(kw_only=True)
    places: Mapping[tuple[str, str, str], Callable[[], Awaitable[str]]] = dataclasses.field(default_factory=dict)
    """Where each watch begins, by (group, plural, namespace), with an empty namespace for all of them."""


class Lines:
    """Reads the lines of a watch in place of kopf's `json`."""

    @staticmethod
    def loads(line: str) -> Any:
        """The JSON of an event; a large object is reduced to what the store keeps."""
        event = deepjson.loads(line)
        object_ = event.get("object") if isinstance(event, dict) else None
        if isinstance(event, dict):
            event[SIZE] = len(line)
        if len(line) > LARGE_BYTES and isinstance(object_, dict) and (object_.get("metadata") or {}).get("name"):
            event["object"] = trim.readable(object_)
        return event


async def _begin(
    *, settings: WatchSettings, resource: references.Resource, namespace: references.Namespace, **_: Any
) -> AsyncIterator[tuple[list[Any], str]]:
    """Returns no objects, and the version at which the watch begins."""
    yield [], await settings.places[resource.group, resource.plural, namespace or ""]()


async def _taken_away(*, settings: WatchSettings, **others: Any) -> AsyncIterator[Any]:
    """kopf's own watch, without the objects."""
    event: Any
    async for event in KOPF_WATCHES(settings=settings, **others):
        if isinstance(event, watching.Bookmark):
            yield event
        elif event["type"] in CHANGES:
            room = settings.deliver(event["type"], event["object"], event[SIZE])
            if room is not None:
                await room


async def _spawn_missing_watchers(
    *,
    settings: WatchSettings,
    watched_resources: Iterable[references.Resource],
    watched_namespaces: Iterable[references.Namespace],
    **others: Any,
) -> None:
    """kopf's own function, for what may be watched only: it watches every kind in every namespace."""
    resources = tuple(watched_resources)
    for namespace in watched_namespaces:
        usable = [
            each
            for each in resources
            if not each.namespaced or (each.group, each.plural, namespace or "") in settings.places
        ]
        await KOPF_SPAWNS(settings=settings, watched_resources=usable, watched_namespaces=[namespace], **others)


KOPF_WATCHES: Final = watching.infinite_watch
KOPF_SPAWNS: Final = orchestration.spawn_missing_watchers
sslproto.SSLProtocol.max_size = TLS_BUFFER_BYTES
running.logger.setLevel(logging.ERROR)
setattr(kopf_api, "json", Lines)  # noqa: B010 - a class in place of a module
setattr(fetching, "fetch_objs", _begin)  # noqa: B010 - assigned as what it is not declared to be
setattr(watching, "infinite_watch", _taken_away)  # noqa: B010 - as above
setattr(orchestration, "spawn_missing_watchers", _spawn_missing_watchers)  # noqa: B010 - as above
