"""From raw objects to a Snapshot."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from sluice_core.api.config import AddressGrant, OperatorConfig
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicy
from sluice_core.api.v1alpha1.servingruntime import ServingRuntime
from sluice_core.kernel.snapshot import Paths, Problem, Revision, Snapshot, World
from sluice_core.parsing import batchsnapshot, endpoints, ownkinds, revisionpods, worlds
from sluice_core.parsing.worlds import InvalidSpec
from sluice_core.render import budget, common, workload
from sluice_core.render.traffic import route, service
from sluice_judge.schema.model import ApiModel
from tests.support.cases import builders, moments

DEPLOYMENT = builders.make_model_deployment()
STABLE = builders.make_revision(number=1)
CANDIDATE = builders.make_revision(uri="s3://models/digits/2", number=2)
(HTTP_ROUTE,) = route.desired_routes(
    DEPLOYMENT, builders.CONFIG, Paths(((STABLE.name, 950), (CANDIDATE.name, 50))), grpc=frozenset()
)


def snapshot_of(world: World) -> Snapshot:
    snapshot = worlds.parsed(world)
    assert isinstance(snapshot, Snapshot)
    return snapshot


def running(revision: Revision, replicas: int, ready: int, drain_until: float | None = None) -> dict[str, Any]:
    wanted = workload.desired_deployment(revision, replicas, DEPLOYMENT, drain_until)
    return {**wanted, "status": {"readyReplicas": ready} if ready else {}}


def pinned(revision: Revision) -> dict[str, Any]:
    return workload.desired_controller_revision(revision, DEPLOYMENT)


def test_a_new_model_has_nothing_yet() -> None:
    snapshot = snapshot_of(builders.make_world())
    assert (snapshot.name, snapshot.namespace, snapshot.now) == ("digits", "ml", builders.NOW)
    assert (snapshot.revisions, snapshot.rollouts, snapshot.route) == ((), (), None)
    assert [runtime.metadata.name for runtime in snapshot.runtimes] == ["triton"]
    assert [policy.metadata.name for policy in snapshot.policies] == ["default"]
    assert (snapshot.gateway_exists, snapshot.gateway_message) == (True, "")
    assert (snapshot.hostnames, snapshot.hostname_taken) == (("digits.ml.models.local",), None)


def test_revisions_come_by_number_with_what_runs_of_them() -> None:
    owned = [
        pinned(CANDIDATE),
        pinned(STABLE),
        running(STABLE, 3, 2),
        running(CANDIDATE, 1, 0, drain_until=builders.NOW + 30),
        builders.make_endpoint_slice(STABLE, ready=2, not_ready=1),
        builders.make_pod(STABLE, index=1, created=builders.NOW - 50),
        builders.make_pod(STABLE, index=0, created=builders.NOW - 90),
        builders.make_pod(CANDIDATE, ready=False, restarts=2),
    ]
    stable, candidate = snapshot_of(builders.make_world(owned=owned)).revisions
    assert (stable.name, stable.number, stable.template) == (STABLE.name, 1, STABLE.template)
    assert (stable.replicas, stable.ready_replicas, stable.ready_endpoints) == (3, 2, 2)
    assert [pod.name[-1] for pod in stable.pods] == ["0", "1"]
    assert stable.problem is None
    assert (candidate.replicas, candidate.ready_replicas, candidate.ready_endpoints) == (1, 0, 0)
    assert (candidate.pods[0].restarts, candidate.pods[0].ready) == (2, False)
    assert candidate.drain_until == builders.NOW + 30
    assert isinstance(candidate.problem, Problem)


@pytest.mark.parametrize(
    ("scheduled", "ready", "want"),
    [
        pytest.param(("True", -100), ("True", -40), 60, id="it is ready"),
        pytest.param(("True", -100), ("False", -40), None, id="it is not ready"),
        pytest.param(("True", None), ("True", -40), None, id="nobody says when it was scheduled"),
        pytest.param(("False", -100), ("False", -100), None, id="it is not scheduled"),
    ],
)
def test_a_pod_tells_how_long_it_took(
    scheduled: tuple[str, float | None], ready: tuple[str, float | None], want: float | None
) -> None:
    conditions = [
        {"type": type_, "status": status, **({} if then is None else {"lastTransitionTime": moments.at(then)})}
        for type_, (status, then) in (("PodScheduled", scheduled), ("Ready", ready))
    ]
    pod = builders.make_pod(STABLE, status={"conditions": conditions})
    (revision,) = snapshot_of(builders.make_world(owned=[pinned(STABLE), pod])).revisions
    assert revision.pods[0].load_seconds == want
    assert revision.pods[0].ready_since == (builders.NOW - 40 if ready[0] == "True" else None)


@pytest.mark.parametrize(
    ("state", "want"),
    [
        ({"running": {"startedAt": moments.at(-30)}}, builders.NOW - 30),
        ({"waiting": {"reason": "PodInitializing"}}, None),
        ({}, None),
    ],
)
def test_a_pod_tells_since_when_its_server_runs(state: dict[str, Any], want: float | None) -> None:
    pod = builders.make_pod(STABLE, server={"state": state})
    (revision,) = snapshot_of(builders.make_world(owned=[pinned(STABLE), pod])).revisions
    assert revision.pods[0].server_since == want


def test_a_revision_without_a_deployment_runs_nothing() -> None:
    (revision,) = snapshot_of(builders.make_world(owned=[pinned(STABLE)])).revisions
    assert revision == STABLE


def renamed(raw: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    return {**raw, "metadata": {**raw["metadata"], **metadata}}


@pytest.mark.parametrize("broken", [ServingRuntime, RolloutPolicy, ModelDeployment])
def test_a_defect_that_somebody_elses_object_meets_is_not_ours(
    broken: type[ApiModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever our own reading of it raises: a runtime or policy counts as absent, a rival takes no host name."""
    reading = broken.model_validate

    def defect(raw: Any) -> ApiModel:
        if raw["metadata"]["name"] == "odd":
            raise RecursionError
        return reading(raw)

    older = {"name": "odd", "uid": "odd", "creationTimestamp": "2020-01-01T00:00:00Z"}
    others = {
        "runtimes": builders.make_runtime(),
        "policies": builders.make_policy(),
        "rivals": rival(name="odd", namespace="ml", age=10),
    }
    odd: dict[str, Any] = {name: [renamed(builders.manifest(one), older)] for name, one in others.items()}
    monkeypatch.setattr(broken, "model_validate", defect)
    snapshot = snapshot_of(builders.make_world(**odd))
    seen = {
        ServingRuntime: snapshot.runtimes == (),
        RolloutPolicy: snapshot.policies == (),
        ModelDeployment: snapshot.hostname_taken is None,
    }
    assert [kind for kind, absent in seen.items() if absent] == [broken]


