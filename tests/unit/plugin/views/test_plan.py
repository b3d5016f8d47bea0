"""What applying would do: the operator's own decision, asked about a world of what if."""

import dataclasses
from typing import Any

import pytest

from kubectl_sluice.views import plan
from kubectl_sluice.views.plan import PlanView
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment, ModelDeploymentSpec
from sluice_core.decide import prepare
from sluice_core.decide.prepare import Replies
from sluice_core.kernel.snapshot import Snapshot
from sluice_core.parsing import worlds
from sluice_core.situation import devices
from sluice_core.situation.devices import Devices
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster

GPU: dict[str, Any] = {"accelerator": {"resource": "nvidia.com/gpu"}}


@pytest.fixture(scope="module")
def serving() -> Cluster:
    """A first version with two minutes of traffic; nothing here changes it."""
    return scenarios.serving_cluster(warm_seconds=120)


def planned(cluster: Cluster, manifest: dict[str, Any], free: Devices | None = None) -> PlanView:
    today = cluster.objects.get(("ModelDeployment", manifest["metadata"]["name"]))
    world = dataclasses.replace(cluster.world("digits"), deployment=plan.as_applied(manifest, today))
    snapshot = worlds.parsed(world)
    assert isinstance(snapshot, Snapshot)
    found = plan.prospect(snapshot)
    prepared = prepare.of(found.situation)
    replies = Replies(metrics=cluster.answer(prepared.inquiry.metrics), devices=free)
    findings = prepare.read(prepared, replies)
    return plan.plan_view(found, findings, today=ModelDeployment.model_validate(today) if today else None)


def test_a_new_model_is_a_release_with_requests_and_time(serving: Cluster) -> None:
    view = planned(serving, scenarios.manifest(scenarios.V2))
    assert view.summary == "s3://models/digits/1 -> s3://models/digits/2 would be released by Canary"
    assert (view.releases, view.new_revision, view.serves) == (True, True, False)
    assert view.changes == ("spec.model.uri: s3://models/digits/1 -> s3://models/digits/2",)
    assert [step.gets for step in view.steps] == ["5 %", "25 %", "50 %", "100 %"]
    proofs = [step.planned_requests or 0 for step in view.steps[:-1]]
    assert min(proofs) > 100
    assert view.requests == sum(proofs)
    assert view.seconds == sum(step.planned_seconds or 0 for step in view.steps[:-1])
    assert view.requests_per_second == pytest.approx(100, rel=0.1)
    assert not view.late
    assert not view.downtime
    assert view.accelerators is None


def test_planning_changes_nothing(serving: Cluster) -> None:
    before = len(serving.writes)
    first = planned(serving, scenarios.manifest(scenarios.V2))
    assert planned(serving, scenarios.manifest(scenarios.V2)) == first
    assert len(serving.writes) == before


@pytest.mark.parametrize(
    ("manifest", "summary", "problem"),
    [
        (scenarios.manifest(scenarios.V1), "nothing would change", ""),
        (scenarios.manifest(scenarios.V1, replicas=3), "no release: no pod would change", ""),
        (
            scenarios.manifest(scenarios.V2, rollout={"policyRef": {"name": "x"}}),
            "nothing would be released",
            "PolicyNotFound: spec.rollout.policyRef",
        ),
        (
            scenarios.manifest(scenarios.V2, runtime={"name": "nope"}),
            "nothing would be released",
            "RuntimeNotFound: spec.runtime.name",
        ),
    ],
)
def test_what_is_no_release(serving: Cluster, manifest: dict[str, Any], summary: str, problem: str) -> None:
    view = planned(serving, manifest)
    assert not view.releases
    assert view.summary.startswith(summary)
    assert view.problem.startswith(problem)
    assert bool(view.problem) is bool(problem)


def test_the_first_version_serves_as_soon_as_it_is_ready() -> None:
    view = planned(scenarios.make_cluster(), scenarios.manifest(scenarios.V1))
    assert view.summary == "the first version, s3://models/digits/1, would serve as soon as it is ready"
    assert (view.steps, view.bake_seconds, view.requests_per_second) == ((), 0, None)


def test_recreate_says_its_downtime(serving: Cluster) -> None:
    view = planned(serving, scenarios.manifest(scenarios.V2, rollout={"strategy": "Recreate"}))
    assert "does not answer from when the pods of" in view.downtime
    assert "the last version took 4s to become ready" in view.downtime
    assert "given up after 10m" in view.downtime


