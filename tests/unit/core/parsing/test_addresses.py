"""Who owns a host name or a Gateway."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_core.api.config import AddressGrant, OperatorConfig
from sluice_core.api.v1alpha1.routing import GatewayRef
from sluice_core.kernel.snapshot import UnownedAddress
from sluice_core.parsing import addresses
from sluice_core.render.traffic import route
from tests.support.cases import builders

CONFIG = OperatorConfig(
    allowed_addresses=[
        AddressGrant(namespaces=["shop", "web"], hostnames=["shop.example.com", "*.shop.example.com"]),
        AddressGrant(namespaces=["*"], hostnames=["open.example.com"], gateways=["infra/open"]),
        AddressGrant(namespaces=["platform"], hostnames=["*"], gateways=["*"]),
        AddressGrant(namespaces=["web"], gateways=["infra/*"]),
    ]
)
LABEL = st.from_regex(r"[a-z]([-a-z0-9]{0,6}[a-z0-9])?", fullmatch=True)


@pytest.mark.parametrize(
    ("host", "namespace", "want"),
    [
        ("digits.shop.models.local", "shop", True),
        ("preview-digits.shop.models.local", "shop", True),
        ("a.b.shop.models.local", "shop", True),
        ("digits.shop.models.local", "web", False),
        ("shop.models.local", "shop", False),
        ("xshop.models.local", "shop", False),
        ("models.local", "shop", False),
        ("digits.shop.models.local.example.com", "shop", False),
        ("shop.example.com", "shop", True),
        ("a.shop.example.com", "shop", True),
        ("a.b.shop.example.com", "web", True),
        ("xshop.example.com", "shop", False),
        ("shop.example.com", "other", False),
        ("open.example.com", "other", True),
        ("anything.at.all", "platform", True),
    ],
)
def test_hostnames(host: str, namespace: str, want: bool) -> None:
    assert addresses.hostname_allowed(host, namespace, CONFIG) is want


@pytest.mark.parametrize(
    ("gateway", "namespace", "want"),
    [
        ("gateway/models", "other", True),
        ("infra/open", "other", True),
        ("infra/edge", "other", False),
        ("infra/edge", "web", True),
        ("infra/edge", "platform", True),
        ("gateway/edge", "web", False),
        ("models/gateway", "web", False),
    ],
)
def test_gateways(gateway: str, namespace: str, want: bool) -> None:
    where, _, name = gateway.partition("/")
    assert addresses.gateway_allowed(GatewayRef(namespace=where, name=name), namespace, CONFIG) is want


@given(st.tuples(LABEL, LABEL), st.tuples(LABEL, LABEL), st.sampled_from(["local", "models.local", "a.models.local"]))
def test_the_default_name_is_of_one_model_alone(one: tuple[str, str], other: tuple[str, str], domain: str) -> None:
    """And, with whatever prefix, of one namespace alone."""
    config = OperatorConfig(domain=domain)

    def hosts(model: tuple[str, str]) -> frozenset[str]:
        deployment = builders.make_model_deployment(name=model[0], namespace=model[1])
        return route.addresses_of(route.hostnames_of(deployment, config))

    assert all(addresses.hostname_allowed(host, one[1], config) for host in hosts(one))
    if one[1] != other[1]:
        assert hosts(one).isdisjoint(hosts(other))
        assert not any(addresses.hostname_allowed(host, one[1], config) for host in hosts(other))


def routed(hostnames: list[str], *gateways: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": "digits", "namespace": "ml"}
    return {"kind": "HTTPRoute", "metadata": metadata, "spec": {"hostnames": hostnames, "parentRefs": list(gateways)}}


EDGE = GatewayRef(namespace="infra", name="edge")
ASKED = UnownedAddress(("a.example.com", "b.example.com"), EDGE)


@pytest.mark.parametrize(
    ("main", "want"),
    [
        (None, ASKED),
        (routed([]), ASKED),
        (routed(["digits.ml.models.local"], {"name": "models", "namespace": "gateway"}), ASKED),
        (routed(["a.example.com"]), UnownedAddress(("b.example.com",), EDGE)),
        (routed(["b.example.com", "a.example.com"], {"name": "edge", "namespace": "infra"}), UnownedAddress()),
        (routed(["b.example.com", "a.example.com"], {"name": "edge"}), UnownedAddress((), EDGE)),
        ({"kind": "HTTPRoute", "metadata": {"name": "digits"}, "spec": {}}, ASKED),
    ],
)
def test_what_a_route_has_is_not_refused(main: dict[str, Any] | None, want: UnownedAddress) -> None:
    assert addresses.refused(ASKED, main) == want
    assert bool(want) is (want != UnownedAddress())


def test_nothing_of_a_namespace_s_own_is_unowned() -> None:
    assert addresses.unowned(builders.make_model_deployment(), OperatorConfig()) == UnownedAddress()
    asked = builders.make_model_deployment(
        spec={"routing": {"hostnames": ["x.ml.models.local", "a.example.com"], "gatewayRef": EDGE.to_wire()}}
    )
    assert addresses.unowned(asked, OperatorConfig()) == UnownedAddress(("a.example.com",), EDGE)
