"""What the API server accepts and refuses of a BatchInference; nothing is stored here (dry run)."""

from typing import Any

import pytest

from tests.support.cases.objects import batch
from tests.support.live.kube import Kube, causes

Object = dict[str, Any]

OWN = {"modelDeploymentRef": None, "model": {"format": "onnx", "uri": "s3://models/digits/1"}}
CUSTOM = {"modelDeploymentRef": None, "model": {"format": "custom"}}
HOURLY = {"cron": "0 * * * *"}

REFUSED: list[tuple[str, Object, str, str]] = [
    ("no model", batch({"modelDeploymentRef": None}), "spec", "exactly one of modelDeploymentRef and model"),
    ("two models", batch({**OWN, "modelDeploymentRef": {"name": "digits"}}), "spec", "exactly one of"),
    ("a runtime of another's model", batch({"runtime": {"name": "triton"}}), "spec.runtime", "belongs to model"),
    ("a variant", batch({**OWN, "model": {**OWN["model"], "variant": "int8"}}), "spec.model.variant", "belong to a ModelD"),  # type: ignore[dict-item]
    (
        "a model without a place", batch({**OWN,
            "model": {"format": "onnx"}}), "spec.model.uri", "set where the model is"),
    ("custom without an image", batch(CUSTOM), "spec.runtime.image", "format custom"),
    ("a revision in capitals", batch({"modelDeploymentRef": {"revision": "STABLE"}}), "spec.modelDeploymentRef.revision", "should match"),
    ("data of a web server", batch({"input": {"uri": "https://host/a.csv"}}), "spec.input.uri", "use one of s3://bucket/path, gs://"),
    ("a bucket alone", batch({"input": {"uri": "s3://data"}}), "spec.input.uri", "use s3://bucket/path"),
    ("out of the claim", batch({"output": {"uri": "pvc://data/../x"}}), "spec.output.uri", "leads out of the claim"),
    ("an input of the run", batch({"input": {"uri": "s3://data/{{run}}"}}), "spec.input.uri", "an input can have {{scheduledDate}}"),
    ("an unknown placeholder", batch({"output": {"uri": "s3://data/{{day}}"}}), "spec.output.uri", "an output can have {{run}} and {{scheduledDate}}"),
    ("a date with an unknown part", batch({"schedule": HOURLY, "input": {"uri": "s3://data/{{scheduledDate:%y}}"}}), "spec.input.uri", "%Y %m %d"),
    ("a date that leads out", batch({"schedule": HOURLY, "input": {"uri": "pvc://data/{{scheduledDate:../x}}"}}), "spec.input.uri", "unknown pl"),
    ("a date without a schedule", batch({"input": {"uri": "s3://data/{{scheduledDate}}"}}), "spec.input.uri", "needs a schedule"),
    ("an output's date without a schedule", batch({"output": {"uri": "s3://data/{{scheduledDate}}"}}), "spec.output.uri", "needs a schedule"),
    ("dates at once", batch({"schedule": {**HOURLY, "concurrencyPolicy": "Allow"}, "output": {"uri": "s3://data/{{scheduledDate}}"}}),
     "spec.output.uri", "not with concurrencyPolicy Allow"),
    ("an unknown format", batch({"input": {"format": "Avro"}}), "spec.input.format", "supported values"),
    ("credentials of a claim", batch({"input": {"uri": "pvc://data/a", "credentialsSecretRef": {"name": "s"}}}),
     "spec.input.credentialsSecretRef", "does not need credentials"),
    ("a column with a comma", batch({"input": {"columns": ["a,b"]}}), "spec.input.columns[0]", "should match"),
    ("no columns", batch({"output": {"columns": []}}), "spec.output.columns", "at least 1"),
    ("batches of none", batch({"batchSize": 0}), "spec.batchSize", "greater than or equal to 1"),
    ("a percent without its sign", batch({"maximumFailedRowsPercent": "1"}), "spec.maximumFailedRowsPercent", "should match"),
    ("shards on Spark", batch({"engine": {"type": "Spark", "shards": 2}}), "spec.engine", "belong to type Job"),
    ("executors of a Job", batch({"engine": {"executors": 2}}), "spec.engine", "belong to type Spark"),
    ("more at once than there are", batch({"engine": {"parallelism": 2}}), "spec.engine.parallelism", "must not be above shards"),
    ("a schedule into one folder", batch({"schedule": HOURLY}), "spec.output.uri", "put {{run}} into output.uri"),
    ("at once into one folder", batch({"schedule": {**HOURLY, "concurrencyPolicy": "Allow"}, "output": {"mode": "Overwrite"}}),
     "spec.output.uri", "not with concurrencyPolicy Allow"),
    ("a schedule with seconds", batch({"schedule": {"cron": "0 0 3 * * *"}, "output": {"mode": "Overwrite"}}),
     "spec.schedule.cron", "should match"),
    ("a long name", batch(name="x" * 46), "", "at most 45 characters"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "field", "reason"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_refused_with_field_and_reason(kube: Kube, given: Object, field: str, reason: str) -> None:
    answer = kube.create(given, dry_run=True)
    assert answer.status_code == 422, answer.text
    assert any(field == where and reason in what for where, what in causes(answer)), causes(answer)


ACCEPTED: list[tuple[str, Object]] = [
    ("smallest", batch()),
    ("a model of its own", batch(OWN)),
    ("the candidate", batch({"modelDeploymentRef": {"revision": "Candidate"}})),
    ("a named revision", batch({"modelDeploymentRef": {"revision": "digits-0123456789"}})),
    ("a schedule into folders", batch({"schedule": {**HOURLY, "timeZone": "Europe/Berlin"}, "output": {"uri": "gs://data/{{run}}"}})),
    ("dates", batch({"schedule": HOURLY, "input": {"uri": "s3://data/{{scheduledDate-1d:%Y/%m/%d}}"},
                     "output": {"uri": "s3://data/out/{{scheduledDate}}"}})),
    ("a schedule that overwrites", batch({"schedule": {"cron": "*/5 8-18 1,15 JAN-JUN MON#1"}, "output": {"mode": "Overwrite"}})),
    ("claims", batch({"input": {"uri": "pvc://data/in.csv"}, "output": {"uri": "pvc://data/out"}})),
    ("Spark", batch({"engine": {"type": "Spark", "executors": 4, "serviceAccountName": "spark"}})),
    ("shards", batch({"engine": {"shards": 1000, "parallelism": 10, "retriesPerShard": 0}})),
    ("longest name", batch(name="x" * 45)),
]  # fmt: skip


@pytest.mark.parametrize("given", [case[1] for case in ACCEPTED], ids=[case[0] for case in ACCEPTED])
def test_accepted(kube: Kube, given: Object) -> None:
    answer = kube.create(given, dry_run=True)
    assert answer.status_code == 201, answer.text


def test_defaults_are_seen_by_whoever_reads_the_object(kube: Kube) -> None:
    spec = kube.create(batch(), dry_run=True).raise_for_status().json()["spec"]
    assert (spec["batchSize"], spec["maximumFailedRowsPercent"], spec["suspend"]) == (256, "0%", False)
    assert spec["engine"] == {"type": "Job"}, "what belongs to one type has no default in the schema"
    assert spec["output"]["mode"] == "ErrorIfExists"
    assert spec["modelDeploymentRef"] == {"name": "digits", "revision": "Stable"}
