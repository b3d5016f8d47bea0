"""The observer beside a model: it starts, gets copies, leaves no traces, and disturbs nothing else."""

from typing import Any

import pytest

from sluice_core.api.config import RoutingMode
from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.kernel import naming
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import FAILING, V1, V2
from tests.support.simulated.twins import made_once

OBSERVER: dict[str, Any] = {"reference": {"name": "digits-reference"}, "percent": 20}
NAME = "digits-observer"
SHADOW: dict[str, Any] = {"strategy": "Shadow", "shadow": {"minimumRequests": 100}}


@made_once
def serving(observer: dict[str, Any] | None = None, **settings: Any) -> Cluster:
    spec = {"observer": {**OBSERVER, **(observer or {})}, **settings.pop("spec", {})}
    cluster = scenarios.serving_cluster(spec=spec, **settings)
    cluster.run(15, check=Laws(cluster).check)
    return cluster


def mirrors(cluster: Cluster) -> list[dict[str, Any]]:
    rule = cluster.objects["HTTPRoute", "digits"]["spec"]["rules"][0]
    return [each["requestMirror"] for each in rule.get("filters", ())]


def left(cluster: Cluster) -> list[str]:
    return [kind for kind, name in cluster.objects if name == NAME]


def container(cluster: Cluster) -> dict[str, Any]:
    [found] = cluster.objects["Deployment", NAME]["spec"]["template"]["spec"]["containers"]
    return dict(found)


@pytest.mark.parametrize(
    ("preset", "mirror", "argument"),
    [
        pytest.param("contour", {"backendRef": {"name": NAME, "port": 80}}, "--percent=20", id="samples by itself"),
        pytest.param("envoy-gateway", {"backendRef": {"name": NAME, "port": 80}, "percent": 20}, "--percent=100", id="the gateway samples"),
    ],
)  # fmt: skip
def test_copies_begin_when_it_is_ready_and_no_request_is_lost(
    preset: str, mirror: dict[str, Any], argument: str
) -> None:
    cluster = serving(preset=preset)
    assert mirrors(cluster) == [mirror]
    assert argument in container(cluster)["args"]
    said = cluster.condition("Observed")
    assert (said["status"], said["reason"]) == ("True", "Observing")
    assert cluster.lost == 0
    before = len(cluster.writes)
    cluster.run(60)
    assert cluster.writes[before:] == []


def test_it_is_the_platforms_and_has_no_rights() -> None:
    cluster = serving()
    pod = cluster.objects["Deployment", NAME]["spec"]["template"]
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in pod["spec"]
    assert container(cluster)["image"] == "ghcr.io/sluice-dev/observer:0.1.0"
    assert container(cluster)["securityContext"]["readOnlyRootFilesystem"] is True
    # No selector of the model's pods finds it.
    assert pod["metadata"]["labels"][naming.LABEL_OWNER] == "digits.observer"
    assert naming.LABEL_REVISION not in pod["metadata"]["labels"]


def test_without_a_ready_pod_the_route_stays_as_it_is() -> None:
    cluster = scenarios.serving_cluster()
    cluster.never_starts(NAME, 1)
    cluster.user_applies(scenarios.manifest(V1, observer=OBSERVER))
    cluster.run(30, check=Laws(cluster).check)
    assert mirrors(cluster) == []
    said = cluster.condition("Observed")
    assert (said["status"], said["reason"]) == ("False", "ObserverNotReady")
    assert "digits-reference" in said["message"]
    assert cluster.condition("Ready")["status"] == "True"


def test_one_that_goes_down_changes_nothing_but_its_condition() -> None:
    cluster = serving()
    generation = cluster.objects["HTTPRoute", "digits"]["metadata"]["generation"]
    cluster.crash(NAME)
    cluster.run(30, check=Laws(cluster).check)
    assert cluster.condition("Observed")["reason"] == "ObserverNotReady"
    assert cluster.objects["HTTPRoute", "digits"]["metadata"]["generation"] == generation
    assert cluster.lost == 0


def test_it_goes_without_leftovers_and_first_from_the_route() -> None:
    cluster = serving()
    assert left(cluster)
    cluster.user_applies(scenarios.manifest(V1))
    gone_with_copies = []

    def check(plan: Any) -> None:
        Laws(cluster).check(plan)
        if mirrors(cluster) and len(left(cluster)) < 3:
            gone_with_copies.append(plan)

    cluster.run(20, check=check)
    assert (mirrors(cluster), left(cluster), gone_with_copies) == ([], [], [])
    assert "Observed" not in [
        each["type"] for each in cluster.objects["ModelDeployment", "digits"]["status"]["conditions"]
    ]
    assert cluster.lost == 0


