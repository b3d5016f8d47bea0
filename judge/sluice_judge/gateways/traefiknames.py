"""Identifies the backend of a Traefik service by the hash in its name, since the rest of the name fits several.

    httproute-team-fraud-detector-gw-…-ep-web-0-<hash>-svc-…        of team/fraud-detector, or of team-fraud/detector

Since 3.7.13 the hash is over the parts with their lengths, and the router's rule (`makeRouterName` of
pkg/provider/kubernetes/gateway); up to 3.7.12 over the rule alone, which has the host names.
"""

import functools
import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sluice_judge.presets import RouteRule

_SEPARATORS: Final = re.compile(r"[^0-9A-Za-z]+")
_BEHIND: Final = r"(?P<entry>.+)-{index}-(?P<hash>[0-9a-f]{{20}})-svc-.+"
MOST_HOSTNAMES: Final = 6
"""With more, each listener is assumed to have all of them."""


def is_of(labels: Mapping[str, str], rule: RouteRule) -> bool:
    """Whether a series belongs to a service behind this rule. An entry point's name must consist of letters, digits and
    hyphens.
    """
    parts = ("httproute", rule.namespace, rule.route, "gw", *rule.gateway, "ep")
    begin = _SEPARATORS.sub("-", "-".join(parts)) + "-"
    service = labels.get("service", "")
    found = re.fullmatch(_BEHIND.format(index=rule.index), service.removeprefix(begin))
    return service.startswith(begin) and found is not None and found["hash"] in _hashes(rule, found["entry"])


@functools.lru_cache(maxsize=4096)
def _hashes(rule: RouteRule, entry: str) -> frozenset[str]:
    parts = (rule.namespace, rule.route, *rule.gateway, entry, str(rule.index))
    sealed = "".join(f"{len(part)}:{part}" for part in parts)
    texts = [_text(hosts, json.loads(match)) for hosts in _heard(rule.hostnames) for match in rule.matches]
    return frozenset(hashlib.sha256(each.encode()).hexdigest()[:20] for text in texts for each in (sealed + text, text))


def _heard(hostnames: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The host names that a listener may accept of a route: all, or those that its own allows."""
    if len(hostnames) > MOST_HOSTNAMES:
        yield hostnames
        return
    for number in range(min(1, len(hostnames)), len(hostnames) + 1):
        yield from itertools.combinations(hostnames, number)


def _text(hostnames: tuple[str, ...], match: Mapping[str, Any]) -> str:
    """The rule of a router, as Traefik writes it."""
    hosts = " || ".join(map(_host, hostnames))
    headers = [_header(header) for header in match.get("headers") or ()]
    rules = [f"({hosts})" if len(hostnames) > 1 else hosts, _path(match.get("path") or {}), *headers]
    return " && ".join(filter(None, rules))


def _host(hostname: str) -> str:
    if "*" not in hostname:
        return f"Host({_quoted(hostname)})"
    parent = re.escape(hostname.removeprefix("*.")).replace(r"\-", "-")
    pattern = rf"^[a-z0-9-\.]+\.{parent}$"
    return f"HostRegexp({_quoted(pattern)})"


def _path(path: Mapping[str, str]) -> str:
    kind, value = path.get("type", "PathPrefix"), path.get("value", "/")
    if kind == "Exact":
        return f"Path({_quoted(value)})"
    if kind == "RegularExpression":
        return f"PathRegexp({_quoted(value)})"
    if value == "/":
        return 'PathPrefix("/")'
    bare = value.removesuffix("/")
    return f"(Path({_quoted(bare)}) || PathPrefix({_quoted(bare + '/')}))"


def _header(header: Mapping[str, str]) -> str:
    function = "HeaderRegexp" if header.get("type") == "RegularExpression" else "Header"
    return f"{function}({_quoted(header['name'])},{_quoted(header['value'])})"


def _quoted(text: str) -> str:
    """Quotes like Go's %q."""
    return json.dumps(text, ensure_ascii=False)
