"""What of a mirror a gateway can do."""

from dataclasses import replace

import pytest

from sluice_core.api.v1alpha1.strategies import Shadow
from sluice_core.rollout.strategies import shadow
from tests.support.cases.builders import PRESET


@pytest.mark.parametrize(
    ("percent", "mirrors", "shares", "want"),
    [
        pytest.param(100, True, True, "", id="all of both"),
        pytest.param(20, True, True, "", id="a share"),
        pytest.param(100, True, False, "", id="everything, where there is no share"),
        pytest.param(20, True, False, "spec.rollout.shadow.percent: the gateway (contour) ignores", id="no share"),
        pytest.param(100, False, False, "spec.rollout.shadow: the gateway (contour) does not mirror", id="no mirror"),
    ],
)
def test_what_a_gateway_cannot_mirror_is_refused(percent: int, mirrors: bool, shares: bool, want: str) -> None:
    preset = replace(PRESET, request_mirror=mirrors, mirror_percent=shares)
    refused = shadow.mirror_refused(Shadow(percent=percent), preset)

    assert refused.startswith(want)
    assert bool(refused) is bool(want)


@pytest.mark.parametrize("several", [True, False])
def test_copies_for_two_only_where_the_gateway_is_known_to_make_them(several: bool) -> None:
    refused = shadow.mirror_refused(Shadow(), replace(PRESET, mirrors_several=several), observed=True)
    assert bool(refused) is not several
    assert "spec.observer" in refused or several
