"""A candidate answers a labelled data set before it gets a pod or a request, whatever the strategy."""

from copy import deepcopy
from dataclasses import replace
from typing import Any, Final

import pytest

from sluice_core.api.config import RoutingMode
from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.decide import decide, prepare
from sluice_core.decide.prepare import Findings
from sluice_core.kernel import naming
from sluice_core.kernel.plan import Apply, Plan
from sluice_core.kernel.snapshot import Snapshot
from sluice_core.parsing.worlds import parsed
from sluice_core.render.jobs import validationjob
from tests.simulation import test_by_service, test_kills, test_strategies
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster, OperatorKilled
from tests.support.simulated.controllers import Behaviour
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import V1, V2, WRONG

LABELLED: Final[dict[str, Any]] = {"uri": "s3://data/labelled.parquet", "format": "Parquet"}
V7: Final = "s3://models/digits/7"
FEW: Final = 100
"""Too few rows for a conclusion."""


def validated(way: dict[str, Any] | None = None, *, shards: int = 1, **objective: str) -> dict[str, Any]:
    """spec.rollout with a validation. way: the strategy."""
    batch = {
        "input": LABELLED,
        "labels": "label",
        "shards": shards,
        "objective": objective or {"maximum": "10%", "relativeTolerance": "50%"},
    }
    return {**(way or test_strategies.CANARY), "validation": {"batch": batch}}


def serving(rollout: dict[str, Any], **settings: Any) -> Cluster:
    return scenarios.serving_cluster(spec={"rollout": rollout}, **settings)


def release(cluster: Cluster, uri: str, rollout: dict[str, Any]) -> None:
    cluster.user_applies(scenarios.manifest(uri, rollout=rollout))


def names(cluster: Cluster, kind: str) -> list[str]:
    return [name for k, name in cluster.objects if k == kind]


class NeverServed:
    """No revision but the stable one ever has a pod, a Service or a place in a route."""

    def __init__(self, cluster: Cluster) -> None:
        self.stable, self.laws = cluster.newest().spec.target.revision, Laws(cluster)

    def check(self, plan: Plan) -> None:
        self.laws.check(plan)
        for write in plan.writes:
            if isinstance(write, Apply) and write.manifest["kind"] in ("Deployment", "Service", "HTTPRoute"):
                labels = write.manifest["metadata"]["labels"]
                assert labels.get(naming.LABEL_REVISION, self.stable) == self.stable, write
                if write.manifest["kind"] == "HTTPRoute":
                    backends = write.manifest["spec"]["rules"][0]["backendRefs"]
                    assert {backend["name"] for backend in backends} == {self.stable}
                if write.manifest["kind"] == "Deployment":
                    assert write.manifest["spec"]["replicas"] > 0, "stable is stopped for nothing"


@pytest.mark.parametrize("name", test_strategies.STRATEGIES)
def test_a_candidate_that_is_worse_offline_is_never_given_anything(name: str) -> None:
    rollout = validated(test_strategies.STRATEGIES[name])
    cluster = serving(rollout)
    never = NeverServed(cluster)
    release(cluster, WRONG, rollout)
    cluster.run(60, check=never.check)
    newest = cluster.newest()
    assert (newest.status.outcome, newest.status.reason) == (Outcome.ROLLED_BACK, "ValidationFailed")
    assert "1200 of 2000 rows wrong (60.0%), stable 100 of 2000 (5.0%)" in newest.status.message
    assert cluster.sent.keys() == {never.stable}
    assert not cluster.mirrored
    assert not cluster.previewed
    assert cluster.lost == 0
    assert names(cluster, "Job") == [], "its Jobs go with it"
    assert cluster.condition("Current")["reason"] == "RolledBack"
    assert [entry.what for entry in newest.status.timeline] == ["Validating", "RolledBack"]
    writes = len(cluster.writes)
    cluster.run(60, check=never.check)
    assert len(cluster.writes) == writes


