"""The Kubernetes API as a person uses it: reads for the CLI, and the one write that steers a rollout."""

import contextlib
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

from kubernetes.aio import client

from kubectl_sluice.adapters import refusals, slim
from sluice_core import errors
from sluice_core.adapters import exchange, kinds
from sluice_core.adapters.kinds import Resource
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.api.v1alpha1.routing import GatewayRef
from sluice_core.kernel import naming
from sluice_core.kernel.rawobjects import Object
from sluice_core.parsing import ownkinds

if TYPE_CHECKING:
    from kubectl_sluice.views.serviceaddress import ServiceAddress
    from sluice_core.kernel.snapshot import Revision

FIELD_MANAGER: Final = "kubectl-sluice"
PAGE_SIZE: Final = 250
PAGE_BYTES: Final = 2 * 2**20
"""A page of more bytes is requested again with fewer objects."""
LONGEST_EVENT: Final = 4 * 2**20
"""Bytes of an object in a watch: more than the API server stores."""


NotFound: TypeAlias = refusals.NotFound
CredentialsRefused: TypeAlias = refusals.CredentialsRefused
Kept = TypeVar("Kept")


class ListedPage(NamedTuple, Generic[Kept]):
    """A part of a list."""

    items: tuple[Kept, ...]
    resource_version: str
    """The version at which a watch continues."""


class WatchEvent(NamedTuple, Generic[Kept]):
    """One event of a watch."""

    object_: Kept
    gone: bool


