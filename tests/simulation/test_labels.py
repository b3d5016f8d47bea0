"""A user removes the labels of a release: it continues, and gets them back."""

from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.kernel import naming
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import FAILING, V2


def stripped(cluster: Cluster, number: int, *, owners: bool) -> dict[str, Any]:
    """The metadata of the n-th release, without labels, and as it was."""
    rollout = cluster.objects["ModelRollout", cluster.rollouts()[number].metadata.name]
    before = {key: rollout["metadata"][key] for key in ("labels", "ownerReferences")}
    rollout["metadata"].pop("labels")
    if owners:
        rollout["metadata"].pop("ownerReferences")
    return before


@pytest.mark.parametrize("owners", [False, True], ids=["labels", "and owners"])
@pytest.mark.parametrize(("uri", "outcome"), [(V2, Outcome.PROMOTED), (FAILING, Outcome.ROLLED_BACK)])
def test_a_running_release_keeps_its_outcome(uri: str, outcome: Outcome, *, owners: bool) -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(uri))
    cluster.run(20, check=Laws(cluster).check)
    name, before = cluster.newest().metadata.name, stripped(cluster, 1, owners=owners)
    cluster.run(2, check=Laws(cluster).check)
    assert {key: cluster.objects["ModelRollout", name]["metadata"][key] for key in before} == before
    cluster.run(900, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    assert [each.status.outcome for each in cluster.rollouts()] == [Outcome.PROMOTED, outcome]
    assert cluster.newest().metadata.name == name
    assert cluster.lost == 0


def test_what_has_ended_is_known_and_has_them_again_too() -> None:
    cluster = scenarios.serving_cluster()
    before = stripped(cluster, 0, owners=False)
    cluster.run(2)
    assert cluster.rollouts()[0].metadata.labels == before["labels"]
    writes = len(cluster.writes)
    cluster.run(30)
    assert len(cluster.writes) == writes


def test_a_pinned_version_has_its_labels_again() -> None:
    cluster = scenarios.serving_cluster()
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(20, check=Laws(cluster).check)
    pinned = cluster.of_kind("ControllerRevision")
    before = [dict(each["metadata"]["labels"]) for each in pinned]
    for each in pinned:
        del each["metadata"]["labels"][naming.LABEL_REVISION], each["metadata"]["labels"][naming.LABEL_MANAGED_BY]
    cluster.run(2, check=Laws(cluster).check)
    assert [each["metadata"]["labels"] for each in cluster.of_kind("ControllerRevision")] == before
    assert len(before) == 2