@pytest.mark.parametrize("name", test_strategies.STRATEGIES)
def test_one_that_passes_is_released_as_ever(name: str) -> None:
    rollout = validated(test_strategies.STRATEGIES[name], shards=3)
    cluster = serving(rollout)
    stable = cluster.newest().spec.target.revision
    never = NeverServed(cluster)
    release(cluster, V2, rollout)
    cluster.run(60, check=never.check, until=lambda: len(cluster.scored) == 1)
    cluster.run(60, check=Laws(cluster).check, until=lambda: len(cluster.scored) == 2)
    candidate = cluster.newest().spec.target.revision
    assert cluster.scored == [candidate, stable], "one after the other"
    if name == "shadow":
        test_strategies.until_reason(cluster, "PausedAtStep")
        cluster.asks("Resume")
    test_strategies.until_end(cluster)
    newest = cluster.newest()
    assert newest.status.outcome is Outcome.PROMOTED, newest.status.message
    assert [entry.what for entry in newest.status.timeline][:2] == ["Validating", "Validated"]
    assert newest.status.validation is not None
    assert [(score.rows, score.bad) for score in newest.status.validation.scores] == [(1998, 39), (1998, 99)]
    assert cluster.lost == 0 or name == "recreate"


def test_the_counts_are_written_before_the_weight_moves() -> None:
    rollout = validated(maximum="10%")
    cluster = serving(rollout)
    release(cluster, V2, rollout)
    cluster.run(120, until=lambda: cluster.newest().status.step > 0)
    kinds = [
        "passed" if write.manifest.get("status", {}).get("validation", {}).get("passed") else write.manifest["kind"]
        for write in cluster.writes
        if not hasattr(write, "ref")
    ]
    candidate = cluster.newest().spec.target.revision
    first_pod = next(
        index
        for index, write in enumerate(w for w in cluster.writes if not hasattr(w, "ref"))
        if (write.manifest["kind"], write.manifest["metadata"]["name"]) == ("Deployment", candidate)
    )
    assert kinds.index("passed") < first_pod


def test_a_maximum_alone_asks_nothing_of_the_stable_version() -> None:
    rollout = validated(maximum="10%")
    cluster = serving(rollout)
    release(cluster, V2, rollout)
    cluster.run(30)
    assert cluster.scored == [cluster.newest().spec.target.revision]
    assert "s3://data/labelled.parquet: candidate 40 of 2000 rows wrong (2.0%)" in message_of(cluster, "Validated")


def message_of(cluster: Cluster, what: str) -> str:
    return next(entry.why for entry in cluster.newest().status.timeline if entry.what == what)


def test_stables_counts_are_kept_while_revision_and_data_stay() -> None:
    rollout = validated()
    cluster = serving(rollout)
    stable = cluster.newest().spec.target.revision
    release(cluster, WRONG, rollout)
    cluster.run(30)
    release(cluster, V7, rollout)
    cluster.run(30)
    assert cluster.scored.count(stable) == 1
    assert cluster.newest().status.validation.scores[1].revision == stable  # type: ignore[union-attr]
    other = deepcopy(rollout)
    other["validation"]["batch"]["input"]["uri"] = "s3://data/other.parquet"
    release(cluster, "s3://models/digits/8", other)
    cluster.run(30)
    assert cluster.scored.count(stable) == 2


def test_more_rows_under_the_same_uri_are_asked_of_stable_again() -> None:
    rollout = validated()
    cluster = serving(rollout)
    stable = cluster.newest().spec.target.revision
    release(cluster, WRONG, rollout)
    cluster.run(30)
    cluster.labelled_rows = 3000
    release(cluster, V2, rollout)
    cluster.run(30)
    assert cluster.scored.count(stable) == 2
    assert "stable 150 of 3000" in message_of(cluster, "Validated")


