"""Services."""

from typing import Any

import pytest

from sluice_core.kernel import naming
from sluice_core.kernel.snapshot import Revision
from sluice_core.render import common
from sluice_core.render.traffic import service
from tests.support.cases import builders

DEPLOYMENT = builders.make_model_deployment()
REVISION = builders.make_revision()
HTTP = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8000}
GRPC = {"name": "grpc", "protocol": "TCP", "port": 81, "targetPort": 8001, "appProtocol": "kubernetes.io/h2c"}


def speaking_grpc(**observed: Any) -> Revision:
    return builders.make_revision(runtime=builders.make_runtime(grpc_port=8001), **observed)


def test_a_service_finds_the_pods_of_one_revision() -> None:
    wanted = service.desired_service(REVISION, DEPLOYMENT)
    assert wanted["metadata"]["name"] == REVISION.name
    assert wanted["metadata"]["labels"] == naming.owned_labels("digits", REVISION.name)
    assert wanted["spec"]["ports"] == [HTTP]
    assert wanted["spec"]["selector"].items() <= REVISION.template["metadata"]["labels"].items()


def test_grpc_has_a_port_of_its_own_where_the_server_speaks_it() -> None:
    assert service.desired_service(speaking_grpc(), DEPLOYMENT)["spec"]["ports"] == [HTTP, GRPC]


@pytest.mark.parametrize("suffix", common.SUFFIXES)
def test_requests_that_are_counted_apart_have_a_service_of_their_own(suffix: str) -> None:
    main, apart = (service.desired_service(speaking_grpc(), DEPLOYMENT, suffix=text) for text in ("", suffix))
    assert apart["metadata"]["name"] == f"{speaking_grpc().name}-{suffix}"
    assert apart["spec"] == main["spec"]
    assert apart["metadata"]["labels"] == main["metadata"]["labels"]


@pytest.mark.parametrize("suffix", ["", *common.SUFFIXES])
def test_where_a_gateway_asks_for_endpoints_a_service_needs_no_address(suffix: str) -> None:
    with_address = service.desired_service(REVISION, DEPLOYMENT, suffix=suffix)
    headless = service.desired_service(REVISION, DEPLOYMENT, suffix=suffix, headless=True)
    assert headless["spec"] == {**with_address["spec"], "clusterIP": "None"}
    assert service.is_headless(headless)
    assert not service.is_headless(with_address)


def test_the_longest_name_of_a_service_is_a_label() -> None:
    revision = builders.make_revision(deployment=builders.make_model_deployment(name="m" * 45))
    assert all(len(naming.service_name(revision.name, suffix)) <= 63 for suffix in common.SUFFIXES)
