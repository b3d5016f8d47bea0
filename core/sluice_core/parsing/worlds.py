"""From raw objects to a `Snapshot`: everything parsed, typed, and in the terms of this domain."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace

from pydantic import ValidationError

from sluice_core.api.base import ApiObject
from sluice_core.api.config import OperatorConfig, RoutingMode
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicy
from sluice_core.api.v1alpha1.routing import GatewayRef
from sluice_core.api.v1alpha1.servingruntime import ServingRuntime
from sluice_core.kernel import naming, rawobjects
from sluice_core.kernel.snapshot import Object, Pod, Revision, Snapshot, UnownedAddress, World
from sluice_core.parsing import addresses, endpoints, podproblems, routes, services
from sluice_core.parsing.ownkinds import InvalidSpec, asked_time, field_path, parsed_deployment, parsed_rollout
from sluice_core.parsing.revisionpods import observed_pods
from sluice_core.render import workload
from sluice_core.render.traffic import route as desired_route
from sluice_core.render.traffic import sharedservice
from sluice_judge import memo, timestamps


def parsed(world: World) -> Snapshot | InvalidSpec:
    """Everything that a decision may see.

    A runtime or revision that does not parse counts as absent. A rollout never does: an older one would then define
    what is stable. Nor does a policy, whose freeze windows would end.
    """
    deployment = parsed_deployment(world.deployment)
    if isinstance(deployment, InvalidSpec):
        return deployment
    owned = tuple(object_ for object_ in world.owned if belongs_to(object_, deployment))
    if (unreadable := unreadable_object(owned)) is not None:
        return unreadable
    rollouts: list[ModelRollout] = []
    for raw in rawobjects.of_kind(owned, ModelRollout.kind):
        rollout = parsed_rollout(raw)
        if isinstance(rollout, InvalidSpec):
            return rollout
        rollouts.append(rollout)
    by_service = world.config.routing is RoutingMode.SERVICE
    main = addresses.main_route(owned, deployment.metadata.name)
    unowned = UnownedAddress() if by_service else addresses.unowned(deployment, world.config)
    refused = addresses.refused(unowned, main)
    gateway = desired_route.gateway_of(deployment, world.config)
    if refused.gateway is not None and main is not None:
        gateway = next(addresses.gateways_of(main), gateway)
    gateway_exists, gateway_message = observed_gateway(world.gateways, gateway)
    longest_drain = world.preset.settle_seconds + deployment.spec.drain_seconds
    revisions = tuple(observed_revisions(owned, world.now, longest_drain))
    return Snapshot(
        now=world.now,
        config=world.config,
        preset=world.preset,
        deployment=deployment,
        runtimes=parsed_runtimes(world.runtimes),
        policies=parsed_policies(world.policies),
        unreadable_policies=unreadable_policies(world.policies),
        revisions=revisions,
        rollouts=tuple(sorted(rollouts, key=_rollout_order)),
        route=services.observed_route(owned, revisions, deployment.metadata.name)
        if by_service
        else routes.observed_route(owned, revisions, deployment.metadata.name, gateway, grpc_api=world.grpc_api),
        gateway_exists=gateway_exists,
        gateway_message=gateway_message,
        gateway_api=world.gateway_api,
        grpc_api=world.grpc_api,
        keda_api=world.keda_api,
        hostnames=(sharedservice.hostname(deployment),)
        if by_service
        else desired_route.hostnames_of(deployment, world.config),
        asked_time=asked_time(world.deployment),
        hostname_taken=None if by_service else hostname_taken(deployment, world),
        unowned=unowned,
        refused=refused,
        forbidden=world.forbidden,
        admitted=world.admitted,
        keeps_resolver=world.keeps_resolver,
        objects={(object_.get("kind", ""), rawobjects.name(object_)): object_ for object_ in owned},
    )


def unreadable_object(objects: Iterable[Object]) -> InvalidSpec | None:
    """The first of our objects that could not be read: its content must not count as absent."""
    for raw in objects:
        if text := rawobjects.unreadable(raw):
            return InvalidSpec(f"{raw['kind']} {rawobjects.name(raw)}", text, "correct or delete this object")
    return None


def observed_revisions(owned: Sequence[Object], now: float, longest_drain: float = math.inf) -> Iterator[Revision]:
    """The revisions by number, each with its running objects. longest_drain: seconds that a drain lasts at most."""
    deployments = {rawobjects.name(object_): object_ for object_ in rawobjects.of_kind(owned, "Deployment")}
    pinned = sorted(pinned_revisions(owned), key=lambda revision: (revision.number, revision.name))
    for revision in pinned:
        deployment = deployments.get(revision.name, {})
        yield replace(
            revision,
            replicas=int(deployment.get("spec", {}).get("replicas", 1)) if deployment else 0,
            ready_replicas=int(deployment.get("status", {}).get("readyReplicas", 0)),
            ready_endpoints=len(endpoints.ready(owned, revision.name)),
            pods=(*observed_pods(owned, revision.name, now), *_refused_pods(deployment)),
            drain_until=drain_until(deployment, now + longest_drain),
        )


def pinned_revisions(owned: Iterable[Object]) -> Iterator[Revision]:
    """The revisions in the ControllerRevisions, without running objects; other owners' are left out."""
    for controller_revision in rawobjects.of_kind(owned, "ControllerRevision"):
        try:
            yield workload.read_controller_revision(controller_revision)
        except ValueError:
            continue


