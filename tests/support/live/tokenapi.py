"""An API server on this machine that knows tokens: it shows each reader only what that reader may see."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from kubectl_sluice.adapters.bearer import ApiServer
from sluice_core.adapters import kinds

Raw = dict[str, Any]
PLURALS: Final = {each.plural: each for each in kinds.WATCHED}


@dataclass(frozen=True)
class Reader:
    """A token's reader, with its permissions."""

    user: str
    namespaces: frozenset[str] | None = None
    """None: all, including objects without a namespace."""
    lists_namespaces: bool = False
    hidden: frozenset[str] = frozenset()
    """Kinds that this reader may not read anywhere."""

    def may_read(self, kind: str, namespace: str) -> bool:
        if kind in self.hidden:
            return False
        if kind == "Namespace":
            return self.namespaces is None or self.lists_namespaces
        return self.namespaces is None or namespace in self.namespaces


@dataclass
class TokenApi:
    """`readers` by token; `objects` as they are stored."""

    readers: dict[str, Reader]
    objects: list[Raw] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(token, path with its query) of each request."""
    address: str = ""
    slow: asyncio.Event | None = None
    """Blocks all answers, except those that identify a token's user."""
    page: int = 1000
    """The most objects on a page, whatever is requested."""
    _watches: list[tuple[str, str, asyncio.Queue[Raw | None]]] = field(default_factory=list)
    _past: list[Raw] = field(default_factory=list)
    """All events; their number is the resource version, from which a watch gets the later ones."""

    @property
    def server(self) -> ApiServer:
        return ApiServer(self.address, None)

    @property
    def open_watches(self) -> int:
        return len(self._watches)

    def put(self, raw: Raw) -> None:
        self.drop(raw, tell=False)
        self.objects.append(raw)
        self._tell("MODIFIED", raw)

    def drop(self, raw: Raw, *, tell: bool = True) -> None:
        self.objects = [each for each in self.objects if _key(each) != _key(raw)]
        if tell:
            self._tell("DELETED", raw)

    def end_watches(self) -> None:
        for _, _, queue in self._watches:
            queue.put_nowait(None)

    def _tell(self, type_: str, raw: Raw) -> None:
        self._past.append({"type": type_, "object": raw})
        for kind, namespace, queue in self._watches:
            if _concerns(raw, kind, namespace):
                queue.put_nowait(self._past[-1])

    async def answer(self, request: web.Request) -> web.StreamResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.asked.append((token, request.path_qs))
        reader = self.readers.get(token)
        if reader is None:
            return _status(401, "Unauthorized")
        if request.path.endswith("/selfsubjectreviews"):
            return web.json_response({"status": {"userInfo": {"username": reader.user}}}, status=201)
        if self.slow is not None:
            await self.slow.wait()
        parts = request.path.strip("/").split("/")[1:]
        parts = parts[2:] if request.path.startswith("/apis/") else parts[1:]
        namespace = ""
        if len(parts) > 2 and parts[0] == "namespaces":
            namespace, parts = parts[1], parts[2:]
        kind = PLURALS[parts[0]].kind if parts[0] in PLURALS else parts[0]
        if not reader.may_read(kind, namespace):
            return _status(403, f'{reader.user} cannot read {parts[0]} in "{namespace}"')
        found = [
            raw for raw in self.objects if raw["kind"] == kind and namespace in ("", raw["metadata"].get("namespace"))
        ]
        if len(parts) > 1:
            one = next((raw for raw in found if raw["metadata"]["name"] == parts[1]), None)
            return web.json_response(one) if one is not None else _status(404, f"{parts[1]} not found", name=parts[1])
        if request.query.get("watch"):
            return await self._stream(request, kind, namespace)
        return web.json_response(self._list(found, request))

    def _list(self, found: Iterable[Raw], request: web.Request) -> Raw:
        label, _, value = request.query.get("labelSelector", "").partition("=")
        chosen = [raw for raw in found if not label or raw["metadata"].get("labels", {}).get(label) == value]
        start = int(request.query.get("continue", "0"))
        limit = min(int(request.query.get("limit", "100000")), self.page)
        rest = str(start + limit) if start + limit < len(chosen) else ""
        items = [{key: part for key, part in raw.items() if key not in ("kind", "apiVersion")} for raw in chosen]
        return {
            "metadata": {"resourceVersion": str(len(self._past)), "continue": rest},
            "items": items[start : start + limit],
        }

    async def _stream(self, request: web.Request, kind: str, namespace: str) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        queue: asyncio.Queue[Raw | None] = asyncio.Queue()
        for past in self._past[int(request.query.get("resourceVersion") or 0) :]:
            if _concerns(past["object"], kind, namespace):
                queue.put_nowait(past)
        entry = (kind, namespace, queue)
        self._watches.append(entry)
        try:
            while (event := await queue.get()) is not None:
                await response.write(json.dumps(event).encode() + b"\n")
        finally:
            self._watches.remove(entry)
        return response


def _concerns(raw: Raw, kind: str, namespace: str) -> bool:
    """Whether a watch of a kind, in a namespace or everywhere, gets the event."""
    return raw["kind"] == kind and namespace in ("", raw["metadata"].get("namespace", ""))


def _key(raw: Raw) -> tuple[str, str, str]:
    return raw["kind"], raw["metadata"].get("namespace", ""), raw["metadata"]["name"]


def _status(code: int, message: str, name: str = "") -> web.Response:
    document = {"kind": "Status", "code": code, "message": message, "reason": message, "details": {"name": name}}
    return web.json_response(document, status=code)


@asynccontextmanager
async def running(api: TokenApi) -> AsyncIterator[TokenApi]:
    """The API server, listening."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", api.answer)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    api.address = f"http://127.0.0.1:{port}"
    try:
        yield api
    finally:
        api.end_watches()
        await runner.cleanup()
