"""What each address shows."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.dashboard import guard, reading
from kubectl_sluice.dashboard.fleetlist import Name
from kubectl_sluice.dashboard.fleetwatch import MOST_NAMESPACES, FleetWatch
from kubectl_sluice.dashboard.guard import LoopbackDoor, TokenDoor
from kubectl_sluice.dashboard.proofs import Proofs, Unproven
from kubectl_sluice.dashboard.room import Full, Places, Room
from kubectl_sluice.dashboard.sessions import ReaderSession
from kubectl_sluice.dashboard.settings import DashboardSettings
from kubectl_sluice.dashboard.templating import Templates
from kubectl_sluice.views import batch, fleet
from kubectl_sluice.views.batch import BatchView
from kubectl_sluice.views.fleet import Filter
from kubectl_sluice.views.releases import evidenceplot, history, questions
from kubectl_sluice.views.reports import driftplot
from sluice_core import errors
from sluice_core.adapters import kinds
from sluice_core.api import yamltext
from sluice_core.api.v1alpha1.batchinference import BatchInference
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel import commands
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Object
from sluice_core.parsing import batchsnapshot

BATCHES: Final = kinds.BY_KIND[BatchInference.kind]
RULES: Final = ("RolloutPolicy", "ServingRuntime")
MOST_BATCHES: Final = 200
"""The most batches shown at once. The namespace with the most of them is cut first."""
PAGES: Final = {"of_one": 2, "of_all": 6, "waiting": 32}
"""The most pages built at once: each keeps what it has read until it is written."""
VERDICTS: Final = {"of_one": 1, "of_all": 8, "waiting": 4}
"""The same for verdicts, while Prometheus is asked: cached ones do not wait for others'."""
QUIET_SECONDS: Final = 15.0
"""How long until a quiet stream sends a sign of life."""
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
"""An object's name: nothing else gets into the path of a request."""
APART_SECONDS: Final = 1.0
"""The least time between two events."""