class Kubectl:
    """One connection; every method raises an error of `sluice_core.errors` with a message for a person."""

    def __init__(
        self, api: client.ApiClient, namespace: str, *, operator_namespace: str = "", at_most_bytes: float = math.inf
    ) -> None:
        self._api: Any = api  # the client has no types
        self._at_most_bytes = at_most_bytes
        """The most bytes of one answer, for readers of untrusted objects. If finite, each object is reduced to what is
        read of it before anything is awaited."""
        self._server = api.configuration.host
        self.namespace: Final = namespace
        """The namespace of the kubeconfig context."""
        self.operator_namespace: Final = operator_namespace
        """The operator's namespace from the user; empty: not given."""

    async def close(self) -> None:
        """Also ends requests in flight."""
        await self._api.close()

    async def fetch_deployment(self, namespace: str, name: str) -> ModelDeployment:
        return parsed(await self.fetch(kinds.BY_KIND[ModelDeployment.kind], namespace, name))

    async def fetch_names(self, kind: str, namespace: str) -> list[str]:
        """The names of all objects of a kind in a namespace."""
        objects = await self.fetch_all(kinds.BY_KIND[kind], namespace=namespace)
        return [str(each["metadata"]["name"]) for each in objects]

    async def fetch_all_rollouts(self, namespace: str) -> list[ModelRollout]:
        """All rollouts of a namespace that can be read; empty: of all namespaces."""
        objects = await self.fetch_all(kinds.BY_KIND[ModelRollout.kind], namespace=namespace)
        found = map(ownkinds.parsed_rollout, objects)
        return [each for each in found if isinstance(each, ModelRollout)]

    async def fetch_rollouts(self, namespace: str, deployment: str) -> list[ModelRollout]:
        """The ModelRollouts of a ModelDeployment, newest first.

        An unreadable one of another version is left out, except the newest: its predecessor would be taken for it.
        """
        kind = kinds.BY_KIND[ModelRollout.kind]
        objects = await self.fetch_all(kind, namespace=namespace, selector=owned_by(deployment))
        newest_first = sorted(objects, key=lambda raw: int(raw["spec"].get("sequence", 0)), reverse=True)
        rollouts = [ownkinds.parsed_rollout(raw) for raw in newest_first]
        if rollouts and isinstance(newest := rollouts[0], ownkinds.InvalidSpec):
            raise _unreadable(newest.path, newest)
        return [rollout for rollout in rollouts if isinstance(rollout, ModelRollout)]

    async def fetch_revisions(self, namespace: str, deployment: str) -> "tuple[Revision, ...]":
        """The pinned revisions of a ModelDeployment, newest first."""
        kind = kinds.BY_KIND["ControllerRevision"]
        objects = await self.fetch_all(kind, namespace=namespace, selector=owned_by(deployment))
        return tuple(sorted(_readable(objects), key=lambda revision: revision.number, reverse=True))

    async def fetch(self, kind: Resource, namespace: str, name: str) -> Object:
        """One object; `NotFound` where there is none of this name."""
        what = f"get {kind.full_name} {namespace}/{name}" if kind.namespaced else f"get {kind.full_name} {name}"
        found = await self._request("GET", kind.path(namespace, name), what=what)
        return self._slimmed({"apiVersion": kind.api_version, "kind": kind.kind, **found}, what)

    async def fetch_all(self, kind: Resource, *, namespace: str = "", selector: str = "") -> tuple[Object, ...]:
        """All objects of a kind, of one namespace or of all, each with its apiVersion and kind."""
        what = f"list {kind.full_name}{f' in {namespace}' if namespace and kind.namespaced else ''}"
        if self._at_most_bytes < math.inf:
            return await self._fetch_slim(kind, namespace, selector, what)
        answer = await self._request("GET", kind.path(namespace), query={"labelSelector": selector}, what=what)
        names = {"apiVersion": kind.api_version, "kind": kind.kind}
        return tuple({**names, **item} for item in answer.get("items") or ())

    async def fetch_pages(
        self, kind: Resource, namespace: str = "", *, keep: Callable[[Object], Kept], selector: str = ""
    ) -> AsyncGenerator[ListedPage[Kept], None]:
        """The same, page by page. keep: reduces an object before anything is awaited."""
        names, token, size = {"apiVersion": kind.api_version, "kind": kind.kind}, "", PAGE_SIZE
        what = f"list {kind.full_name}{f' in {namespace}' if namespace else ''}"
        while True:
            query = {"limit": str(size), "continue": token, "labelSelector": selector}
            most = PAGE_BYTES if size > 1 else self._at_most_bytes
            try:
                answer = await self._ask("GET", kind.path(namespace), query=query, what=what, at_most_bytes=most)
            except exchange.TooLong:
                if size == 1:
                    raise _too_long(what) from None
                size = 1  # the next page is as large as this object suggests
                continue
            length, document = len(answer.content), answer.document
            del answer
            metadata = document.get("metadata") or {}
            items = tuple(keep({**names, **item}) for item in document.pop("items", None) or ())
            del document
            size = min(PAGE_SIZE, max(1, PAGE_BYTES * len(items) * 3 // (4 * length)))
            yield ListedPage(items, str(metadata.get("resourceVersion") or ""))
            token = str(metadata.get("continue") or "")
            if not token:
                return

    async def follow(
        self, kind: Resource, namespace: str, since: str, *, seconds: float, keep: Callable[[Object], Kept]
    ) -> AsyncIterator[WatchEvent[Kept]]:
        """Changes of a list from `since` on, for at most this long. `Unavailable` where it must be read anew."""
        what = f"watch {kind.full_name}{f' in {namespace}' if namespace else ''}"
        query = {"watch": "1", "resourceVersion": since, "timeoutSeconds": str(max(1, int(seconds)))}
        names = {"apiVersion": kind.api_version, "kind": kind.kind}
        lines = exchange.follow(
            self._api, kind.path(namespace), query=query, seconds=seconds, at_most_bytes=LONGEST_EVENT
        )
        try:
            async for line in lines:
                event = line.document
                if (error_type := refusals.error_of(line)) is not None:
                    raise error_type(refusals.message(what, line))
                if event.get("type") not in ("ADDED", "MODIFIED", "DELETED"):
                    raise errors.Unavailable(f"cannot {what}: the API server ended it")
                kept, gone = keep({**names, **event.pop("object")}), event["type"] == "DELETED"
                del event, line
                yield WatchEvent(kept, gone)
        except (exchange.NoAnswer, exchange.TooLong) as error:
            raise errors.Unavailable(f"cannot {what}: {error}") from error

    async def create(self, kind: Resource, manifest: Object) -> Object:
        """A new object as it is stored; `Conflict` where one of this name exists."""
        metadata = manifest["metadata"]
        return await self._request(
            "POST",
            kind.path(metadata["namespace"]),
            query={"fieldManager": FIELD_MANAGER},
            body=manifest,
            what=f"create {kind.full_name} {metadata['namespace']}/{metadata['name']}",
        )

    async def delete(self, kind: Resource, namespace: str, name: str) -> None:
        """Begins to delete an object; a missing one is not an error."""
        with contextlib.suppress(errors.Missing):
            await self._request(
                "DELETE", kind.path(namespace, name), what=f"delete {kind.full_name} {namespace}/{name}"
            )

    async def fetch_log(self, namespace: str, pod: str, container: str) -> str:
        """A container's log so far; empty while it has not started, or its node does not know it yet."""
        path = kinds.BY_KIND["Pod"].path(namespace, pod, "log")
        try:
            answer = await self._ask(
                "GET", path, query={"container": container}, accept="*/*", what=f"get pods/log {namespace}/{pod}"
            )
            return answer.content.decode(errors="replace")
        except (errors.Refused, errors.Missing):  # 400: waiting to start; 404: the node or the pod is gone
            return ""

    async def ask_service(
        self, address: "ServiceAddress", path: str, query: Mapping[str, str], *, at_most_bytes: float
    ) -> exchange.Answer:
        """A Service's answer through the API server's proxy, whatever its status; an error where the API server itself
        refuses, and `exchange.TooLong`."""
        what = f"get services/proxy {address.namespace}/{address.service}"
        try:
            answer = await exchange.ask(
                self._api, "GET", f"{address.proxy_path}{path}", query=query, at_most_bytes=at_most_bytes
            )
        except exchange.NoAnswer as error:
            raise self._unavailable(error) from error
        if answer.is_status and (error_type := refusals.error_of(answer)) is not None:
            raise error_type(refusals.message(what, answer))
        return answer

    async def patch_intent(self, rollout: ModelRollout, intent: Object) -> None:
        """Writes `spec.intent`; `Conflict` when the rollout has changed since it was read."""
        meta = rollout.metadata
        await self._request(
            "PATCH",
            kinds.BY_KIND[ModelRollout.kind].path(meta.namespace, meta.name),
            query={"fieldManager": FIELD_MANAGER},
            body={"metadata": {"resourceVersion": meta.resource_version}, "spec": {"intent": dict(intent)}},
            content_type=exchange.MERGE,
            what=f"patch modelrollout {meta.namespace}/{meta.name}",
        )

    async def dry_run(self, manifest: Object, *, existing: Object | None) -> Object:
        """The ModelDeployment as the API server would store it, with its defaults; `Refused` where it is not valid."""
        kind = kinds.BY_KIND[ModelDeployment.kind]
        namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
        version = (existing or {}).get("metadata", {}).get("resourceVersion")
        body = manifest if existing is None else _with_version(manifest, version)
        return await self._request(
            "POST" if existing is None else "PUT",
            kind.path(namespace, "" if existing is None else name),
            query={"dryRun": "All", "fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"},
            body=body,
            what=f"{'create' if existing is None else 'update'} modeldeployment {namespace}/{name}",
        )

    async def fetch_user(self) -> str:
        """Our name as the API server knows it."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        answer = await self._request("POST", path, body=review, what="create selfsubjectreview")
        user = (answer.get("status") or {}).get("userInfo", {}).get("username")
        if not user:
            raise errors.Denied("the API server does not say who you are; log in again")
        return str(user)

    async def may(self, verb: str, kind: Resource, *, namespace: str = "", subject: str = "") -> bool:
        """Whether we, or the user or service account `subject`, may do it; `Denied` where we may not ask."""
        attributes = {"verb": verb, "group": kind.group, "resource": kind.plural, "namespace": namespace}
        spec: dict[str, Any] = {"resourceAttributes": attributes}
        review = "SubjectAccessReview" if subject else "SelfSubjectAccessReview"
        if subject:
            spec |= {"user": subject, "groups": _groups(subject)}
        answer = await self._request(
            "POST",
            f"/apis/authorization.k8s.io/v1/{review.lower()}s",
            body={"apiVersion": "authorization.k8s.io/v1", "kind": review, "spec": spec},
            what=f"create {review.lower()}",
        )
        return bool((answer.get("status") or {}).get("allowed"))

    async def fetch_gateway(self, ref: GatewayRef) -> Object | None:
        """The raw Gateway; None where it does not exist or we may not read it."""
        try:
            return await self.fetch(kinds.BY_KIND["Gateway"], ref.namespace, ref.name)
        except (errors.Denied, errors.Missing):
            return None

    async def _fetch_slim(self, kind: Resource, namespace: str, selector: str, what: str) -> tuple[Object, ...]:
        """The same in small answers; what is kept of all together stays within the limit for one answer."""
        found: list[Object] = []
        left = self._at_most_bytes
        pages = self.fetch_pages(kind, namespace, keep=lambda raw: self._slimmed(raw, what), selector=selector)
        async with contextlib.aclosing(pages):
            async for page in pages:
                found += page.items
                left -= sum(map(slim.weight, page.items))
                if left < 0:
                    raise _too_long(what)
        return tuple(found)

    def _slimmed(self, raw: Object, what: str) -> Object:
        if math.isinf(self._at_most_bytes):
            return raw
        try:
            return slim.slimmed(raw)
        except slim.ObjectTooLarge as error:
            raise errors.Refused(f"cannot {what}: {error}") from error

    async def _request(
        self,
        method: str,
        path: str,
        *,
        what: str,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = exchange.JSON,
    ) -> Object:
        try:
            answer = await self._ask(method, path, what=what, query=query, body=body, content_type=content_type)
        except exchange.TooLong:
            raise _too_long(what) from None
        return answer.document

    async def _ask(self, method: str, path: str, *, what: str, **request: Any) -> exchange.Answer:
        """A successful answer; `request`: further arguments of `exchange.ask`."""
        try:
            answer = await exchange.ask(self._api, method, path, **{"at_most_bytes": self._at_most_bytes, **request})
        except exchange.NoAnswer as error:
            raise self._unavailable(error) from error
        if (error_type := refusals.error_of(answer)) is not None:
            raise error_type(refusals.message(what, answer))
        return answer

    def _unavailable(self, error: exchange.NoAnswer) -> errors.Unavailable:
        return errors.Unavailable(
            f"no answer from the API server {self._server} ({error}); check that the cluster runs, and the context: "
            "kubectl config current-context"
        )


def parsed(deployment: Object) -> ModelDeployment:
    """A ModelDeployment from the raw object; `UnreadableObject` where this plugin does not understand it."""
    found = ownkinds.parsed_deployment(deployment)
    if isinstance(found, ownkinds.InvalidSpec):
        name = deployment["metadata"]["name"]
        raise _unreadable(f"{ModelDeployment.kind} {name}: {found.path}", found)
    return found


def owned_by(deployment: str) -> str:
    """The label selector of everything that belongs to a ModelDeployment."""
    return f"{naming.LABEL_OWNER}={deployment}"


def _readable(controller_revisions: Iterable[Object]) -> "Iterator[Revision]":
    """The revisions that the operator wrote."""
    from sluice_core.render import workload  # brings the whole of rendering

    for each in controller_revisions:
        with contextlib.suppress(ValueError):
            yield workload.read_controller_revision(each)


def _unreadable(where: str, invalid: ownkinds.InvalidSpec) -> errors.UnreadableObject:
    return errors.UnreadableObject(
        f"{where}: {invalid.message}; is this kubectl-sluice as new as the CRDs in the cluster?"
    )


def _groups(subject: str) -> list[str]:
    """The groups that Kubernetes puts a user or a service account (`system:serviceaccount:NAMESPACE:NAME`) into."""
    everybody = ["system:authenticated"]
    if not subject.startswith("system:serviceaccount:"):
        return everybody
    return [*everybody, "system:serviceaccounts", f"system:serviceaccounts:{subject.split(':')[2]}"]


def _with_version(manifest: Object, version: str | None) -> Object:
    """The manifest as a replacement of the very object that was read."""
    return {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": version}}


def _too_long(what: str) -> errors.Refused:
    return errors.Refused(f"cannot {what}: the answer is longer than is read here")
