"""What all children of a ModelDeployment have in common, and its budget."""

import pytest

from sluice_core.kernel import naming
from sluice_core.kernel.snapshot import Paths
from sluice_core.render import budget, workload
from sluice_core.render.traffic import route, service
from tests.support.cases import builders

DEPLOYMENT = builders.make_model_deployment()


def test_one_budget_covers_the_pods_of_every_revision() -> None:
    wanted = budget.desired_budget(DEPLOYMENT)
    assert wanted["spec"]["maxUnavailable"] == 1
    for uri in ("s3://models/digits/1", "s3://models/digits/2"):
        labels = builders.make_revision(uri=uri).template["metadata"]["labels"]
        assert wanted["spec"]["selector"]["matchLabels"].items() <= labels.items()
    other = builders.make_revision(deployment=builders.make_model_deployment(name="faces")).template["metadata"][
        "labels"
    ]
    assert not wanted["spec"]["selector"]["matchLabels"].items() <= other.items()


REVISION = builders.make_revision()
ROUTES = route.desired_routes(
    DEPLOYMENT, builders.CONFIG, Paths(((REVISION.name, 1000),)), grpc=frozenset({REVISION.name})
)
CHILDREN = {
    "ControllerRevision": workload.desired_controller_revision(REVISION, DEPLOYMENT),
    "Deployment": workload.desired_deployment(REVISION, 1, DEPLOYMENT),
    "Service": service.desired_service(REVISION, DEPLOYMENT),
    **{route_["kind"]: route_ for route_ in ROUTES},
    "PodDisruptionBudget": budget.desired_budget(DEPLOYMENT),
}


@pytest.mark.parametrize("kind", CHILDREN)
def test_every_child_is_owned_and_labelled(kind: str) -> None:
    child = CHILDREN[kind]
    assert child["kind"] == kind
    assert child["metadata"]["namespace"] == "ml"
    assert child["metadata"]["labels"].items() >= naming.owned_labels("digits").items()
    (owner,) = child["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (builders.UID, True, False)