def test_a_promoted_candidates_counts_are_those_of_stable() -> None:
    rollout = validated()
    cluster = serving(rollout)
    release(cluster, V2, rollout)
    test_strategies.until_end(cluster)
    stable = cluster.newest().spec.target.revision
    release(cluster, WRONG, rollout)
    cluster.run(30)
    assert cluster.scored.count(stable) == 1
    assert "stable 40 of 2000 (2.0%)" in cluster.newest().status.message


def test_too_few_rows_wait_for_a_person() -> None:
    rollout = validated()
    cluster = serving(rollout, labelled_rows=FEW)
    never = NeverServed(cluster)
    release(cluster, V2, rollout)
    cluster.run(300, check=never.check)
    newest = cluster.newest()
    assert (newest.status.outcome, newest.status.reason) == (None, "ValidationInconclusive")
    assert "too few rows to tell whether it is good enough; about" in newest.status.message
    assert cluster.condition("Stalled")["reason"] == "ValidationInconclusive"
    assert [event.warning for event in cluster.events if event.reason == "ValidationInconclusive"] == [True]
    writes = len(cluster.writes)
    cluster.run(60, check=never.check)
    assert len(cluster.writes) == writes, "at rest"


def test_a_person_may_skip_it_and_that_is_noted() -> None:
    rollout = validated()
    cluster = serving(rollout, labelled_rows=FEW)
    release(cluster, V2, rollout)
    test_strategies.until_reason(cluster, "ValidationInconclusive")
    cluster.asks("SkipStep", by="bob", note="known to be good")
    cluster.run(60, check=Laws(cluster).check, until=lambda: cluster.newest().status.permille > 0)
    newest = cluster.newest()
    assert newest.status.permille > 0
    said = {entry.what: (entry.actor, entry.why) for entry in newest.status.timeline}
    assert said["SkipStep"][0] == "bob"
    assert said["SkippedByPerson"][1].startswith("validation skipped by bob (known to be good); it gets ")
    assert names(cluster, "Job") == []


def test_promoting_leaves_it_out_and_says_so() -> None:
    rollout = validated()
    cluster = serving(rollout, job_seconds=1e6)
    release(cluster, V2, rollout)
    cluster.run(5)
    cluster.asks("Promote", by="bob")
    test_strategies.until_end(cluster)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert message_of(cluster, "PromotedByPerson") == "promoted without validation by bob"


def test_a_job_that_fails_gives_no_traffic_and_runs_again_when_a_person_says_so() -> None:
    rollout = validated()
    cluster = serving(rollout)
    cluster.job_failures[V2] = "MissingColumn: there is no column label; columns: image, digit"
    never = NeverServed(cluster)
    release(cluster, V2, rollout)
    cluster.run(120, check=never.check)
    newest = cluster.newest()
    assert (newest.status.outcome, newest.status.reason) == (None, "ValidationError")
    assert "there is no column label" in newest.status.message
    assert cluster.condition("Stalled")["reason"] == "ValidationError"
    assert len(names(cluster, "Job")) == 1, "for its logs"
    cluster.job_failures.clear()
    cluster.asks("Retry", by="bob")
    cluster.run(30, check=Laws(cluster).check)
    assert [e.what for e in newest_timeline(cluster)] == [
        "Validating",
        "ValidationError",
        "Retry",
        "Validating",
        "Validated",
    ]
    assert cluster.newest().status.observed_intent.result == ("the labelled data is scored again")  # type: ignore[union-attr]
    test_strategies.until_end(cluster)
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def newest_timeline(cluster: Cluster) -> list[Any]:
    return [e for e in cluster.newest().status.timeline if not e.what.startswith("Weight")]


