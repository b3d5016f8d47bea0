"""Releases whose versions are compared by what they answer; the bins are the answers that a client calls right or wrong."""

from typing import Any, Final

from sluice.api.v1alpha1.modelrollout import Outcome
from tests.simulation.test_releases import release
from tests.support import scenarios
from tests.support.cluster import Cluster
from tests.support.laws import Laws
from tests.support.scenarios import V2, WRONG

ANSWERS: Final[dict[str, Any]] = {
    "name": "answers",
    "distribution": {"bins": 'feedback_total{revision="{{revision}}"}', "label": "correct", "ignoreBelow": "10%"},
}


def serving() -> Cluster:
    return scenarios.serving_cluster(policy_changes={"objectives": [*scenarios.OBJECTIVES[:2], ANSWERS]})


def test_a_version_that_answers_something_else_is_rolled_back_with_the_bin() -> None:
    cluster = serving()
    stable = cluster.newest().spec.target.revision
    release(cluster, WRONG)
    rollout = cluster.newest()

    assert rollout.status.outcome is Outcome.ROLLED_BACK
    assert rollout.status.message.startswith("answers: candidate ")
    assert " in rare bins (" in rollout.status.message or " in bin true (" in rollout.status.message
    assert cluster.weights()[stable] == 1000
    assert cluster.sent[rollout.spec.target.revision] <= 200


def test_a_version_that_answers_alike_is_promoted_and_the_bake_says_what_it_does_not_watch() -> None:
    cluster = serving()
    release(cluster, V2)
    rollout = cluster.newest()
    [answers] = [found for found in rollout.status.objectives if found.name == "answers"]

    assert rollout.status.outcome is Outcome.PROMOTED
    assert answers.message == (
        "answers: not watched during the bake, since shares can only be compared with the stable version's"
    )
    assert answers.boundary_millis is None
    cluster.run(90, check=Laws(cluster).check)
