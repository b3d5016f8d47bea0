"""`python -m tests.unit.core.api.stored TAG`: see the package."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.simulated import batchcluster, scenarios

HERE: Final = Path(__file__).parent
KINDS: Final = (
    "ModelDeployment",
    "ModelRollout",
    "ControllerRevision",
    "BatchInference",
    "RolloutPolicy",
    "ServingRuntime",
)
OUTCOME_SECONDS: Final = 3600.0


def stored() -> Iterator[dict[str, Any]]:
    """A model with a release that was promoted, one that was rolled back, and one that is under way; and a batch."""
    cluster = scenarios.serving_cluster()
    for uri in (scenarios.V2, scenarios.WRONG):
        cluster.user_applies(scenarios.manifest(uri))
        cluster.run(5)
        cluster.run(OUTCOME_SECONDS, until=lambda: "outcome" in cluster.newest_rollout_object()["status"])
    cluster.user_applies(scenarios.manifest(scenarios.FAILING))
    cluster.run(OUTCOME_SECONDS, until=lambda: sum(weight > 0 for weight in cluster.weights().values()) > 1)
    cluster.asks("Pause")
    cluster.run(5)
    batch = batchcluster.make_cluster()
    for index in range(3):
        batch.start_pod(batch.objects["Job", batch.run_name()], index)
    batch.shard_ends(batch.run_name(), 0)
    batch.step()
    found = [*cluster.objects.values(), *cluster.shared.values(), *batch.objects.values()]
    yield from (each for each in found if each["kind"] in KINDS)


def main(tag: str) -> None:
    folder = HERE / tag
    folder.mkdir()  # never again: what a version wrote does not change
    by_kind: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for each in stored():
        by_kind[each["kind"]].append(each)
    for kind, objects in by_kind.items():
        (folder / f"{kind.lower()}.yaml").write_text(yaml.safe_dump_all(objects, sort_keys=False, width=120))


if __name__ == "__main__":
    main(sys.argv[1])
