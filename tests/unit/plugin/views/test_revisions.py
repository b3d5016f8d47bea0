"""Where one can go back to, and what that means for the manifest."""

import pytest

from kubectl_sluice.views.releases import revisions
from kubectl_sluice.views.releases.revisions import KnownRevision
from tests.unit.plugin.views.builders import CANDIDATE, STABLE, make_deployment, make_rollout


def test_releases_tell_revisions_where_the_cluster_may_not_be_asked() -> None:
    known = revisions.from_rollouts([make_rollout(attempt=2), make_rollout()], make_deployment())
    assert [(each.name, each.uri, each.version, each.serves) for each in known] == [
        (CANDIDATE, "s3://models/digits/2", "two", False),
        (STABLE, "s3://models/digits/1", "", True),
    ]


@pytest.mark.parametrize(
    ("rollout", "want"),
    [
        ({"outcome": "Promoted"}, STABLE),
        ({"outcome": "Promoted", "first": True}, None),
        ({"outcome": "RolledBack"}, None),
        ({}, None),
    ],
)
def test_served_before(rollout: dict[str, object], want: str | None) -> None:
    now_stable = {"revision": CANDIDATE, "weight": 100}
    made = make_rollout(**rollout)  # type: ignore[arg-type]
    assert revisions.served_before([made], make_deployment(stable=now_stable)) == want


def test_divergence_names_both_models() -> None:
    back = KnownRevision(STABLE, "s3://models/digits/1", "", serves=False)
    found = revisions.divergence(make_deployment(), back)
    assert found is not None
    assert (found.serves, found.asked) == ("s3://models/digits/1", "s3://models/digits/2")
    assert "set spec.model.uri to s3://models/digits/1" in found.message
    same = KnownRevision(CANDIDATE, "s3://models/digits/2", "", serves=False)
    assert revisions.divergence(make_deployment(), same) is None