def test_counts_that_are_lost_with_their_pod_are_an_error() -> None:
    rollout = validated(shards=2)
    cluster = serving(rollout)
    release(cluster, V2, rollout)
    cluster.run(2)
    cluster.tick(3)
    (lost,) = [name for kind, name in cluster.objects if kind == "Pod" and name.endswith("-1-x")]
    del cluster.objects["Pod", lost]
    cluster.run(10, check=NeverServed(cluster).check)
    assert cluster.newest().status.reason == "ValidationError"
    assert "shard 1 left no counts of right and wrong answers" in cluster.newest().status.message


def test_a_shard_that_was_counted_stays_counted_without_its_pod() -> None:
    rollout = validated(shards=2, maximum="10%")
    cluster = serving(rollout)
    release(cluster, V2, rollout)
    cluster.run(2)
    (job,) = [cluster.objects["Job", name] for name in names(cluster, "Job")]
    cluster.tick(3)
    late = {
        key: cluster.objects.pop(key) for key in list(cluster.objects) if key[0] == "Pod" and key[1].endswith("-1-x")
    }
    job["status"] = {"active": 1}
    cluster.run(3)
    assert cluster.newest().status.reason == "Validating"
    assert "1 of 2 shards" in cluster.newest().status.message
    cluster.objects = {key: object_ for key, object_ in cluster.objects.items() if key[0] != "Pod"} | late
    job = cluster.objects["Job", job["metadata"]["name"]]
    job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
    cluster.run(3)
    assert "40 of 2000 rows wrong" in message_of(cluster, "Validated")


def test_superseding_and_aborting_take_the_jobs_away() -> None:
    rollout = validated()
    cluster = serving(rollout, job_seconds=1e6)
    release(cluster, V2, rollout)
    cluster.run(5)
    (first,) = names(cluster, "Job")
    release(cluster, V7, rollout)
    cluster.run(5)
    (second,) = names(cluster, "Job")
    assert first != second
    cluster.asks("Abort")
    cluster.run(5)
    assert names(cluster, "Job") == []
    assert [r.status.outcome for r in cluster.rollouts()][1:] == [Outcome.SUPERSEDED, Outcome.ABORTED]


def test_a_pause_holds_what_follows_and_not_what_speaks_against_it() -> None:
    rollout = validated()
    cluster = serving(rollout)
    release(cluster, V2, rollout)
    cluster.run(1)
    cluster.asks("Pause")
    cluster.run(60, check=NeverServed(cluster).check)
    assert cluster.newest().status.reason == "Paused"
    cluster.asks("Resume")
    cluster.run(10)
    assert cluster.newest().status.validation.passed  # type: ignore[union-attr]
    release(cluster, WRONG, rollout)
    cluster.run(1)
    cluster.asks("Pause")
    cluster.run(60)
    assert cluster.newest().status.reason == "ValidationFailed"


def test_neither_the_first_version_nor_a_rollback_is_validated() -> None:
    rollout = validated()
    cluster = serving(rollout)
    first = cluster.newest()
    assert first.spec.validation is None
    release(cluster, V2, rollout)
    test_strategies.until_end(cluster)
    cluster.asks("Rollback")
    cluster.run(5)
    assert cluster.newest().spec.rollback
    assert cluster.newest().spec.validation is None


@pytest.mark.parametrize(
    ("on_deadline", "outcome"), [("Hold", None), ("Promote", None), ("RollBack", Outcome.ROLLED_BACK)]
)
def test_a_deadline_never_lets_it_through(on_deadline: str, outcome: Outcome | None) -> None:
    rollout = {**validated(), "onDeadline": on_deadline, "progressDeadlineSeconds": 60}
    cluster = serving(rollout, labelled_rows=FEW)
    release(cluster, V2, rollout)
    cluster.run(120, check=NeverServed(cluster).check)
    assert cluster.newest().status.outcome is outcome
    assert "too few rows" in cluster.newest().status.message