def test_an_object_that_the_store_could_not_read_is_named() -> None:
    stub = {key: value for key, value in pinned(STABLE).items() if key in ("apiVersion", "kind", "metadata")}
    seen = worlds.parsed(builders.make_world(owned=[pinned(CANDIDATE), {**stub, "unreadable": "too deep"}]))
    assert seen == InvalidSpec(f"ControllerRevision {STABLE.name}", "too deep", "correct or delete this object")


def test_what_the_store_could_not_read_of_us_is_told() -> None:
    world = builders.make_world(deployment={**builders.manifest(DEPLOYMENT), "unreadable": "too deep"})
    assert worlds.parsed(world) == InvalidSpec("spec", "too deep")
    batch = {"kind": "BatchInference", "metadata": {"name": "churn", "namespace": "shop"}}
    assert batchsnapshot.parsed_batch({**batch, "unreadable": "too deep"}) == InvalidSpec("spec", "too deep")


def test_a_foreign_controller_revision_counts_as_absent() -> None:
    foreign = {**pinned(STABLE), "data": {"spec": {}}}
    assert snapshot_of(builders.make_world(owned=[foreign])).revisions == ()


def endpoint(name: str, **conditions: bool | None) -> dict[str, Any]:
    return {"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": name}, "conditions": conditions}


