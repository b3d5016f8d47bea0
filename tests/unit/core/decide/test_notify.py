"""Who is told what, and the bodies that CloudEvents receivers and Slack take."""

import json
from dataclasses import replace
from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.api.v1alpha1.rolloutpolicy import Notification
from sluice_core.decide import notify
from sluice_core.decide.news import News
from sluice_core.kernel.plan import Event
from sluice_core.kernel.reasons import Numbered, Reason
from tests.support.cases.builders import UID, make_event, make_model_deployment, make_revision, make_rollout

DEPLOYMENT = make_model_deployment()
OLD, NEW = make_revision(), make_revision(uri="s3://models/digits/2", number=2)
ROLLED_BACK = make_event(Reason.ROLLED_BACK, "errors: 3.1 % of 812 requests against 0.4 % of 15,402")


def make_notification(name: str = "hook", **fields: Any) -> Notification:
    return Notification.model_validate({"name": name, "urlSecretRef": {"name": "hooks", "key": name}, **fields})


def make_release(**status: Any) -> ModelRollout:
    timeline = [
        {"time": "2026-03-01T12:00:00Z", "what": "Weight5"},
        {"time": "2026-03-01T12:09:00Z", "what": "Weight25"},
    ]
    return make_rollout(source=OLD, target=NEW, status={"step": 2, "permille": 250, "timeline": timeline, **status})


def made(*events: Event, to: list[Notification], rollout: ModelRollout | None) -> list[notify.Notice]:
    return list(notify.notices(to, DEPLOYMENT, [News(event, rollout) for event in events]))


@pytest.mark.parametrize(
    ("wanted", "reason", "want"),
    [
        (None, "RolledBack", True),
        ([], "RolledBack", True),
        (["Promoted", "RolledBack"], "RolledBack", True),
        (["Promoted"], "RolledBack", False),
        (["Weight"], "Weight25", True),
        (["Weight"], "Weight12.5", True),
        (["Weight100"], "Weight100", True),
        (["Weight100"], "Weight25", False),
        (["Mirror"], "Weight25", False),
    ],
)
def test_only_the_reasons_that_were_asked_for(wanted: list[str] | None, reason: str, want: bool) -> None:
    assert notify.is_wanted(make_notification(events=wanted), Reason.of(reason)) is want


def test_one_notice_for_each_endpoint_in_the_order_of_events() -> None:
    slack, hook = make_notification("slack", format="Slack"), make_notification(events=["RolledBack"])
    sent = made(
        make_event(Numbered(Reason.WEIGHT, 25), "proven"), ROLLED_BACK, to=[slack, hook], rollout=make_release()
    )
    assert [(each.endpoint.notification, each.reason) for each in sent] == [
        ("slack", "Weight25"),
        ("slack", "RolledBack"),
        ("hook", "RolledBack"),
    ]
    assert [(each.endpoint.secret, each.endpoint.key) for each in sent] == [("hooks", "slack")] * 2 + [
        ("hooks", "hook")
    ]


def test_the_body_is_a_cloud_event() -> None:
    rollout = make_release(outcome="RolledBack", permille=0)
    [notice] = made(ROLLED_BACK, to=[make_notification()], rollout=rollout)
    body = notify.body(notice)
    assert body.content_type == "application/cloudevents+json; charset=utf-8"
    assert json.loads(body.content) == {
        "specversion": "1.0",
        "id": ROLLED_BACK.id,
        "source": "/apis/sluice.dev/v1alpha1/namespaces/ml/modeldeployments/digits",
        "type": "dev.sluice.rollout.RolledBack",
        "subject": rollout.metadata.name,
        "time": "2026-09-21T14:13:20Z",
        "datacontenttype": "application/json",
        "data": {
            "reason": "RolledBack",
            "message": ROLLED_BACK.message,
            "warning": True,
            "namespace": "ml",
            "model": "digits",
            "rollout": rollout.metadata.name,
            "fromRevision": OLD.name,
            "toRevision": NEW.name,
            "step": 2,
            "weightPercent": 0.0,
            "outcome": "RolledBack",
        },
    }


def test_what_concerns_no_release_is_about_the_model() -> None:
    [notice] = made(make_event(Reason.DRIFT_CORRECTED, "put back"), to=[make_notification()], rollout=None)
    event = notify.cloud_event(notice)
    assert (event["type"], event["subject"]) == ("dev.sluice.model.DriftCorrected", "digits")
    assert event["data"].keys() == {"reason", "message", "warning", "namespace", "model"}
    assert event["id"].startswith(f"{UID}.DriftCorrected.")


def test_slack_text() -> None:
    [notice] = made(ROLLED_BACK, to=[make_notification(format="Slack")], rollout=make_release())
    body = notify.body(notice)
    assert body.content_type == "application/json; charset=utf-8"
    assert json.loads(body.content) == {
        "text": (
            ":warning: *ml/digits* RolledBack\n"
            "errors: 3.1 % of 812 requests against 0.4 % of 15,402\n"
            f"{OLD.name} → {NEW.name}, 25 % of the traffic"
        )
    }


def test_slack_text_of_a_first_version() -> None:
    rollout = make_rollout(target=NEW, status={"permille": 1000})
    [notice] = made(make_event(Reason.PROMOTED, ""), to=[make_notification(format="Slack")], rollout=rollout)
    assert notify.slack_text(notice) == f"*ml/digits* Promoted\n{NEW.name}, 100 % of the traffic"


def test_no_text_can_mention_a_channel_or_forge_a_link() -> None:
    [notice] = made(ROLLED_BACK, to=[make_notification(format="Slack")], rollout=None)
    text = notify.slack_text(replace(notice, message="<!channel> & <https://evil.example|here>"))
    assert "<" not in text
    assert "&lt;!channel&gt; &amp; &lt;https://evil.example|here&gt;" in text
