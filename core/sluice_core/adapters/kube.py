"""The Kubernetes API: server-side apply, deletions, events, lists and leases, on one connection pool."""

import math
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from sluice_core import errors
from sluice_core.adapters import eventlog, exchange
from sluice_core.adapters.kinds import BY_KIND, EVENTS, LEASES, WATCHED, Resource
from sluice_core.api.config import OperatorConfig
from sluice_core.kernel.naming import FIELD_MANAGER
from sluice_core.kernel.plan import Apply, ApplyStatus, Delete, Event, Patch, Ref, Write
from sluice_core.kernel.snapshot import Object

if TYPE_CHECKING:
    from sluice_core.ports import (  # imports every decision, and the plugin needs nothing here but the table of kinds
        Clock,
    )

LIST_SECONDS: Final = 60.0
PAGE_SIZE: Final = 100
"""Objects in a page: small reads keep the process small, which gives little memory back."""
PAGE_BYTES: Final = 2 * 2**20
"""A larger page is requested again with fewer objects. In memory it may take twenty times as much."""
REASON_LIMIT: Final = 600
CONFLICT: Final = 409
INVALID: Final = 422
UID: Final = "metadata.uid"
"""The field that the API server calls invalid when a write names another object's uid."""
ALREADY_EXISTS: Final = "AlreadyExists"
"""The reason of a 409 to a POST when the name is taken; other reasons exist, such as a quota that changes."""
NEVER: Final = "1"
"""A version that no object has. An apply with a version fails if the object has another one, and creates a missing
object; so this one only creates. A POST would, too, but a later apply could not remove what it set by leaving it out.
"""
TOO_LARGE: Final = 413
"""Whoever sends it: the same request will not get through another time."""