@pytest.mark.parametrize(
    ("found", "want"),
    [
        ([], 0),
        (None, 0),
        ([endpoint("a", ready=True)], 1),
        ([endpoint("a")], 1),
        ([endpoint("a", ready=None)], 1),
        ([endpoint("a", ready=False)], 0),
        ([endpoint("a", ready=True, terminating=True)], 0),
        ([endpoint("a", ready=False, serving=True, terminating=True)], 0),
        ([endpoint("a", ready=True), endpoint("b", ready=True), endpoint("a", ready=True)], 2),
    ],
    ids=str,
)
def test_endpoints_that_take_requests_are_counted_once(found: list[Any] | None, want: int) -> None:
    slice_ = {**builders.make_endpoint_slice(STABLE), "endpoints": found}
    assert len(endpoints.ready([slice_], STABLE.name)) == want
    assert not endpoints.ready([slice_], CANDIDATE.name)


def test_a_dual_stack_pod_counts_once() -> None:
    slices = [
        builders.make_endpoint_slice(STABLE, ready=2),
        {**builders.make_endpoint_slice(STABLE, ready=2), "addressType": "IPv6"},
    ]
    assert len(endpoints.ready(slices, STABLE.name)) == 2


def test_endpoints_of_a_service_beside_the_main_one_do_not_count() -> None:
    apart = builders.make_endpoint_slice(STABLE, ready=3)
    apart["metadata"]["labels"]["kubernetes.io/service-name"] = f"{STABLE.name}-mirror"
    owned = [pinned(STABLE), builders.make_endpoint_slice(STABLE, ready=1), apart]
    (revision,) = snapshot_of(builders.make_world(owned=owned)).revisions
    assert revision.ready_endpoints == 1


def test_the_grpc_port_is_the_pinned_one() -> None:
    speaking = builders.make_revision(runtime=builders.make_runtime(grpc_port=8001))
    owned = [pinned(speaking), HTTP_ROUTE]
    (revision,) = snapshot_of(builders.make_world(owned=owned, runtimes=[])).revisions
    assert revision.grpc_port == 8001


def test_pods_that_are_over_hide_behind_living_ones() -> None:
    over = builders.make_pod(STABLE, index=0, ready=False, status={"phase": "Failed", "reason": "Evicted"})
    alive = builders.make_pod(STABLE, index=1)
    assert [pod.problem for pod in revisionpods.observed_pods([over, alive], STABLE.name, builders.NOW)] == [None]
    (pod,) = revisionpods.observed_pods([over], STABLE.name, builders.NOW)
    assert pod.problem is not None
    assert pod.problem.reason == "Evicted"


def test_a_pod_that_goes_away_has_no_problem() -> None:
    pod = builders.make_pod(STABLE, ready=False, restarts=9, terminating=True)
    (observed,) = revisionpods.observed_pods([pod], STABLE.name, builders.NOW)
    assert (observed.terminating, observed.problem) == (True, None)


PROGRAMMED = builders.make_route_status(HTTP_ROUTE)
OTHER_PARENT = {
    **PROGRAMMED["status"]["parents"][0],
    "parentRef": {"name": "models", "namespace": "elsewhere"},
}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (PROGRAMMED, ""),
        (HTTP_ROUTE, "Gateway gateway/models has not answered yet; is its controller running?"),
        ({**PROGRAMMED, "status": {"parents": [OTHER_PARENT]}}, "Gateway gateway/models has not answered yet; is its controller running?"),
        (builders.make_route_status(HTTP_ROUTE, generation=0), "Gateway gateway/models: Accepted is not known yet; is its controller running?"),
        (builders.make_route_status(HTTP_ROUTE, accepted=False), "Gateway gateway/models: Accepted is False: NotAccepted"),
        (builders.make_route_status(HTTP_ROUTE, resolved=False), "Gateway gateway/models: ResolvedRefs is False: NotResolvedRefs"),
    ],
    ids=["programmed", "no answer", "another gateway", "older generation", "refused", "unresolved"],
)  # fmt: skip
def test_a_route_counts_once_the_gateway_uses_it(raw: dict[str, Any], message: str) -> None:
    observed = snapshot_of(builders.make_world(owned=[raw])).route
    assert observed is not None
    assert observed.weights == ((STABLE.name, 950), (CANDIDATE.name, 50))
    assert observed.programmed is (not message)
    assert observed.message == message
    assert observed.answered is ("not known" not in message and "not answered" not in message)


