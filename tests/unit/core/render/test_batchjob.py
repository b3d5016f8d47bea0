"""The Job of a batch run: the revision's pod with the runner in it."""

from typing import Any

import pytest

from sluice_core.api.config import AcceleratorProfile, OperatorConfig
from sluice_core.api.v1alpha1.batchinference import BatchInference, BatchRun
from sluice_core.kernel import naming
from sluice_core.kernel.snapshot import Revision
from sluice_core.render import workload
from sluice_core.render.jobs import batchjob
from sluice_core.render.pod import podtemplate
from tests.support.cases import builders

RUN = BatchRun(name="churn-1")
RESOURCES = {"requests": {"cpu": "2"}, "limits": {"memory": "3Gi"}}


def make_batch(**spec: Any) -> BatchInference:
    return BatchInference.model_validate(
        {
            "metadata": {"name": "churn", "namespace": "ml", "uid": "u"},
            "spec": {
                "modelDeploymentRef": {"name": "digits"},
                "input": {"uri": "s3://data/today", "format": "Parquet"},
                "output": {"uri": "s3://data/scores/{{run}}", "format": "CSV"},
                **spec,
            },
        }
    )


def make_revision(
    *, protocols: tuple[str, ...] = ("V2",), container: dict[str, Any] | None = None, **deployment: Any
) -> Revision:
    runtime = builders.make_runtime(
        formats=("onnx", "sklearn"),
        protocols=protocols,
        containers=[builders.make_container(**(container or {}))],
        drain={"pre_stop_seconds": 5},
    )
    return workload.new_revision(builders.make_model_deployment(**deployment), runtime, OperatorConfig(), 1)


def make_job(batch: BatchInference | None = None, revision: Revision | None = None, **config: Any) -> dict[str, Any]:
    return batchjob.desired_job(batch or make_batch(), RUN, revision or make_revision(), OperatorConfig(**config))


