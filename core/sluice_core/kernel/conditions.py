"""The conditions of a ModelDeployment, as data, and the one function that folds facts into them.

Ready, Reconciling and Stalled follow kstatus, which Argo CD and Flux read: Reconciling and Stalled are True only while
something is abnormal, and never both.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sluice_core.api.v1alpha1.common import Condition, ConditionStatus
from sluice_core.kernel.reasons import AnyReason, Reason
from sluice_judge import timestamps

MESSAGE_LIMIT: Final = 1024
REASON_LIMIT: Final = 64


class Type(StrEnum):
    """The subject of a condition."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    CURRENT = "Current"
    ROUTES_PROGRAMMED = "RoutesProgrammed"
    CAPACITY_AVAILABLE = "CapacityAvailable"
    RUNTIME_CURRENT = "RuntimeCurrent"
    METRICS_AVAILABLE = "MetricsAvailable"
    SCALING_ACTIVE = "ScalingActive"
    ADDRESS_ALLOWED = "AddressAllowed"
    HEALTHY = "Healthy"
    OBSERVED = "Observed"
    RESOLVED = "Resolved"


class Polarity(StrEnum):
    """The status that is good."""

    NORMAL_TRUE = "NormalTrue"
    ABNORMAL_TRUE = "AbnormalTrue"


@dataclass(frozen=True, slots=True)
class Declaration:
    """One condition: its polarity, and its field in a decision."""

    type: Type
    polarity: Polarity
    fact: str
    """The field of `Facts`."""


CONDITIONS: Final = (
    Declaration(Type.READY, Polarity.NORMAL_TRUE, "ready"),
    Declaration(Type.RECONCILING, Polarity.ABNORMAL_TRUE, "reconciling"),
    Declaration(Type.STALLED, Polarity.ABNORMAL_TRUE, "stalled"),
    Declaration(Type.CURRENT, Polarity.NORMAL_TRUE, "current"),
    Declaration(Type.ROUTES_PROGRAMMED, Polarity.NORMAL_TRUE, "routes_programmed"),
    Declaration(Type.CAPACITY_AVAILABLE, Polarity.NORMAL_TRUE, "capacity_available"),
    Declaration(Type.RUNTIME_CURRENT, Polarity.NORMAL_TRUE, "runtime_current"),
    Declaration(Type.METRICS_AVAILABLE, Polarity.NORMAL_TRUE, "metrics_available"),
    Declaration(Type.SCALING_ACTIVE, Polarity.NORMAL_TRUE, "scaling_active"),
    Declaration(Type.ADDRESS_ALLOWED, Polarity.NORMAL_TRUE, "address_allowed"),
    Declaration(Type.HEALTHY, Polarity.NORMAL_TRUE, "healthy"),
    Declaration(Type.OBSERVED, Polarity.NORMAL_TRUE, "observed"),
    Declaration(Type.RESOLVED, Polarity.NORMAL_TRUE, "resolved"),
)


@dataclass(frozen=True, slots=True)
class Fact:
    """The state of one condition; `status` None means that it cannot be known now."""

    status: bool | None
    reason: AnyReason
    message: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """The results of a decision; one field per condition, with the condition's own polarity."""

    ready: Fact
    reconciling: Fact
    stalled: Fact
    """While it is True, Reconciling is not: nothing happens until a person acts."""
    current: Fact
    routes_programmed: Fact
    capacity_available: Fact
    runtime_current: Fact
    metrics_available: Fact
    scaling_active: Fact
    address_allowed: Fact | None = None
    """None: nothing to report, as for most models."""
    healthy: Fact | None = None
    """None: nothing is watched after a promotion."""
    observed: Fact | None = None
    """None: there is no observer, and none is requested."""
    resolved: Fact | None = None
    """None: no registry says where the model is."""


def summarise(facts: Facts, *, observed: Iterable[Condition], generation: int, now: float) -> list[Condition]:
    """All conditions with a fact, in the order of their declaration; a transition time changes only with the status."""
    before = {condition.type: condition for condition in observed}
    said = ((declaration.type, _fact(declaration, facts)) for declaration in CONDITIONS)
    return [condition(type_, fact, before.get(type_), generation, now) for type_, fact in said if fact is not None]


def _fact(declaration: Declaration, facts: Facts) -> Fact | None:
    if declaration.type is Type.RECONCILING and facts.stalled.status:
        return Fact(False, Reason.STALLED, facts.stalled.message)
    fact: Fact | None = getattr(facts, declaration.fact)
    return fact


def kstatus(stalled: Fact | None, otherwise: Fact) -> tuple[Fact, Fact]:
    """(Reconciling, Stalled), never both True. stalled: why only a person helps; otherwise: what is in progress."""
    if stalled is None:
        return otherwise, Fact(False, Reason.NOT_STALLED)
    return Fact(False, Reason.STALLED, stalled.message), stalled


def condition(type_: str, fact: Fact, before: Condition | None, generation: int, now: float) -> Condition:
    """One condition; its transition time changes only with its status."""
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


def is_bad(condition: Condition) -> bool:
    """Whether it reports a problem."""
    polarity = next((d.polarity for d in CONDITIONS if d.type == condition.type), None)
    if polarity is None:  # another operator version's, or someone else's
        return False
    bad = ConditionStatus.FALSE if polarity is Polarity.NORMAL_TRUE else ConditionStatus.TRUE
    return condition.status is bad


def shortened(text: str, limit: int) -> str:
    """The text in at most `limit` characters, cut with an ellipsis."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