def test_one_of_two_controllers_is_enough() -> None:
    refused = builders.make_route_status(HTTP_ROUTE, accepted=False)["status"]["parents"]
    raw = {**PROGRAMMED, "status": {"parents": refused + PROGRAMMED["status"]["parents"]}}
    observed = snapshot_of(builders.make_world(owned=[raw])).route
    assert observed is not None
    assert observed.programmed


@pytest.mark.parametrize(
    ("gateways", "exists", "message"),
    [
        ([builders.make_gateway()], True, ""),
        ([builders.make_gateway(name="other")], False, "Gateway gateway/models does not exist; create it"),
        ([builders.make_gateway(namespace="other")], False, "Gateway gateway/models does not exist; create it"),
        ([builders.make_gateway(programmed=False)], True, "Programmed is False: AddressNotAssigned: no address"),
        ([{**builders.make_gateway(), "status": {}}], True, "Programmed is not known yet; is its controller running?"),
    ],
)
def test_a_gateway_must_exist_and_be_programmed(gateways: list[Any], exists: bool, message: str) -> None:
    snapshot = snapshot_of(builders.make_world(gateways=gateways))
    assert snapshot.gateway_exists is exists
    assert message in snapshot.gateway_message
    assert bool(snapshot.gateway_message) is bool(message)


def rival(*, name: str, namespace: str, age: float, hostnames: list[str] | None = None) -> Any:
    spec = {"routing": {"hostnames": hostnames or ["digits.ml.models.local"]}}
    created = builders.NOW - 3600 - age
    return builders.make_model_deployment(name=name, namespace=namespace, created=created, spec=spec)


@pytest.mark.parametrize(
    ("rivals", "taken"),
    [
        ([], None),
        ([rival(name="a", namespace="x", age=10)], "x/a"),
        ([rival(name="a", namespace="x", age=-10)], None),
        ([rival(name="a", namespace="x", age=10, hostnames=["other.example.com"])], None),
        ([rival(name="a", namespace="x", age=10), rival(name="b", namespace="x", age=20)], "x/b"),
        ([rival(name="a", namespace="x", age=10, hostnames=["preview-digits.ml.models.local"])], "x/a"),
        ([rival(name="a", namespace="x", age=10, hostnames=["grpc-preview-digits.ml.models.local"])], "x/a"),
        ([rival(name="a", namespace="x", age=10, hostnames=["preview-grpc-digits.ml.models.local"])], None),
        ([rival(name="z", namespace="aa", age=0)], "aa/z"),
        ([rival(name="a", namespace="zz", age=0)], None),
        ([rival(name="a", namespace="ml", age=0)], "ml/a"),
        ([{"metadata": {"name": "broken"}, "spec": {}}], None),
    ],
)
def test_the_older_one_keeps_a_host_name(rivals: list[Any], taken: str | None) -> None:
    assert snapshot_of(builders.make_world(rivals=rivals)).hostname_taken == taken


STRICT = OperatorConfig()
ALLOWED = OperatorConfig(allowed_addresses=[AddressGrant(namespaces=["x"], hostnames=["*.ml.models.local"])])
SQUATTER = rival(name="a", namespace="x", age=10)
NEIGHBOUR = rival(name="a", namespace="ml", age=10)


