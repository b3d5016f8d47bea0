"""The conditions of a ModelDeployment, as data, and the one function that folds facts into them.

Ready, Reconciling and Stalled follow kstatus, which Argo CD and Flux read: Reconciling and Stalled are True only while
there is something abnormal, and never both.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sluice.api.v1alpha1.common import Condition, ConditionStatus
from sluice.core.kernel import timestamps

MESSAGE_LIMIT: Final = 1024
REASON_LIMIT: Final = 64


class Type(StrEnum):
    """What a condition speaks of."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    CURRENT = "Current"
    ROUTES_PROGRAMMED = "RoutesProgrammed"
    CAPACITY_AVAILABLE = "CapacityAvailable"
    RUNTIME_CURRENT = "RuntimeCurrent"
    METRICS_AVAILABLE = "MetricsAvailable"
    SCALING_ACTIVE = "ScalingActive"


class Polarity(StrEnum):
    """Which status is the good one."""

    NORMAL_TRUE = "NormalTrue"
    ABNORMAL_TRUE = "AbnormalTrue"


class Owner(StrEnum):
    """The part of a decision that knows."""

    SERVING = "Serving"
    PROGRESS = "Progress"
    RELEASE = "Release"
    ROUTING = "Routing"
    RUNTIME = "Runtime"
    METRICS = "Metrics"


@dataclass(frozen=True, slots=True)
class Declaration:
    """One condition: what it means, who knows, which way round it is, and the reason while all is well."""

    type: Type
    owner: Owner
    polarity: Polarity
    fact: str
    """The field of `Facts`."""
    normal_reason: str
    meaning: str


CONDITIONS: Final = (
    Declaration(Type.READY, Owner.SERVING, Polarity.NORMAL_TRUE, "ready", "Serving",
                "the stable version answers under the model's address"),
    Declaration(Type.RECONCILING, Owner.PROGRESS, Polarity.ABNORMAL_TRUE, "reconciling", "Settled",
                "the operator is on the way to what the spec asks for"),
    Declaration(Type.STALLED, Owner.PROGRESS, Polarity.ABNORMAL_TRUE, "stalled", "Progressing",
                "only a change by a person helps"),
    Declaration(Type.CURRENT, Owner.RELEASE, Polarity.NORMAL_TRUE, "current", "UpToDate",
                "what serves is what the spec asks for"),
    Declaration(Type.ROUTES_PROGRAMMED, Owner.ROUTING, Polarity.NORMAL_TRUE, "routes_programmed", "Programmed",
                "the gateway uses the route as it is written"),
    Declaration(Type.CAPACITY_AVAILABLE, Owner.SERVING, Polarity.NORMAL_TRUE, "capacity_available", "Scheduled",
                "the cluster has room for every pod"),
    Declaration(Type.RUNTIME_CURRENT, Owner.RUNTIME, Polarity.NORMAL_TRUE, "runtime_current", "UpToDate",
                "the stable version runs with its ServingRuntime as it is now"),
    Declaration(Type.METRICS_AVAILABLE, Owner.METRICS, Polarity.NORMAL_TRUE, "metrics_available", "Sampled",
                "the counters that a release is judged by can be read"),
    Declaration(Type.SCALING_ACTIVE, Owner.SERVING, Polarity.NORMAL_TRUE, "scaling_active", "Scaling",
                "the autoscaler can measure the load on the stable version"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    """The state of one condition; `status` None means that nobody can know now."""

    status: bool | None
    reason: str = ""
    """CamelCase; empty where the declaration's normal reason fits."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision knows; one field per condition, with the condition's own polarity."""

    ready: Fact
    reconciling: Fact = Fact(False)
    stalled: Fact = Fact(False)
    """While it is True, Reconciling is not: nothing happens until a person acts."""
    current: Fact = Fact(None, "Unknown")
    routes_programmed: Fact = Fact(None, "Unknown")
    capacity_available: Fact = Fact(None, "Unknown")
    runtime_current: Fact = Fact(None, "Unknown")
    metrics_available: Fact = Fact(None, "Unknown")
    scaling_active: Fact = Fact(None, "Unknown")


def summarise(facts: Facts, *, observed: Iterable[Condition], generation: int, now: float) -> list[Condition]:
    """All conditions in the order of their declaration; a transition time stays while the status stays."""
    before = {condition.type: condition for condition in observed}
    return [
        _condition(declaration, _fact(declaration, facts), before.get(declaration.type), generation, now)
        for declaration in CONDITIONS
    ]


def _fact(declaration: Declaration, facts: Facts) -> Fact:
    if declaration.type is Type.RECONCILING and facts.stalled.status:
        return Fact(False, "Stalled", facts.stalled.message)
    fact = getattr(facts, declaration.fact)
    assert isinstance(fact, Fact)
    return fact


def _condition(
    declaration: Declaration, fact: Fact, before: Condition | None, generation: int, now: float
) -> Condition:
    reason = fact.reason or _fallback_reason(declaration, fact)
    return condition(declaration.type, Fact(fact.status, reason, fact.message), before, generation, now)


def condition(type_: str, fact: Fact, before: Condition | None, generation: int, now: float) -> Condition:
    """One condition; its transition time stays while its status does."""
    status = _status(fact)
    unchanged = before is not None and before.status is status
    return Condition(
        type=str(type_),
        status=status,
        reason=fact.reason[:REASON_LIMIT],
        message=shortened(fact.message, MESSAGE_LIMIT),
        last_transition_time=before.last_transition_time if unchanged and before else timestamps.rfc3339(now),
        observed_generation=generation,
    )


def _status(fact: Fact) -> ConditionStatus:
    if fact.status is None:
        return ConditionStatus.UNKNOWN
    return ConditionStatus.TRUE if fact.status else ConditionStatus.FALSE


def _fallback_reason(declaration: Declaration, fact: Fact) -> str:
    """The API demands a reason."""
    if fact.status is None:
        return "Unknown"
    normal = fact.status is (declaration.polarity is Polarity.NORMAL_TRUE)
    return declaration.normal_reason if normal else f"Not{declaration.normal_reason}"


def shortened(text: str, limit: int) -> str:
    """The text in at most `limit` characters, cut with an ellipsis."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
