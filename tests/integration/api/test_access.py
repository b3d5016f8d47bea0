"""What the operator must never be able to do, and what the people's roles may do.

That the operator may do what it needs, and nothing else, is checked by use: tests/integration/operator/test_rights.py.
"""

from typing import Any

import pytest

from tests.integration.conftest import NAMESPACE
from tests.support.live.kube import Kube, wait_until

OPERATOR = f"system:serviceaccount:{NAMESPACE}:sluice"
GROUPS = ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated"]
SLUICE = "sluice.dev"
GATEWAY = "gateway.networking.k8s.io"


def allowed(kube: Kube, verb: str, group: str, resource: str, namespace: str = "team") -> bool:
    name, _, subresource = resource.partition("/")
    return kube.may(
        OPERATOR, GROUPS, verb=verb, group=group, resource=name, subresource=subresource, namespace=namespace
    )


@pytest.fixture(scope="module")
def roles(installed: Kube) -> Kube:
    """The client, once the authorizer has seen the chart's roles."""
    wait_until(lambda: allowed(installed, "watch", SLUICE, "modeldeployments"))
    return installed


MAY_NOT = [
    *((verb, "", "secrets") for verb in ("get", "list", "watch", "create")),
    *(
        (verb, SLUICE, kind)
        for verb in ("create", "update", "patch", "delete")
        for kind in ("modeldeployments", "batchinferences")
    ),
    *(
        (verb, SLUICE, kind)
        for verb in ("create", "patch", "delete")
        for kind in ("servingruntimes", "rolloutpolicies")
    ),
    *((verb, "", "pods") for verb in ("create", "patch")),
    ("create", "", "pods/exec"),
    ("patch", GATEWAY, "gateways"),
    ("delete", "", "namespaces"),
    *((verb, "", "nodes") for verb in ("watch", "patch", "delete")),
    ("patch", "", "nodes/status"),
    ("patch", "", "namespaces"),
    ("list", "apiextensions.k8s.io", "customresourcedefinitions"),
    ("patch", "apiextensions.k8s.io", "customresourcedefinitions"),
    ("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
    ("get", "", "configmaps"),
    ("update", "coordination.k8s.io", "leases"),
    ("create", "", "serviceaccounts/token"),
    ("patch", "", "events"),
]


@pytest.mark.parametrize(("verb", "group", "resource"), MAY_NOT)
def test_operator_may_not(roles: Kube, verb: str, group: str, resource: str) -> None:
    assert not allowed(roles, verb, group, resource)


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        (
            "sluice-releaser",
            {("patch", "modelrollouts"), ("list", "modeldeployments"), ("get", "rolloutpolicies")},
            {("create", "modelrollouts"), ("delete", "modelrollouts"), ("patch", "modeldeployments")},
        ),
        (
            "sluice-view",
            {("watch", "modelrollouts"), ("list", "batchinferences")},
            {("patch", "modelrollouts"), ("create", "modeldeployments")},
        ),
        (
            "sluice-edit",
            {("patch", "modeldeployments"), ("create", "batchinferences")},
            {("patch", "modelrollouts"), ("create", "rolloutpolicies")},
        ),
    ],
)
def test_roles_of_people(roles: Kube, role: str, may: set[Any], may_not: set[Any]) -> None:
    user = f"user-of-{role}"
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
    roles.create(binding).raise_for_status()

    def can(verb: str, resource: str) -> bool:
        return roles.may(user, [], verb=verb, group=SLUICE, resource=resource, namespace="team")

    wait_until(lambda: all(can(*each) for each in may))
    assert [each for each in sorted(may_not) if can(*each)] == []
