"""Names of services as Traefik writes them: rules of routers by its source, `buildMatchRule` of 3.7.13."""

import hashlib
import json
from typing import Any

import pytest

from sluice_judge.gateways import traefiknames
from sluice_judge.presets import RouteRule

RULE = RouteRule("shop", "digits.v2", ("traefik", "models"), 1, ("a.example.com",), ("{}",))
PARTS = ("shop", "digits.v2", "traefik", "models", "web", "1")
BEGIN = "httproute-shop-digits-v2-gw-traefik-models-ep-web-1"

ROUTERS: tuple[tuple[tuple[str, ...], dict[str, Any], str], ...] = (
    ((), {}, 'PathPrefix("/")'),
    (("a.x",), {}, 'Host("a.x") && PathPrefix("/")'),
    (("a.x", "b.y"), {}, '(Host("a.x") || Host("b.y")) && PathPrefix("/")'),
    (("a.x", "b.y"), {}, 'Host("b.y") && PathPrefix("/")'),  # of a listener that takes only this one
    (("*.a-b.x",), {}, r'HostRegexp("^[a-z0-9-\\.]+\\.a-b\\.x$") && PathPrefix("/")'),
    (("a.x",), {"path": {"type": "Exact", "value": "/v2"}}, 'Host("a.x") && Path("/v2")'),
    (("a.x",), {"path": {"value": "/v2/"}}, 'Host("a.x") && (Path("/v2") || PathPrefix("/v2/"))'),
    (
        ("a.x",),
        {"path": {"type": "RegularExpression", "value": r"/v\d"}},
        r'Host("a.x") && PathRegexp("/v\\d")',
    ),
    (
        ("a.x",),
        {"headers": [{"name": "x-arm", "value": "b"}, {"type": "RegularExpression", "name": "cookie", "value": "b.*"}]},
        'Host("a.x") && PathPrefix("/") && Header("x-arm","b") && HeaderRegexp("cookie","b.*")',
    ),
)


def series(text: str, *, parts: tuple[str, ...] = PARTS, begin: str = BEGIN) -> dict[str, str]:
    sealed = "".join(f"{len(part)}:{part}" for part in parts) + text
    return {"service": f"{begin}-{hashlib.sha256(sealed.encode()).hexdigest()[:20]}-svc-shop-v2-0@kubernetesgateway"}


def rule(hostnames: tuple[str, ...], match: dict[str, Any]) -> RouteRule:
    return RouteRule(*("shop", "digits.v2"), ("traefik", "models"), 1, hostnames, (json.dumps(match),))


@pytest.mark.parametrize(("hostnames", "match", "text"), ROUTERS)
def test_the_hash_of_a_router_is_that_of_its_rule(hostnames: tuple[str, ...], match: dict[str, Any], text: str) -> None:
    assert traefiknames.is_of(series(text), rule(hostnames, match))
    assert traefiknames.is_of(series(text, parts=()), rule(hostnames, match)), "up to 3.7.12"
    assert not traefiknames.is_of(series(text + " "), rule(hostnames, match))


@pytest.mark.parametrize("place", range(len(PARTS)))
def test_whoever_differs_in_one_part_is_somebody_else(place: int) -> None:
    others = (*PARTS[:place], PARTS[place] + "x", *PARTS[place + 1 :])
    text = 'Host("a.example.com") && PathPrefix("/")'
    assert traefiknames.is_of(series(text), RULE)
    assert not traefiknames.is_of(series(text, parts=others), RULE)


def test_many_host_names_are_taken_together() -> None:
    hosts = tuple(f"h{number}.x" for number in range(traefiknames.MOST_HOSTNAMES + 1))
    both = " || ".join(f'Host("{host}")' for host in hosts)
    assert traefiknames.is_of(series(f'({both}) && PathPrefix("/")'), rule(hosts, {}))


def test_what_is_no_service_of_a_route_is_nobodys() -> None:
    assert not traefiknames.is_of({"service": "api@internal"}, RULE)
    assert not traefiknames.is_of({}, RULE)
