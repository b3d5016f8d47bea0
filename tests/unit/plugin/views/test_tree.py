"""The objects of a model as a tree."""

from collections.abc import Iterator

import pytest

from kubectl_sluice.views.tree import Node, tree
from sluice_core.kernel.snapshot import Snapshot
from sluice_core.situation.situation import interpret
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    running = scenarios.serving_cluster()
    running.user_applies(scenarios.manifest(scenarios.V2))
    running.run(20)
    return running


def lines(node: Node, depth: int = 0) -> Iterator[str]:
    yield f"{'  ' * depth}{node.kind} {node.state}"
    for child in node.children:
        yield from lines(child, depth + 1)


def seen(cluster: Cluster) -> Node:
    snapshot = cluster.snapshot()
    assert isinstance(snapshot, Snapshot)
    return tree(interpret(snapshot))


def test_revisions_with_what_runs_of_them_routes_and_releases(cluster: Cluster) -> None:
    shown = list(lines(seen(cluster)))
    assert shown[0] == "ModelDeployment s3://models/digits/2"
    for line in (
        "  Revision candidate, 5 %, s3://models/digits/2, by triton",
        "  Revision stable, 95 %, s3://models/digits/1, by triton",
        "    Deployment 1 of 1 pod ready",
        "    Service 1 ready endpoint",
        "  HTTPRoute digits.default.models.local: programmed",
        "  ModelRollout Promoted: FirstVersion",
    ):
        assert line in shown


def test_what_is_not_ready_is_not_healthy(cluster: Cluster) -> None:
    [candidate, stable] = [node for node in seen(cluster).children if node.kind == "Revision"]
    cluster.crash(candidate.name)
    states = {n.kind: (n.state, n.healthy) for n in seen(cluster).children[0].children}
    assert states["Deployment"] == ("0 of 1 pod ready", False)
    assert states["Service"] == ("0 ready endpoints", True)
    assert stable.children[0].healthy


def test_what_a_registry_said_last_and_who_asks_it() -> None:
    cluster = scenarios.empty_cluster()
    cluster.moves("models:/digits@champion", 1)
    cluster.user_applies(scenarios.manifest("models:/digits@champion"))
    cluster.run(60)
    root = seen(cluster)
    assert [node.name for node in root.children if node.kind == "Deployment"] == []
    registry = root.children[0]
    assert list(lines(registry)) == [
        "Registry is version 1 (s3://mlflow/digits/1/artifacts)",
        "  Deployment 1 of 1 pod ready",
    ]
    assert (registry.name, registry.healthy) == ("models:/digits@champion", True)
    del cluster.registry["models:/digits@champion"]
    cluster.run(120)
    registry = seen(cluster).children[0]
    assert not registry.healthy
    assert registry.state.startswith("the registry has no such alias")
