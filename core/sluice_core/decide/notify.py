"""Notifications of a policy's endpoints: the receivers, the notices, and their formats.

events of one reconcile ──> notices (one for each endpoint that asked for the reason) ──> body ──> HTTP, later (`shell`)
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, assert_never

from sluice_core.api.base import API_VERSION
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.rolloutpolicy import Notification, NotificationFormat
from sluice_core.decide.news import News
from sluice_core.kernel.plan import Endpoint, Notice
from sluice_core.kernel.reasons import AnyReason
from sluice_judge import timestamps

CLOUD_EVENTS_VERSION: Final = "1.0"


@dataclass(frozen=True, slots=True)
class Delivered:
    """The endpoint has accepted it."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """No answer, or the answer asks for a retry. `why` never contains the URL, which is a credential."""

    why: str
    after_seconds: float | None = None
    """The pause that the endpoint requests."""


@dataclass(frozen=True, slots=True)
class SinkRefused:
    """The endpoint does not accept it; a retry would not help."""

    why: str


@dataclass(frozen=True, slots=True)
class NoAddress:
    """The URL cannot be read; `why` says which Secret, and what to do."""

    why: str


Delivery: TypeAlias = Delivered | TryAgain | SinkRefused | NoAddress


def notices(
    notifications: Sequence[Notification], deployment: ModelDeployment, announced: Sequence[News]
) -> tuple[Notice, ...]:
    """The notices of these news for every endpoint, in their order; each release with its status after this reconcile."""
    return tuple(
        _notice(notification, deployment, each)
        for each in announced
        for notification in notifications
        if is_wanted(notification, each.event.reason)
    )


def is_wanted(notification: Notification, reason: AnyReason) -> bool:
    """Whether the endpoint subscribed to it. `Weight` stands for every weight: Weight5, Weight12.5."""
    return not notification.events or reason in notification.events or reason.kind in notification.events


def _notice(notification: Notification, deployment: ModelDeployment, news: News) -> Notice:
    event, rollout, secret = news.event, news.rollout, notification.url_secret_ref
    about: dict[str, Any] = {}
    if rollout is not None:
        spec, status = rollout.spec, rollout.status
        about = {
            "rollout": rollout.metadata.name,
            "from_revision": spec.source.revision if spec.source is not None else None,
            "to_revision": spec.target.revision,
            "step": status.step,
            "weight_percent": status.permille / 10,
            "outcome": None if status.outcome is None else str(status.outcome),
        }
    return Notice(
        Endpoint(notification.name, notification.format, secret.name, secret.key),
        id=event.id,
        time=timestamps.rfc3339(event.time),
        reason=event.reason,
        message=event.message,
        warning=event.warning,
        namespace=deployment.metadata.namespace,
        model=deployment.metadata.name,
        **about,
    )


@dataclass(frozen=True, slots=True)
class Body:
    """What is posted."""

    content_type: str
    content: bytes


def body(notice: Notice) -> Body:
    """The notice in the format of its endpoint."""
    match notice.endpoint.format:
        case NotificationFormat.CLOUD_EVENTS:
            return Body("application/cloudevents+json; charset=utf-8", _json(cloud_event(notice)))
        case NotificationFormat.SLACK:
            return Body("application/json; charset=utf-8", _json({"text": slack_text(notice)}))
        case unknown:
            assert_never(unknown)


def cloud_event(notice: Notice) -> dict[str, Any]:
    """A CloudEvent in structured mode (CloudEvents 1.0, JSON event format)."""
    about = "rollout" if notice.rollout is not None else "model"
    return {
        "specversion": CLOUD_EVENTS_VERSION,
        "id": notice.id,
        "source": f"/apis/{API_VERSION}/namespaces/{notice.namespace}/modeldeployments/{notice.model}",
        "type": f"dev.sluice.{about}.{notice.reason}",
        "subject": notice.rollout or notice.model,
        "time": notice.time,
        "datacontenttype": "application/json",
        "data": dict(_data(notice)),
    }


def _data(notice: Notice) -> Iterator[tuple[str, Any]]:
    """Absent values are omitted, as everywhere in the API."""
    for name, value in (
        ("reason", notice.reason),
        ("message", notice.message),
        ("warning", notice.warning),
        ("namespace", notice.namespace),
        ("model", notice.model),
        ("rollout", notice.rollout),
        ("fromRevision", notice.from_revision),
        ("toRevision", notice.to_revision),
        ("step", notice.step),
        ("weightPercent", notice.weight_percent),
        ("outcome", notice.outcome),
    ):
        if value is not None:
            yield name, value


def slack_text(notice: Notice) -> str:
    """One message in the mark-up of Slack's incoming webhooks."""
    sign = ":warning: " if notice.warning else ""
    lines = [f"{sign}*{_escaped(f'{notice.namespace}/{notice.model}')}* {_escaped(notice.reason)}"]
    if notice.message:
        lines.append(_escaped(notice.message))
    if notice.to_revision is not None:
        came = f"{notice.from_revision} → " if notice.from_revision is not None else ""
        lines.append(f"{_escaped(came + notice.to_revision)}, {notice.weight_percent:g} % of the traffic")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    """Slack's three control characters, so that no text can mention a channel or forge a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
