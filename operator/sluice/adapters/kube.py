"""The Kubernetes API: server-side apply, deletions, events, lists and leases, on one connection pool."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from sluice import errors
from sluice.adapters import eventlog, exchange
from sluice.api.base import API_VERSION
from sluice.core.kernel.naming import FIELD_MANAGER, LABEL_MANAGED_BY, LABEL_OWNER
from sluice.core.kernel.plan import Apply, ApplyStatus, Delete, Event, Patch, Ref, Write
from sluice.core.kernel.snapshot import Object
from sluice.ports import Clock

LIST_SECONDS: Final = 60.0
LEASE_SECONDS: Final = 5.0
PAGE_SIZE: Final = 100
"""Objects a page: what is read at once stays small, and so does the process, which gives little memory back."""
REASON_LIMIT: Final = 600


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind, and where the API serves it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True
    selector: str = ""
    """Label selector of the objects that matter to us."""

    @property
    def group(self) -> str:
        """The API group, empty for the core."""
        return self.api_version.rpartition("/")[0]

    @property
    def full_name(self) -> str:
        """`plural.group`, as kubectl and RBAC messages write it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of a collection, an object or a subresource."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        middle = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return "/".join(part for part in (f"{root}{middle}/{self.plural}", name, subresource) if part)


OURS: Final = f"{LABEL_MANAGED_BY}=sluice"
"""Children of every kind of owner: a kind is watched once, with one selector."""

WATCHED: Final = (
    Resource(API_VERSION, "ModelDeployment", "modeldeployments"),
    Resource(API_VERSION, "ModelRollout", "modelrollouts"),
    Resource(API_VERSION, "BatchInference", "batchinferences"),
    Resource(API_VERSION, "ServingRuntime", "servingruntimes", namespaced=False),
    Resource(API_VERSION, "RolloutPolicy", "rolloutpolicies", namespaced=False),
    Resource("v1", "Namespace", "namespaces", namespaced=False),
    Resource("apps/v1", "Deployment", "deployments", selector=LABEL_OWNER),
    Resource("apps/v1", "ControllerRevision", "controllerrevisions", selector=LABEL_OWNER),
    Resource("v1", "Service", "services", selector=LABEL_OWNER),
    Resource("v1", "Pod", "pods", selector=OURS),
    Resource("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", selector=LABEL_OWNER),
    Resource("batch/v1", "Job", "jobs", selector=OURS),
    Resource("sparkoperator.k8s.io/v1beta2", "SparkApplication", "sparkapplications", selector=OURS),
    Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", selector=LABEL_OWNER),
    Resource("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", selector=LABEL_OWNER),
    Resource("keda.sh/v1alpha1", "ScaledObject", "scaledobjects", selector=LABEL_OWNER),
    Resource("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", selector=LABEL_OWNER),
    Resource("gateway.networking.k8s.io/v1", "GRPCRoute", "grpcroutes", selector=LABEL_OWNER),
    Resource("gateway.networking.k8s.io/v1", "Gateway", "gateways"),
)
"""What the operator lists and watches. Labels of a Service are mirrored to its EndpointSlices by Kubernetes."""

