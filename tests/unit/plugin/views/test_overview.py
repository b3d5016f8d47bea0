"""Models in a line each."""

from kubectl_sluice.views.overview import overview
from tests.unit.plugin.views.builders import T0, condition, make_deployment, make_rollout


def test_one_line_a_model_by_namespace_and_name() -> None:
    deployments = [make_deployment(name=name).to_wire() for name in ("words", "digits")]
    lines = overview([*deployments, {"metadata": {"name": "odd"}}], [make_rollout()], now=T0)
    assert [line.name for line in lines] == ["digits", "words"]
    assert lines[0].headline == "the candidate is starting"
    assert lines[0].serves
    assert lines[1].headline == "serves the requested version"


def test_a_line_says_how_old_it_is() -> None:
    """Of a model that the operator has not looked at, and of a condition that is not as wanted."""
    unready = make_deployment(conditions=[condition("Ready", "False", "Unschedulable")])
    unseen = make_deployment(name="new", generation=3).to_wire()
    spec = {"manager": "kubectl", "time": "2026-03-01T12:00:00Z", "fieldsV1": {"f:spec": {}}}
    unseen["metadata"]["managedFields"] = [spec]
    lines = overview([unready.to_wire(), unseen], [], now=T0 + 90)
    assert lines[0].problem == "Ready=False for 1m30s Unschedulable"
    assert lines[1].headline.startswith("the operator has not looked at generation 3 yet (1m30s since the change)")
