"""What a decision wants done: an ordered list of writes, as data."""

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
    """When given, the deletion is refused if another object took the name."""


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply of the object (field manager sluice, forced): of ours alone, whoever else has its name."""

    manifest: Mapping[str, Any]
    uid: str = ""
    """The UID of the observed object, which is ours; empty: it is created, and nothing is written if there is one."""


@dataclass(frozen=True, slots=True)
class ApplyStatus:
    """Server-side apply of the object's status subresource."""

    manifest: Mapping[str, Any]
    after_seconds: float = 0.0
    """It says only what is over in a moment: left out unless that lasts for so long (`core/decide/passing.py`)."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Merge patch of an object that exists: for fields that may change where the others may not, as in a Job."""

    ref: Ref
    change: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletion in the background; an absent object is fine."""

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
    """A Kubernetes event on the object that was decided on."""

    reason: AnyReason
    message: str
    id: str
    """The name of what happened (`news.happening`): the same again is not told again."""
    time: float
    """When it happened, in seconds since the epoch."""
    record: tuple[str, str]
    """(kind, name) of the object that records it: it is told after the write of that, where the plan has one."""
    in_status: bool = False
    """Whether the status says the same: then it is no event in Kubernetes, and only who is notified is told."""

    @property
    def warning(self) -> bool:
        """Whether somebody should look at it."""
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
    """One thing that happened, for one endpoint."""

    endpoint: Endpoint
    id: str
    """The ID of its event: whoever receives the same happening twice, such as after a restart, can tell."""
    time: str
    """When it happened, RFC 3339."""
    reason: str
    message: str
    warning: bool
    namespace: str
    model: str
    rollout: str | None = None
    """None where it is about the model, and no release."""
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
    """Those of the writes that follow even where the API server refuses the record of a release, because they give
    nobody but the version that was stable before more requests; None where others get more."""
    begins: bool = False
    """Whether a release begins, so that much more is to be written soon."""
    events: tuple[Event, ...] = ()
    """What has just happened, and what records say happened a moment ago; each is sent once."""
    notices: tuple[Notice, ...] = ()
    """What people outside of the cluster are told of these events."""
    requeue_after: float | None = None
    """Seconds until the next look without a new event; None at rest."""
    because: str = ""
    """One line for the log."""


def target_of(write: Write) -> tuple[str, str, str]:
    """Kind, namespace and name of what is written."""
    if isinstance(write, Delete | Patch):
        return write.ref.kind, write.ref.namespace, write.ref.name
    metadata = write.manifest["metadata"]
    return write.manifest["kind"], metadata.get("namespace", ""), metadata["name"]


def summary(writes: tuple[Write, ...]) -> list[str]:
    """`apply Deployment digits-1a2b3c`, for the log."""
    verbs = {"Apply": "apply", "ApplyStatus": "status", "Patch": "patch", "Delete": "delete"}
    return [f"{verbs[type(write).__name__]} {kind} {name}" for write in writes for kind, _, name in [target_of(write)]]