def test_the_stable_version_is_asked_again_and_a_promotion_asks_the_next_one() -> None:
    cluster = serving({"predictions": True})
    stable = cluster.newest().spec.target.revision
    port = cluster.objects["ControllerRevision", stable]["data"]["port"]
    assert {f"--ask=http://{stable}.default.svc:{port}", f"--revision={stable}"} <= set(container(cluster)["args"])
    cluster.user_applies(scenarios.manifest(V2, observer={**OBSERVER, "predictions": True}))
    cluster.run(900, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    cluster.run(60)
    promoted = cluster.newest().spec.target.revision
    assert promoted != stable
    assert f"--revision={promoted}" in container(cluster)["args"]


def test_without_predictions_a_promotion_leaves_it_alone() -> None:
    cluster = serving()
    before = cluster.objects["Deployment", NAME]["metadata"]["generation"]
    cluster.user_applies(scenarios.manifest(V2, observer=OBSERVER))
    cluster.run(900, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    cluster.run(60)
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert cluster.objects["Deployment", NAME]["metadata"]["generation"] == before
    assert cluster.lost == 0


def test_copies_for_a_candidate_and_for_the_observer_at_once() -> None:
    cluster = serving(spec={"rollout": SHADOW})
    cluster.user_applies(scenarios.manifest(FAILING, rollout=SHADOW, observer=OBSERVER))
    cluster.run(60, check=Laws(cluster).check, until=lambda: len(mirrors(cluster)) == 2)
    names = [each["backendRef"]["name"] for each in mirrors(cluster)]
    assert names == [f"{cluster.newest().spec.target.revision}-mirror", NAME]
    cluster.run(900, check=Laws(cluster).check, until=lambda: cluster.newest().status.outcome is not None)
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.newest().status.outcome is Outcome.ROLLED_BACK
    assert [each["backendRef"]["name"] for each in mirrors(cluster)] == [NAME]
    assert cluster.lost == 0


def test_a_gateway_that_is_not_known_to_copy_twice_refuses_a_shadow_release() -> None:
    cluster = serving(spec={"rollout": SHADOW}, preset="nginx-gateway-fabric")
    cluster.user_applies(scenarios.manifest(V2, rollout=SHADOW, observer=OBSERVER))
    cluster.run(10)
    stalled = cluster.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "MirrorNotSupported")
    assert "spec.observer" in stalled["message"]


@pytest.mark.parametrize("preset", ["traefik", "istio"])
def test_a_gateway_without_copies_refuses_it_and_serves_on(preset: str) -> None:
    cluster = serving(preset=preset)
    said = cluster.condition("Observed")
    assert (said["status"], said["reason"]) == ("False", "ObserverNotSupported")
    assert (mirrors(cluster), left(cluster)) == ([], [])
    assert cluster.condition("Ready")["status"] == "True"


def test_without_a_gateway_it_is_refused() -> None:
    cluster = serving(routing=RoutingMode.SERVICE)
    said = cluster.condition("Observed")
    assert (said["status"], said["reason"]) == ("False", "ObserverNotSupported")
    assert left(cluster) == []


def test_asked_for_in_the_middle_of_a_shadow_stage_it_waits_for_its_end() -> None:
    cluster = scenarios.serving_cluster(spec={"rollout": SHADOW}, preset="nginx-gateway-fabric")
    cluster.user_applies(scenarios.manifest(V2, rollout=SHADOW))
    cluster.run(60, check=Laws(cluster).check, until=lambda: len(mirrors(cluster)) == 1)
    candidate = f"{cluster.newest().spec.target.revision}-mirror"
    cluster.user_applies(scenarios.manifest(V2, rollout=SHADOW, observer=OBSERVER))
    cluster.run(20, check=Laws(cluster).check)
    assert [each["backendRef"]["name"] for each in mirrors(cluster)] == [candidate]
    cluster.asks("Abort")
    cluster.run(60, check=Laws(cluster).check)
    assert [each["backendRef"]["name"] for each in mirrors(cluster)] == [NAME]
