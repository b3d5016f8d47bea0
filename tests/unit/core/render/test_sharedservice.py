"""The one Service of a model without a gateway, and how it is read back."""

from dataclasses import replace
from typing import Any

import pytest

from sluice_core.kernel.naming import LABEL_OWNER, LABEL_REVISION
from sluice_core.kernel.snapshot import Paths
from sluice_core.parsing import services
from sluice_core.render.traffic import service, sharedservice
from tests.support.cases import builders

DEPLOYMENT = builders.make_model_deployment()
NAME = DEPLOYMENT.metadata.name
STABLE = builders.make_revision(number=1)
CANDIDATE = replace(builders.make_revision(uri="s3://models/digits/2", number=2), port=9000)
BOTH = (STABLE, CANDIDATE)


def desired(stable: int, candidate: int, preview: str | None = None) -> dict[str, Any]:
    paths = Paths(((STABLE.name, stable), (CANDIDATE.name, candidate)), preview=preview)
    return sharedservice.desired_shared_service(DEPLOYMENT, paths, BOTH)


@pytest.mark.parametrize(
    ("stable", "candidate", "revision", "port"),
    [(1000, 0, STABLE.name, 8000), (800, 200, None, 8000), (500, 500, None, 8000), (0, 1000, CANDIDATE.name, 9000)],
)
def test_one_version_or_every_pod_of_the_model(stable: int, candidate: int, revision: str | None, port: int) -> None:
    manifest = desired(stable, candidate)
    selector = {LABEL_OWNER: NAME} | ({LABEL_REVISION: revision} if revision else {})
    assert manifest["spec"]["selector"] == selector
    assert manifest["spec"]["ports"][0]["targetPort"] == port
    assert manifest["metadata"]["name"] == NAME
    assert manifest["metadata"]["labels"][LABEL_OWNER] == NAME, "by which its EndpointSlices are watched"


@pytest.mark.parametrize("preview", [None, CANDIDATE.name])
def test_what_is_written_is_read_back(preview: str | None) -> None:
    manifest = desired(950, 50, preview)
    route = services.observed_route([manifest], BOTH, NAME)
    assert route is not None
    assert route.paths == Paths(((STABLE.name, 950), (CANDIDATE.name, 50)), preview=preview)
    assert route.programmed


def test_there_is_no_route_before_the_service() -> None:
    assert services.observed_route([service.desired_service(STABLE, DEPLOYMENT)], BOTH, NAME) is None


def test_every_change_is_another_generation() -> None:
    manifests = [desired(1000, 0), desired(800, 200), desired(800, 200, CANDIDATE.name), desired(0, 1000)]
    routes = [services.observed_route([manifest], BOTH, NAME) for manifest in manifests]
    assert len({route.generation for route in routes if route is not None}) == len(manifests)


def slice_of(name: str, *pods: str) -> dict[str, Any]:
    endpoints = [{"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": pod}} for pod in pods]
    labels = {"kubernetes.io/service-name": name}
    return {"kind": "EndpointSlice", "metadata": {"name": f"{name}-x", "labels": labels}, "endpoints": endpoints}


@pytest.mark.parametrize(
    ("behind", "message"), [(("s",), ""), (("s", "new"), ""), (("s", "c"), f"still leads to pods of {CANDIDATE.name}")]
)
def test_a_roll_back_is_done_when_the_pods_are_no_longer_behind_it(behind: tuple[str, ...], message: str) -> None:
    slices = [slice_of(NAME, *behind), slice_of(STABLE.name, "s"), slice_of(CANDIDATE.name, "c")]
    route = services.observed_route([desired(1000, 0), *slices], BOTH, NAME)
    assert route is not None
    assert route.programmed is (not message)
    assert message in route.message


def test_where_two_share_the_pods_of_another_are_behind_it_until_they_end() -> None:
    other = builders.make_revision(uri="s3://models/digits/3", number=3)
    slices = [slice_of(NAME, "s", "c", "o"), slice_of(other.name, "o")]
    route = services.observed_route([desired(800, 200), *slices], (*BOTH, other), NAME)
    assert route is not None
    assert route.programmed


def test_one_that_nobody_pins_any_more_has_no_port() -> None:
    paths = Paths((("gone", 800), (CANDIDATE.name, 200), (STABLE.name, 0)))
    manifest = sharedservice.desired_shared_service(DEPLOYMENT, paths, BOTH)
    assert manifest["spec"]["ports"][0]["targetPort"] == CANDIDATE.port


def test_keys_in_the_selector_that_cannot_be_taken_away_are_told() -> None:
    manifest = desired(1000, 0)
    manifest["spec"]["selector"]["tier"] = "gold"
    route = services.observed_route([manifest], BOTH, NAME)
    assert route is not None
    assert not route.programmed
    assert "keys that Sluice did not set: tier; remove them" in route.message


def test_what_somebody_broke_in_the_annotation_is_no_share() -> None:
    manifest = desired(1000, 0)
    manifest["metadata"]["annotations"][sharedservice.ANNOTATION_WEIGHTS] = "nonsense,=,x=-1"
    assert sharedservice.read_paths(manifest) == Paths(())
