"""Two writers on one object: the user's manifest and the operator's status never fight."""

from typing import Any

import pytest

from tests.support.cases.objects import deployment, rollout
from tests.support.live.kube import Kube, causes

Object = dict[str, Any]

CONDITION: Object = {"status": "True", "reason": "Fine", "message": "", "lastTransitionTime": "2026-03-01T12:00:00Z"}


def with_status(name: str, **status: Any) -> Object:
    return {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "status": status,
    }


def applied(kube: Kube, target: Object, *, manager: str, subresource: str = "") -> Object:
    answer = kube.apply(target, manager=manager, subresource=subresource)
    assert answer.is_success, answer.text
    result: Object = answer.json()
    return result


def test_applying_the_same_manifest_again_changes_nothing(kube: Kube) -> None:
    first = applied(kube, deployment(name="again"), manager="git")
    status = applied(kube, with_status("again", url="http://a"), manager="sluice", subresource="/status")
    again = applied(kube, deployment(name="again"), manager="git")
    assert again["metadata"]["generation"] == first["metadata"]["generation"]
    assert again["metadata"]["resourceVersion"] == status["metadata"]["resourceVersion"]
    assert again["status"] == {"observedGeneration": -1, "url": "http://a"}


def test_status_moves_neither_spec_nor_generation(kube: Kube) -> None:
    first = applied(kube, deployment(name="apart"), manager="git")
    both = {**deployment({"replicas": 7}, name="apart"), "status": {"url": "http://a"}}
    written = applied(kube, both, manager="sluice", subresource="/status")
    assert written["spec"] == first["spec"]
    assert written["metadata"]["generation"] == first["metadata"]["generation"]


def test_user_cannot_write_status_through_the_manifest(kube: Kube) -> None:
    stored = applied(kube, {**deployment(name="forged"), "status": {"url": "http://evil"}}, manager="git")
    assert stored["status"] == {"observedGeneration": -1}


def test_same_field_by_a_second_writer_is_a_conflict_that_names_the_first(kube: Kube) -> None:
    applied(kube, deployment({"replicas": 2}, name="clash"), manager="git")
    answer = kube.apply(deployment({"replicas": 3}, name="clash"), manager="somebody")
    assert answer.status_code == 409
    assert [(field, "git" in message) for field, message in causes(answer)] == [(".spec.replicas", True)]


@pytest.mark.parametrize("path", ["runtime.env", "rollout.objectives"])
def test_named_lists_merge_by_name(kube: Kube, path: str) -> None:
    outer, inner = path.split(".")
    name = f"merge-{inner}"
    items = [
        {"name": each} | ({"latency": {"relativeTolerance": "1%"}} if inner == "objectives" else {"value": "1"})
        for each in ("one", "two")
    ]
    for manager, item in zip(("git", "other"), items, strict=True):
        stored = applied(kube, deployment({outer: {inner: [item]}}, name=name), manager=manager)
    assert [item["name"] for item in stored["spec"][outer][inner]] == ["one", "two"]


def test_steps_belong_to_one_writer_as_a_whole(kube: Kube) -> None:
    def steps(*weights: int) -> Object:
        return deployment({"rollout": {"canary": {"steps": [{"weight": each} for each in weights]}}}, name="steps")

    applied(kube, steps(5, 100), manager="git")
    answer = kube.apply(steps(50, 100), manager="other")
    assert answer.status_code == 409
    assert [field for field, _ in causes(answer)] == [".spec.rollout.canary.steps"]


def test_conditions_of_two_writers_stand_side_by_side(kube: Kube) -> None:
    applied(kube, deployment(name="conditions"), manager="git")
    for manager, type_ in (("sluice", "Ready"), ("other", "Audited")):
        target = with_status("conditions", conditions=[{"type": type_, **CONDITION}])
        stored = applied(kube, target, manager=manager, subresource="/status")
    assert {each["type"] for each in stored["status"]["conditions"]} == {"Ready", "Audited"}


def test_removing_a_field_from_the_manifest_brings_its_default_back(kube: Kube) -> None:
    applied(kube, deployment({"replicas": 4}, name="default"), manager="git")
    assert applied(kube, deployment(name="default"), manager="git")["spec"]["replicas"] == 1


def test_state_of_the_judge_is_bounded(kube: Kube) -> None:
    target = rollout(name="state-1-1")
    kube.create(target).raise_for_status()
    assert kube.patch(target, {"status": {"state": "x" * 32_768}}, subresource="/status").status_code == 200
    answer = kube.patch(target, {"status": {"state": "x" * 32_769}}, subresource="/status")
    assert answer.status_code == 422
    assert "status.state" in [field for field, _ in causes(answer)]
