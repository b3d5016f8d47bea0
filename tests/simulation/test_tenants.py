"""A foreign tenant's attacks on a release: each beside the same action by an authorised one."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.kernel.plan import Plan
from tests.support.simulated import scenarios
from tests.support.simulated.cluster import Cluster
from tests.support.simulated.laws import Laws
from tests.support.simulated.scenarios import FAILING, V1, V2

EVIL = {"namespace": "evil", "pod": "exporter"}


def release(cluster: Cluster, uri: str, each_second: Callable[[Cluster], None]) -> Outcome | None:
    """Applies a change of `uri`, and runs until the rollout has ended; returns its end."""
    before = len(cluster.rollouts())
    cluster.user_applies(scenarios.manifest(uri))

    def over() -> bool:
        each_second(cluster)
        return len(cluster.rollouts()) > before and cluster.newest().status.outcome is not None

    cluster.run(600, check=Laws(cluster).check, until=over)
    return cluster.newest().status.outcome


def forged(code: str) -> Callable[[Cluster], None]:
    """A pod with forged answers of the candidate in the gateway's metrics, as Prometheus' job for pods shows it."""

    def exports(cluster: Cluster) -> None:
        if cluster.rollouts()[-1].spec.source is None:
            return
        revision = cluster.newest().spec.target.revision
        labels = {"envoy_cluster_name": f"default_{revision}_80", "envoy_response_code": code}
        cluster.prometheus.count("evil", "envoy_cluster_upstream_rq", 5000, job="pods", **EVIL, **labels)
        cluster.prometheus.count("evil", "envoy_server_live", 0, job="pods", **EVIL)

    return exports


def feedback(cluster: Cluster, **labels: str) -> None:
    """A pod that reports the candidate's answers as wrong."""
    if cluster.rollouts()[-1].spec.source is not None:
        revision = cluster.newest().spec.target.revision
        cluster.prometheus.count("clients", "feedback_total", 50, revision=revision, correct="false", **labels)


def silent(cluster: Cluster) -> None:
    """Nothing is forged."""


@pytest.mark.parametrize(
    ("uri", "exports", "outcome"),
    [
        pytest.param(V2, forged("503"), Outcome.PROMOTED, id="a good version is called bad"),
        pytest.param(FAILING, forged("200"), Outcome.ROLLED_BACK, id="a bad version is called good"),
        pytest.param(V2, silent, Outcome.PROMOTED, id="the gateway counts a good version"),
        pytest.param(FAILING, silent, Outcome.ROLLED_BACK, id="the gateway counts a bad version"),
    ],
)
def test_only_the_gateway_says_how_a_version_answers(
    uri: str, exports: Callable[[Cluster], None], outcome: Outcome
) -> None:
    assert release(scenarios.serving_cluster(), uri, exports) is outcome


@pytest.mark.parametrize(
    ("namespace", "outcome"),
    [
        pytest.param("evil", Outcome.PROMOTED, id="another namespace counts"),
        pytest.param("default", Outcome.ROLLED_BACK, id="the model's own namespace counts"),
    ],
)
def test_a_query_counts_the_models_own_namespace(namespace: str, outcome: Outcome) -> None:
    def exports(cluster: Cluster) -> None:
        feedback(cluster, namespace=namespace, pod="exporter", job="pods")

    assert release(scenarios.serving_cluster(), V2, exports) is outcome


GREEDY = {"total": 'sales_total{revision!="{{revision}}"}', "failures": 'refunds_total{revision!="{{revision}}"}'}
OWN = {"total": 'sales_total{revision="{{revision}}"}', "failures": 'refunds_total{revision="{{revision}}"}'}


def judged_by(**selectors: str) -> dict[str, Any]:
    ratio = {"source": "Query", "maximum": "10%", **selectors}
    return {"rollout": {"objectives": [{"name": "sales", "failureRatio": ratio}]}}


