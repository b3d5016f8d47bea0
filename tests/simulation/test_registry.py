"""A model that follows an alias of a registry: moving the alias starts a release, and nothing else does."""

from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.kernel import naming
from sluice_core.kernel.resolutions import Resolved
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster, OperatorKilled
from tests.support.simulated.controllers import Behaviour
from tests.support.simulated.laws import Laws
from tests.support.simulated.twins import made_once

CHAMPION = "models:/digits@champion"
BRANCH = "hf://acme/digits@stable"
BEHAVIOURS = {f"models:/digits/{number}": Behaviour(wrong=0.02) for number in range(1, 8)}
BAD = {"models:/digits/7": Behaviour(error=0.3)}


@made_once
def following(uri: str = CHAMPION, number: int = 1, **settings: Any) -> Cluster:
    """A cluster whose model serves the version behind an alias."""
    cluster = scenarios.empty_cluster(**settings)
    cluster.behaviours |= BEHAVIOURS | BAD
    cluster.moves(uri, number)
    cluster.user_applies(scenarios.manifest(uri))
    cluster.run(60, check=Laws(cluster).check)
    return cluster


def serves(cluster: Cluster) -> str:
    stable = cluster.status()["stable"]["revision"]
    return str(cluster.objects["ControllerRevision", stable]["data"]["uri"])


