"""The kinds that are read and written, and their paths at the API server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sluice_core.api.base import API_VERSION
from sluice_core.kernel.naming import LABEL_MANAGED_BY, LABEL_OWNER


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind, and where the API serves it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True
    selector: str = ""
    """Label selector of the objects that Sluice uses."""
    within: str = ""
    """The only namespace that is read; empty: all. A Namespace is within itself."""

    def __str__(self) -> str:
        return f"{self.kind} in {self.within}" if self.within else self.kind

    @property
    def can_be_watched(self) -> bool:
        """A grant for a single Namespace does not cover a watch of Namespaces."""
        return self.namespaced or not self.within

    @property
    def group(self) -> str:
        """The API group, empty for the core."""
        return self.api_version.rpartition("/")[0]

    @property
    def full_name(self) -> str:
        """`plural.group`, as kubectl and RBAC messages write it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def root(self) -> str:
        """The URL path under which the kinds of its API group and version are served."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of a collection, an object or a subresource."""
        namespace = namespace or self.within
        middle = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return "/".join(part for part in (f"{self.root}{middle}/{self.plural}", name, subresource) if part)


OURS: Final = f"{LABEL_MANAGED_BY}=sluice"
"""Children of all kinds of owners: a kind is watched once, with one selector."""

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
"""What the operator lists and watches. Kubernetes copies labels of a Service to its EndpointSlices."""

LEASES: Final = Resource("coordination.k8s.io/v1", "Lease", "leases")
EVENTS: Final = Resource("v1", "Event", "events")
BY_KIND: Final[Mapping[str, Resource]] = {resource.kind: resource for resource in (*WATCHED, LEASES, EVENTS)}
