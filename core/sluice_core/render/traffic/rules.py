"""The rules of a route: one with weights, and more specific ones in front of it.

    rules[0]   all users                 ──weights──>  revisions            (always first: gateways name series by index)
    rules[1…]  candidate header, or arm  ──────────>  one revision alone

A gateway prefers the more specific rule, whatever their order.
"""

from collections.abc import Iterator
from typing import Any, Final

from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.rolloutspec import ABTestRules
from sluice_core.api.v1alpha1.strategies import AssignmentType
from sluice_core.kernel import naming
from sluice_core.kernel.snapshot import Paths
from sluice_core.render import common
from sluice_core.render.traffic import assignment

WHOLE_PERCENT: Final = 100
RETRY_AFTER_SECONDS: Final = 15
"""KEDA checks every ten seconds what Prometheus scraped in the last few, and the quickest servers start in the rest."""


def main_rules(
    deployment: ModelDeployment, paths: Paths, *, port: int, test: ABTestRules | None
) -> tuple[dict[str, Any], ...]:
    """The rules at the model's own address; port: the Services'."""
    # With the stable version alone there is no choice yet, and no user must be bound to it.
    running = test if len(paths.arms) > 1 else None
    return (
        _weighted(deployment.metadata.name, paths, port, running),
        *_header_rules(deployment, paths, port),
        *_arm_rules(paths, port, running),
    )


def preview_rules(revision: str, *, port: int) -> tuple[dict[str, Any], ...]:
    """The one rule at the preview's address."""
    return ({"backendRefs": [_backend(revision, port, common.PREVIEW)]},)


def _weighted(name: str, paths: Paths, port: int, test: ABTestRules | None) -> dict[str, Any]:
    """name: the model's."""
    backends = [
        {
            **_backend(revision, port, cookie=_cookie(revision, paths, test), awaited=revision == paths.awaited),
            "weight": permille,
        }
        for revision, permille in paths.weights
    ]
    # The candidate's copies first: gateways that name series by position count them as those of mirror 0.
    mirrors = []
    if paths.mirror is not None:
        revision, percent = paths.mirror
        mirrors.append(_mirror(naming.service_name(revision, common.MIRROR), percent, port))
    if paths.observer is not None:
        mirrors.append(_mirror(naming.observer_name(name), paths.observer, port))
    return {"filters": mirrors, "backendRefs": backends} if mirrors else {"backendRefs": backends}


def _header_rules(deployment: ModelDeployment, paths: Paths, port: int) -> Iterator[dict[str, Any]]:
    header = deployment.spec.routing.candidate_header
    if header is not None and paths.header is not None:
        match = {"type": "Exact", "name": header.name, "value": header.value}
        yield {"matches": [{"headers": [match]}], "backendRefs": [_backend(paths.header, port, common.HEADER)]}


def _arm_rules(paths: Paths, port: int, test: ABTestRules | None) -> Iterator[dict[str, Any]]:
    if test is not None:
        for revision, headers in assignment.homes(test, paths.arms):
            yield {
                "matches": [{"headers": [header]} for header in headers],
                "backendRefs": [_backend(revision, port)],
            }


def _cookie(revision: str, paths: Paths, test: ABTestRules | None) -> str | None:
    """The cookie that binds a user to the revision that answered the first request."""
    if test is None or test.assignment.type is not AssignmentType.COOKIE or revision not in paths.arms:
        return None
    return f"{test.assignment.name}={revision}; Path=/; Max-Age={test.maximum_seconds}; HttpOnly"


def _mirror(service: str, percent: int, port: int) -> dict[str, Any]:
    mirror: dict[str, Any] = {"backendRef": {"name": service, "port": port}}
    if percent < WHOLE_PERCENT:
        mirror["percent"] = percent
    return {"type": "RequestMirror", "requestMirror": mirror}


def _backend(
    revision: str, port: int, suffix: str = "", *, cookie: str | None = None, awaited: bool = False
) -> dict[str, Any]:
    """A revision's Service; headers tell the client which revision answered, and when to retry one without pods."""
    modifier: dict[str, Any] = {"set": [{"name": naming.REVISION_HEADER, "value": revision}]}
    if awaited:
        modifier["set"].append({"name": "Retry-After", "value": str(RETRY_AFTER_SECONDS)})
    if cookie is not None:
        # Added, not set: the model server's own cookies stay.
        modifier["add"] = [{"name": "Set-Cookie", "value": cookie}]
    return {
        "name": naming.service_name(revision, suffix),
        "port": port,
        "filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": modifier}],
    }
