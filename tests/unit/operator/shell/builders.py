"""Objects and stand-ins for the tests of the shell."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sluice.shell.cache.keys import identity_of
from sluice.shell.cache.store import Store
from sluice_core import errors
from sluice_core.adapters.kinds import Resource
from sluice_core.adapters.kube import Page
from sluice_core.api.config import OperatorConfig
from sluice_core.kernel.naming import LABEL_OWNER
from sluice_core.kernel.plan import Apply, Delete, Event, Patch, Ref, Write, target_of
from sluice_core.kernel.snapshot import Object
from sluice_judge.gateways import PRESETS
from tests.support import patience

CONFIG = OperatorConfig(domain="models.test")
PRESET = PRESETS["contour"]


def make_object(
    kind: str,
    name: str,
    *,
    version: int = 1,
    uid: str = "",
    owner: str | None = None,
    namespace: str = "team",
    **fields: Any,
) -> dict[str, Any]:
    """An object with the metadata that the store looks at."""
    metadata: dict[str, Any] = {"name": name, "uid": uid or f"{kind}-{name}", "resourceVersion": str(version)}
    if namespace:
        metadata["namespace"] = namespace
    if owner is not None:
        metadata["labels"] = {LABEL_OWNER: owner}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **fields}


def make_model(
    name: str = "digits", *, hostnames: Iterable[str] = (), version: int = 1, **fields: Any
) -> dict[str, Any]:
    """A ModelDeployment."""
    spec = {
        "model": {"format": "onnx", "uri": "s3://models/digits/1"},
        "routing": {"hostnames": list(hostnames)},
    }
    model = make_object("ModelDeployment", name, version=version, **{"spec": spec, **fields})
    return {**model, "apiVersion": "sluice.dev/v1alpha1"}


def make_store() -> Store:
    return Store(CONFIG, PRESET)


@dataclass
class FakeClock:
    """Stands still until it is moved."""

    seconds: float = 1000.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class FakeCluster:
    """Accepts every write, gives it the next resource version, and refuses what it is told to refuse.

    An object that it was given, and did not get by a write, is written only by who knows its uid.
    """

    refuse: Callable[[Write], errors.ApiError | None] = lambda _: None
    writes: list[tuple[str, str]] = field(default_factory=list)
    """(verb, kind) in order."""
    events: list[Event] = field(default_factory=list)
    event_error: Exception | None = None
    """What every event is answered with, if anything."""
    stored: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    made: set[tuple[str, str, str]] = field(default_factory=set)
    """What a write of ours has made."""
    reads: list[tuple[str, str]] = field(default_factory=list)
    """(kind, name) of what was read."""
    version: int = 100
    before_write: Callable[[], None] = lambda: None
    pause: Callable[[], Awaitable[Any]] = lambda: asyncio.sleep(0)
    """How long it takes until the write is done."""

    async def write(self, write: Write) -> Object | None:
        self.before_write()
        if (error := self.refuse(write)) is not None:
            raise error
        await self.pause()
        target = target_of(write)
        before = self.stored.get(target, {})
        if isinstance(write, Apply):
            _require_expected(write, before, new=target not in self.stored or target in self.made)
            self.made.add(target)
        self.writes.append((type(write).__name__, target[0]))
        if isinstance(write, Delete):
            self.stored.pop(target, None)
            return None
        merged = _merged(before, write.change if isinstance(write, Patch) else write.manifest)
        if _content(merged) != _content(before):
            self.version += 1
        metadata = {"uid": "/".join(target), **merged["metadata"], "resourceVersion": str(self.version)}
        self.stored[target] = {**merged, "metadata": metadata}
        return self.stored[target]

    async def read(self, ref: Ref) -> Object | None:
        self.reads.append((ref.kind, ref.name))
        return self.stored.get((ref.kind, ref.namespace, ref.name))

    async def emit(self, about: Ref, event: Event) -> None:
        if self.event_error is not None:
            raise self.event_error
        self.events.append(event)


@dataclass
class FakeLists:
    """Collections by kind, or `KIND in NAMESPACE`, or the error that listing them gives."""

    collections: dict[str, list[dict[str, Any]] | errors.ApiError] = field(default_factory=dict)
    moment: str = "1000"
    asked: list[str] = field(default_factory=list)
    before_page: Callable[[int], None] = lambda _: None
    """Called with the number of each page before it is handed over."""

    async def pages(self, resource: Resource) -> AsyncIterator[Page]:
        self.asked.append(str(resource))
        content = self.collections.get(str(resource), self.collections.get(resource.kind, []))
        if isinstance(content, errors.ApiError):
            raise content
        for number, item in enumerate(each for each in content if resource.within in ("", identity_of(each).place)):
            self.before_page(number)
            yield Page((item,), self.moment)
        yield Page((), self.moment)


def _require_expected(write: Apply, before: Mapping[str, Any], *, new: bool) -> None:
    """Plans of these tests are written beforehand: what the same plan has made may be made by it once more."""
    uid = before.get("metadata", {}).get("uid", "")
    if write.uid != uid and not (new and not write.uid):
        raise errors.Conflict(f"409: the object is {uid or 'not there'}, not {write.uid or 'new'}")


def _merged(before: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(before)
    for key, value in change.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _content(target: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {
        key: value for key, value in target.get("metadata", {}).items() if key not in ("resourceVersion", "uid")
    }
    return {**target, "metadata": metadata}


async def eventually(condition: Callable[[], bool]) -> None:
    """Waits for a condition that nobody signals, with a deadline."""
    async with asyncio.timeout(patience.HANG_SECONDS):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
