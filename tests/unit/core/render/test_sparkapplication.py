"""The manifests of engine Spark."""

import json
from typing import Any

import pytest

from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.batchinference import BatchRun
from sluice_core.kernel import naming
from sluice_core.kernel.snapshot import Served
from sluice_core.render.jobs import sparkapplication
from tests.support.cases import builders
from tests.support.cases.builders import make_spark_batch

CONFIG = OperatorConfig()
RUN = BatchRun(name="churn-1")
OWN_SERVER = builders.make_revision(served=Served("pytorch", "digits", "V2"))
"""Its model runs in a container of its own, beside the driver's."""


def job(**spec: Any) -> dict[str, Any]:
    return sparkapplication.desired_driver_job(make_spark_batch(**spec), RUN, builders.make_revision(), CONFIG)


def application(**spec: Any) -> dict[str, Any]:
    return sparkapplication.desired_application(make_spark_batch(**spec), RUN, builders.make_revision(), CONFIG)


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = job["spec"]["template"]["spec"]
    return spec


def executor_of(job: dict[str, Any]) -> dict[str, Any]:
    """As Spark reads it from the driver's file."""
    annotations = job["spec"]["template"]["metadata"]["annotations"]
    pod: dict[str, Any] = json.loads(annotations[sparkapplication.ANNOTATION_EXECUTOR])
    return pod


def configuration(job: dict[str, Any]) -> dict[str, str]:
    arguments = pod_of(job)["containers"][0]["args"]
    pairs = (arguments[index + 1] for index, argument in enumerate(arguments) if argument == "--conf")
    return dict(pair.split("=", 1) for pair in pairs)


def is_restricted(pod: dict[str, Any]) -> bool:
    """What the restricted Pod Security Standard looks at."""
    security = pod["securityContext"]
    return (
        security["runAsNonRoot"] is True
        and security["seccompProfile"] == {"type": "RuntimeDefault"}
        and all(
            container["securityContext"]["allowPrivilegeEscalation"] is False
            and container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            for container in [*pod.get("initContainers", ()), *pod["containers"]]
        )
    )


def test_one_driver_runs_spark_submit_in_client_mode_with_the_runners_arguments() -> None:
    made = job()
    assert (made["kind"], made["spec"]["completions"], made["spec"]["parallelism"]) == ("Job", 1, 1)
    arguments = pod_of(made)["containers"][0]["args"]
    assert arguments[:5] == [
        "spark-submit",
        "--master",
        "k8s://https://kubernetes.default.svc",
        "--deploy-mode",
        "client",
    ]
    runner = arguments[arguments.index(sparkapplication.MAIN) + 1 :]
    told = dict(zip(runner[::2], runner[1::2], strict=True))
    assert told["--run"] == "churn-1"
    assert told["--shards"] == "3"
    assert told["--input"] == "s3://data/in"
    assert told["--model"] == "/models"


