"""A ModelRollout is written once; a person steers it through its intent, and nobody in another's name."""

from typing import Any

import pytest

from sluice_core.api import crd
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from tests.support.cases.objects import intent, rollout
from tests.support.live.kube import Kube, causes, wait_until

Object = dict[str, Any]

END: Object = {"revision": "digits-9", "inputHash": "9", "uri": "s3://models/digits/9"}
FULL: Object = {
    "from": {**END, "revision": "digits-0"},
    "sequence": 2,
    "attempt": 2,
    "baseReplicas": 2,
    "policy": "strict",
    "initialDispersion": {"failures": 150},
    "alarm": "errors: 9 of 100 requests",
}
CHANGED: Object = {
    "modelDeployment": "other",
    "sequence": 3,
    "attempt": 3,
    "from": END,
    "to": END,
    "policy": "lax",
    "baseReplicas": 3,
    "steps": [{"weight": 100}],
    "stepping": "Auto",
    "minimumSeconds": 1,
    "objectives": [],
    "falseRollbackProbability": "2%",
    "falseAdvanceProbability": "6%",
    "scrapeIntervalSeconds": 16,
    "blindSeconds": 121,
    "idleSeconds": 3601,
    "progressDeadlineSeconds": 86401,
    "onDeadline": "Promote",
    "bakeSeconds": 601,
    "initialDispersion": {"failures": 151},
    "newPodSeconds": 61,
    "cacheFillSeconds": 301,
    "baselineRevision": "other",
    "strategy": "BlueGreen",
    "abTest": {
        "arms": [{"name": "b", "weight": 10, "to": END}],
        "assignment": {"type": "Cookie"},
        "metric": "conversion",
        "maximumSeconds": 60,
        "onWinner": "Report",
    },
    "validation": {
        "batch": {
            "input": {"uri": "s3://models/labelled/", "format": "Parquet", "columns": ["image"]},
            "labels": "digit",
            "objective": {"maximum": "5%"},
        }
    },
    "capacity": "Surge",
    "maximumRequestsAtRisk": 7,
    "requestedInputHash": "9",
    "rollback": True,
    "analysed": False,
    "startStep": 2,
    "alarm": "errors: 10 of 100 requests",
}


@pytest.fixture(scope="module")
def written(kube: Kube) -> Object:
    target = rollout(FULL, name="once-1-1")
    kube.create(target).raise_for_status()
    return target


def test_table_names_every_field_that_can_change() -> None:
    fields = set(crd.root_schema(ModelRollout)["properties"]["spec"]["properties"])
    assert set(CHANGED) == fields - {"intent"}


@pytest.mark.parametrize(("field", "value"), CHANGED.items(), ids=CHANGED)
def test_field_is_immutable(kube: Kube, written: Object, field: str, value: Any) -> None:
    answer = kube.patch(written, {"spec": {field: value}})
    assert answer.status_code == 422
    assert (f"spec.{field}", True) in [
        (where, "cannot be changed once it is set" in message) for where, message in causes(answer)
    ]


def test_optional_field_can_be_neither_removed_nor_added(kube: Kube, written: Object) -> None:
    assert kube.patch(written, {"spec": {"from": None}}).status_code == 422
    first = rollout(name="once-2-1")
    kube.create(first).raise_for_status()
    assert kube.patch(first, {"spec": {"from": END}}).status_code == 422


@pytest.fixture(scope="module")
def guarded(installed: Kube) -> Kube:
    """The client, once the admission policy is in force."""
    probe = rollout(intent("somebody-else")["spec"], name="probe-1-1")
    wait_until(lambda: installed.create(probe, dry_run=True, user="ada").status_code == 403)
    return installed


@pytest.mark.parametrize(
    ("before", "change", "user", "status", "words"),
    [
        pytest.param(None, intent("ada"), "ada", 200, "", id="own name"),
        pytest.param(None, intent("bob"), "ada", 403, "must be ada, who makes this request, not bob", id="forged"),
        pytest.param(
            intent("bob"), intent("bob", action="Abort"), "ada", 403, "must be ada", id="changed under a name"
        ),
        pytest.param(intent("bob"), intent("ada", action="Abort"), "ada", 200, "", id="overridden in one's own name"),
        pytest.param(intent("bob"), {"spec": {"intent": None}}, "ada", 403, "part of the audit trail", id="removed"),
        pytest.param(intent("bob"), {"metadata": {"labels": {"a": "b"}}}, "ada", 200, "", id="untouched"),
    ],
)
def test_intent_is_written_in_ones_own_name(
    guarded: Kube,
    request: pytest.FixtureRequest,
    before: Object | None,
    change: Object,
    user: str,
    status: int,
    words: str,
) -> None:
    name = request.node.callspec.id.replace(" ", "-").replace("'", "") + "-1-1"
    target = rollout(name=name)
    guarded.create(target).raise_for_status()
    if before is not None:
        guarded.patch(target, before, user=before["spec"]["intent"]["requestedBy"]).raise_for_status()
    answer = guarded.patch(target, change, user=user)
    assert answer.status_code == status, answer.text
    assert words in answer.text


def test_rollout_is_not_born_with_a_forged_intent(guarded: Kube) -> None:
    target = rollout(intent("bob")["spec"], name="born-1-1")
    assert guarded.create(target, user="ada").status_code == 403
    assert guarded.create(target, user="bob").status_code == 201


def test_status_is_written_while_an_intent_stands(guarded: Kube) -> None:
    target = rollout(intent("bob")["spec"], name="standing-1-1")
    guarded.create(target, user="bob").raise_for_status()
    answer = guarded.patch(target, {"status": {"weight": 5}}, subresource="/status", user="operator")
    assert answer.status_code == 200, answer.text
