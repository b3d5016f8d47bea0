"""Conditions that report a problem, with remedies."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from sluice_core.api.v1alpha1.common import Condition, ConditionStatus
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel import commands
from sluice_core.kernel.conditions import CONDITIONS, Polarity, Type
from sluice_core.kernel.reasons import AT_REST, BY_RELEASE, CALM, AnyReason, PodReason, Reason
from sluice_core.views import words

BAD_WHEN_TRUE: Final = frozenset(each.type for each in CONDITIONS if each.polarity is Polarity.ABNORMAL_TRUE)
"""Conditions of the kstatus convention whose normal state is False; all others should be True."""
QUIET: Final = frozenset({Type.RECONCILING})
"""Work in progress is not a problem; the release itself says what it waits for."""

REMEDIES: Final[Mapping[AnyReason, str]] = {
    Reason.ROLLED_BACK: "{retry}",
    Reason.ABORTED: "{retry}",
    Reason.WORSE_THAN_BEFORE: "look for what has changed since then; {rollback} releases the version before",
    Reason.INPUTS_MOVED: "look for what sends other requests since then; if they are right, make a new reference: kubectl sluice reference",
    Reason.GATEWAY_NOT_FOUND: "kubectl get gateways -A; correct spec.routing.gatewayRef or the operator's config.gateway",
    Reason.GATEWAY_API_MISSING: "install the Gateway API CRDs and a gateway controller",
    PodReason.IMAGE_PULL_BACK_OFF: "kubectl describe pods -l sluice.dev/model-deployment={name} {n}",
    PodReason.CRASH_LOOP_BACK_OFF: "kubectl logs -l sluice.dev/model-deployment={name} --previous {n}",
    PodReason.UNSCHEDULABLE: "lower spec.resources or spec.replicas, or add nodes",
    Reason.METRICS_UNAVAILABLE: "check that the operator's config.prometheusUrl answers, lets the operator in, and scrapes the gateway",
    Reason.RUNTIME_NOT_FOUND: "kubectl get servingruntimes.sluice.dev",
    Reason.FORMAT_NOT_ALLOWED: "use a format that the message names, or ask the platform team for config.allowedFormats",
    Reason.NOT_VERIFIABLE: "do what the message names, or ask the platform team about config.verification",
    Reason.POD_FIELD_NOT_ALLOWED: "use what the message names, or ask the platform team for its setting",
    Reason.REGISTRY_UNREACHABLE: "kubectl logs -l app.kubernetes.io/component=resolver {n} says what came",
    Reason.REGISTRY_REFUSES: "kubectl get secrets {n}; correct the one that the message names",
    Reason.REGISTRY_NOT_NAMED: "kubectl get secrets {n}; write the one that the message names",
    Reason.POLICY_NOT_FOUND: "kubectl get rolloutpolicies.sluice.dev",
}
"""By reason: a command where the message alone leaves the reader without a next step."""


class ConditionView(NamedTuple):
    """One condition that is not as desired."""

    type: str
    status: str
    reason: str
    message: str
    remedy: str
    """What to do, or empty if the message says it."""
    severe: bool
    """Whether a person has to act; otherwise it may be temporary."""
    age_seconds: float
    """Since when it has this status, for whatever reasons; or since the release that caused it ended."""

    @property
    def state(self) -> str:
        """`Ready=False for 4m12s`."""
        return f"{self.type}={self.status} for {words.span(self.age_seconds)}"


def of_model(deployment: ModelDeployment, newest: ModelRollout | None, *, now: float) -> tuple[ConditionView, ...]:
    """The problems of a ModelDeployment. newest: its newest release."""
    return unwanted(
        deployment.status.conditions,
        name=deployment.metadata.name,
        namespace=deployment.metadata.namespace,
        releasing=deployment.status.rollout is not None if newest is None else newest.status.outcome is None,
        ended=newest.status.end_time if newest is not None else None,
        now=now,
    )


def unwanted(
    conditions: Sequence[Condition],
    *,
    name: str,
    namespace: str,
    releasing: bool,
    ended: str | None = None,
    now: float,
) -> tuple[ConditionView, ...]:
    """The conditions of the ModelDeployment `name` that are not as desired, in their own order.

    While a release runs, Current=False is expected. A reason shared by several conditions is shown with the first.
    ended: when the newest release ended; its after-effects count from then, although Current turned False when it
    began.
    """
    quiet = QUIET | {Type.CURRENT} if releasing else QUIET
    found = [c for c in conditions if c.type not in quiet and not _as_wanted(c) and not _is_echo(c)]
    views = (_view(c, name, namespace, _since(c, ended), now) for c in found)
    return tuple(_once(view, found[:index]) for index, view in enumerate(views))


def _once(view: ConditionView, before: Sequence[Condition]) -> ConditionView:
    """The view without the words of an earlier condition."""
    first = next((c for c in before if c.reason == view.reason and c.message and c.message in view.message), None)
    return view if first is None else view._replace(message=f"as {first.type} says", remedy="")


def _is_echo(condition: Condition) -> bool:
    """Whether Current says the same in more detail: the outcome of the release is why nothing continues."""
    return condition.type == Type.STALLED and BY_RELEASE in Reason.of(condition.reason).marks


def _as_wanted(condition: Condition) -> bool:
    """Unknown without a message is no problem either: it was not needed yet."""
    if condition.status is ConditionStatus.UNKNOWN:
        return not condition.message or AT_REST in Reason.of(condition.reason).marks
    return (condition.status is ConditionStatus.TRUE) != (condition.type in BAD_WHEN_TRUE)


def _since(condition: Condition, ended: str | None) -> float:
    turned = words.seconds_of(condition.last_transition_time)
    marks = Reason.of(condition.reason).marks
    return max(turned, words.seconds_of(ended)) if ended and BY_RELEASE in marks and CALM not in marks else turned


def _view(condition: Condition, name: str, namespace: str, since: float, now: float) -> ConditionView:
    remedy = REMEDIES.get(Reason.of(condition.reason), "")
    remedy = commands.filled(remedy, name=name, namespace=namespace)
    return ConditionView(
        type=condition.type,
        status=str(condition.status),
        reason=condition.reason,
        message=condition.message,
        remedy="" if remedy and remedy in condition.message else remedy,
        severe=condition.status is not ConditionStatus.UNKNOWN and condition.type != Type.RUNTIME_CURRENT,
        age_seconds=max(now - since, 0.0),
    )
