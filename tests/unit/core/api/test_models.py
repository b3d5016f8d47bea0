"""The models as the operator reads them: what the API server stored, and what slipped past it."""

from typing import Any

import pydantic
import pytest

from sluice_core.api import crd
from sluice_core.api.v1alpha1.batchinference import BatchInference
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_core.api.v1alpha1.rolloutspec import ModelRolloutSpec
from sluice_core.api.v1alpha1.workload import Resources
from sluice_judge.schema.objectives import FailureRatio

SMALLEST: dict[str, Any] = {
    "metadata": {"name": "digits", "namespace": "default"},
    "spec": {"model": {"format": "onnx", "uri": "s3://models/digits/1"}},
}


def test_smallest_deployment_has_defaults() -> None:
    spec = ModelDeployment.model_validate(SMALLEST).spec
    assert (spec.replicas, spec.drain_seconds, spec.routing.timeout_seconds) == (1, 30, 30)


def test_unknown_fields_are_ignored_as_an_older_operator_must() -> None:
    newer = {**SMALLEST, "spec": {**SMALLEST["spec"], "fromTheFuture": 1}}
    assert ModelDeployment.model_validate(newer) == ModelDeployment.model_validate(SMALLEST)


def test_an_object_does_not_keep_which_of_its_fields_were_given() -> None:
    """A set for each part of each object, which would be half of its memory; a changed copy leaves all others alone."""
    given = ModelDeployment.model_validate(SMALLEST)
    changed = given.model_copy(update={"spec": given.spec.model_copy(update={"replicas": 3})})
    for each in (given, given.spec, given.spec.model, ModelDeployment.model_validate(SMALLEST).status):
        assert each.model_fields_set is given.model_fields_set
    assert given.model_fields_set == set()
    assert (given.spec.replicas, changed.spec.replicas) == (1, 3)
    assert given == ModelDeployment.model_validate(SMALLEST) != changed


def test_wire_form_round_trips() -> None:
    deployment = ModelDeployment.model_validate(SMALLEST)
    assert ModelDeployment.model_validate(deployment.to_wire()) == deployment


def test_rollout_says_from_and_to_on_the_wire() -> None:
    policy = RolloutPolicySpec().to_wire()
    end = {"revision": "digits-1", "inputHash": "1", "uri": "s3://models/digits/1"}
    kept = {key: value for key, value in policy.items() if key in {"steps", "objectives", "initialDispersion"}}
    numbers = {key: value for key, value in policy.items() if key not in kept}
    spec = ModelRolloutSpec.model_validate({"modelDeployment": "digits", "from": end, "to": end, **kept, **numbers})
    assert {"from", "to"} <= set(spec.to_wire())


@pytest.mark.parametrize(
    ("field", "value", "accepted"),
    [
        pytest.param("maximum", "0%", False, id="no number of requests proves zero"),
        pytest.param("maximum", "0.000%", False, id="zero in another spelling"),
        pytest.param("maximum", "0.001%", True, id="smallest"),
        pytest.param("maximum", "80%", True, id="largest"),
        pytest.param("maximum", "80.001%", False, id="too large"),
        pytest.param("maximum", "2", False, id="no percent sign"),
        pytest.param("maximum", "-1%", False, id="negative"),
        pytest.param("maximum", "1.2345%", False, id="too many decimals"),
        pytest.param("ignoreBelow", "0%", False, id="zero is not negligible"),
        pytest.param("relativeTolerance", "0%", True, id="no tolerance"),
        pytest.param("relativeTolerance", "1000%", True, id="largest tolerance"),
        pytest.param("relativeTolerance", "1001%", False, id="tolerance too large"),
    ],
)
def test_percent_outside_its_range_is_refused_by_the_model_too(field: str, value: str, accepted: bool) -> None:
    given = {"events": "ServerErrors", field: value}
    if accepted:
        assert FailureRatio.model_validate(given).to_wire()[field] == value
        return
    with pytest.raises(pydantic.ValidationError) as caught:
        FailureRatio.model_validate(given)
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]


@pytest.mark.parametrize(("given", "want"), [(1, "1"), ("500m", "500m"), ("2Gi", "2Gi")])
def test_quantity_may_be_a_number(given: int | str, want: str) -> None:
    assert Resources.model_validate({"requests": {"cpu": given}}).requests == {"cpu": want}


def test_every_field_of_a_rollout_but_the_intent_is_immutable() -> None:
    spec = crd.root_schema(ModelRollout)["properties"]["spec"]
    guarded = {rule["fieldPath"].removeprefix(".") for rule in spec["x-kubernetes-validations"]}
    assert guarded == set(spec["properties"]) - {"intent"}


@pytest.mark.parametrize(
    ("engine", "want"),
    [
        pytest.param({}, (1, 1, 10, 2), id="defaults"),
        pytest.param({"shards": 8}, (8, 8, 10, 2), id="all shards at once"),
        pytest.param({"shards": 8, "parallelism": 2, "retriesPerShard": 0}, (8, 2, 0, 2), id="as said"),
        pytest.param({"type": "Spark", "executors": 5}, (1, 1, 10, 5), id="Spark"),
    ],
)
def test_engine_of_a_batch_has_defaults_that_the_schema_cannot_have(
    engine: dict[str, Any], want: tuple[int, ...]
) -> None:
    data = {"format": "CSV"}
    batch = BatchInference.model_validate(
        {
            "metadata": {"name": "churn"},
            "spec": {
                "modelDeploymentRef": {"name": "churn"},
                "input": {"uri": "s3://data/in", **data},
                "output": {"uri": "s3://data/out", **data},
                "engine": engine,
            },
        }
    )
    said = batch.spec.engine
    assert (said.shard_count, said.pods_at_once, said.retries, said.executor_count) == want