class Pages:
    """All handlers; they keep no state of a reader."""

    def __init__(
        self, templates: Templates, door: TokenDoor | LoopbackDoor, proofs: Proofs, settings: DashboardSettings
    ):
        self._templates = templates
        self._door = door
        self._proofs = proofs
        self._settings = settings
        self._pages = Places(**PAGES)
        self._verdicts = Places(**VERDICTS)

    def routes(self) -> list[Route]:
        return [
            Route("/login", self.log_in, methods=["POST"]),
            Route("/logout", self.log_out, methods=["POST"]),
            Route("/open/{key}", self.open),
            Route("/", self._placed(self._pages, self.fleet)),
            Route("/events", self.events),
            Route("/models/{namespace}/{name}", self._placed(self._pages, self.model)),
            Route("/models/{namespace}/{name}/releases/{release}", self._placed(self._pages, self.release)),
            Route("/models/{namespace}/{name}/releases/{release}/verdict", self._placed(self._verdicts, self.verdict)),
            Route("/batches", self._placed(self._pages, self.batches)),
            Route("/batches/{namespace}/{name}", self._placed(self._pages, self.batch)),
            Route("/rules", self._placed(self._pages, self.rules)),
        ]

    @staticmethod
    def _placed(places: Places, page: Callable[[Request], Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
        """The page, built when its reader's turn comes."""

        async def made(request: Request) -> Response:
            async with places.place(_session(request).owner):
                return await page(request)

        return made

    async def log_in(self, request: Request) -> Response:
        """Begins a session with the token of the form, and redirects to the page that the reader wanted."""
        if not isinstance(self._door, TokenDoor):
            return self.refused(request, "", 403)
        fields = await guard.form(request)
        try:
            session = await self._door.log_in(fields.get("token", "").strip())
        except errors.Denied as error:
            return self.refused(request, str(error), 401, wanted=fields.get("next", "/"))
        answer = RedirectResponse(guard.local(fields.get("next", "/")), 303)
        self._set(answer, self._door.cookie_name(request), session.id, secure=self._door.secure(request))
        return answer

    async def log_out(self, request: Request) -> Response:
        """Forgets the token at once."""
        answer = RedirectResponse("/", 303)
        if isinstance(self._door, TokenDoor):
            await self._door.sessions.end(_session(request))
            answer.delete_cookie(
                self._door.cookie_name(request), secure=self._door.secure(request), httponly=True, samesite="strict"
            )
        return answer

    async def open(self, request: Request) -> Response:
        """Sets the cookie for the key of the printed address. The page itself navigates on: a redirect would count as
        coming from wherever the key was opened, and lack the cookie."""
        id_ = self._door.opened(request.path_params["key"]) if isinstance(self._door, LoopbackDoor) else None
        if id_ is None or not isinstance(self._door, LoopbackDoor):
            return self.refused(request, "", 403)
        answer = self._templates.answer(request, "opened.html", {"start": self._door.start})
        self._set(answer, self._door.cookie, id_, secure=False)
        return answer

    async def fleet(self, request: Request) -> Response:
        named = _names(request)
        query = request.query_params
        session = _session(request)
        wanted = Filter(named, query.get("outcome", ""), query.get("reason", ""))
        try:
            watch = await session.fleets.of(named)
            lines = await watch.lines()
        except kubectl.CredentialsRefused:
            raise
        except errors.Denied as error:
            return self._templates.answer(request, "namespaces.html", {"error": str(error), "named": named}, 403)
        number = int(query["page"]) if query.get("page", "").isdecimal() and len(query["page"]) < 6 else 1
        page = fleet.fleet_page(lines, wanted, number=number)
        return self._templates.answer(
            request, "fleet.html", {"page": page, "wanted": wanted, "watch": watch, "events": _events(named)}
        )

    async def events(self, request: Request) -> Response:
        """A line at each change, upon which the page reloads itself."""
        session = _session(request)
        session.take_stream()
        try:
            named, model = _names(request), request.query_params.get("model", "")
            watch = await session.fleets.of(named)
        except BaseException:
            session.streams -= 1
            raise
        about = (named[0], model) if named and model else None
        return NewsStream(session, _news(session, named, watch, about))

    async def model(self, request: Request) -> Response:
        namespace, name = _path(request)
        read = await reading.model(_session(request).cluster, namespace, name)
        lines = [history.history_line(each, now=read.now) for each in read.rollouts]
        found = {"read": read, "view": read.view, "lines": lines, "actions": read.actions(), "driftplot": driftplot.svg}
        return self._templates.answer(request, "model.html", {**found, "events": _events((namespace,), name)})

    async def release(self, request: Request) -> Response:
        namespace, name = _path(request)
        read = await reading.model(_session(request).cluster, namespace, name)
        wanted = request.path_params["release"]
        chosen = next((each for each in read.rollouts if each.metadata.name == wanted), None)
        if chosen is None:
            return self.refused(request, f"there is no release {wanted} of {name}", 404)
        found = {
            "read": read,
            "answers": reading.answers(read, chosen),
            "questions": questions.QUESTIONS,
            "links": self._links(chosen),
            "replay": _replay_commands(namespace, name),
        }
        return self._templates.answer(request, "release.html", {**found, "events": _events((namespace,), name)})

    async def verdict(self, request: Request) -> Response:
        """The evidence over time, and whether the replay agrees: a separate request, as it may take seconds."""
        namespace, name = _path(request)
        release = request.path_params["release"]
        found: dict[str, Any] = {"name": name, "namespace": namespace, "release": release, "problem": "", "proof": None}
        try:
            proof = await self._proofs.of(_session(request), namespace, release)
            found |= {"proof": proof, "against": evidenceplot.against(proof), "advance": evidenceplot.advance(proof)}
        except Unproven as error:
            found["problem"] = str(error)
        part = request.headers.get("HX-Request") == "true"
        return self._templates.answer(request, "verdictpart.html" if part else "verdict.html", found)

    async def batches(self, request: Request) -> Response:
        named, cluster, now = _names(request), _session(request).cluster, time.time()
        table = BatchTable()
        try:
            for namespace in named or ("",):
                listed = cluster.fetch_pages(BATCHES, namespace, keep=lambda raw: _batch_view(raw, now))
                async with contextlib.aclosing(listed) as pages:
                    async for page in pages:
                        table.add(page.items)
        except kubectl.CredentialsRefused:
            raise
        except errors.Denied as error:
            return self._templates.answer(request, "namespaces.html", {"error": str(error), "named": named}, 403)
        found = {"views": table.views, "left_out": table.left_out, "named": named}
        return self._templates.answer(request, "batches.html", found)

    async def batch(self, request: Request) -> Response:
        namespace, name = _path(request)
        raw = await _session(request).cluster.fetch(BATCHES, namespace, name)
        view = _batch_view(raw, time.time())
        if view is None:
            raise errors.UnreadableObject(
                f"this page does not understand BatchInference {name}; is it as new as the CRDs?"
            )
        line = commands.sluice("batch", name, "-w", namespace=namespace)
        return self._templates.answer(request, "batch.html", {"view": view, "command": line})

    async def rules(self, request: Request) -> Response:
        cluster = _session(request).cluster
        wanted = [kinds.BY_KIND[kind] for kind in RULES]
        listed = await asyncio.gather(*(reading.seen(cluster.fetch_all(kind)) for kind in wanted))
        found = [
            (kind.kind, None if objects is None else [(each["metadata"]["name"], _manifest(each)) for each in objects])
            for kind, objects in zip(wanted, listed, strict=True)
        ]
        return self._templates.answer(request, "rules.html", {"kinds": found})

    def refused(self, request: Request, message: str, status: int, *, wanted: str = "") -> Response:
        """A page with a remedy in place of the requested one."""
        names = {401: "login.html", 403: "closed.html"}
        loopback = isinstance(self._door, LoopbackDoor)
        template = "closed.html" if loopback and status == 401 else names.get(status, "problem.html")
        path = wanted or (str(request.url.path) + (f"?{request.url.query}" if request.url.query else ""))
        found = {"message": message, "status": status, "wanted": guard.local(path)}
        return self._templates.answer(request, template, found, 403 if template == "closed.html" else status)

    async def failed(self, request: Request, error: Exception) -> Response:
        """What an error of the API server means for a page."""
        if isinstance(error, kubectl.CredentialsRefused):
            if isinstance(self._door, TokenDoor):
                await self._door.sessions.end(_session(request))
            return self.refused(request, str(error), 401)
        for kind, status in ((Full, 429), (errors.Denied, 403), (errors.Missing, 404), (errors.Unavailable, 503)):
            if isinstance(error, kind):
                return self._templates.answer(
                    request, "problem.html", {"message": str(error), "status": status}, status
                )
        return self._templates.answer(request, "problem.html", {"message": str(error), "status": 502}, 502)

    def _links(self, rollout: ModelRollout) -> list[tuple[str, str]]:
        """(what, address or path) of the reason's runbook, and of the boards in the settings."""
        meta, model = rollout.metadata, rollout.spec.model_deployment
        reason = Reason.of(rollout.status.reason)
        page = reason.runbook if isinstance(reason, Reason) and reason.runbook else "README.md"
        base = self._settings.page.docs_url.rstrip("/") or "docs"
        runbook = f"{base}/{page.removeprefix('../')}" if page.startswith("../") else f"{base}/runbooks/{page}"
        boards = [
            (link.name, link.filled(namespace=meta.namespace, model=model, release=meta.name))
            for link in self._settings.page.links
        ]
        return [(f"Runbook of {rollout.status.reason or 'all reasons'}", runbook), *boards]

    @staticmethod
    def _set(answer: Response, name: str, value: str, *, secure: bool) -> None:
        answer.set_cookie(name, value, path="/", secure=secure, httponly=True, samesite="strict")


class BatchTable:
    """The batches to show."""

    def __init__(self) -> None:
        self._room = Room(MOST_BATCHES)
        self._by_namespace: dict[str, list[BatchView]] = {}
        self.left_out = 0

    def add(self, views: Iterable[BatchView | None]) -> None:
        for view in views:
            if view is None:
                continue
            if self._room.take(view.namespace, 1, self._give):
                self._by_namespace.setdefault(view.namespace, []).append(view)
            else:
                self.left_out += 1

    @property
    def views(self) -> list[BatchView]:
        return [each for _, views in sorted(self._by_namespace.items()) for each in views]

    def _give(self, namespace: str) -> bool:
        self._by_namespace[namespace].pop()
        self._room.add(namespace, -1)
        self.left_out += 1
        return True


class NewsStream(StreamingResponse):
    """Gives its place back however it ends, even before it began."""

    def __init__(self, session: ReaderSession, news: AsyncIterator[str]) -> None:
        super().__init__(news, media_type="text/event-stream")
        self._session = session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._session.streams -= 1


async def _news(
    session: ReaderSession, named: tuple[str, ...], watch: FleetWatch, about: Name | None
) -> AsyncGenerator[str, None]:
    try:
        seen, told = watch.number, watch.changes(about)
        yield "retry: 5000\n\n"
        while not session.over:
            await asyncio.sleep(APART_SECONDS)
            seen = await watch.changed(seen, seconds=QUIET_SECONDS)
            if watch.over:  # reading it again ends the stream where this reader may no longer read it
                watch = await session.fleets.of(named)
                seen = watch.number
            after = watch.changes(about)
            yield f"event: changed\ndata: {after}\n\n" if after != told else ": still here\n\n"
            told = after
        yield "event: changed\ndata: over\n\n"
    except errors.ApiError:
        yield "event: changed\ndata: over\n\n"


def _session(request: Request) -> ReaderSession:
    session: ReaderSession = request.state.session
    return session


def _path(request: Request) -> tuple[str, str]:
    """Namespace and name; raises `errors.Missing` for an impossible name."""
    if not all(_NAME.fullmatch(part) for part in request.path_params.values()):
        raise errors.Missing("no object has such a name")
    return request.path_params["namespace"], request.path_params["name"]


def _names(request: Request) -> tuple[str, ...]:
    """The namespaces that the reader named, separately or with commas."""
    words = " ".join(request.query_params.getlist("namespace")).replace(",", " ").split()
    return tuple(dict.fromkeys(word for word in words if _NAME.fullmatch(word)))[:MOST_NAMESPACES]


def _batch_view(raw: Object, now: float) -> BatchView | None:
    """None for an object that cannot be read: the others are shown."""
    parsed = batchsnapshot.parsed_batch(raw)
    return batch.batch_view(parsed, now=now) if isinstance(parsed, BatchInference) else None


def _events(named: tuple[str, ...], model: str = "") -> str:
    """The address that reports changes of these, or of one model among them."""
    fields = [*(("namespace", each) for each in named), *([("model", model)] if model else [])]
    return "/events" + (f"?{urlencode(fields)}" if fields else "")


def _manifest(raw: Mapping[str, Any]) -> str:
    return yamltext.dumped(raw.get("spec", {}))


def _replay_commands(namespace: str, name: str) -> list[str]:
    record = commands.sluice("record", name, namespace=namespace)
    return [f"{record} > counts.jsonl", "kubectl sluice replay counts.jsonl --policy policy.yaml"]
