"""Who owns an object that has the name of one of ours."""

from typing import Any

import pytest

from sluice_core.kernel import claims, naming
from sluice_core.kernel.claims import Claim

MODEL = {"kind": "ModelDeployment", "metadata": {"name": "digits", "uid": "m"}}
BATCH = {"kind": "BatchInference", "metadata": {"name": "digits", "uid": "b"}}
OF_MODEL = {"kind": "ModelDeployment", "name": "digits", "uid": "m", "controller": True}
OF_BATCH = {"kind": "BatchInference", "name": "digits", "uid": "b", "controller": True}
GONE = {**OF_MODEL, "uid": "earlier"}
WEB = {"kind": "Deployment", "name": "web", "uid": "w", "controller": True}
PLAIN = {"kind": "ConfigMap", "name": "shared", "uid": "c"}
LABELS = naming.owned_labels("digits")


def found(**metadata: Any) -> dict[str, Any]:
    return {"kind": "Service", "metadata": {"name": "digits", **metadata}}


@pytest.mark.parametrize(
    ("metadata", "owner", "want"),
    [
        ({"labels": LABELS, "ownerReferences": [OF_MODEL]}, MODEL, Claim.OURS),
        ({"labels": LABELS, "ownerReferences": [PLAIN, OF_MODEL]}, MODEL, Claim.OURS),
        ({"labels": naming.aside_labels("digits", "validation"), "ownerReferences": [OF_MODEL]}, MODEL, Claim.OURS),
        ({"labels": naming.batch_labels("digits"), "ownerReferences": [OF_BATCH]}, BATCH, Claim.OURS),
        ({"labels": LABELS}, MODEL, Claim.OURS),
        ({"ownerReferences": [OF_MODEL]}, MODEL, Claim.UNLABELLED),
        ({"labels": None, "ownerReferences": [OF_MODEL]}, MODEL, Claim.UNLABELLED),
        ({"labels": {naming.LABEL_OWNER: "digits"}, "ownerReferences": [OF_MODEL]}, MODEL, Claim.UNLABELLED),
        ({"labels": naming.owned_labels("another"), "ownerReferences": [OF_MODEL]}, MODEL, Claim.UNLABELLED),
        ({"labels": LABELS, "ownerReferences": [GONE]}, MODEL, Claim.PASSING),
        ({"ownerReferences": [GONE]}, MODEL, Claim.PASSING),
        ({"deletionTimestamp": "now", "ownerReferences": [WEB]}, MODEL, Claim.PASSING),
        ({}, MODEL, Claim.FOREIGN),
        ({"labels": {"app": "web"}, "ownerReferences": [WEB]}, MODEL, Claim.FOREIGN),
        ({"labels": LABELS, "ownerReferences": [WEB]}, MODEL, Claim.FOREIGN),
        ({"labels": naming.owned_labels("another")}, MODEL, Claim.FOREIGN),
        ({"labels": naming.batch_labels("digits"), "ownerReferences": [OF_BATCH]}, MODEL, Claim.FOREIGN),
        ({"labels": naming.batch_labels("digits")}, MODEL, Claim.FOREIGN),
        ({"labels": LABELS, "ownerReferences": [OF_MODEL]}, BATCH, Claim.FOREIGN),
    ],
)
def test_claim(metadata: dict[str, Any], owner: dict[str, Any], want: Claim) -> None:
    assert claims.claim(found(**metadata), owner) is want


@pytest.mark.parametrize(
    ("kind", "metadata", "want"),
    [
        ("ControllerRevision", {"managedFields": [{"manager": "kubectl"}, {"manager": "sluice"}]}, Claim.UNLABELLED),
        ("ControllerRevision", {"managedFields": [{"manager": "kubectl"}]}, Claim.FOREIGN),
        (
            "ControllerRevision",
            {"managedFields": [{"manager": "sluice"}], "ownerReferences": [{**OF_MODEL, "name": "x", "uid": "x"}]},
            Claim.FOREIGN,
        ),
        ("Service", {"managedFields": [{"manager": "sluice"}]}, Claim.FOREIGN),
    ],
)
def test_the_stable_version_has_no_owner_to_be_known_by(kind: str, metadata: dict[str, Any], want: Claim) -> None:
    assert claims.claim({**found(**metadata), "kind": kind}, MODEL) is want


@pytest.mark.parametrize(
    ("metadata", "want"),
    [
        ({"ownerReferences": [PLAIN, WEB]}, "Deployment web"),
        ({"ownerReferences": [PLAIN]}, "ConfigMap shared"),
        ({"labels": naming.owned_labels("another")}, "ModelDeployment another"),
        ({"labels": naming.batch_labels("churn")}, "BatchInference churn"),
        ({"managedFields": [{"manager": "helm"}, {"manager": "kubectl"}]}, "whoever writes it as helm"),
        ({"managedFields": [{}]}, "somebody else"),
        ({}, "somebody else"),
    ],
)
def test_whose(metadata: dict[str, Any], want: str) -> None:
    assert claims.whose(found(**metadata)) == want
