"""Servers whose models load for long and whose answers have no limit, in a world with a virtual clock."""

from typing import Any, Final

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import V2
from tests.support.simulated.twins import made_once

LOAD_SECONDS: Final = 1200
STARTUP_PROBE: Final[dict[str, Any]] = {"periodSeconds": 5, "failureThreshold": 720}


@made_once
def serving(load_seconds: int, **settings: Any) -> Cluster:
    """A cluster whose first version serves, and whose further ones are a language model's."""
    cluster = scenarios.serving_cluster(warm_seconds=load_seconds + 60, ready_seconds=load_seconds, **settings)
    runtime = cluster.shared["ServingRuntime", "triton"]["spec"]
    runtime["protocols"], runtime["timeouts"] = ["OpenAI"], {"request": "0s"}
    runtime["containers"][0]["startupProbe"] = STARTUP_PROBE
    return cluster


def limits(cluster: Cluster) -> set[str]:
    (route,) = (raw for (kind, _), raw in cluster.objects.items() if kind == "HTTPRoute")
    return {rule["timeouts"]["request"] for rule in route["spec"]["rules"]}


@pytest.mark.parametrize("known", [True, False], ids=["as long as before", "longer than before"])
def test_a_version_that_loads_for_twenty_minutes_is_waited_for(known: bool) -> None:
    cluster = serving(LOAD_SECONDS if known else 15)
    cluster.ready_seconds = LOAD_SECONDS
    cluster.user_applies(scenarios.manifest(V2))
    cluster.run(1, check=Laws(cluster).check)
    assert cluster.newest().status.outcome is None
    cluster.run(
        LOAD_SECONDS + 1200,
        check=Laws(cluster).check,
        until=lambda: cluster.newest().status.outcome is not None,
    )
    assert cluster.newest().status.outcome is Outcome.PROMOTED, cluster.newest().status.message
    assert limits(cluster) == {"0s"}, "nobody ends a stream by its length"


def test_another_adapter_is_a_release() -> None:
    cluster = scenarios.serving_cluster()
    first = cluster.newest().spec.target.revision
    cluster.shared["ServingRuntime", "triton"]["spec"]["adapters"] = {"each": ["--lora={{adapter.name}}"]}
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.newest().spec.target.revision == first, "that a server can load adapters changes nothing"
    changed = scenarios.manifest()
    changed["spec"]["model"]["adapters"] = [{"name": "sql", "uri": "hf://acme/sql"}]
    cluster.user_applies(changed)
    cluster.run(1200, check=Laws(cluster).check, until=lambda: cluster.newest().spec.target.revision != first)
    second = cluster.newest().spec.target.revision
    cluster.run(1200, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    assert cluster.newest().status.outcome is Outcome.PROMOTED, cluster.newest().status.message
    template = cluster.objects["Deployment", second]["spec"]["template"]["spec"]
    assert template["containers"][0]["args"][-1] == "--lora=sql"
    assert [each["name"] for each in template["initContainers"]] == ["storage-initializer", "storage-initializer-0"]


def test_a_runtime_that_cannot_load_adapters_stalls_and_the_stable_version_serves() -> None:
    cluster = scenarios.serving_cluster()
    first = cluster.newest().spec.target.revision
    changed = scenarios.manifest()
    changed["spec"]["model"]["adapters"] = [{"name": "sql", "uri": "hf://acme/sql"}]
    cluster.user_applies(changed)
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.newest().spec.target.revision == first
    conditions = {each["type"]: each for each in cluster.objects["ModelDeployment", "digits"]["status"]["conditions"]}
    assert (conditions["Stalled"]["status"], conditions["Stalled"]["reason"]) == ("True", "AdaptersNotSupported")
    assert conditions["Ready"]["status"] == "True"