def watched(config: OperatorConfig) -> tuple[Resource, ...]:
    """The kinds that the configuration needs; one entry for each namespace that it names."""
    used = {"ScaledObject": config.engines.keda, "SparkApplication": config.engines.spark_operator}
    resources = tuple(resource for resource in WATCHED if used.get(resource.kind, True))
    if not config.watch_namespaces:
        return resources
    apart: dict[str, Sequence[str]] = {"Gateway": config.gateway_namespaces, "Namespace": config.watch_namespaces}
    apart |= {each.kind: config.watch_namespaces for each in resources if each.namespaced and each.kind not in apart}
    return tuple(
        replace(resource, within=namespace) for resource in resources for namespace in apart.get(resource.kind, ("",))
    )


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list."""

    items: tuple[Object, ...]
    resource_version: str
    """The version of the whole list, the same in all its pages. Empty: the current one."""


async def load_configuration(kubeconfig: Path | None) -> Configuration:
    """Credentials from a kubeconfig file, or from the pod's service account where none is given.

    Raises `errors.NoCluster`.
    """
    configuration = Configuration()
    configuration.connection_pool_maxsize = 16
    loader: Any = config  # the client has no types
    try:
        if kubeconfig is None:
            loader.load_incluster_config(client_configuration=configuration)
        else:
            await loader.load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
    except config.ConfigException as error:
        raise errors.NoCluster(
            f"no access to a cluster: {error}; inside a cluster, the pod needs a service account; outside, pass "
            "--kubeconfig"
        ) from error
    return exchange.with_proxy(configuration)


class Kube:
    """Implements `ports.Cluster`, and what the shell needs besides: lists and leases."""

    def __init__(self, configuration: Configuration, *, clock: "Clock", identity: str) -> None:
        self._client: Any = ApiClient(configuration)
        self._client.user_agent = "sluice"
        self._clock = clock
        self._events = eventlog.EventLog(identity)

    async def close(self) -> None:
        await self._client.close()

    async def write(self, write: Write) -> Object | None:
        match write:
            case Apply(manifest, uid):
                expected = {"uid": uid} if uid else {"resourceVersion": NEVER}
                metadata = {**manifest["metadata"], **expected}
                return await self._apply({**manifest, "metadata": metadata}, subresource="")
            case ApplyStatus(manifest):
                return await self._apply(manifest, subresource="status")
            case Patch(ref, change):
                return await self._patch(ref, change)
            case Delete(ref):
                return await self._delete(ref)

    async def read(self, ref: Ref) -> Object | None:
        """The object of this name, whoever owns it. As a list of one: the operator's rights are to list and to watch."""
        resource = BY_KIND[ref.kind]
        query = {"fieldSelector": f"metadata.name={ref.name}"}
        try:
            answer = await self._about(resource, "GET", resource.path(ref.namespace), query=query)
        except errors.Missing:
            return None
        found = answer.get("items") or ()
        return {"apiVersion": resource.api_version, "kind": resource.kind, **found[0]} if found else None

    async def emit(self, about: Ref, event: Event) -> None:
        manifest = self._events.manifest(about, event, self._clock.now())
        if manifest is None:
            return
        path = EVENTS.path(manifest["metadata"]["namespace"])
        answer = await self._answer("POST", path, body=manifest)
        if answer.status != CONFLICT or answer.document.get("reason") != ALREADY_EXISTS:  # this event exists already
            _content(f"POST {path}", answer)
        self._events.sent(about, event, self._clock.now())

    async def recall_events(self, namespaces: Iterable[str]) -> None:
        """Learns the events of the last minutes, which are not sent again. namespaces: an empty name means all."""
        known: set[str] = set()
        for namespace in namespaces:
            async for page in self.documents(EVENTS, namespace=namespace, fields=eventlog.OURS):
                known.update(eventlog.recent(page.get("items") or (), self._clock.now()))
                if len(known) > eventlog.KNOWN_LIMIT:
                    break
        self._events.known = frozenset(known)

    async def pages(self, resource: Resource) -> AsyncIterator[Page]:
        """All objects of a kind, page by page."""
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        if not resource.can_be_watched:
            yield await self._alone(resource)
            return
        async for answer in self.documents(resource):
            found, metadata = answer.get("items") or (), answer.get("metadata") or {}
            moment = str(metadata.get("resourceVersion") or "")
            if not moment or not all(_is_object(item) for item in found):
                raise errors.Unavailable(f"GET {resource.path()}: the answer is not a list of the Kubernetes API")
            yield Page(tuple({**kind, **item} for item in found), moment)
            del answer, found  # one page at a time, even while the next is read

    async def _alone(self, resource: Resource) -> Page:
        """The Namespace, for a grant that covers only this one."""
        try:
            found = await self._about(resource, "GET", resource.path(name=resource.within))
        except errors.Missing:
            return Page((), "")
        return Page((found,), str(found["metadata"]["resourceVersion"]))

    async def documents(
        self, resource: Resource, *, namespace: str = "", fields: str = ""
    ) -> AsyncIterator[dict[str, Any]]:
        """A list as the API server sends it, page by page; pages of large objects are shorter.

        namespace: empty for all. fields: a field selector.
        """
        path, size, token = resource.path(namespace), PAGE_SIZE, ""
        selectors = {"labelSelector": resource.selector, "fieldSelector": fields}
        while True:
            query = {"limit": str(size), **selectors, "continue": token}
            at_most_bytes = PAGE_BYTES if size > 1 else math.inf
            try:
                answer = await self._about(
                    resource, "GET", path, query=query, seconds=LIST_SECONDS, at_most_bytes=at_most_bytes
                )
            except exchange.TooLong:
                size = max(1, size // 4)
                continue
            token = (answer.get("metadata") or {}).get("continue") or ""
            yield answer
            del answer
            if not token:
                return
            size = min(PAGE_SIZE, 2 * size)

    async def read_lease(self, namespace: str, name: str, *, seconds: float) -> Object | None:
        """The Lease, or None if it does not exist. seconds: how long to wait for the answer."""
        try:
            return await self.request("GET", LEASES.path(namespace, name), seconds=seconds)
        except errors.Missing:
            return None

    async def write_lease(self, lease: Object, *, seconds: float) -> Object:
        """Creates the Lease, or replaces the version that `lease` was read from; `Conflict` if it has changed."""
        metadata = lease["metadata"]
        exists = bool(metadata.get("resourceVersion"))
        path = LEASES.path(metadata["namespace"], metadata["name"] if exists else "")
        return await self.request("PUT" if exists else "POST", path, body=lease, seconds=seconds)

    async def _apply(self, manifest: Object, subresource: str) -> Object:
        resource = BY_KIND[manifest["kind"]]
        metadata = manifest["metadata"]
        path = resource.path(metadata.get("namespace", ""), metadata["name"], subresource)
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._about(resource, "PATCH", path, query=query, body=manifest, content_type=exchange.APPLY)

    async def _patch(self, ref: Ref, change: Object) -> Object:
        """Sends the uid, if given, in the patch: another object of the same name is a `Conflict`."""
        body = {**change, "metadata": {**change.get("metadata", {}), "uid": ref.uid}} if ref.uid else change
        resource, query = BY_KIND[ref.kind], {"fieldManager": FIELD_MANAGER}
        path = resource.path(ref.namespace, ref.name)
        return await self._about(resource, "PATCH", path, query=query, body=body, content_type=exchange.MERGE)

    async def _delete(self, ref: Ref) -> Object | None:
        options: dict[str, Any] = {"propagationPolicy": "Background"}
        if ref.uid:
            options["preconditions"] = {"uid": ref.uid}
        resource = BY_KIND[ref.kind]
        try:
            left = await self._about(resource, "DELETE", resource.path(ref.namespace, ref.name), body=options)
        except errors.Missing:
            return None
        return left if left.get("kind") == ref.kind else None

    async def _about(self, resource: Resource, method: str, path: str, **request: Any) -> dict[str, Any]:
        """A request about objects of a kind. Raises `Missing` only if the API server itself says so.

        For a kind that it does not serve, the API server answers "404 page not found", as proxies do for anything. So
        discovery is asked before such an answer counts. request: further arguments of `request`.
        """
        answer = await self._answer(method, path, **request)
        listed = path == resource.path()
        if answer.status == 404 and (listed or not answer.is_status):
            what = f"{method} {path}: 404"
            if await self._serves(resource):
                raise errors.Unavailable(f"{what}, though the API server serves {resource.full_name}")
            raise errors.Missing(f"{what}: the API server does not serve {resource.full_name}")
        if answer.status == INVALID and any(cause.get("field") == UID for cause in answer.causes):
            raise errors.Conflict(f"{method} {path}: another object has this name")
        return _content(f"{method} {path}", answer)

    async def _serves(self, resource: Resource) -> bool:
        """Whether the API server's own list of kinds has this one; raises `Unavailable` if the list cannot be read."""
        kinds = await self._discovered(resource.root)
        if kinds is not None:
            return any(each.get("name") == resource.plural for each in kinds.get("resources") or ())
        groups = (await self._discovered("/apis") or {}).get("groups") or ()
        versions = {each.get("groupVersion") for group in groups for each in group.get("versions") or ()}
        if not (resource.group and versions):
            raise errors.Unavailable(
                f"GET {resource.root}: 404; something between here and the API server answers in its place"
            )
        return resource.api_version in versions

    async def _discovered(self, path: str) -> dict[str, Any] | None:
        """A discovery document; None for a 404."""
        answer = await self._answer("GET", path)
        if answer.status == 404:
            return None
        try:
            return _content(f"GET {path}", answer)
        except errors.ApiError as error:
            raise errors.Unavailable(f"what the API server serves cannot be read: {error}") from error

    async def request(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """One request; a failure raises one of `sluice_core.errors`, which names method and path.

        request: further arguments of `exchange.ask`.
        """
        return _content(f"{method} {path}", await self._answer(method, path, **request))

    async def _answer(self, method: str, path: str, **request: Any) -> exchange.Answer:
        try:
            return await exchange.ask(self._client, method, path, **request)
        except exchange.NoAnswer as error:
            raise errors.Unavailable(f"{method} {path}: {error}") from error


def _is_object(item: Any) -> bool:
    """Whether it has what the API server gives every object."""
    metadata = item.get("metadata") if isinstance(item, dict) else None
    return isinstance(metadata, dict) and bool(metadata.get("name"))


def _content(what: str, answer: exchange.Answer) -> dict[str, Any]:
    """The content of a successful answer; raises one of `sluice_core.errors`."""
    document, error = answer.document, answer.error
    message = str(document.get("message", ""))[:REASON_LIMIT]
    if error is not None:
        if not answer.is_status and answer.status != TOO_LARGE:
            error = errors.Unavailable  # a proxy's page: the request has not reached the API server
        raise error(f"{what}: {answer.status} {document.get('reason', '')}: {message}")
    if not document.keys() - {"message"} and message:
        raise errors.Unavailable(f"{what}: {answer.status}, but no object of the Kubernetes API: {message}")
    return document
