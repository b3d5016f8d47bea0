"""A/B tests in figures."""

from typing import Any

import pytest

from kubectl_sluice.views.releases.arms import ab_test_view
from kubectl_sluice.views.releases.release import release_view
from tests.unit.plugin.views import builders
from tests.unit.plugin.views.builders import T0, make_deployment, make_rollout

ARM = {"revision": "digits-3333333333", "inputHash": "h3", "uri": "s3://models/digits/3"}
RULES = {
    "strategy": "ABTest",
    "steps": [{"weight": 100}],
    "abTest": {
        "arms": [{"name": "b", "weight": 40, "to": ARM}],
        "assignment": {"type": "Cookie", "name": "sluice-arm"},
        "metric": "conversion",
        "maximumSeconds": 1209600,
        "onWinner": "Report",
    },
}


@pytest.mark.parametrize(
    ("told", "state", "comparison"),
    [
        ([], "not separated", "-"),
        ([{"verdict": "Better", "ratio": "1.08", "ratioLow": "1.02"}], "better than stable", "1.08x [1.02, inf]"),
        ([{"verdict": "Worse", "ratio": "0.9", "ratioHigh": "0.97"}], "worse than stable", "0.9x [0, 0.97]"),
        ([{"ended": True, "reason": "WorseThanStable"}], "ended: WorseThanStable", "-"),
    ],
)
def test_arms(told: list[dict[str, Any]], state: str, comparison: str) -> None:
    status = [{"name": "b", "revision": ARM["revision"]} | each for each in told]
    view = ab_test_view(make_rollout(rules=RULES, arms=status))
    assert view is not None
    assert [(arm.name, arm.state, arm.comparison, arm.weight_percent) for arm in view.arms] == [
        ("b", state, comparison, 40)
    ]


def test_other_releases_are_no_test() -> None:
    assert ab_test_view(make_rollout()) is None


def test_status_names_arms_and_metric() -> None:
    arm = {"revision": ARM["revision"], "weight": 40, "readyReplicas": 1, "replicas": 1}
    view = release_view(
        make_deployment(conditions=builders.RELEASING, arms=[arm]), [make_rollout(rules=RULES, step=1)], now=T0
    )
    assert view.headline == "A/B test of 1 arm on conversion"
    assert [(r.role, r.uri, r.weight) for r in view.revisions][1:] == [("arm b", "s3://models/digits/3", "40 %")]
