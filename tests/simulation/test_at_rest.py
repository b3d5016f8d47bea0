"""Nothing is written while nothing changes, whatever somebody else does to what was written."""

from tests.support import scenarios
from tests.support.cluster import Cluster
from tests.support.scenarios import V2


def with_history(cluster: Cluster) -> None:
    """As many promoted releases as are kept, and one more."""
    for number in range(cluster.config.history_limit + 1):
        cluster.user_applies(scenarios.manifest(f"{V2}-{number}"))
        cluster.run(30)
        cluster.asks("Promote")
        cluster.run(120, until=lambda: cluster.newest().status.outcome is not None)
        assert cluster.newest().status.outcome is not None


def test_a_record_that_somebody_holds_back_is_deleted_once() -> None:
    """A finalizer keeps a ModelRollout that is past its history."""
    cluster = scenarios.serving_cluster(policy_changes={"bakeSeconds": 0})
    held = cluster.newest_rollout_object()["metadata"]
    held["finalizers"] = ["example.com/hold"]
    with_history(cluster)
    assert "deletionTimestamp" in held
    cluster.run(300)  # the last version drains
    before = len(cluster.writes)
    cluster.run(60)
    assert cluster.writes[before:] == []
