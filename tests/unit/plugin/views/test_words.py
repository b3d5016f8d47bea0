"""Numbers in words."""

import pytest

from kubectl_sluice.views.releases.objectives import objective_views
from kubectl_sluice.views.wire import to_wire
from sluice_core.api.v1alpha1.verification import VerificationStatus
from sluice_core.views import words
from tests.unit.plugin.views import builders


@pytest.mark.parametrize(
    ("seconds", "want"),
    [(-1, "0s"), (0.4, "0s"), (59.4, "59s"), (59.6, "1m00s"), (125, "2m05s"), (4320, "1h12m"), (273_600, "3d4h")],
)
def test_span(seconds: float, want: str) -> None:
    assert words.span(seconds) == want


@pytest.mark.parametrize(("part", "whole", "want"), [(0, 0, "-"), (0, 5, "0%"), (5, 5, "100%"), (1, 300, "0.33%")])
def test_percentage(part: int, whole: int, want: str) -> None:
    assert words.percentage(part, whole) == want


def test_wire_is_camel_case_all_the_way_down() -> None:
    wire = to_wire(objective_views(builders.make_rollout(**builders.RUNNING).status.objectives, []))[0]
    assert wire["rollBack"] == {"log10": 0.11, "thresholdLog10": 2.0}
    assert wire["requestsNeeded"] == 340


@pytest.mark.parametrize(
    ("parts", "want"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_listed(parts: list[str], want: str) -> None:
    assert words.listed(parts) == want


def test_who_signed() -> None:
    assert words.verified(None) == ""
    said = VerificationStatus(verified=True, digest="sha256:1c", signer="key 5f", time="2026-03-01T12:00:00Z")
    assert words.verified(said) == "verified: sha256:1c, signed by key 5f, 2026-03-01T12:00:00Z"
    assert words.verified(VerificationStatus(problem="no \x1b[31msignature")) == "NOT verified: no \\u001b[31msignature"
