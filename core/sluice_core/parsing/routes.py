"""The model's observed routes, combined: paths, and whether the Gateway uses all of them in their current form."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from sluice_core.api.v1alpha1.routing import GatewayRef
from sluice_core.kernel import naming, rawobjects
from sluice_core.kernel.snapshot import Object, Paths, Revision, Route
from sluice_core.render import common
from sluice_core.render.traffic import route as desired_route
from sluice_judge.presets import RouteRule

ROUTES: Final = ("HTTPRoute", "GRPCRoute")
ROUTE_CONDITIONS: Final = ("Accepted", "ResolvedRefs")
OTHERS: Final = 1_000_000
"""Factor of the generations of all routes but the model's HTTPRoute in their sum: a preview that is deleted in the same
write as the weights change must not compensate for it."""


def observed_route(
    owned: Sequence[Object], revisions: Iterable[Revision], name: str, gateway: GatewayRef, *, grpc_api: bool = True
) -> Route | None:
    """The model's routes combined, and whether the Gateway uses all of them in their current form; None without
    HTTPRoute.
    """
    routes = [object_ for kind in ROUTES for object_ in rawobjects.of_kind(owned, kind)]
    main = next((route for route in routes if (route["kind"], rawobjects.name(route)) == ("HTTPRoute", name)), None)
    if main is None:
        return None
    paths = replace(_observed_paths(main), preview=_observed_preview(owned, name))
    spoken = frozenset(revision.name for revision in revisions if revision.grpc_port is not None and grpc_api)
    others = [route for route in routes if route is not main]
    problems = [_route_problem(route, gateway) for route in (main, *others)]
    problems.append(_disagreement(owned, name, desired_route.spoken_by(spoken, paths).weights))
    return Route(
        paths=paths,
        generation=rawobjects.generation(main) + OTHERS * sum(rawobjects.generation(route) for route in others),
        programmed=not any(problems),
        message=next(filter(None, problems), ""),
        answered=all(
            any(
                _known(conditions, ROUTE_CONDITIONS, rawobjects.generation(route))
                for conditions in _answers(route, gateway)
            )
            for route in routes
        ),
        used=any(_taken(conditions) for conditions in _answers(main, gateway)),
        rules=tuple(rule for route in rawobjects.of_kind(routes, "HTTPRoute") for rule in rules_of(route)),
    )


def rules_of(route: Object) -> Iterator[RouteRule]:
    """The rules of an HTTPRoute, for the Gateway that it names first."""
    spec, metadata = route["spec"], route["metadata"]
    namespace = metadata.get("namespace", "")
    parent: Object = next(iter(spec.get("parentRefs") or ()), {})
    for index, rule in enumerate(spec.get("rules") or ()):
        yield RouteRule(
            namespace=namespace,
            route=rawobjects.name(route),
            gateway=(parent.get("namespace", namespace), parent.get("name", "")),
            index=index,
            hostnames=tuple(spec.get("hostnames") or ()),
            matches=tuple(map(json.dumps, rule.get("matches") or [{}])),
        )


def _observed_paths(route: Object) -> Paths:
    """The rules of a model's route; other writers' changes are reverted by the next write."""
    main, *others = route["spec"].get("rules") or ({},)
    backends = [backend["name"] for rule in others for backend in rule.get("backendRefs") or ()]
    header, observer = f"-{common.HEADER}", naming.observer_name(rawobjects.name(route))
    mirrors = dict(_mirrors(main))
    observed = mirrors.pop(observer, None)
    return Paths(
        weights=_weights(main),
        mirror=next(((name.removesuffix(f"-{common.MIRROR}"), percent) for name, percent in mirrors.items()), None),
        observer=observed,
        header=next((name.removesuffix(header) for name in backends if name.endswith(header)), None),
        arms=tuple(name for name in backends if not name.endswith(header)),
    )


def _weights(rule: Object) -> tuple[tuple[str, int], ...]:
    return tuple((backend["name"], int(backend.get("weight", 1))) for backend in rule.get("backendRefs") or ())


def _mirrors(rule: Object) -> Iterator[tuple[str, int]]:
    """(Service, percent) of the receivers of copies."""
    for filter_ in rule.get("filters") or ():
        mirror = filter_.get("requestMirror")
        if mirror is not None:
            yield mirror["backendRef"]["name"], int(mirror.get("percent", 100))


def _observed_preview(owned: Iterable[Object], name: str) -> str | None:
    """The revision in an HTTPRoute other than the model's own."""
    suffix = f"-{common.PREVIEW}"
    shown = (
        rawobjects.name(route) for route in rawobjects.of_kind(owned, "HTTPRoute") if rawobjects.name(route) != name
    )
    return next((route.removesuffix(suffix) for route in shown if route.endswith(suffix)), None)


def _disagreement(owned: Iterable[Object], name: str, wanted: tuple[tuple[str, int], ...]) -> str:
    """Why gRPC requests are not split like HTTP requests, or empty; between two writes they are not."""
    grpc = f"{name}{desired_route.GRPC.name_suffix}"
    main = next((route for route in rawobjects.of_kind(owned, "GRPCRoute") if rawobjects.name(route) == grpc), None)
    if main is None:
        has_any = any(permille > 0 for _, permille in wanted)
        return f"GRPCRoute {grpc} does not exist yet" if has_any else ""
    weights = _weights(next(iter(main["spec"].get("rules") or ()), {}))
    return "" if weights == wanted else f"GRPCRoute {grpc} does not have the weights of the HTTPRoute"


def _route_problem(route: Object, gateway: GatewayRef) -> str:
    """Why the Gateway does not use the route, or empty."""
    where = f"Gateway {gateway.namespace}/{gateway.name}"
    prefix = "" if route["kind"] == "HTTPRoute" else f"{route['kind']} {rawobjects.name(route)}: "
    answers = _answers(route, gateway)
    if not answers:
        return f"{prefix}{where} has not answered yet; is its controller running?"
    # Two controllers may both report on one Gateway; one that takes the route is enough.
    problems = [
        rawobjects.unmet_condition(conditions, ROUTE_CONDITIONS, rawobjects.generation(route), where)
        for conditions in answers
    ]
    return "" if "" in problems else f"{prefix}{problems[0]}"


def _answers(route: Object, gateway: GatewayRef) -> list[Sequence[Object]]:
    """What controllers report about the route on this Gateway."""
    namespace = route["metadata"].get("namespace", "")
    return [
        parent.get("conditions") or ()
        for parent in route.get("status", {}).get("parents") or ()
        if parent["parentRef"].get("name") == gateway.name
        and parent["parentRef"].get("namespace", namespace) == gateway.namespace
    ]


def _known(conditions: Sequence[Object], types: Sequence[str], generation: int) -> bool:
    """Whether all of the conditions refer to this generation."""
    current = {c.get("type") for c in conditions if int(c.get("observedGeneration", generation)) >= generation}
    return current.issuperset(types)


def _taken(conditions: Sequence[Object]) -> bool:
    """Whether the conditions hold, for whatever generation."""
    return {c.get("type") for c in conditions if c.get("status") == "True"}.issuperset(ROUTE_CONDITIONS)