def route_of(model: ModelDeployment, *hostnames: str, **metadata: str) -> Any:
    owner = common.owner_reference(model)
    named = {"name": model.metadata.name, "namespace": model.metadata.namespace, "ownerReferences": [owner]}
    return {"kind": "HTTPRoute", "metadata": {**named, **metadata}, "spec": {"hostnames": list(hostnames)}}


@pytest.mark.parametrize(
    ("config", "older", "routes", "taken"),
    [
        pytest.param(STRICT, SQUATTER, [], None, id="who only asks for it"),
        pytest.param(STRICT, SQUATTER, [route_of(SQUATTER, "digits.ml.models.local")], "x/a", id="who serves there"),
        pytest.param(STRICT, SQUATTER, [route_of(SQUATTER, "b.x.models.local")], None, id="who serves elsewhere"),
        pytest.param(
            STRICT,
            SQUATTER,
            [route_of(SQUATTER, "digits.ml.models.local", namespace="y")],
            None,
            id="who has the name of somebody who serves there",
        ),
        pytest.param(
            STRICT,
            SQUATTER,
            [
                route_of(
                    builders.make_model_deployment(name="a", uid="uid-before"), "digits.ml.models.local", namespace="x"
                )
            ],
            None,
            id="whose predecessor served there",
        ),
        pytest.param(ALLOWED, SQUATTER, [], "x/a", id="who may have it"),
        pytest.param(STRICT, NEIGHBOUR, [], "ml/a", id="who is of the namespace"),
    ],
)
def test_a_host_name_is_taken_by_who_may_have_it_or_has_it_already(
    config: OperatorConfig, older: ModelDeployment, routes: list[Any], taken: str | None
) -> None:
    world = builders.make_world(config=config, rivals=[older], rival_routes=routes)
    assert snapshot_of(world).hostname_taken == taken


class Read(tuple[Any, ...]):
    """Counts how often it is gone through."""

    times = 0

    def __iter__(self) -> Iterator[Any]:
        type(self).times += 1
        return super().__iter__()


def test_the_routes_of_rivals_are_gone_through_once_however_many_rivals_there_are() -> None:
    rivals = [rival(name=f"m{number}", namespace="x", age=10 + number) for number in range(50)]
    routes = Read(route_of(each, "digits.ml.models.local") for each in rivals)
    world = replace(builders.make_world(config=STRICT, rivals=rivals), rival_routes=routes)
    assert snapshot_of(world).hostname_taken == "x/m49"
    assert Read.times == 1


def test_of_two_rivals_exactly_one_gives_way() -> None:
    one, other = (rival(name=name, namespace="ml", age=0) for name in ("a", "b"))
    first = snapshot_of(builders.make_world(deployment=one, rivals=[other])).hostname_taken
    second = snapshot_of(builders.make_world(deployment=other, rivals=[one])).hostname_taken
    assert (first, second) == (None, "ml/a")


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({}, "spec.model"),
        ({"model": {"format": "onnx", "uri": "no scheme"}}, "spec.model.uri"),
        ({"model": {"format": "onnx", "uri": "s3://b/m"}, "replicas": 0}, "spec.replicas"),
        ({"model": {"format": "onnx", "uri": "s3://b/m"}, "runtime": {"args": ["a", 7]}}, "spec.runtime.args[1]"),
    ],
)
def test_a_model_deployment_that_does_not_parse_names_its_field(spec: dict[str, Any], path: str) -> None:
    world = builders.make_world(deployment={**builders.manifest(DEPLOYMENT), "spec": spec})
    invalid = worlds.parsed(world)
    assert isinstance(invalid, InvalidSpec)
    assert invalid.path == path
    assert invalid.message


def test_a_status_of_another_version_is_dropped() -> None:
    raw = {**builders.manifest(DEPLOYMENT), "status": {"stable": 7}}
    assert snapshot_of(builders.make_world(deployment=raw)).deployment == DEPLOYMENT
    invalid = worlds.parsed(builders.make_world(deployment={**raw, "spec": {}}))
    assert isinstance(invalid, InvalidSpec)
    assert invalid.path == "spec.model"