def pod(job: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = job["spec"]["template"]["spec"]
    return spec


def runner(job: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod(job)["containers"]
    assert container["name"] == "batch"
    return dict(container)


def argument(job: dict[str, Any], name: str) -> str | None:
    arguments: list[str] = runner(job)["args"]
    return arguments[arguments.index(name) + 1] if name in arguments else None


SKLEARN = {"model": {"format": "sklearn"}}


def test_a_pod_for_each_shard_with_limits_on_what_may_fail() -> None:
    job = make_job(make_batch(engine={"shards": 8, "parallelism": 2, "retriesPerShard": 3}, activeDeadlineSeconds=60))
    spec = job["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 8, 2)
    assert (spec["backoffLimitPerIndex"], spec["maxFailedIndexes"], spec["activeDeadlineSeconds"]) == (3, 0, 60)
    fail, ignore = spec["podFailurePolicy"]["rules"]
    assert (fail["action"], fail["onExitCodes"]["values"]) == ("FailJob", [42])
    assert (ignore["action"], ignore["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert pod(job)["restartPolicy"] == "Never"
    assert argument(job, "--shards") == "8"


def test_it_belongs_to_the_batch_inference_and_to_no_model() -> None:
    job = make_job()
    assert job["metadata"]["ownerReferences"][0]["uid"] == "u"
    for labels in (job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]):
        assert labels == {naming.LABEL_MANAGED_BY: "sluice", naming.LABEL_BATCH: "churn"}


def test_what_the_runner_is_told() -> None:
    batch = make_batch(
        input={"uri": "s3://data/today", "format": "CSV", "columns": ["age", "$(HOME)"]},
        output={"uri": "s3://data/scores/{{run}}", "format": "JSONLines", "mode": "Overwrite", "columns": ["id"]},
        batchSize=64,
        maximumFailedRowsPercent="1.5%",
    )
    assert runner(make_job(batch))["args"] == [
        *("--run", "churn-1", "--shards", "1"),
        *("--input", "s3://data/today", "--input-format", "CSV", "--columns", "age,$$(HOME)"),
        *(
            "--output",
            "s3://data/scores/churn-1",
            "--output-format",
            "JSONLines",
            "--mode",
            "Overwrite",
            "--keep",
            "id",
        ),
        *("--batch-size", "64", "--maximum-failed-rows-percent", "1.5"),
        *("--progress-port", "8090", "--scratch", "/scratch"),
        *("--model", "/models"),
    ]


def test_onnx_runs_in_the_runners_process_without_the_server() -> None:
    job = make_job(make_batch(resources=RESOURCES))
    assert [container["name"] for container in pod(job)["initContainers"]] == ["storage-initializer"]
    assert argument(job, "--endpoint") is None
    mounts = {mount["mountPath"]: mount for mount in runner(job)["volumeMounts"]}
    assert mounts["/models"] == {"name": "models", "mountPath": "/models", "readOnly": True}
    assert set(mounts) == {"/models", "/tmp", "/scratch"}
    assert {volume["name"] for volume in pod(job)["volumes"]} == {"models", "tmp", "scratch"}
    assert runner(job)["resources"] == RESOURCES


def test_any_other_format_has_its_server_beside_it() -> None:
    startup = {"httpGet": {"path": "/ready", "port": 8000}, "failureThreshold": 900, "periodSeconds": 1}
    job = make_job(make_batch(resources=RESOURCES), make_revision(**SKLEARN, container={"startupProbe": startup}))
    _, server = pod(job)["initContainers"]
    assert (server["name"], server["restartPolicy"], server["startupProbe"]) == ("triton", "Always", startup)
    assert not {"lifecycle", "readinessProbe"} & set(server)
    assert server["resources"] == RESOURCES
    assert argument(job, "--endpoint") == "http://127.0.0.1:8000"
    assert (argument(job, "--protocol"), argument(job, "--model-name")) == ("V2", "digits")
    assert argument(job, "--model") is None
    assert runner(job)["resources"] == OperatorConfig().batch_runner.resources.to_wire()
    assert "/models" not in {mount["mountPath"] for mount in runner(job)["volumeMounts"]}


def test_a_server_without_a_startup_probe_is_waited_for_by_its_readiness() -> None:
    server = pod(make_job(revision=make_revision(**SKLEARN)))["initContainers"][1]
    assert server["startupProbe"]["httpGet"]["path"] == "/v2/models/digits/ready"
    assert server["startupProbe"]["failureThreshold"] * server["startupProbe"]["periodSeconds"] == 600


@pytest.mark.parametrize(
    "deployment",
    [
        pytest.param({"spec": {"runtime": {"image": "mine:1"}}}, id="an image of one's own may change the answers"),
        pytest.param({"spec": {"accelerator": {"resource": "nvidia.com/gpu"}}}, id="a device is the server's"),
    ],
)
def test_onnx_with_its_server(deployment: dict[str, Any]) -> None:
    assert argument(make_job(revision=make_revision(**deployment)), "--endpoint") is not None


def test_a_warm_up_is_nobodys_business() -> None:
    spec = {"warmup": {"requests": 20, "payloadRef": {"configMap": "payload", "key": "a.json"}}}
    job = make_job(revision=make_revision(**SKLEARN, spec=spec))
    assert "warm-up" not in str(job)
    assert "payload" not in {volume["name"] for volume in pod(job)["volumes"]}


@pytest.mark.parametrize(("protocols", "want"), [(("GRPCV2", "V1"), "V1"), (("V1", "V2"), "V1"), (("V2",), "V2")])
def test_the_first_protocol_of_json(protocols: tuple[str, ...], want: str) -> None:
    assert argument(make_job(revision=make_revision(**SKLEARN, protocols=protocols)), "--protocol") == want


def test_a_server_that_cannot_be_asked() -> None:
    with pytest.raises(batchjob.ProtocolNotSupported, match="neither V2 nor V1"):
        make_job(revision=make_revision(**SKLEARN, protocols=("OpenAI",)))


def test_whether_a_revision_can_be_asked_is_known_without_a_job() -> None:
    batchjob.require_protocol(make_revision(**SKLEARN, protocols=("V2",)))
    batchjob.require_protocol(make_revision(protocols=("OpenAI",)))  # ONNX: the runner needs no server
    with pytest.raises(batchjob.ProtocolNotSupported, match="neither V2 nor V1"):
        batchjob.require_protocol(make_revision(**SKLEARN, protocols=("OpenAI",)))


def test_keys_of_the_data_come_by_name_with_a_prefix_for_each_side() -> None:
    batch = make_batch(
        input={"uri": "s3://data/today", "format": "CSV", "credentialsSecretRef": {"name": "reader"}},
        output={"uri": "gs://data/scores", "format": "CSV", "credentialsSecretRef": {"name": "writer"}},
    )
    env = {entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in runner(make_job(batch))["env"]}
    assert env["INPUT_AWS_ACCESS_KEY_ID"] == {"name": "reader", "key": "AWS_ACCESS_KEY_ID"}
    assert env["OUTPUT_GOOGLE_APPLICATION_CREDENTIALS_JSON"]["name"] == "writer"
    assert all(name.startswith(("INPUT_", "OUTPUT_")) for name in env)


def test_claims_are_mounted_and_known_as_files() -> None:
    batch = make_batch(
        input={"uri": "pvc://data/in/today.csv", "format": "CSV"},
        output={"uri": "pvc://data/out/{{run}}", "format": "CSV"},
    )
    job = make_job(batch)
    assert argument(job, "--input") == "file:///data/input/in/today.csv"
    assert argument(job, "--output") == "file:///data/output/out/churn-1"
    claims = [volume for volume in pod(job)["volumes"] if "persistentVolumeClaim" in volume]
    assert [claim["persistentVolumeClaim"].get("readOnly", False) for claim in claims] == [True, False]
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in runner(job)["volumeMounts"]}
    assert (mounts["/data/input"], mounts["/data/output"]) == (True, False)


def test_a_whole_claim() -> None:
    job = make_job(make_batch(input={"uri": "pvc://data", "format": "CSV"}))
    assert argument(job, "--input") == "file:///data/input"


def test_a_model_of_a_claim_is_where_its_links_lead() -> None:
    job = make_job(revision=make_revision(uri="pvc://models/digits/1"))
    mounts = {mount["mountPath"] for mount in runner(job)["volumeMounts"]}
    assert {"/models", "/mnt/model/digits/1"} <= mounts


def test_devices_that_the_batch_asks_for_replace_those_of_the_revision() -> None:
    profile = AcceleratorProfile(
        name="big", resource="nvidia.com/mig-1g.10gb", node_selector={"gpu": "big"}, runtime_class_name="nvidia"
    )
    batch = make_batch(accelerator={"profile": "big", "count": 2})
    revision = make_revision(spec={"accelerator": {"resource": "nvidia.com/gpu"}})
    job = make_job(batch, revision, accelerator_profiles=[profile])
    server = pod(job)["initContainers"][1]
    assert server["resources"]["limits"] == {"nvidia.com/mig-1g.10gb": "2"}
    assert (pod(job)["nodeSelector"], pod(job)["runtimeClassName"]) == ({"gpu": "big"}, "nvidia")
    with pytest.raises(podtemplate.UnknownProfile):
        make_job(batch, revision)


def test_resources_of_the_batch_keep_the_devices_of_the_revision() -> None:
    revision = make_revision(spec={"accelerator": {"resource": "nvidia.com/gpu"}})
    server = pod(make_job(make_batch(resources=RESOURCES), revision))["initContainers"][1]
    assert server["resources"]["limits"] == {"memory": "3Gi", "nvidia.com/gpu": "1"}


def test_every_container_is_restricted() -> None:
    for revision in (make_revision(), make_revision(**SKLEARN)):
        job = make_job(revision=revision)
        assert pod(job)["securityContext"]["runAsNonRoot"] is True
        assert pod(job)["automountServiceAccountToken"] is False
        for container in (*pod(job)["initContainers"], *pod(job)["containers"]):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert runner(job)["securityContext"]["readOnlyRootFilesystem"] is True


def test_its_rows_are_scraped_and_not_its_server() -> None:
    annotations = make_job()["spec"]["template"]["metadata"]["annotations"]
    assert (annotations["prometheus.io/port"], annotations["prometheus.io/path"]) == ("8090", "/metrics")


# --- what the pods of large models have ------------------------------------------------------------------------------

CLAIMED = {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gpu"}]}
STORE = {
    "volumes": [{"name": "store", "persistentVolumeClaim": {"claimName": "a"}}],
    "volumeMounts": [{"name": "store", "mountPath": "/cache"}],
}


def test_what_a_batch_takes_over_of_the_models_pod_and_what_not() -> None:
    fields = {
        "schedulerName": "volcano",
        "priorityClassName": "models",
        "podLabels": {"team": "digits"},
        "sharedMemory": {"sizeLimit": "1Gi"},
        **STORE,
    }
    job = make_job(revision=make_revision(**SKLEARN, spec=fields))
    assert pod(job)["schedulerName"] == "volcano"
    assert "priorityClassName" not in pod(job), "a batch takes no room from what serves"
    assert "team" not in job["spec"]["template"]["metadata"]["labels"]
    server = pod(job)["initContainers"][-1]
    assert STORE["volumeMounts"][0] in server["volumeMounts"]
    assert STORE["volumes"][0] in pod(job)["volumes"]
    assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}} in pod(job)["volumes"]
    alone = pod(make_job(revision=make_revision(spec=fields)))
    assert "store" not in [volume["name"] for volume in alone["volumes"]], "its server does not run"


def test_claims_of_devices_go_with_the_server() -> None:
    revision = make_revision(spec=CLAIMED)
    job = pod(make_job(revision=revision))
    assert job["resourceClaims"] == CLAIMED["resourceClaims"]
    assert job["initContainers"][-1]["resources"]["claims"] == [{"name": "gpu"}], "not in the runner's process"
    resized = pod(make_job(make_batch(resources=RESOURCES), revision))
    assert resized["initContainers"][-1]["resources"] == {**RESOURCES, "claims": [{"name": "gpu"}]}
    other = pod(make_job(make_batch(accelerator={"resource": "nvidia.com/gpu"}), revision))
    assert other["initContainers"][-1]["resources"] == {"limits": {"nvidia.com/gpu": "1"}}
    assert "resourceClaims" not in other


def test_secrets_for_images_are_the_revisions_and_its_own() -> None:
    revision = make_revision(spec={"imagePullSecrets": [{"name": "a"}]})
    assert pod(make_job(revision=revision))["imagePullSecrets"] == [{"name": "a"}]
    batch = make_batch(imagePullSecrets=[{"name": "a"}, {"name": "b"}])
    assert pod(make_job(batch, revision))["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]
    assert "imagePullSecrets" not in pod(make_job())


def test_a_runtimes_sidecars_run_only_beside_its_server() -> None:
    init = [{"name": "proxy", "image": "p", "restartPolicy": "Always"}, {"name": "convert", "image": "c"}]
    runtime = builders.make_runtime(formats=("onnx", "sklearn"), init_containers=init)

    def names(**deployment: Any) -> list[str]:
        revision = workload.new_revision(builders.make_model_deployment(**deployment), runtime, OperatorConfig(), 1)
        return [container["name"] for container in pod(make_job(revision=revision))["initContainers"]]

    server = builders.make_container()["name"]
    assert names(**SKLEARN) == ["storage-initializer", "proxy", "convert", server]
    assert names() == ["storage-initializer", "convert"]
