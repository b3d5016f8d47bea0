"""The Job that asks a version for its answers: the runner's command line, and who may find its pods."""

from dataclasses import replace
from typing import Any

import pytest

from sluice_core.api.v1alpha1.validation import Validation
from sluice_core.kernel import naming
from sluice_core.kernel.snapshot import Served
from sluice_core.render.jobs import batchjob, validationjob
from tests.support.cases import builders

ONNX = Served("onnx", "digits", "V2")
SECRET = {"credentialsSecretRef": {"name": "data-key"}}


def validation(**source: Any) -> Validation:
    batch = {
        "input": {"uri": "s3://data/labelled", "format": "CSV", **source},
        "labels": "digit",
        "batchSize": 64,
        "shards": 3,
        "objective": {"maximum": "10%"},
    }
    return Validation.model_validate({"batch": batch, "deadlineSeconds": 900})


def made(served: Served = ONNX, **source: Any) -> dict[str, Any]:
    revision = replace(builders.make_revision(), served=served)
    deployment = builders.make_model_deployment()
    return validationjob.desired_job(deployment, revision, validation(**source), "digits-s1", builders.CONFIG)


def container(job: dict[str, Any]) -> dict[str, Any]:
    (found,) = job["spec"]["template"]["spec"]["containers"]
    return dict(found)


def options(job: dict[str, Any]) -> dict[str, str]:
    arguments = container(job)["args"]
    return dict(zip(arguments[::2], arguments[1::2], strict=True))


def test_it_compares_with_labels_and_writes_nothing() -> None:
    job = made(columns=["image"], **SECRET)
    told = options(job)
    assert {name: told[name] for name in ("--input", "--input-format", "--columns", "--labels", "--model")} == {
        "--input": "s3://data/labelled",
        "--input-format": "CSV",
        "--columns": "image",
        "--labels": "digit",
        "--model": "/models",
    }
    assert (told["--shards"], told["--batch-size"], told["--maximum-failed-rows-percent"]) == ("3", "64", "100")
    assert not {"--output", "--output-format", "--mode", "--keep"} & told.keys()
    assert {variable["name"].partition("_")[0] for variable in container(job)["env"]} == {"INPUT"}


def test_a_claim_is_mounted_to_be_read() -> None:
    job = made(uri="pvc://data/labelled/2026")
    assert options(job)["--input"] == "file:///data/input/labelled/2026"
    claims = [v for v in job["spec"]["template"]["spec"]["volumes"] if "persistentVolumeClaim" in v]
    assert claims == [{"name": "input", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}}]


def test_a_model_of_another_format_is_asked_through_its_server() -> None:
    job = made(Served("pytorch", "digits", "V2"))
    assert options(job)["--protocol"] == "V2"
    sidecars = job["spec"]["template"]["spec"]["initContainers"]
    assert [one["restartPolicy"] for one in sidecars if "restartPolicy" in one] == ["Always"]


def test_a_server_that_the_runner_cannot_ask_is_told() -> None:
    with pytest.raises(batchjob.ProtocolNotSupported, match="speaks neither V2 nor V1"):
        made(Served("pytorch", "digits", ""))


def test_nobody_sends_requests_to_its_pods() -> None:
    job = made()
    pods = job["spec"]["template"]["metadata"]["labels"]
    assert pods[naming.LABEL_OWNER] == "digits.validation"
    assert naming.LABEL_REVISION not in pods
    assert job["metadata"]["labels"][naming.LABEL_OWNER] == "digits"
    assert job["metadata"]["ownerReferences"][0]["kind"] == "ModelDeployment"
    assert job["spec"]["activeDeadlineSeconds"] == 900


def test_its_pods_keep_to_the_restricted_standard() -> None:
    job = made(Served("pytorch", "digits", "V2"))
    runner = container(job)["securityContext"]
    assert (runner["allowPrivilegeEscalation"], runner["readOnlyRootFilesystem"]) == (False, True)
    assert job["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
