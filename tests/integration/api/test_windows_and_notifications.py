"""Freeze windows and notifications of a RolloutPolicy: what the API server refuses; nothing is stored (dry run)."""

from typing import Any

import pytest

from tests.support.cases.objects import policy
from tests.support.live.kube import Kube, causes

Object = dict[str, Any]

MOMENTS = {"from": "2026-11-27T00:00:00Z", "until": "2026-11-28T00:00:00Z"}
NIGHT = {"startTime": "22:00", "durationMinutes": 480}
WINDOW = "spec.freezeWindows[0]"
HOOK = "spec.notifications[0]"


def window(*each: Object) -> Object:
    return policy({"freezeWindows": [{"name": f"w{index}", **one} for index, one in enumerate(each)]})


def hook(**fields: Any) -> Object:
    return policy({"notifications": [{"name": "hook", "urlSecretRef": {"name": "hooks"}, **fields}]})


@pytest.mark.parametrize(
    ("target", "field", "message"),
    [
        pytest.param(window({}), WINDOW, "set startTime and durationMinutes", id="empty"),
        pytest.param(window({**MOMENTS, **NIGHT}), WINDOW, "set startTime and durationMinutes", id="both"),
        pytest.param(window({"startTime": "22:00"}), WINDOW, "set startTime and durationMinutes", id="no duration"),
        pytest.param(window({**MOMENTS, "days": ["Fri"]}), WINDOW, "set startTime and", id="days of one moment"),
        pytest.param(
            window({"from": MOMENTS["until"], "until": MOMENTS["from"]}), WINDOW, "from must be before", id="backwards"
        ),
        pytest.param(
            window({**MOMENTS, "from": "soon"}), f"{WINDOW}.from", "must be of type date-time", id="no moment"
        ),
        pytest.param(window({**NIGHT, "startTime": "24:00"}), f"{WINDOW}.startTime", "should match", id="24:00"),
        pytest.param(window({**NIGHT, "startTime": "9:00"}), f"{WINDOW}.startTime", "should match", id="9:00"),
        pytest.param(
            window({**NIGHT, "durationMinutes": 10_081}), f"{WINDOW}.durationMinutes", "less than or equal", id="8 days"
        ),
        pytest.param(window({**NIGHT, "days": ["Friday"]}), f"{WINDOW}.days[0]", "Unsupported value", id="Friday"),
        pytest.param(window({**NIGHT, "timeZone": "UTC+1; x"}), f"{WINDOW}.timeZone", "should match", id="zone"),
        pytest.param(
            policy({"freezeWindows": [{"name": "a", **NIGHT}, {"name": "a", **NIGHT}]}),
            "spec.freezeWindows[1]",
            "Duplicate value",
            id="name twice",
        ),
        pytest.param(hook(format="Teams"), f"{HOOK}.format", "Unsupported value", id="format"),
        pytest.param(hook(urlSecretRef=None), f"{HOOK}.urlSecretRef", "Required value", id="no Secret"),
        pytest.param(
            hook(urlSecretRef={"name": "No"}), f"{HOOK}.urlSecretRef.name", "should match", id="Secret's name"
        ),
        pytest.param(hook(events=["Promoted", "Promoted"]), f"{HOOK}.events[1]", "Duplicate value", id="reason twice"),
    ],
)
def test_refused(kube: Kube, target: Object, field: str, message: str) -> None:
    answer = kube.create(target, dry_run=True)
    assert answer.status_code == 422, answer.text
    assert any(where == field and message in why for where, why in causes(answer)), causes(answer)


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(window(MOMENTS, NIGHT, {**NIGHT, "days": ["Fri", "Sat"], "timeZone": "Etc/GMT-3"}), id="windows"),
        pytest.param(hook(format="Slack", events=["Promoted", "Weight"]), id="notification"),
    ],
)
def test_accepted(kube: Kube, target: Object) -> None:
    kube.create(target, dry_run=True).raise_for_status()


def test_defaults(kube: Kube) -> None:
    stored = kube.create(hook(), dry_run=True).raise_for_status().json()["spec"]["notifications"][0]
    assert (stored["format"], stored["urlSecretRef"]) == ("CloudEvents", {"name": "hooks", "key": "url"})
    stored = kube.create(window(NIGHT), dry_run=True).raise_for_status().json()["spec"]["freezeWindows"][0]
    assert stored["timeZone"] == "UTC"
