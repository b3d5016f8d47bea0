"""Models in a line each."""

from sluice.views.overview import overview
from tests.unit.views.builders import make_deployment, make_rollout


def test_one_line_a_model_by_namespace_and_name() -> None:
    deployments = [make_deployment(name=name) for name in ("words", "digits")]
    lines = overview(deployments, [make_rollout()], now=0.0)
    assert [line.name for line in lines] == ["digits", "words"]
    assert lines[0].headline == "the candidate is starting"
    assert lines[0].serves
    assert lines[1].headline == "serves the requested version"