def test_a_query_that_selects_others_is_refused_with_its_field_and_one_that_does_not_is_asked() -> None:
    """As when the API server stored it before it refused such queries."""
    cluster = scenarios.serving_cluster(V1)
    cluster.user_applies(scenarios.manifest(V2, **judged_by(**GREEDY)))
    asked = cluster.asked
    cluster.run(60, check=Laws(cluster).check)
    stalled = cluster.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "InvalidSpec")
    assert stalled["message"].startswith("spec.rollout.objectives[0].failureRatio.total: must select one version")
    assert (len(cluster.rollouts()), cluster.asked) == (1, asked)

    cluster.user_applies(scenarios.manifest(V2, **judged_by(**OWN)))
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.condition("Stalled")["status"] == "False"
    assert len(cluster.rollouts()) == 2


def test_a_policy_whose_query_selects_others_is_named_and_prevents_no_rollback() -> None:
    query = {"source": "Query", "maximum": "10%", **GREEDY}
    policy = {"objectives": [{"name": "sales", "failureRatio": query}]}
    cluster = scenarios.serving_cluster(V1)
    assert release(cluster, V2, silent) is Outcome.PROMOTED
    cluster.shared["RolloutPolicy", "default"] = scenarios.policy(**policy)
    cluster.user_applies(scenarios.manifest(FAILING))
    cluster.run(30, check=Laws(cluster).check)
    stalled = cluster.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "PolicyInvalid")
    assert "RolloutPolicy default: spec.objectives[0].failureRatio.total: must" in stalled["message"]

    cluster.asks("Rollback")
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.newest().spec.rollback
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def test_the_first_version_needs_no_query() -> None:
    cluster = scenarios.make_cluster(V1, spec=judged_by(**GREEDY))
    cluster.run(60, check=Laws(cluster).check)
    assert cluster.condition("Ready")["status"] == "True"
    assert cluster.newest().spec.objectives == []


OTHERS_HOST = "digits.shop.models.local"
OWN_HOST = "api.default.models.local"
EDGE = {"namespace": "gateway", "name": "edge"}


def asking(cluster: Cluster, **routing: Any) -> dict[str, Any]:
    """A user requests an address; the message of the condition Stalled then."""
    cluster.shared["Gateway", "edge"] = deepcopy(scenarios.GATEWAY)
    cluster.shared["Gateway", "edge"]["metadata"]["name"] = "edge"
    cluster.user_applies(scenarios.manifest(routing=routing))
    cluster.run(30, check=Laws(cluster).check)
    return cluster.condition("Stalled")


@pytest.mark.parametrize(
    ("routing", "allowed", "reason"),
    [
        pytest.param({"hostnames": [OTHERS_HOST]}, (), "HostnameNotAllowed", id="another namespace's host name"),
        pytest.param({"hostnames": ["shop.example.com"]}, (), "HostnameNotAllowed", id="a host name of nobody"),
        pytest.param({"hostnames": [OWN_HOST, OTHERS_HOST]}, (), "HostnameNotAllowed", id="one of two"),
        pytest.param({"hostnames": ["models.local"]}, (), "HostnameNotAllowed", id="the domain"),
        pytest.param({"hostnames": ["xdefault.models.local"]}, (), "HostnameNotAllowed", id="no name of the namespace"),
        pytest.param({"gatewayRef": EDGE}, (), "GatewayNotAllowed", id="another Gateway"),
        pytest.param(
            {"hostnames": ["a.example.org"]}, ("*.example.com",), "HostnameNotAllowed", id="not what is allowed"
        ),
        pytest.param({}, (), "", id="its own name"),
        pytest.param({"hostnames": [OWN_HOST]}, (), "", id="another name of the namespace"),
        pytest.param({"hostnames": ["shop.example.com"]}, ("shop.example.com",), "", id="a name that is allowed"),
        pytest.param({"hostnames": ["shop.example.com"]}, ("*.example.com",), "", id="one of those that are allowed"),
        pytest.param({"gatewayRef": EDGE}, ("none.example.com",), "", id="a Gateway that is allowed"),
    ],
)
def test_a_model_gets_the_addresses_of_its_namespace_and_those_that_the_platform_allows(
    routing: dict[str, Any], allowed: tuple[str, ...], reason: str
) -> None:
    cluster = scenarios.empty_cluster(foreign_hosts=allowed)
    stalled = asking(cluster, **routing)
    assert stalled["reason"] == (reason or "NotStalled")
    listed = {each["type"]: each["reason"] for each in cluster.status("digits")["conditions"]}
    assert listed.get("AddressAllowed", "") == reason
    assert (("HTTPRoute", "digits") in cluster.objects) is not bool(reason)
    if reason:
        assert "config.allowedAddresses" in stalled["message"]
        assert cluster.condition("Ready")["reason"] == reason