LEASES: Final = Resource("coordination.k8s.io/v1", "Lease", "leases")
EVENTS: Final = Resource("v1", "Event", "events")
BY_KIND: Final[Mapping[str, Resource]] = {resource.kind: resource for resource in (*WATCHED, LEASES, EVENTS)}


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list."""

    items: tuple[Object, ...]
    resource_version: str
    """The moment of the whole list; the same in all its pages."""


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
    return configuration


class Kube:
    """Implements `ports.Cluster`, and what the shell needs besides: lists and leases."""

    def __init__(self, configuration: Configuration, *, clock: Clock, identity: str) -> None:
        self._client: Any = ApiClient(configuration)
        self._client.user_agent = "sluice"
        self._clock = clock
        self._events = eventlog.EventLog(identity)

    async def close(self) -> None:
        await self._client.close()

    async def write(self, write: Write) -> Object | None:
        match write:
            case Apply(manifest):
                return await self._apply(manifest, subresource="")
            case ApplyStatus(manifest):
                return await self._apply(manifest, subresource="status")
            case Patch(ref, change):
                return await self._patch(ref, change)
            case Delete(ref):
                return await self._delete(ref)

    async def emit(self, about: Ref, event: Event) -> None:
        manifest = self._events.manifest(about, event, self._clock.now())
        if manifest is not None:
            await self.request("POST", EVENTS.path(manifest["metadata"]["namespace"]), body=manifest)

    async def pages(self, resource: Resource) -> AsyncIterator[Page]:
        """All objects of a kind in all namespaces, page by page."""
        token = ""
        while True:
            query = {"limit": str(PAGE_SIZE), "labelSelector": resource.selector, "continue": token}
            answer = await self.request("GET", resource.path(), query=query, seconds=LIST_SECONDS)
            kind = {"apiVersion": resource.api_version, "kind": resource.kind}
            items = tuple({**kind, **item} for item in answer.get("items") or ())
            metadata = answer.get("metadata") or {}
            yield Page(items, str(metadata.get("resourceVersion", "")))
            token = metadata.get("continue") or ""
            if not token:
                return

    async def read_lease(self, namespace: str, name: str) -> Object | None:
        """The Lease, or None where there is none."""
        try:
            return await self.request("GET", LEASES.path(namespace, name), seconds=LEASE_SECONDS)
        except errors.Missing:
            return None

    async def write_lease(self, lease: Object) -> Object:
        """Creates the Lease, or replaces the very version that `lease` was made from; `Conflict` if it changed."""
        metadata = lease["metadata"]
        exists = bool(metadata.get("resourceVersion"))
        path = LEASES.path(metadata["namespace"], metadata["name"] if exists else "")
        return await self.request("PUT" if exists else "POST", path, body=lease, seconds=LEASE_SECONDS)

    async def _apply(self, manifest: Object, subresource: str) -> Object:
        resource = BY_KIND[manifest["kind"]]
        metadata = manifest["metadata"]
        path = resource.path(metadata.get("namespace", ""), metadata["name"], subresource)
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self.request("PATCH", path, query=query, body=manifest, content_type=exchange.APPLY)

    async def _patch(self, ref: Ref, change: Object) -> Object:
        """With the uid, where it is given, as a part of the patch: another object of the name is a `Conflict`."""
        body = {**change, "metadata": {**change.get("metadata", {}), "uid": ref.uid}} if ref.uid else change
        path = BY_KIND[ref.kind].path(ref.namespace, ref.name)
        return await self.request(
            "PATCH", path, query={"fieldManager": FIELD_MANAGER}, body=body, content_type=exchange.MERGE
        )

    async def _delete(self, ref: Ref) -> Object | None:
        options: dict[str, Any] = {"propagationPolicy": "Background"}
        if ref.uid:
            options["preconditions"] = {"uid": ref.uid}
        try:
            left = await self.request("DELETE", BY_KIND[ref.kind].path(ref.namespace, ref.name), body=options)
        except errors.Missing:
            return None
        return left if left.get("kind") == ref.kind else None

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = exchange.JSON,
        seconds: float = exchange.REQUEST_SECONDS,
    ) -> dict[str, Any]:
        """One request; anything but success raises one of `sluice.errors`, which names method and path."""
        what = f"{method} {path}"
        try:
            answer = await exchange.ask(
                self._client, method, path, query=query, body=body, content_type=content_type, seconds=seconds
            )
        except exchange.NoAnswer as error:
            raise errors.Unavailable(f"{what}: {error}") from error
        document = answer.document
        if answer.error is not None:
            message = str(document.get("message", ""))[:REASON_LIMIT]
            raise answer.error(f"{what}: {answer.status} {document.get('reason', '')}: {message}")
        return document