def test_pods_of_an_earlier_attempt_end_before_it_is_scored_again() -> None:
    cluster = serving(test_strategies.CANARY)
    release(cluster, V2, test_strategies.CANARY)
    cluster.run(120, until=lambda: cluster.newest().status.permille > 0)
    candidate = cluster.newest().spec.target.revision
    cluster.asks("Abort")
    cluster.run(5)
    cluster.asks("Retry")
    rollout = validated()
    cluster.job_seconds = 100
    release(cluster, V2, rollout)
    cluster.run(80, check=Laws(cluster).check)
    assert cluster.newest().status.reason == "Validating"
    assert ("Deployment", candidate) not in cluster.objects
    test_strategies.until_end(cluster)
    assert cluster.newest().status.outcome is Outcome.PROMOTED


@pytest.mark.parametrize("resource", ["jobs", "pods"])
def test_nothing_passes_unseen(resource: str) -> None:
    rollout = validated()
    cluster = serving(rollout)
    release(cluster, V2, rollout)
    cluster.run(1)
    snapshot = parsed(replace(cluster.world("digits"), forbidden=(resource,)))
    assert isinstance(snapshot, Snapshot)
    assert f"may not list {resource}" in decide.decide(prepare.prepare(snapshot), Findings()).because


RELEASES: Final = {
    "canary": (V2, validated(test_kills.CANARY), Outcome.PROMOTED),
    "canary-bad": (WRONG, validated(test_kills.CANARY), Outcome.ROLLED_BACK),
    "recreate": (V2, validated(test_strategies.RECREATE), Outcome.PROMOTED),
    "recreate-bad": (WRONG, validated(test_strategies.RECREATE), Outcome.ROLLED_BACK),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RELEASES)
def test_operator_killed_between_any_two_writes(name: str) -> None:
    uri, rollout, outcome = RELEASES[name]
    before = test_kills.serving()
    before.behaviours |= {V1: Behaviour(wrong=0.05), V2: Behaviour(wrong=0.02)}
    release(before, uri, rollout)
    undisturbed = deepcopy(before)
    test_kills.finish(undisturbed, Laws(undisturbed))
    assert undisturbed.newest().status.outcome is outcome, undisturbed.newest().status.message
    for kill_after in range(len(undisturbed.writes) - len(before.writes)):
        cluster = deepcopy(before)
        cluster.kill_after = kill_after
        laws = NeverServed(cluster) if outcome is Outcome.ROLLED_BACK else Laws(cluster)
        try:
            test_kills.finish(cluster, laws)  # type: ignore[arg-type]
        except OperatorKilled:
            for _ in range(test_kills.AWAY_SECONDS):
                cluster.tick()
            test_kills.finish(cluster, laws)  # type: ignore[arg-type]
        assert test_kills.ending(cluster) == test_kills.ending(undisturbed), kill_after
        if outcome is Outcome.ROLLED_BACK:
            assert cluster.lost == 0


def ended(cluster: Cluster, *, said: str = "", **condition: str) -> str:
    """The candidate's Job ends like this, its pod with these words; the release's message then."""
    (job,) = [cluster.objects["Job", name] for name in names(cluster, "Job")]
    for key in [key for key in cluster.objects if key[0] == "Pod"]:
        (status,) = cluster.objects[key]["status"]["containerStatuses"]
        status["state"]["terminated"]["message"] = said
    job["status"] = {"conditions": [{"status": "True", **condition}]}
    cluster.run(2, check=NeverServed(cluster).check)
    assert cluster.newest().status.reason == "ValidationError"
    return cluster.newest().status.message


def test_a_job_that_takes_too_long_says_what_to_allow() -> None:
    rollout = validated()
    cluster = serving(rollout, job_seconds=1e6)
    release(cluster, V2, rollout)
    cluster.run(2)
    assert "longer than validation.deadlineSeconds, 3600 s" in ended(cluster, type="Failed", reason="DeadlineExceeded")