def test_the_driver_may_make_pods_and_the_executors_may_not() -> None:
    made = job()
    assert pod_of(made)["serviceAccountName"] == "spark"
    executor = executor_of(made)["spec"]
    assert executor["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in executor
    assert sparkapplication.TOKEN not in str(executor)


@pytest.mark.parametrize("build", [sparkapplication.desired_driver_job, sparkapplication.desired_application])
def test_the_token_is_for_the_drivers_container_alone(build: Any) -> None:
    """The downloader and the user's own server are in the same pod."""
    made = build(make_spark_batch(), RUN, OWN_SERVER, CONFIG)
    spec = (made["spec"].get("driver") or made["spec"])["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    holders = [c["name"] for c in (*spec["initContainers"], *spec["containers"]) if sparkapplication.TOKEN in str(c)]
    assert holders == [spec["containers"][0]["name"]]
    assert len(spec["initContainers"]) > 1, "a server of its own beside the driver"
    (volume,) = (v for v in spec["volumes"] if v["name"] == sparkapplication.TOKEN)
    paths = {next(iter(source)) for source in volume["projected"]["sources"]}
    assert paths == {"serviceAccountToken", "configMap", "downwardAPI"}


@pytest.mark.parametrize(
    ("allowed", "account", "refused"),
    [(["spark"], "spark", False), (["spark"], "deployer", True), (["*"], "deployer", False), ([], "spark", True)],
)
def test_the_platform_says_which_accounts_drivers_may_have(allowed: list[str], account: str, refused: bool) -> None:
    config = OperatorConfig.model_validate({"spark": {"serviceAccountNames": allowed}})
    wanted = make_spark_batch(engine={"type": "Spark", "executors": 3, "serviceAccountName": account})
    if refused:
        with pytest.raises(
            sparkapplication.AccountNotAllowed, match=r"spec\.engine\.serviceAccountName: \w+ is not one"
        ):
            sparkapplication.desired_driver_job(wanted, RUN, OWN_SERVER, config)
    else:
        sparkapplication.desired_driver_job(wanted, RUN, OWN_SERVER, config)


def test_the_driver_is_found_without_a_service() -> None:
    wanted = configuration(job())
    assert wanted["spark.driver.host"] == "$(POD_IP)"
    assert wanted["spark.kubernetes.driver.pod.name"] == "$(POD_NAME)"
    env = {
        entry["name"]: entry.get("valueFrom", {}).get("fieldRef", {}) for entry in pod_of(job())["containers"][0]["env"]
    }
    assert env["POD_IP"] == {"fieldPath": "status.podIP"}
    assert env["POD_NAME"] == {"fieldPath": "metadata.name"}


def test_spark_finds_the_executors_pod_in_a_file() -> None:
    made = job()
    (mount,) = (m for m in pod_of(made)["containers"][0]["volumeMounts"] if m["name"] == "executor")
    (volume,) = (v for v in pod_of(made)["volumes"] if v["name"] == "executor")
    (item,) = volume["downwardAPI"]["items"]
    wanted = configuration(made)
    assert wanted["spark.kubernetes.executor.podTemplateFile"] == f"{mount['mountPath']}/{item['path']}"
    assert item["fieldRef"]["fieldPath"] == f"metadata.annotations['{sparkapplication.ANNOTATION_EXECUTOR}']"
    (container,) = executor_of(made)["spec"]["containers"]
    assert container["name"] == wanted["spark.kubernetes.executor.podTemplateContainerName"] == naming.BATCH_CONTAINER


def test_executors_have_the_model_the_keys_and_room_and_no_arguments() -> None:
    spec = executor_of(job())["spec"]
    (container,) = spec["containers"]
    assert [each["name"] for each in spec["initContainers"]] == ["storage-initializer"]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/models", "/tmp", "/scratch"}
    assert "INPUT_AWS_ACCESS_KEY_ID" in {entry["name"] for entry in container["env"]}
    assert not {"args", "ports"} & set(container)


@pytest.mark.parametrize("made", [job(), application()], ids=["Job", "SparkApplication"])
def test_all_pods_are_restricted(made: dict[str, Any]) -> None:
    if made["kind"] == "Job":
        pods = [pod_of(made), executor_of(made)["spec"]]
    else:
        pods = [made["spec"][role]["template"]["spec"] for role in ("driver", "executor")]
    assert all(is_restricted(pod) for pod in pods)
    assert all(pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] for pod in pods)


@pytest.mark.parametrize(
    ("resources", "want"),
    [
        pytest.param(None, ("200m", "2", "1536m"), id="the configuration's"),
        pytest.param({"requests": {"cpu": "500m"}}, ("500m", None, "1536m"), id="memory not said"),
        pytest.param({"limits": {"cpu": "1", "memory": "3Gi"}}, ("1", "1", "2560m"), id="limits"),
        pytest.param({"requests": {"memory": "1Gi"}}, ("200m", None, "512m"), id="the least"),
    ],
)
def test_sizes(resources: dict[str, Any] | None, want: tuple[str, str | None, str]) -> None:
    spec = {} if resources is None else {"resources": resources}
    wanted = configuration(job(**spec))
    assert (
        wanted["spark.kubernetes.executor.request.cores"],
        wanted.get("spark.kubernetes.executor.limit.cores"),
        wanted["spark.executor.memoryOverhead"],
    ) == want
    assert wanted["spark.executor.memory"] == "512m"
    executor = application(**spec)["spec"]["executor"]
    assert (executor["coreRequest"], executor.get("coreLimit"), executor["memoryOverhead"]) == want


def test_less_than_a_gibibyte_is_refused() -> None:
    with pytest.raises(sparkapplication.TooLittleMemory, match=r"spec\.resources: 900Mi of memory is too little"):
        job(resources={"limits": {"memory": "900Mi"}})


def test_the_spark_operator_is_told_the_same() -> None:
    made = application()
    spec = made["spec"]
    assert (made["apiVersion"], made["kind"]) == ("sparkoperator.k8s.io/v1beta2", "SparkApplication")
    assert (spec["type"], spec["mode"], spec["mainApplicationFile"]) == ("Python", "cluster", sparkapplication.MAIN)
    runner = pod_of(job())["containers"][0]["args"]
    assert spec["arguments"] == [*runner[runner.index(sparkapplication.MAIN) + 1 :], "--shard", "0"]
    assert spec["executor"]["instances"] == 3
    assert spec["driver"]["serviceAccount"] == "spark"
    names = [spec[role]["template"]["spec"]["containers"][0]["name"] for role in ("driver", "executor")]
    assert names == ["spark-kubernetes-driver", "spark-kubernetes-executor"]


def test_a_spark_operator_makes_nothing_that_its_role_does_not_allow() -> None:
    wanted = application()["spec"]["sparkConf"]
    assert wanted["spark.kubernetes.driver.pod.excludedFeatureSteps"].endswith(".NetworkPolicyFeatureStep")
    assert wanted["spark.kubernetes.executor.disableConfigMap"] == "true"


def test_no_value_of_the_user_is_expanded() -> None:
    columns = {"uri": "s3://data/in", "format": "Parquet", "columns": ["$(POD_IP)"]}
    arguments = pod_of(job(input=columns))["containers"][0]["args"]
    assert arguments[arguments.index("--columns") + 1] == "$$(POD_IP)"
