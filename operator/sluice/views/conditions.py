"""Conditions that are not as they should be, with what to do about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sluice.api.v1alpha1.common import Condition, ConditionStatus

BAD_WHEN_TRUE: Final = frozenset({"Stalled", "Reconciling"})
"""Conditions of the kstatus convention whose normal state is False; all others are wanted True."""
QUIET: Final = frozenset({"Reconciling"})
"""Work in progress is not a problem; the release itself says what it waits for."""

AT_REST: Final = frozenset({"NothingToMeasure", "NothingToRun", "NotAutoscaled"})
"""Reasons of conditions that are Unknown because nobody has to know."""

REMEDIES: Final = {
    "RolledBack": "kubectl sluice retry {name}",
    "Aborted": "kubectl sluice retry {name}",
    "GatewayNotFound": "kubectl get gateways -A; correct spec.routing.gatewayRef or the operator's config.gateway",
    "GatewayAPIMissing": "install the Gateway API CRDs and a gateway controller",
    "ImagePullBackOff": "kubectl describe pods -l sluice.dev/model-deployment={name}",
    "CrashLoopBackOff": "kubectl logs -l sluice.dev/model-deployment={name} --previous",
    "Unschedulable": "lower spec.resources or spec.replicas, or add nodes",
    "MetricsUnavailable": "check that the operator's config.prometheusUrl answers and scrapes the gateway",
    "RuntimeNotFound": "kubectl get servingruntimes.sluice.dev",
    "PolicyNotFound": "kubectl get rolloutpolicies.sluice.dev",
}
"""By reason: a command where the message alone leaves the reader without a next step."""


@dataclass(frozen=True, slots=True)
class ConditionView:
    """One condition that is not as wanted."""

    type: str
    status: str
    reason: str
    message: str
    remedy: str
    """What to do, or empty where the message says it."""
    severe: bool
    """Whether somebody has to act; otherwise it may pass by itself."""


def unwanted(conditions: Sequence[Condition], *, name: str, releasing: bool) -> tuple[ConditionView, ...]:
    """The conditions of the ModelDeployment `name` that are not as wanted, in their own order.

    While a release runs, Current=False is no news.
    """
    quiet = QUIET | {"Current"} if releasing else QUIET
    return tuple(_view(c, name) for c in conditions if c.type not in quiet and not _as_wanted(c))


def _as_wanted(condition: Condition) -> bool:
    """Unknown without a word is no problem either: nobody had to look yet."""
    if condition.status is ConditionStatus.UNKNOWN:
        return not condition.message or condition.reason in AT_REST
    return (condition.status is ConditionStatus.TRUE) != (condition.type in BAD_WHEN_TRUE)


def _view(condition: Condition, name: str) -> ConditionView:
    remedy = REMEDIES.get(condition.reason, "").format(name=name)
    return ConditionView(
        type=condition.type,
        status=str(condition.status),
        reason=condition.reason,
        message=condition.message,
        remedy="" if remedy and remedy in condition.message else remedy,
        severe=condition.status is not ConditionStatus.UNKNOWN and condition.type != "RuntimeCurrent",
    )
