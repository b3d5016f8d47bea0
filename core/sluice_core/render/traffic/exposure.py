"""The parts of a model's servers that clients reach: the matches in the rules of its routes.

Every rule of a route names the same paths: a gateway matches the path before headers.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.routing import Exposed
from sluice_core.api.v1alpha1.servingruntime import ServingRuntime
from sluice_core.render import common
from sluice_core.render.pod import placeholders
from sluice_judge.schema.model import ApiModel

Rule = Mapping[str, Any]
EVERYTHING: Final = Exposed()
MAXIMUM_MATCHES: Final = 64
"""The Gateway API's limit on the matches of a rule."""
MAXIMUM_MATCHES_OF_A_ROUTE: Final = 128


def pinned(deployment: ModelDeployment, runtime: ServingRuntime) -> Exposed | None:
    """What the runtime exposes for the ModelDeployment's model; None: everything.

    Raises `placeholders.UnknownPlaceholder`.
    """
    if runtime.spec.exposed is None:
        return None
    values = {"model.name": common.served_name(deployment)}
    return Exposed.model_validate(placeholders.filled(runtime.spec.exposed.to_wire(), values, "spec.exposed"))


def paths(versions: Iterable[Exposed | None]) -> list[Rule]:
    """Matches of the paths that any of these versions exposes, since the gateway does not know beforehand which one
    will answer; none: all paths."""
    return [{"path": path} for path in _any_of([(each or EVERYTHING).paths for each in versions])]


def methods(versions: Iterable[Exposed | None]) -> list[Rule]:
    """The same for gRPC methods."""
    return [
        {"method": {"type": "Exact", **method}}
        for method in _any_of([(each or EVERYTHING).methods for each in versions])
    ]


def limited(rules: Sequence[Rule], exposed: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules for these paths or methods alone.

    If that would be more matches than a route may have, as in an A/B test of many kinds of servers, the rules stay
    unchanged: an invalid route would serve no requests.
    """
    if not exposed:
        return tuple(rules)
    crossed = [[{**match, **part} for match in rule.get("matches", ({},)) for part in exposed] for rule in rules]
    counts = [len(matches) for matches in crossed]
    if max(counts, default=0) > MAXIMUM_MATCHES or sum(counts) > MAXIMUM_MATCHES_OF_A_ROUTE:
        return tuple(rules)
    return tuple({**rule, "matches": matches} for rule, matches in zip(rules, crossed, strict=True))


def _any_of(lists: Sequence[Sequence[ApiModel]]) -> list[dict[str, Any]]:
    """The union of the lists, sorted and without duplicates; nothing if one of them is empty."""
    if not all(lists):
        return []
    found = {tuple(sorted(each.to_wire().items())): each.to_wire() for listed in lists for each in listed}
    return [found[key] for key in sorted(found)]