@pytest.mark.parametrize(
    "said",
    [
        "",
        "not JSON",
        '{"shard": 0, "read": 2000, "written": 2000, "failed": 0}',  # a runner that compared nothing
        '{"shard": 0, "read": 10, "written": 0, "failed": 4, "wrong": 7}',
        '{"shard": 0, "read": 10, "written": 0, "failed": 4, "wrong": -1}',
    ],
)
def test_a_report_without_counts_is_none(said: str) -> None:
    rollout = validated()
    cluster = serving(rollout)
    release(cluster, V2, rollout)
    cluster.run(2)
    cluster.tick(3)
    assert "shard 0 left no counts of right and wrong answers" in ended(cluster, said=said, type="Complete")


def test_a_job_is_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = []
    render = validationjob.desired_job

    def counted(*given: Any) -> dict[str, Any]:
        job = render(*given)
        rendered.append(job["metadata"]["name"])
        return job

    monkeypatch.setattr(validationjob, "desired_job", counted)
    rollout = validated()
    cluster = serving(rollout)
    release(cluster, V2, rollout)
    cluster.run(
        60, until=lambda: bool(cluster.newest().status.validation and cluster.newest().status.validation.passed)
    )
    assert len(cluster.scored) == len(rendered) == len(set(rendered)) == 2


def test_a_server_that_cannot_be_asked_is_an_error() -> None:
    rollout = validated()
    cluster = serving(rollout)
    silent = deepcopy(cluster.shared["ServingRuntime", "triton"])
    silent["spec"] |= {"protocols": ["Native"], "formats": [{"name": "pytorch", "priority": 1}]}
    cluster.shared["ServingRuntime", "triton"] = silent
    asked = scenarios.manifest(V2, rollout=rollout)
    asked["spec"]["model"]["format"] = "pytorch"
    cluster.user_applies(asked)
    cluster.run(5, check=NeverServed(cluster).check)
    assert cluster.newest().status.reason == "ValidationError"
    assert "speaks neither V2 nor V1" in cluster.newest().status.message


@pytest.mark.parametrize("capacity", ["Auto", "ShrinkStable", "Recreate"])
def test_no_device_is_asked_for_before_it_has_passed(capacity: str) -> None:
    rollout = {**validated(), "capacity": capacity}
    devices = {"accelerator": {"resource": "nvidia.com/gpu"}}
    cluster = scenarios.serving_cluster(spec={"rollout": rollout, **devices})
    cluster.user_applies(scenarios.manifest(V2, rollout=rollout, **devices))
    cluster.run(2, check=NeverServed(cluster).check)
    assert cluster.newest().status.reason == "Validating"
    snapshot = cluster.snapshot()
    assert isinstance(snapshot, Snapshot)
    assert prepare.prepare(snapshot).inquiry.devices is None
    cluster.run(
        30, until=lambda: bool(cluster.newest().status.validation and cluster.newest().status.validation.passed)
    )
    snapshot = cluster.snapshot()
    assert isinstance(snapshot, Snapshot)
    assert prepare.prepare(snapshot).inquiry.devices is not None


def test_pods_that_share_requests_by_themselves_are_not_there_before() -> None:
    """Without a gateway a ready pod gets requests, whatever its weight."""
    rollout = {**test_by_service.STEPS, "validation": validated()["validation"]}
    settings: dict[str, Any] = {"policy_changes": test_by_service.QUERY, "routing": RoutingMode.SERVICE}
    cluster = scenarios.serving_cluster(spec={"replicas": 4, "rollout": rollout}, **settings)
    stable = cluster.newest().spec.target.revision
    cluster.user_applies(scenarios.manifest(WRONG, replicas=4, rollout=rollout))
    cluster.run(60)
    assert cluster.newest().status.reason == "ValidationFailed"
    assert cluster.sent.keys() == {stable}
    cluster.user_applies(scenarios.manifest(V2, replicas=4, rollout=rollout))
    cluster.run(900, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert cluster.lost == 0