def test_a_runtime_that_does_not_parse_counts_as_absent_and_of_a_policy_it_is_known_why() -> None:
    broken_runtime = {"kind": "ServingRuntime", "metadata": {"name": "old"}, "spec": {"formats": []}}
    broken_policy = {"kind": "RolloutPolicy", "metadata": {"name": "odd"}, "spec": {"bakeSeconds": "soon"}}
    stub = {"kind": "RolloutPolicy", "metadata": {"name": "deep"}, "unreadable": "nested more than 64 levels deep"}
    world = builders.make_world(runtimes=[broken_runtime, builders.make_runtime()], policies=[broken_policy, stub])
    snapshot = snapshot_of(world)
    assert [runtime.metadata.name for runtime in snapshot.runtimes] == ["triton"]
    assert snapshot.policies == ()
    assert snapshot.unreadable_policies["odd"].startswith("spec.bakeSeconds: Input should be a valid integer")
    assert snapshot.unreadable_policies["deep"] == "spec: nested more than 64 levels deep"


@pytest.mark.parametrize(
    ("broken", "path"),
    [
        ({"spec": {}}, "ModelRollout r: spec.modelDeployment"),
        ({"status": {"outcome": "Unheard"}}, "ModelRollout r: status.outcome"),
    ],
)
def test_a_rollout_that_cannot_be_read_stops_every_decision(broken: dict[str, Any], path: str) -> None:
    raw = {**builders.manifest(builders.make_rollout(target=CANDIDATE)), "metadata": {"name": "r"}, **broken}
    invalid = worlds.parsed(builders.make_world(owned=[builders.make_rollout(target=STABLE), raw]))
    assert isinstance(invalid, InvalidSpec)
    assert invalid.path == path


def test_a_rollout_of_the_previous_version_keeps_its_weight_and_loses_what_cannot_be_read() -> None:
    """Its steps had a percentage, which the new CRD prunes, and its objectives may have had other fields."""
    status = {
        "step": 2,
        "weight": 25,
        "steps": [{"startTime": "2026-11-25T10:00:00Z", "permille": "none"}],
        "objectives": [{"required": "perhaps"}],
        "readyTime": "2026-11-25T10:00:00Z",
    }
    raw = {**builders.manifest(builders.make_rollout(target=CANDIDATE)), "status": status}
    (rollout,) = snapshot_of(builders.make_world(owned=[raw])).rollouts
    assert (rollout.status.step, rollout.status.permille, rollout.status.weight) == (2, 250, 25)
    assert (rollout.status.steps, rollout.status.objectives) == ([], [])
    assert rollout.status.ready_time == "2026-11-25T10:00:00Z"


def test_rollouts_come_by_sequence_even_within_one_second() -> None:
    first, second, tenth = (builders.make_rollout(target=CANDIDATE, attempt=n, sequence=n) for n in (1, 2, 10))
    assert snapshot_of(builders.make_world(owned=[tenth, second, first])).rollouts == (first, second, tenth)


def test_children_of_an_earlier_namesake_are_not_ours() -> None:
    earlier = builders.make_model_deployment(uid="another-uid")
    left_over = workload.desired_controller_revision(STABLE, earlier)
    snapshot = snapshot_of(builders.make_world(owned=[left_over, budget.desired_budget(earlier)]))
    assert (snapshot.revisions, snapshot.objects) == ((), {})


def test_an_orphan_with_our_label_is_adopted() -> None:
    orphan = pinned(STABLE)
    del orphan["metadata"]["ownerReferences"]
    assert snapshot_of(builders.make_world(owned=[orphan])).revisions == (STABLE,)


def test_raw_children_are_kept_for_comparison() -> None:
    owned = [pinned(STABLE), running(STABLE, 1, 1), service.desired_service(STABLE, DEPLOYMENT), HTTP_ROUTE]
    objects = snapshot_of(builders.make_world(owned=owned)).objects
    assert objects["Deployment", STABLE.name] == owned[1]
    assert objects["Service", STABLE.name] == owned[2]
    assert objects["HTTPRoute", "digits"] == HTTP_ROUTE
    assert len(objects) == 4