def test_an_upgrade_takes_no_address_away_that_serves() -> None:
    cluster = scenarios.empty_cluster()
    asking(cluster, hostnames=[OTHERS_HOST], gatewayRef=EDGE)
    before = deepcopy(cluster.objects["HTTPRoute", "digits"])
    cluster.foreign_hosts = ()
    cluster.run(30, check=Laws(cluster).check)
    assert cluster.objects["HTTPRoute", "digits"]["spec"] == before["spec"]
    said = cluster.condition("AddressAllowed")
    assert (said["status"], said["reason"]) == ("False", "HostnameNotAllowed")
    assert "serves there without being allowed to" in said["message"]
    assert {type_: cluster.condition(type_)["status"] for type_ in ("Ready", "Stalled", "RoutesProgrammed")} == {
        "Ready": "True",
        "Stalled": "False",
        "RoutesProgrammed": "True",
    }
    cluster.user_applies(scenarios.manifest(V2, routing={"hostnames": [OTHERS_HOST], "gatewayRef": EDGE}))
    cluster.run(600, check=Laws(cluster).check, until=lambda: len(cluster.rollouts()) > 1 and ended(cluster))
    assert cluster.newest().status.outcome is Outcome.PROMOTED


def ended(cluster: Cluster) -> bool:
    return cluster.newest().status.outcome is not None


@pytest.mark.parametrize(
    ("routing", "kept"),
    [
        ({"hostnames": [OTHERS_HOST]}, [OWN_HOST]),
        ({"hostnames": [OWN_HOST, OTHERS_HOST]}, [OWN_HOST]),
        ({"hostnames": [OWN_HOST], "gatewayRef": EDGE}, [OWN_HOST]),
    ],
)
def test_what_is_refused_leaves_the_address_as_it_is_also_of_what_is_shown_of_a_candidate(
    routing: dict[str, Any], kept: list[str]
) -> None:
    cluster = scenarios.empty_cluster(foreign_hosts=())
    assert asking(cluster, hostnames=[OWN_HOST])["status"] == "False"
    rollout = {"strategy": "BlueGreen", "blueGreen": {"previewSeconds": 120}}

    def intent(routing: dict[str, Any]) -> None:
        cluster.user_applies(scenarios.manifest(V2, routing=routing, rollout=rollout))
        cluster.run(40, check=watch)

    def watch(plan: Plan) -> None:
        Laws(cluster).check(plan)
        for route in cluster.of_kind("HTTPRoute"):
            main = route["metadata"]["name"] == "digits"
            assert route["spec"]["hostnames"] == [host if main else f"preview-{host}" for host in kept]
            assert route["spec"]["parentRefs"] == [{"name": "models", "namespace": "gateway"}]

    intent({"hostnames": [OWN_HOST]})
    shown = next(name for kind, name in cluster.objects if kind == "HTTPRoute" and name != "digits")
    intent(routing)
    assert cluster.condition("Stalled")["status"] == "True"
    del cluster.objects["HTTPRoute", shown]  # its recreation does not write to the other address either
    cluster.run(5, check=watch)
    assert ("HTTPRoute", shown) in cluster.objects
    intent({"hostnames": [OWN_HOST]})
    cluster.run(300, check=watch, until=lambda: ended(cluster))
    assert cluster.newest().status.outcome is Outcome.PROMOTED
    assert cluster.lost == 0


def test_a_name_that_is_only_requested_is_free_for_its_owner() -> None:
    cluster = scenarios.empty_cluster(foreign_hosts=())
    cluster.user_applies(scenarios.manifest(name="squatter", routing={"hostnames": ["digits.shop.models.local"]}))
    cluster.run(10, name="squatter")
    cluster.now += 10
    rival = cluster.objects["ModelDeployment", "squatter"]
    rival["spec"]["routing"]["hostnames"] = ["digits.default.models.local"]
    rival["metadata"]["namespace"] = "evil"
    cluster.user_applies(scenarios.manifest())
    cluster.run(30, check=Laws(cluster).check)
    assert cluster.condition("Ready")["status"] == "True"