@pytest.mark.parametrize(
    ("capacity", "free", "extra", "said"),
    [
        ("Auto", (4,), 2, "2 more nvidia.com/gpu at the most (Surge); 4 free on 1 node"),
        ("Auto", (1,), 1, "1 more nvidia.com/gpu at the most (ShrinkStable); 1 free on 1 node"),
        ("Surge", (0,), 2, "2 more nvidia.com/gpu at the most (Surge); 0 free on 1 node"),
        ("ShrinkStable", (4,), 1, "(ShrinkStable)"),
        ("Recreate", (0,), 0, "0 more nvidia.com/gpu at the most (Recreate)"),
    ],
)
def test_devices(serving: Cluster, capacity: str, free: tuple[int, ...], extra: int, said: str) -> None:
    manifest = scenarios.manifest(scenarios.V2, replicas=2, rollout={"capacity": capacity}, **GPU)
    view = planned(serving, manifest, Devices(free_by_node=free))
    assert view.accelerators is not None
    assert (view.accelerators.extra, view.accelerators.free) == (extra, sum(free))
    assert said in view.accelerators.message


def test_a_validation_is_told_and_hides_no_devices(serving: Cluster) -> None:
    objective = {"maximum": "10%", "relativeTolerance": "25%"}
    batch = {"input": {"uri": "s3://data/x", "format": "CSV"}, "labels": "digit", "objective": objective}
    rollout = {"validation": {"batch": batch}}
    asked = scenarios.manifest(scenarios.V2, replicas=2, rollout=rollout, **GPU)
    view = planned(serving, asked, Devices(free_by_node=(4,)))
    assert view.validation == (
        "before any pod or request, a Job compares its answers to s3://data/x with column digit: at most 10% wrong; "
        "no more than 25% worse than stable's on the same rows"
    )
    assert view.accelerators is not None
    assert view.accelerators.extra == 2
    assert not planned(serving, scenarios.manifest(scenarios.V2)).validation


def test_devices_that_may_not_be_counted(serving: Cluster) -> None:
    view = planned(serving, scenarios.manifest(scenarios.V2, **GPU), devices.Devices(unknown="no permission"))
    assert view.accelerators is not None
    assert view.accelerators.free is None
    assert "free devices cannot be counted: no permission" in view.accelerators.message


def test_claimed_devices_are_named_and_not_counted(serving: Cluster) -> None:
    claims = {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gpu"}]}
    view = planned(serving, scenarios.manifest(scenarios.V2, **claims))
    assert view.accelerators is not None
    assert (view.accelerators.resource, view.accelerators.free) == ("", None)
    assert "(gpu) cannot be counted" in view.accelerators.message
    both = planned(serving, scenarios.manifest(scenarios.V2, **claims, **GPU), Devices(free_by_node=(4,)))
    assert both.accelerators is not None
    assert both.accelerators.free == 4
    assert "(gpu) cannot be counted" in both.accelerators.message


def test_without_prometheus_the_steps_are_there_but_not_their_needs(serving: Cluster) -> None:
    serving.prometheus_up = False
    try:
        view = planned(serving, scenarios.manifest(scenarios.V2))
    finally:
        serving.prometheus_up = True
    assert [step.gets for step in view.steps] == ["5 %", "25 %", "50 %", "100 %"]
    assert (view.requests, view.seconds, view.late) == (None, None, True)
    assert "Prometheus does not answer" in view.forecast


def test_a_running_release_would_be_superseded() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(scenarios.V2))
    cluster.run(20)
    assert planned(cluster, scenarios.manifest(scenarios.V2)).summary.endswith("-1 would continue unchanged")
    view = planned(cluster, scenarios.manifest("s3://models/digits/9"))
    assert view.releases
    assert "would end Superseded" in view.superseded


def test_changes_name_paths_and_both_values() -> None:
    before = ModelDeploymentSpec.model_validate({"model": {"format": "onnx", "uri": "s3://models/a"}})
    after = ModelDeploymentSpec.model_validate(
        {"model": {"format": "onnx", "uri": "s3://models/b"}, "nodeSelector": {"zone": "a"}}
    )
    assert plan.changes(before, after) == (
        "spec.model.uri: s3://models/a -> s3://models/b",
        "spec.nodeSelector.zone: unset -> a",
    )


def test_arms_that_change_are_told_one_by_one() -> None:
    def spec(*arms: tuple[str, str, int]) -> ModelDeploymentSpec:
        listed = [{"name": name, "weight": weight, "model": {"uri": uri}} for name, uri, weight in arms]
        wanted = {"strategy": "ABTest", "abTest": {"arms": listed, "metric": "errors"}} if arms else {}
        return ModelDeploymentSpec.model_validate(scenarios.manifest(scenarios.V1, rollout=wanted)["spec"])

    begun = plan.changes(spec(), spec(("a", "s3://m/2", 20)))
    assert "spec.rollout.abTest.arms[a].model.uri: unset -> s3://m/2" in begun
    assert not any("{" in line for line in begun)
    assert plan.changes(spec(("a", "s3://m/2", 20)), spec(("a", "s3://m/2", 30), ("b", "s3://m/3", 10))) == (
        "spec.rollout.abTest.arms[a].weight: 20 -> 30",
        "spec.rollout.abTest.arms[b].model.uri: unset -> s3://m/3",
        "spec.rollout.abTest.arms[b].weight: unset -> 10",
    )
