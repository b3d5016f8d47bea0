"""The frozen view of the world on which every decision is based.

`World` is the raw content of the shell's store; `observe.observe` turns it into a `Snapshot`, parsed, typed and in the
terms of this domain. A decision sees nothing else: neither a clock nor the network.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sluice_core.api.config import OperatorConfig, RoutingMode
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicy
from sluice_core.api.v1alpha1.routing import Exposed, GatewayRef, Timeouts
from sluice_core.api.v1alpha1.servingruntime import ServingRuntime
from sluice_core.kernel.pods import Pod as Pod
from sluice_core.kernel.pods import Problem as Problem
from sluice_core.kernel.rawobjects import Object as Object
from sluice_core.kernel.resolutions import Reported, Resolution, Resolved
from sluice_judge.presets import GatewayPreset, RouteRule


@dataclass(frozen=True, slots=True)
class World:
    """Everything in the store about one ModelDeployment, unparsed."""

    now: float
    """Seconds since the epoch."""
    deployment: Object
    owned: tuple[Object, ...]
    """Every object in the namespace labelled sluice.dev/model-deployment=<name>: ControllerRevision, Deployment,
    Service, EndpointSlice, HTTPRoute, GRPCRoute, HorizontalPodAutoscaler, ScaledObject, PodDisruptionBudget,
    ModelRollout and Pod."""
    runtimes: tuple[Object, ...]
    policies: tuple[Object, ...]
    gateways: tuple[Object, ...]
    """All Gateways in the store."""
    rivals: tuple[Object, ...]
    """The other ModelDeployments (in all namespaces) that request one of the same host names, raw."""
    rival_routes: tuple[Object, ...]
    """Their HTTPRoutes, raw."""
    config: OperatorConfig
    preset: GatewayPreset
    gateway_api: bool = True
    """Whether the cluster serves gateway.networking.k8s.io/v1."""
    grpc_api: bool = True
    """Whether it serves GRPCRoute, too."""
    keda_api: bool = True
    """Whether the cluster serves keda.sh/v1alpha1."""
    forbidden: tuple[str, ...] = ()
    """Resources that the operator may not list or watch, such as `pods`."""
    admitted: frozenset[str] = frozenset()
    """What the API server stored for manifests, if it differs from what was sent (`writing.admitted`)."""
    keeps_resolver: bool = False
    """Whether this model owns the namespace's resolver: the first that follows a registry owns it, for all of them."""


@dataclass(frozen=True, slots=True)
class Served:
    """What is needed to ask a revision's server, or to run its model without one."""

    format: str
    """The model's format."""
    name: str
    """The name under which the server offers the model."""
    protocol: str = ""
    """The first protocol of JSON over HTTP that the server speaks, V2 or V1; empty if it speaks neither."""
    own_image: bool = False
    """Whether the server's image is the user's own."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision and its running objects."""

    name: str
    """`<model deployment>-<hash>`; also the name of its Deployment and Service."""
    input_hash: str
    number: int
    """Order of creation, from 1."""
    uri: str
    model_version: str | None
    template: Object
    """The pinned rendered pod template: `{"metadata": …, "spec": …}`."""
    port: int
    """The container port that answers HTTP."""
    runtime: str
    """Name of the ServingRuntime that it was rendered from."""
    runtime_hash: str
    """Hash of that ServingRuntime's spec when it was rendered."""
    grpc_port: int | None = None
    """The container port that answers gRPC; None if the server does not speak it."""
    served: Served | None = None
    """None for a revision pinned by an operator that did not record it."""
    timeouts: Timeouts | None = None
    """The limits of its ServingRuntime when it was created; None if it named none."""
    exposed: Exposed | None = None
    """What clients may reach, by its ServingRuntime when it was created; None: everything."""
    resolved: Resolved | None = None
    """The registry's answer for the model; `uri` then names the version there. None: the spec itself named it."""
    replicas: int = 0
    """Replicas in its Deployment; 0 without one."""
    ready_replicas: int = 0
    ready_endpoints: int = 0
    """Ready addresses in the EndpointSlices of its Service."""
    pods: tuple[Pod, ...] = ()
    drain_until: float | None = None
    """When its drain ends, seconds since the epoch; None while it is not draining."""
    stable_since: int | None = None
    """The sequence of the newest release that made it stable, from the mark on its ControllerRevision; None without
    one.
    """

    @property
    def problem(self) -> Problem | None:
        """The first problem of any of its pods."""
        return next((pod.problem for pod in self.pods if pod.problem is not None), None)

    @property
    def ready_since(self) -> tuple[float, ...]:
        """When each of its ready pods became so, seconds since the epoch; without those that end."""
        return tuple(
            pod.ready_since for pod in self.pods if pod.ready_since is not None and pod.ready and not pod.terminating
        )


