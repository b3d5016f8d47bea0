"""The result of a decision: an ordered list of writes, as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from sluice_core.api.base import API_VERSION
from sluice_core.api.v1alpha1.rolloutpolicy import NotificationFormat
from sluice_core.kernel.reasons import CALM, AnyReason
from sluice_judge.schema.model import ApiModel


@dataclass(frozen=True, slots=True)
class Ref:
    """Names one object."""

    api_version: str
    kind: str
    name: str
    namespace: str = ""
    uid: str = ""
    """If given, the deletion is refused if another object has taken the name."""


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply of the object (field manager sluice, forced); never of another owner's object of the same name."""

    manifest: Mapping[str, Any]
    uid: str = ""
    """The UID of our observed object; empty: it is created, and nothing is written if one exists."""


@dataclass(frozen=True, slots=True)
class ApplyStatus:
    """Server-side apply of the object's status subresource."""

    manifest: Mapping[str, Any]
    after_seconds: float = 0.0
    """How long this status must last to be written, since it only says what is soon over (`core/decide/passing.py`)."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Merge patch of an existing object: for fields that may change where others may not, as in a Job."""

    ref: Ref
    change: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletion in the background; a missing object is fine."""

    ref: Ref


Write: TypeAlias = Apply | ApplyStatus | Patch | Delete


def status_write(kind: str, name: str, namespace: str, status: ApiModel, *, after_seconds: float = 0.0) -> ApplyStatus:
    """Writes the whole status of one of our own kinds. after_seconds: as in `ApplyStatus`."""
    return ApplyStatus(
        {
            "apiVersion": API_VERSION,
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace},
            "status": status.to_wire(),
        },
        after_seconds,
    )


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes event of the object that was decided on."""

    reason: AnyReason
    message: str
    id: str
    """The name of the event (`news.happening`): it is sent once."""
    time: float
    """When it happened, in seconds since the epoch."""
    record: tuple[str, str]
    """(kind, name) of the object that records it: it is sent after that object's write, if the plan has one."""
    in_status: bool = False
    """Whether the status says the same: then there is no Kubernetes event, only a notification."""

    @property
    def warning(self) -> bool:
        """Whether a person should look at it."""
        return CALM not in self.reason.marks


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A receiver of notifications."""

    notification: str
    """Its name in the policy, for logs and metrics."""
    format: NotificationFormat
    secret: str
    """The Secret in the operator's namespace that holds the URL."""
    key: str


@dataclass(frozen=True, slots=True)
class Notice:
    """One event, for one endpoint."""

    endpoint: Endpoint
    id: str
    """The ID of its event, by which receivers recognise a repetition, for example after a restart."""
    time: str
    """When it happened, RFC 3339."""
    reason: str
    message: str
    warning: bool
    namespace: str
    model: str
    rollout: str | None = None
    """None if it is about the model, not about a release."""
    from_revision: str | None = None
    """The stable version; None for the first one."""
    to_revision: str | None = None
    step: int | None = None
    weight_percent: float | None = None
    """The candidate's share of the traffic."""
    outcome: str | None = None
    """How the release ended, once it has."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One reconcile: writes in order (evidence first, status last), events, and when to look again."""

    writes: tuple[Write, ...] = ()
    rollback: tuple[Write, ...] | None = None
    """The writes that follow even if the API server refuses the record of a release, because they give more requests to
    no version but the one that was stable before; None if others get more."""
    begins: bool = False
    """Whether a release begins, so that many writes follow soon."""
    events: tuple[Event, ...] = ()
    """New events, and recent ones from the records; each is sent once."""
    notices: tuple[Notice, ...] = ()
    """Notifications about these events for people outside the cluster."""
    requeue_after: float | None = None
    """Seconds until the next reconcile without an event of the cluster; None at rest."""
    because: str = ""
    """One line for the log."""


def target_of(write: Write) -> tuple[str, str, str]:
    """Kind, namespace and name of the written object."""
    if isinstance(write, Delete | Patch):
        return write.ref.kind, write.ref.namespace, write.ref.name
    metadata = write.manifest["metadata"]
    return write.manifest["kind"], metadata.get("namespace", ""), metadata["name"]


def summary(writes: tuple[Write, ...]) -> list[str]:
    """`apply Deployment digits-1a2b3c`, for the log."""
    verbs = {"Apply": "apply", "ApplyStatus": "status", "Patch": "patch", "Delete": "delete"}
    return [f"{verbs[type(write).__name__]} {kind} {name}" for write in writes for kind, _, name in [target_of(write)]]