def released(cluster: Cluster, seconds: float = 3000) -> None:
    """Runs until the release that the registry has requested is over."""
    cluster.run(40, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is None)
    cluster.run(seconds, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    cluster.run(5)


def test_an_alias_is_resolved_pinned_and_served() -> None:
    cluster = following()
    assert serves(cluster) == "models:/digits/1"
    pinned = cluster.objects["ControllerRevision", cluster.status()["stable"]["revision"]]["data"]
    assert pinned["modelVersion"] == "1"
    assert pinned["resolved"] == {
        "uri": CHAMPION,
        "pinned": "models:/digits/1",
        "version": "1",
        "source": "s3://mlflow/digits/1/artifacts",
        "digest": f"sha256:{'a' * 64}",
    }
    fetching = pinned["template"]["spec"]["initContainers"][0]["args"]
    assert fetching[fetching.index("--uri") + 1] == "s3://mlflow/digits/1/artifacts"
    said = cluster.condition("Resolved")
    assert (said["status"], said["reason"]) == ("True", "Following")
    assert cluster.status()["resolved"]["version"] == "1"


def test_the_resolver_has_no_account_and_the_namespaces_secret() -> None:
    pod = following().objects["Deployment", "digits-resolver"]["spec"]["template"]
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in pod["spec"]
    [container] = pod["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"name": "registry", "secret": {"secretName": "sluice-registry", "optional": True}} in pod["spec"]["volumes"]
    # No selector of the model's pods finds it.
    assert pod["metadata"]["labels"][naming.LABEL_OWNER] == "digits.resolver"
    assert naming.LABEL_REVISION not in pod["metadata"]["labels"]


def test_nothing_is_written_at_rest() -> None:
    cluster = following()
    before = len(cluster.writes)
    cluster.run(120)
    assert cluster.writes[before:] == []


def test_moving_the_alias_is_a_release_within_35_seconds() -> None:
    cluster = following()
    cluster.moves(CHAMPION, 2)
    taken = cluster.run(35, check=Laws(cluster).check, until=lambda: len(cluster.rollouts()) == 2)
    assert taken <= 35
    assert cluster.newest().spec.target.uri == "models:/digits/2"
    released(cluster)
    assert (cluster.newest().status.outcome, serves(cluster)) == (Outcome.PROMOTED, "models:/digits/2")
    assert cluster.lost == 0


def test_a_version_that_was_rolled_back_waits_for_the_alias_or_a_person() -> None:
    cluster = following()
    cluster.moves(CHAMPION, 7)
    released(cluster)
    assert (cluster.newest().status.outcome, serves(cluster)) == (Outcome.ROLLED_BACK, "models:/digits/1")
    tried = len(cluster.rollouts())
    cluster.run(60)  # its pods drain
    before = len(cluster.writes)
    cluster.run(300)
    assert (len(cluster.rollouts()), cluster.writes[before:]) == (tried, [])
    assert cluster.condition("Current")["reason"] == "RolledBack"
    cluster.asks("Retry")
    cluster.run(30)
    assert cluster.newest().spec.target.uri == "models:/digits/7"
    assert cluster.newest().spec.attempt == 2
    released(cluster)
    cluster.moves(CHAMPION, 2)
    cluster.run(35)
    released(cluster)
    assert serves(cluster) == "models:/digits/2"


def test_an_outcome_is_reported_once_and_the_alias_is_not_touched() -> None:
    cluster = following()
    cluster.moves(CHAMPION, 2)
    released(cluster)
    cluster.moves(CHAMPION, 7)
    released(cluster)
    cluster.run(120, check=Laws(cluster).check)
    names = [rollout.metadata.name for rollout in cluster.rollouts()]
    assert cluster.tag_writes == names
    assert [rollout.status.reported for rollout in cluster.rollouts()] == [True, True, True]
    assert cluster.tags["models:/digits/2"]["sluice.outcome"] == "Promoted"
    told = cluster.tags["models:/digits/7"]
    newest = cluster.newest()
    assert told == {
        "sluice.outcome": "RolledBack",
        "sluice.release": f"default/{newest.metadata.name}",
        "sluice.time": newest.status.end_time,
        "sluice.evidence": f"{newest.status.reason}: {newest.status.message}",
    }
    assert list(told)[-1] == "sluice.outcome"
    before = len(cluster.writes)
    cluster.run(300)
    assert (cluster.writes[before:], cluster.tag_writes) == ([], names)


def test_refused_tags_are_sent_again_and_reported() -> None:
    cluster = following()
    cluster.refuses_tags = True
    cluster.moves(CHAMPION, 2)
    released(cluster)
    cluster.run(60, check=Laws(cluster).check)
    assert "models:/digits/2" not in cluster.tags
    said = cluster.condition("Resolved")
    assert said["status"] == "True"
    assert f"how {cluster.newest().metadata.name} ended is not in the registry yet" in said["message"]
    assert cluster.condition("Ready")["status"] == "True"
    cluster.refuses_tags = False
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.tags["models:/digits/2"]["sluice.outcome"] == "Promoted"
    assert "not in the registry" not in cluster.condition("Resolved")["message"]


def test_a_report_is_repeated_unchanged_after_a_crash() -> None:
    cluster = following()
    cluster.moves(CHAMPION, 2)
    released(cluster)
    cluster.run(30)
    before = dict(cluster.tags["models:/digits/2"])
    cluster.newest_rollout_object()["status"].pop("reported")
    cluster.came.clear()
    cluster._rests.clear()
    cluster.run(30, check=Laws(cluster).check)
    assert cluster.tags["models:/digits/2"] == before
    assert cluster.newest().status.reported


def test_the_last_of_several_releases_of_a_version_is_reported() -> None:
    cluster = following()
    cluster.resolver_up = True
    cluster.refuses_tags = True
    cluster.moves(CHAMPION, 7)
    released(cluster)
    cluster.behaviours["models:/digits/7"] = Behaviour(wrong=0.02)
    cluster.asks("Retry")
    cluster.run(30)
    cluster.refuses_tags = False
    cluster.run(3000, check=Laws(cluster).check, until=lambda: cluster.newest().status.reported)
    cluster.run(60)
    assert cluster.newest().spec.attempt == 2
    assert cluster.tags["models:/digits/7"]["sluice.outcome"] == "Promoted"
    assert cluster.tag_writes.count(cluster.rollouts()[1].metadata.name) == 0


def test_a_version_that_a_person_went_back_from_was_rolled_back() -> None:
    cluster = following()
    cluster.moves(CHAMPION, 2)
    released(cluster)
    cluster.run(120)
    assert cluster.tags["models:/digits/2"]["sluice.outcome"] == "Promoted"
    forth = cluster.newest().metadata.name
    cluster.asks("Rollback")
    cluster.run(600, check=Laws(cluster).check, until=lambda: bool(cluster.newest().status.reported))
    back = cluster.newest()
    assert (back.spec.rollback, serves(cluster)) == (True, "models:/digits/1")
    assert cluster.tags["models:/digits/1"]["sluice.outcome"] == "Promoted"
    assert cluster.tags["models:/digits/2"] == {
        "sluice.release": f"default/{back.metadata.name}",
        "sluice.time": back.status.end_time,
        "sluice.evidence": "went back to models:/digits/1: a person asked for it",
        "sluice.outcome": "RolledBack",
    }
    before = list(cluster.tag_writes)
    cluster.objects["ModelRollout", forth]["status"]["reported"] = False  # as if a backup had lost it
    cluster.run(180)
    assert cluster.tag_writes == before
    cluster.moves(CHAMPION, 1)
    cluster.run(60)
    cluster.moves(CHAMPION, 2)  # it moved: released again
    released(cluster)
    assert serves(cluster) == "models:/digits/2"
    cluster.run(60)
    assert cluster.tags["models:/digits/2"]["sluice.outcome"] == "Promoted"


def test_an_ab_test_says_nothing_of_its_control() -> None:
    cluster = following()
    told = dict(cluster.tags["models:/digits/1"])
    arms = [{"name": "b", "weight": 30, "model": {"uri": "s3://models/digits/7"}}]
    test = {"arms": arms, "metric": "accuracy", "onWinner": "Report"}
    cluster.user_applies(scenarios.manifest(CHAMPION, rollout={"strategy": "ABTest", "abTest": test}))
    cluster.run(
        900,
        check=Laws(cluster).check,
        until=lambda: cluster.newest().spec.ab_test is not None and cluster.newest().status.outcome is not None,
    )
    assert cluster.newest().spec.ab_test is not None
    assert cluster.newest().status.outcome is not None
    cluster.run(60)
    assert cluster.tags == {"models:/digits/1": told}


def test_an_alias_that_moves_back_withdraws_what_failed_and_releases_nothing() -> None:
    cluster = following()
    cluster.moves(CHAMPION, 7)
    released(cluster)
    tried = len(cluster.rollouts())
    cluster.moves(CHAMPION, 1)
    cluster.run(60, check=Laws(cluster).check)
    assert (len(cluster.rollouts()), serves(cluster)) == (tried, "models:/digits/1")
    assert cluster.condition("Current")["status"] == "True"
    cluster.moves(CHAMPION, 7)  # it moved: tried again
    cluster.run(35)
    assert len(cluster.rollouts()) == tried + 1


def test_an_alias_that_moves_in_the_middle_of_a_release_supersedes_it() -> None:
    cluster = following()
    cluster.moves(CHAMPION, 2)
    cluster.run(40, check=Laws(cluster).check)
    cluster.moves(CHAMPION, 3)
    cluster.run(40, check=Laws(cluster).check)
    second, third = cluster.rollouts()[-2:]
    assert (second.status.outcome, third.spec.target.uri) == (Outcome.SUPERSEDED, "models:/digits/3")
    released(cluster)
    assert (serves(cluster), cluster.lost) == ("models:/digits/3", 0)


def test_the_version_by_number_is_the_same_as_by_its_alias() -> None:
    cluster = following()
    pinned = "models:/digits/1"
    cluster.moves(pinned, 1)
    cluster.user_applies(scenarios.manifest(pinned))
    cluster.run(60, check=Laws(cluster).check)
    assert len(cluster.rollouts()) == 1
    cluster.moves(CHAMPION, 2)
    cluster.run(60)
    assert len(cluster.rollouts()) == 1


def test_another_version_of_the_same_number_is_another_one() -> None:
    """The registered model was deleted and recreated."""
    cluster = following()
    cluster.moves(CHAMPION, 1, digest="b")
    cluster.run(40)
    assert len(cluster.rollouts()) == 2


@pytest.mark.parametrize("away", ["vanished", "silent"])
def test_the_serving_version_stays_while_the_alias_is_unknown(away: str) -> None:
    cluster = following()
    if away == "vanished":
        del cluster.registry[CHAMPION]
    else:
        cluster.resolver_up = False
    before = len(cluster.writes)
    cluster.run(120, check=Laws(cluster).check)
    assert (len(cluster.rollouts()), serves(cluster), cluster.lost) == (1, "models:/digits/1", 0)
    assert cluster.condition("Ready")["status"] == "True"
    assert cluster.condition("Current")["status"] == "True"
    said = cluster.condition("Resolved")
    if away == "vanished":
        assert (said["status"], said["reason"]) == ("False", "NotInRegistry")
        assert "version 1 stays asked for" in said["message"]
        assert len(cluster.writes) == before + 1
    else:
        assert cluster.writes[before:] == []


def test_a_first_version_missing_in_the_registry_is_reported() -> None:
    cluster = scenarios.make_cluster(CHAMPION)
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.rollouts() == []
    assert cluster.condition("Ready")["reason"] == "NotInRegistry"
    assert cluster.condition("Stalled")["status"] == "False"
    before = len(cluster.writes)
    cluster.heard.clear()  # the operator restarts, and knows nothing yet
    cluster.resolver_up = False
    cluster.run(30)
    assert cluster.writes[before:] == []
    cluster.moves(CHAMPION, 1)
    cluster.resolver_up = True
    cluster.run(60)
    assert serves(cluster) == "models:/digits/1"


def test_an_operator_that_begins_anew_changes_nothing() -> None:
    cluster = following()
    cluster.resolver_up = False
    cluster.heard.clear()
    cluster.remembered.clear()
    cluster._rests.clear()
    before = len(cluster.writes)
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.writes[before:] == []


@pytest.mark.parametrize("after", range(8))
def test_killed_between_any_two_writes_the_release_of_a_moved_alias_begins_once(after: int) -> None:
    cluster = following()
    cluster.moves(CHAMPION, 2)
    cluster.kill_after = after
    for _ in range(2):
        try:
            cluster.run(60, check=Laws(cluster).check)
        except OperatorKilled:
            continue
    assert [rollout.spec.target.uri for rollout in cluster.rollouts()] == ["models:/digits/1", "models:/digits/2"]
    released(cluster)
    assert (cluster.newest().status.outcome, len(cluster.rollouts())) == (Outcome.PROMOTED, 2)


def test_a_backup_without_statuses_is_restored_as_it_was() -> None:
    cluster = following()
    for object_ in cluster.of_kind("ModelDeployment"):
        object_.pop("status", None)
    cluster.heard.clear()
    cluster._rests.clear()
    cluster.run(60, check=Laws(cluster).check)
    assert (len(cluster.rollouts()), serves(cluster), cluster.lost) == (1, "models:/digits/1", 0)


def branch(commit: str) -> Resolved:
    pinned = f"{BRANCH.partition('@')[0]}@{commit * 40}"
    return Resolved(BRANCH, pinned, commit * 40, pinned, commit * 40)


def test_a_branch_is_followed_where_the_spec_says_so_and_pinned_by_commit() -> None:
    cluster = scenarios.empty_cluster()
    cluster.registry[BRANCH] = branch("a")
    manifest = scenarios.manifest(BRANCH)
    manifest["spec"]["model"]["follow"] = True
    cluster.user_applies(manifest)
    cluster.run(60, check=Laws(cluster).check)
    assert serves(cluster) == f"hf://acme/digits@{'a' * 40}"
    assert cluster.status()["stable"]["modelVersion"] == "a" * 12
    cluster.registry[BRANCH] = branch("b")
    released(cluster)
    assert serves(cluster) == f"hf://acme/digits@{'b' * 40}"
    assert (cluster.lost, cluster.tag_writes) == (0, [])
    # The commit in the spec requests the version that serves.
    cluster.user_applies(scenarios.manifest(f"hf://acme/digits@{'b' * 40}"))
    cluster.run(60, check=Laws(cluster).check)
    assert len(cluster.rollouts()) == 2
    assert ("Deployment", "digits-resolver") not in cluster.objects


def test_a_branch_that_is_not_followed_stays_as_it_is() -> None:
    cluster = scenarios.make_cluster(BRANCH)
    cluster.registry[BRANCH] = branch("a")
    cluster.run(60)
    assert serves(cluster) == BRANCH
    assert ("Deployment", "digits-resolver") not in cluster.objects


def test_the_resolver_is_deleted_with_its_last_follower() -> None:
    cluster = following()
    cluster.user_applies(scenarios.manifest(scenarios.V2))
    cluster.run(30, check=Laws(cluster).check)
    assert ("Deployment", "digits-resolver") not in cluster.objects
    assert "resolved" not in cluster.status()
    assert "Resolved" not in [each["type"] for each in cluster.status()["conditions"]]


def test_one_of_many_models_keeps_the_resolver() -> None:
    cluster = following()
    cluster.user_applies(scenarios.manifest(CHAMPION, name="other"))
    for _ in range(60):
        cluster.run(1)
        cluster.run(0.5, name="other")
    kept = [name for kind, name in cluster.objects if kind == "Deployment" and name.endswith("-resolver")]
    assert kept == ["digits-resolver"]
    assert cluster.status("other")["stable"]["modelVersion"] == "1"


def test_an_artifact_that_no_pod_fetches_is_not_released() -> None:
    cluster = following()
    assert cluster.status()["resolved"]["source"].startswith("s3://")
    cluster.status()["resolved"]["source"] = "pvc://secrets/of-others"
    cluster.heard.clear()
    cluster.resolver_up = False
    cluster._rests.clear()
    cluster.run(30, check=Laws(cluster).check)
    assert (len(cluster.rollouts()), serves(cluster)) == (1, "models:/digits/1")
    assert cluster.condition("Ready")["status"] == "True"
