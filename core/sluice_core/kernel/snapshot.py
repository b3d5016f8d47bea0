"""The frozen view of the world that every decision is made from.

`World` is what the shell has in its store, raw; `observe.observe` turns it into a `Snapshot`, in which everything is
parsed, typed and in the terms of this domain. A decision sees nothing else: neither a clock nor the network.
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
    """Everything that the store knows about one ModelDeployment, unparsed."""

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
    """All Gateways that the store knows."""
    rivals: tuple[Object, ...]
    """The other ModelDeployments (all namespaces) that ask for one of the same host names, raw."""
    rival_routes: tuple[Object, ...]
    """The HTTPRoutes of these, raw."""
    config: OperatorConfig
    preset: GatewayPreset
    gateway_api: bool = True
    """Whether the cluster serves gateway.networking.k8s.io/v1."""
    grpc_api: bool = True
    """Whether it serves GRPCRoute, too."""
    keda_api: bool = True
    """Whether the cluster serves keda.sh/v1alpha1."""
    forbidden: tuple[str, ...] = ()
    """Resources that we may not list or watch, such as `pods`."""
    admitted: frozenset[str] = frozenset()
    """What the API server made of manifests, where that is not what was sent (`writing.admitted`)."""
    keeps_resolver: bool = False
    """Whether the namespace's resolver is this model's: the first that follows a registry has it, for all of them."""


@dataclass(frozen=True, slots=True)
class Served:
    """What must be known of a revision to ask its server, or to run its model without one."""

    format: str
    """The model's format."""
    name: str
    """The name under which the server offers the model."""
    protocol: str = ""
    """The first protocol of JSON over HTTP that the server speaks, V2 or V1; empty where it speaks neither."""
    own_image: bool = False
    """Whether the server's image is the user's own."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision and what runs of it."""

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
    """The container port that answers gRPC; None where the server speaks none."""
    served: Served | None = None
    """None for a revision that an operator pinned who did not note it."""
    timeouts: Timeouts | None = None
    """The limits that its ServingRuntime named when it was made; None where it named none."""
    exposed: Exposed | None = None
    """What clients may reach of it, by its ServingRuntime when it was made; None: everything."""
    resolved: Resolved | None = None
    """What a registry said where the model is; `uri` then names the version there. None: the spec itself said it."""
    replicas: int = 0
    """Replicas that its Deployment asks for; 0 where there is none."""
    ready_replicas: int = 0
    ready_endpoints: int = 0
    """Ready addresses in the EndpointSlices of its Service."""
    pods: tuple[Pod, ...] = ()
    drain_until: float | None = None
    """When its drain is over, seconds since the epoch; None while it is not draining."""
    stable_since: int | None = None
    """The sequence of the newest release that made it stable, as its ControllerRevision is marked; None without a mark."""

    @property
    def problem(self) -> Problem | None:
        """The first problem that one of its pods has."""
        return next((pod.problem for pod in self.pods if pod.problem is not None), None)


@dataclass(frozen=True, slots=True)
class Paths:
    """Who gets which requests: what the routes of a model say, wanted or observed.

    main rule     ──weights──>  revisions, by share               ──copies──>  mirror: <revision>-mirror
                                                                  ──copies──>  observer: <model>-observer
    header rule   ──────────>  header: <revision>-header
    arm rules     ──────────>  each arm's own revision, for users who are known already
    preview host  ──────────>  preview: <revision>-pre
    """

    weights: tuple[tuple[str, int], ...]
    """(revision, weight in permille) in the order of the main rule's backendRefs."""
    mirror: tuple[str, int] | None = None
    """(revision, percent) that gets copies of the main rule's requests."""
    observer: int | None = None
    """Percent of the main rule's requests of which the observer gets copies, None: of none."""
    header: str | None = None
    """The revision that the candidate header reaches."""
    preview: str | None = None
    """The revision under the preview host name."""
    arms: tuple[str, ...] = ()
    """In an A/B test: the revisions that keep their users, the stable one first."""
    awaited: str | None = None
    """The revision whose pods come with the first request: the gateway answers for it that one should ask again."""

    @property
    def revisions(self) -> frozenset[str]:
        """All that are named anywhere."""
        mirror = () if self.mirror is None else (self.mirror[0],)
        single = (name for name in (self.header, self.preview) if name is not None)
        return frozenset((*(name for name, _ in self.weights), *mirror, *single, *self.arms))


@dataclass(frozen=True, slots=True)
class Route:
    """The model's routes as observed: HTTPRoute, GRPCRoute and the preview's together."""

    paths: Paths
    """The paths in the HTTPRoutes."""
    generation: int
    """The generation of all routes together: changes when that of any route does."""
    programmed: bool
    """Accepted and ResolvedRefs are True at this generation of every route, for our Gateway, and their weights agree."""
    message: str = ""
    """What the gateway says when it is not programmed."""
    answered: bool = True
    """Whether the gateway has said anything about this generation yet."""
    used: bool = True
    """Whether it has taken the HTTPRoute, as it is now or as it was before the last write."""
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
    """Parts of an address that are not the model's namespace's, and that the platform does not allow it."""

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
    """What is asked for, and is not our namespace's."""
    refused: UnownedAddress = UnownedAddress()
    """What of that we do not have already: the routes keep the address that they have."""
    grpc_api: bool = True
    keda_api: bool = True
    asked_time: float | None = None
    """When the spec was changed last, in seconds since the epoch; None where that is not known."""
    unreadable_policies: Mapping[str, str] = field(default_factory=dict)
    """Why the policies that are there besides `policies` cannot be understood, by name."""
    forbidden: tuple[str, ...] = ()
    admitted: frozenset[str] = frozenset()
    keeps_resolver: bool = False
    resolutions: tuple[Resolution, ...] = ()
    """What is known of the URIs that a registry resolves; one that nothing is known of yet is absent."""
    reported: Reported | None = None
    """What came of telling the registry how a release ended; None: nothing was told, or nothing came of it yet."""
    objects: Mapping[tuple[str, str], Object] = field(default_factory=dict)
    """Raw owned objects by (kind, name), to compare desired ones with."""

    @property
    def name(self) -> str:
        return self.deployment.metadata.name

    @property
    def namespace(self) -> str:
        return self.deployment.metadata.namespace

    @property
    def unseen(self) -> bool:
        """Whether no operator has looked at the ModelDeployment yet, or what it wrote of it was lost."""
        return self.deployment.status.observed_generation <= 0

    @property
    def by_service(self) -> bool:
        """Whether requests are shared by one Service over pods instead of a gateway's weights."""
        return self.config.routing is RoutingMode.SERVICE

    def revision(self, name: str) -> Revision | None:
        """The revision of this name."""
        return next((revision for revision in self.revisions if revision.name == name), None)
