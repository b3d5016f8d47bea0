"""Traefik 3.7.13's names of the service behind an HTTPRoute's backend, for routes that match every path."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from sluice_core.kernel.snapshot import Paths
from sluice_core.parsing import routes
from sluice_core.render.traffic import route as rendered
from sluice_judge.model import Arm
from tests.support.cases import builders


def model(namespace: str, name: str) -> tuple[str, Arm]:
    """The label of a model's candidate in its route, and the candidate."""
    deployment = builders.make_model_deployment(name=name, namespace=namespace)
    paths = Paths(((f"{name}-aaa", 950), (f"{name}-bbb", 50)))
    (manifest,) = rendered.desired_routes(deployment, builders.CONFIG, paths, grpc=frozenset())
    rules = tuple(routes.rules_of(manifest))
    candidate = Arm(f"{name}-bbb", f"{name}-bbb", 80, position=1, rules=rules)
    return service_of(manifest, candidate.service), candidate


def service_of(route: Mapping[str, Any], backend: str, *, entry: str = "web") -> str:
    """The value of label `service`. route: with one host name; backend: the name of a Service in its first rule."""
    namespace, name = route["metadata"]["namespace"], route["metadata"]["name"]
    parent = route["spec"]["parentRefs"][0]
    (host,) = route["spec"]["hostnames"]
    names = [each["name"] for each in route["spec"]["rules"][0]["backendRefs"]]
    parts = [namespace, name, parent["namespace"], parent["name"], entry, "0"]
    label = re.sub("[^0-9A-Za-z]+", "-", "httproute-{}-{}-gw-{}-{}-ep-{}-{}".format(*parts))
    rule = f'Host("{host}") && PathPrefix("/")'
    sealed = "".join(f"{len(part)}:{part}" for part in parts) + rule
    hashed = hashlib.sha256(sealed.encode()).hexdigest()[:20]
    return f"{label}-{hashed}-svc-{namespace}-{backend}-{names.index(backend)}@kubernetesgateway"
