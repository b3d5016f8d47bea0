"""One gateway of the lab after the other. KEEP=1 leaves all of it running."""

import contextlib
from collections.abc import Iterator

import pytest

from demo.cluster import Cluster
from lab import gateways as lab_gateways
from sluice_judge.gateways import PRESETS
from tests.e2e.conftest import KEEP
from tests.e2e.gateways.field import Field

CONTOUR = "contour"


@pytest.fixture(
    scope="module",
    params=[
        CONTOUR,
        *(pytest.param(name, marks=(pytest.mark.slow, pytest.mark.disturbs)) for name in lab_gateways.GATEWAYS),
    ],
)
def field(bare_lab: Cluster, request: pytest.FixtureRequest) -> Iterator[Field]:
    """The revisions behind the gateway, before any route."""
    with contextlib.ExitStack() as stack:
        field = _field(bare_lab, request.param, stack)
        field.prepare()
        if not KEEP:
            stack.callback(field.remove)
        yield field


def _field(cluster: Cluster, name: str, stack: contextlib.ExitStack) -> Field:
    if name == CONTOUR:
        return Field(cluster, PRESETS[name], ("gateway", "models"), cluster.gateway)
    ran_before = lab_gateways.is_up(name)
    gateway = lab_gateways.up(name)
    if not (ran_before or KEEP):
        stack.callback(lab_gateways.down, name)
    return Field(cluster, PRESETS[name], (gateway.namespace, gateway.gateway), gateway.address)