def _refused_pods(deployment: Object) -> Iterator[Pod]:
    """A pod that the API server refuses to create counts as one that has a problem."""
    problem = podproblems.creation_problem(deployment)
    if problem is not None:
        yield Pod(name="", ready=False, restarts=0, terminating=False, problem=problem)


def observed_gateway(gateways: Iterable[Object], gateway: GatewayRef) -> tuple[bool, str]:
    """(exists, why it does not serve or empty)."""
    where = f"Gateway {gateway.namespace}/{gateway.name}"
    wanted = (gateway.namespace, gateway.name)
    raw = next(
        (object_ for object_ in gateways if (rawobjects.namespace(object_), rawobjects.name(object_)) == wanted), None
    )
    if raw is None:
        return False, f"{where} does not exist; create it, or name another one in spec.routing.gatewayRef"
    conditions = raw.get("status", {}).get("conditions") or ()
    return True, rawobjects.unmet_condition(conditions, ("Programmed",), rawobjects.generation(raw), where)


def hostname_taken(deployment: ModelDeployment, world: World) -> str | None:
    """`namespace/name` of the oldest ModelDeployment with one of our host names, if older than this one."""
    ours = desired_route.addresses_of(desired_route.hostnames_of(deployment, world.config))
    routes = {(rawobjects.namespace(route), rawobjects.name(route)): route for route in world.rival_routes}
    rivals = (rival for raw in world.rivals if (rival := _rival(raw, ours, world.config, routes)) is not None)
    older = [rival for rival in rivals if _seniority(rival) < _seniority(deployment)]
    first = min(older, key=_seniority, default=None)
    return None if first is None else f"{first.metadata.namespace}/{first.metadata.name}"


def _rival(
    raw: Object, ours: Set[str], config: OperatorConfig, routes: Mapping[tuple[str, str], Object]
) -> ModelDeployment | None:
    """Another ModelDeployment if it has one of our addresses, not if it only requests one that it is refused. An
    unreadable one has none. routes: the rivals' HTTPRoutes, by namespace and name."""
    try:
        parsed = parsed_deployment(raw)
        if isinstance(parsed, InvalidSpec):
            return None
        main = routes.get((parsed.metadata.namespace, parsed.metadata.name))
        own = main if main is not None and belongs_to(main, parsed) else None
        if ours.isdisjoint(addresses.held(parsed, config, own)):
            return None
    except Exception:  # noqa: BLE001 - its own reconciles report the problem
        return None
    return parsed


def _seniority(deployment: ModelDeployment) -> tuple[str, str, str]:
    metadata = deployment.metadata
    return metadata.creation_timestamp, metadata.namespace, metadata.name


def _rollout_order(rollout: ModelRollout) -> tuple[int, str]:
    """Not by creation: its timestamp has only whole seconds."""
    return rollout.spec.sequence, rollout.metadata.name


def belongs_to(object_: Object, owner: ApiObject) -> bool:
    """False for objects that an earlier owner of the same name left to the garbage collector."""
    owners = object_.get("metadata", {}).get("ownerReferences") or ()
    uids = [reference.get("uid") for reference in owners if reference.get("kind") == owner.kind]
    return not uids or owner.metadata.uid in uids


def drain_until(deployment: Object, latest: float) -> float | None:
    """When a Deployment's drain ends, in seconds since the epoch; a broken value counts as absent.

    So does one later than a drain that begins now could end: the clock was set back.
    """
    text = (deployment.get("metadata", {}).get("annotations") or {}).get(naming.ANNOTATION_DRAIN_UNTIL)
    try:
        moment = None if text is None else timestamps.seconds(text)
    except ValueError:
        return None
    return moment if moment is None or moment <= latest + timestamps.ROUNDED_SECONDS else None


def parsed_runtimes(objects: Iterable[Object]) -> tuple[ServingRuntime, ...]:
    """The readable ServingRuntimes."""
    return tuple(parsed for raw in objects if (parsed := _parsed_runtime(raw)) is not None)


def parsed_policies(objects: Iterable[Object]) -> tuple[RolloutPolicy, ...]:
    """The readable RolloutPolicies."""
    return tuple(parsed for raw in objects if isinstance(parsed := _parsed_policy(raw), RolloutPolicy))


def unreadable_policies(objects: Iterable[Object]) -> Mapping[str, str]:
    """Why the others cannot be read, by name."""
    return {
        rawobjects.name(raw): f"{why.path}: {why.message}"
        for raw in objects
        if isinstance(why := _parsed_policy(raw), InvalidSpec)
    }


@memo.by_identity(64)
def _parsed_runtime(raw: Object) -> ServingRuntime | None:
    """None for an unreadable one, for whatever reason: all models refer to these."""
    try:
        return ServingRuntime.model_validate(raw)
    except Exception:  # noqa: BLE001 - it counts as absent for those that need it, and disturbs no others
        return None


@memo.by_identity(64)
def _parsed_policy(raw: Object) -> RolloutPolicy | InvalidSpec:
    if text := rawobjects.unreadable(raw):
        return InvalidSpec("spec", text)
    try:
        return RolloutPolicy.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        return InvalidSpec(field_path(first["loc"]), first["msg"])
    except Exception as error:  # noqa: BLE001 - all models refer to policies: it is reported where this one is needed
        return InvalidSpec("spec", f"{type(error).__name__}: {error}")