@dataclass(frozen=True, slots=True)
class Paths:
    """The distribution of requests: the routes of a model, desired or observed.

    main rule     ──weights──>  revisions, by share               ──copies──>  mirror: <revision>-mirror
                                                                  ──copies──>  observer: <model>-observer
    header rule   ──────────>  header: <revision>-header
    arm rules     ──────────>  each arm's own revision, for returning users
    preview host  ──────────>  preview: <revision>-pre
    """

    weights: tuple[tuple[str, int], ...]
    """(revision, weight in permille) in the order of the main rule's backendRefs."""
    mirror: tuple[str, int] | None = None
    """(revision, percent) that gets copies of the main rule's requests."""
    observer: int | None = None
    """Percent of the main rule's requests that are copied to the observer; None: none."""
    header: str | None = None
    """The revision that the candidate header reaches."""
    preview: str | None = None
    """The revision under the preview host name."""
    arms: tuple[str, ...] = ()
    """In an A/B test: the revisions that keep their users, the stable one first."""
    awaited: str | None = None
    """The revision whose pods start with the first request: the gateway answers that the client should retry."""

    @property
    def revisions(self) -> frozenset[str]:
        """All revisions in any rule."""
        mirror = () if self.mirror is None else (self.mirror[0],)
        single = (name for name in (self.header, self.preview) if name is not None)
        return frozenset((*(name for name, _ in self.weights), *mirror, *single, *self.arms))


@dataclass(frozen=True, slots=True)
class Route:
    """The model's routes as observed: HTTPRoute, GRPCRoute and the preview's together."""

    paths: Paths
    """The paths in the HTTPRoutes."""
    generation: int
    """The sum of all routes' generations: it changes when any of them does."""
    programmed: bool
    """Accepted and ResolvedRefs are True at this generation of every route, for our Gateway, and their weights agree."""
    message: str = ""
    """The gateway's message while it is not programmed."""
    answered: bool = True
    """Whether the gateway has reported on this generation."""
    used: bool = True
    """Whether the gateway uses the HTTPRoute, as it is now or as it was before the last write."""
    rules: tuple[RouteRule, ...] = ()
    """The rules of the HTTPRoutes, the preview's included."""

    @property
    def weights(self) -> tuple[tuple[str, int], ...]:
        """The main rule's (revision, permille)."""
        return self.paths.weights

    def weight(self, revision: str) -> int:
        """The revision's weight in permille; 0 where it is absent."""
        return sum(permille for name, permille in self.weights if name == revision)


@dataclass(frozen=True, slots=True)
class UnownedAddress:
    """Parts of an address that are outside the model's namespace and not allowed to it."""

    hostnames: tuple[str, ...] = ()
    gateway: GatewayRef | None = None

    def __bool__(self) -> bool:
        return bool(self.hostnames) or self.gateway is not None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a decision may see."""

    now: float
    config: OperatorConfig
    preset: GatewayPreset
    deployment: ModelDeployment
    runtimes: tuple[ServingRuntime, ...]
    policies: tuple[RolloutPolicy, ...]
    revisions: tuple[Revision, ...]
    """Revisions by number, oldest first."""
    rollouts: tuple[ModelRollout, ...]
    """Releases by creation, oldest first."""
    route: Route | None
    gateway_exists: bool
    gateway_message: str
    """Why the Gateway does not serve, or empty."""
    gateway_api: bool
    hostnames: tuple[str, ...]
    hostname_taken: str | None
    """`namespace/name` of the older ModelDeployment that has one of our host names, if any."""
    unowned: UnownedAddress = UnownedAddress()
    """The requested parts that are not the namespace's own."""
    refused: UnownedAddress = UnownedAddress()
    """Those of them that the routes do not have already: the routes keep their address."""
    grpc_api: bool = True
    keda_api: bool = True
    asked_time: float | None = None
    """When the spec was last changed, in seconds since the epoch; None if unknown."""
    unreadable_policies: Mapping[str, str] = field(default_factory=dict)
    """Why the existing policies that are not in `policies` cannot be read, by name."""
    forbidden: tuple[str, ...] = ()
    admitted: frozenset[str] = frozenset()
    keeps_resolver: bool = False
    resolutions: tuple[Resolution, ...] = ()
    """The resolutions of URIs in a registry; one without any is absent."""
    reported: Reported | None = None
    """The result of the last report to the registry; None: there was no report, or no result yet."""
    objects: Mapping[tuple[str, str], Object] = field(default_factory=dict)
    """Raw owned objects by (kind, name), to compare with the desired ones."""

    @property
    def name(self) -> str:
        return self.deployment.metadata.name

    @property
    def namespace(self) -> str:
        return self.deployment.metadata.namespace

    @property
    def unseen(self) -> bool:
        """Whether the ModelDeployment is new to the operator, or its status was lost."""
        return self.deployment.status.observed_generation <= 0

    @property
    def by_service(self) -> bool:
        """Whether one Service over pods splits requests instead of a gateway's weights."""
        return self.config.routing is RoutingMode.SERVICE

    def revision(self, name: str) -> Revision | None:
        """The revision of this name."""
        return next((revision for revision in self.revisions if revision.name == name), None)