@pytest.mark.parametrize(
    ("noted", "want"),
    [
        pytest.param("soon", None, id="broken"),
        pytest.param(moments.at(-5), -5, id="over"),
        pytest.param(moments.at(31), 31, id="as long as a drain lasts, and settling before it"),
        pytest.param(moments.at(60), None, id="longer: the clock was put back since"),
    ],
)
def test_a_drain_mark_that_cannot_be_ours_counts_as_none(noted: str, want: float | None) -> None:
    deployment = running(STABLE, 1, 1)
    deployment["metadata"] = {**deployment["metadata"], "annotations": {"sluice.dev/drain-until": noted}}
    (revision,) = snapshot_of(builders.make_world(owned=[pinned(STABLE), deployment])).revisions
    assert revision.drain_until == (None if want is None else builders.NOW + want)


def test_a_refused_pod_is_the_revisions_problem() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: small"}
    deployment = {**running(STABLE, 2, 1), "status": {"conditions": [failure]}}
    owned = [pinned(STABLE), deployment, builders.make_pod(STABLE)]
    (revision,) = snapshot_of(builders.make_world(owned=owned)).revisions
    assert len(revision.pods) == 2
    assert revision.problem is not None
    assert revision.problem.reason == "FailedCreate"


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        pytest.param(None, None, id="the object does not tell"),
        pytest.param([{"time": "2026-09-21T14:13:20Z", "fieldsV1": {"f:spec": {}}}], builders.NOW, id="one writer"),
        pytest.param(
            [
                {"time": "2026-09-21T14:13:10Z", "fieldsV1": {"f:spec": {}}},
                {"time": "2026-09-21T14:13:20Z", "fieldsV1": {"f:spec": {"f:model": {}}}},
                {"time": "2026-09-21T14:13:30Z", "fieldsV1": {"f:metadata": {}}},
                {"time": "2026-09-21T14:13:40Z", "fieldsV1": {"f:spec": {}}, "subresource": "scale"},
            ],
            builders.NOW,
            id="the last one to the spec",
        ),
        pytest.param([{"time": "soon", "fieldsV1": {"f:spec": {}}}], None, id="a moment that cannot be read"),
        pytest.param([{"fieldsV1": {"f:spec": {}}}], None, id="no moment"),
    ],
)
def test_when_the_spec_was_changed_last(fields: Any, want: float | None) -> None:
    raw = builders.manifest(DEPLOYMENT)
    raw["metadata"]["managedFields"] = fields
    assert ownkinds.asked_time(raw) == want


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        (None, None),
        ([{"manager": "sluice", "time": "2026-03-01T12:00:00Z", "fieldsV1": {"f:spec": {}}}], None),
        ([{"manager": "other", "subresource": "status", "time": "2026-03-01T12:00:00Z"}], None),
        ([{"manager": "sluice", "subresource": "status", "time": "2026-03-01T12:00:00Z"}], 1_772_366_400.0),
        ([{"manager": "sluice", "subresource": "status", "time": 7}], None),
        ([{"manager": "sluice", "subresource": "status"}], None),
    ],
)
def test_when_the_operator_wrote_the_status_last(fields: Any, want: float | None) -> None:
    raw = builders.manifest(DEPLOYMENT)
    raw["metadata"]["managedFields"] = fields
    assert ownkinds.written_time(raw) == want


def test_whatever_is_wrong_with_a_policy_is_said_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> RolloutPolicy:
        raise RuntimeError("odd")

    monkeypatch.setattr(RolloutPolicy, "model_validate", fails)
    policy = {"kind": "RolloutPolicy", "metadata": {"name": "odd"}}
    assert worlds.unreadable_policies([policy]) == {"odd": "spec: RuntimeError: odd"}
