"""The chart's ServingRuntimes as pods: what each server is told, and what holds for all of them."""

from typing import Any

import pytest

from sluice_core.api.v1alpha1.routing import PathMatch
from tests.support.runtimes import rendered
from tests.support.runtimes.asking import Ask
from tests.support.runtimes.table import CASES, MODEL, Case

FORMATS = {
    "triton": "onnx",
    "fastapi": "custom",
    "mlserver": "sklearn",
    "kserve": "python",
    "bentoml": "bento",
    "torchserve": "pytorch",
    "tensorflow-serving": "tensorflow",
    "vllm": "huggingface",
    "llamacpp": "gguf",
}


def pod(runtime: str, **spec: Any) -> dict[str, Any]:
    return rendered.pod(runtime, name="net", format_=FORMATS[runtime], spec=spec)["spec"]


def server(runtime: str, **spec: Any) -> dict[str, Any]:
    container: dict[str, Any] = pod(runtime, **spec)["containers"][0]
    return container


def test_every_runtime_is_in_this_table() -> None:
    assert set(rendered.runtimes()) == set(FORMATS)


@pytest.mark.parametrize("runtime", FORMATS)
def test_every_server_is_restricted_and_asked_about_its_model(runtime: str) -> None:
    container = server(runtime)
    context = container["securityContext"]
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert container["startupProbe"]["failureThreshold"] * container["startupProbe"]["periodSeconds"] >= 600
    asked = str(container["readinessProbe"])
    alone = ("fastapi", "bentoml", "vllm", "llamacpp")
    assert "net" in asked or runtime in alone, "these have one model, and a path that means it"
    assert container["livenessProbe"] != container["readinessProbe"] or runtime in ("vllm", "llamacpp")
    assert container["resources"]["requests"]["cpu"]


@pytest.mark.parametrize("runtime", FORMATS)
def test_every_server_has_time_to_go(runtime: str) -> None:
    cuts = runtime in ("torchserve", "tensorflow-serving")
    spec = pod(runtime, drainSeconds=30)
    hook = spec["containers"][0]["lifecycle"]["preStop"]
    if runtime == "vllm":
        assert hook["exec"]["command"][-3:] == ["8000", "5", "30"]
    else:
        assert hook == {"sleep": {"seconds": 35 if cuts else 5}}
    assert spec["terminationGracePeriodSeconds"] == 40


def test_tensorflow_serving_reads_the_files_that_its_layout_writes() -> None:
    container = server("tensorflow-serving")
    assert container["command"] == ["/usr/bin/tensorflow_model_server"]
    assert {
        "--model_config_file=/models/models.config",
        "--monitoring_config_file=/models/monitoring.config",
        "--rest_api_port=8501",
        "--port=8500",
    } <= set(container["args"])
    assert container["startupProbe"]["httpGet"] == {"path": "/v1/models/net", "port": 8501}
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {"http": 8501, "grpc": 8500}


def test_vllm_serves_the_downloaded_model_on_all_its_devices_and_may_take_an_hour_to_start() -> None:
    container = server("vllm", accelerator={"resource": "nvidia.com/gpu", "count": 2})
    assert {"--model=/models", "--served-model-name=net", "--tensor-parallel-size=2"} <= set(container["args"])
    assert {"name": "HF_HUB_OFFLINE", "value": "1"} in container["env"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "2"}
    assert container["startupProbe"]["failureThreshold"] * container["startupProbe"]["periodSeconds"] == 3600
    assert container["readinessProbe"]["httpGet"] == {"path": "/health", "port": 8000}
    assert any(mount["mountPath"] == "/dev/shm" for mount in container["volumeMounts"])


def test_vllm_needs_no_device() -> None:
    assert "--tensor-parallel-size=1" in server("vllm")["args"]


@pytest.mark.parametrize(
    ("image", "recent"),
    [
        ("docker.io/vllm/vllm-openai:v0.32.0", True),
        ("docker.io/vllm/vllm-openai:v0.18.0-cu130", True),
        ("docker.io/vllm/vllm-openai:v0.17.1", False),
        ("registry.local:5000/vllm-openai:0.11", False),
        ("docker.io/vllm/vllm-openai:v0.9.2@sha256:0123456789abcdef", False),
        ("docker.io/vllm/vllm-openai:latest", True),
        ("registry.local:5000/vllm-openai", True),
    ],
)
def test_vllm_is_told_to_finish_where_it_can(image: str, recent: bool) -> None:
    """`--shutdown-timeout` is of 0.18.0; older ones refuse to start with it. What was computed is of then as well."""
    values = (f"runtimes.vllm.image={image}",)
    template = rendered.pod("vllm", name="net", format_="huggingface", spec={"drainSeconds": 90}, values=values)
    (container,) = template["spec"]["containers"]
    assert ("--shutdown-timeout=90" in container["args"]) is recent
    metrics = rendered.runtimes(*values)["vllm"].spec.metrics
    assert metrics is not None
    assert (metrics.computed_tokens is not None) is recent
    assert template["spec"]["terminationGracePeriodSeconds"] == 100


def test_vllm_is_told_to_stop_when_it_has_answered() -> None:
    """By then its HTTP server has read all that the engine made."""
    own = {"image": "registry.local:5000/vllm:1", "port": 9000}
    template = rendered.pod("vllm", name="net", format_="huggingface", spec={"drainSeconds": 90, "runtime": own})
    command = template["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    script = (rendered.ROOT / "charts" / "sluice" / "servers" / "vllm_drain.py").read_text()
    assert command == ["python3", "-I", "-c", script, "9000", "5", "90"]


def test_vllm_has_a_name_and_a_home_that_it_can_write_to() -> None:
    """Its user is in no passwd file of the image."""
    container = server("vllm")
    env = {entry["name"]: entry["value"] for entry in container["env"]}
    assert env["USER"]
    assert any(mount["mountPath"] == env["HOME"] for mount in container["volumeMounts"])


@pytest.mark.parametrize("name", ["vllm", "llamacpp"])
def test_answers_of_a_language_model_may_take_as_long_as_their_text(name: str) -> None:
    limits = rendered.runtimes()[name].spec.timeouts
    assert limits is not None
    assert limits.request == "0s"


def test_torchserve_runs_java_itself_so_that_signals_arrive() -> None:
    container = server("torchserve")
    assert container["command"][0] == "java"
    assert container["args"] == ["-f", "/models/config.properties", "-s", "/models", "-ncs"]
    assert container["readinessProbe"]["exec"]["command"] == ["python3", "-m", "sluice_torchserve.ready", "net"]


@pytest.mark.parametrize(
    ("format_", "implementation"),
    [
        ("sklearn", "mlserver_sklearn.SKLearnModel"),
        ("xgboost", "mlserver_xgboost.XGBoostModel"),
        ("lightgbm", "mlserver_lightgbm.LightGBMModel"),
        ("mlflow", "mlserver_mlflow.MLflowRuntime"),
    ],
)
def test_mlserver_knows_the_library_of_the_format(format_: str, implementation: str) -> None:
    batching = {"batching": {"maximumBatchSize": 8, "maximumQueueDelayMicroseconds": 5000}}
    template = rendered.pod("mlserver", name="net", format_=format_, spec={"runtime": batching})
    env = {entry["name"]: entry["value"] for entry in template["spec"]["containers"][0]["env"]}
    assert env["MLSERVER_MODEL_IMPLEMENTATION"] == implementation
    assert env["MLSERVER_PARALLEL_WORKERS"] == "0"
    assert (env["MLSERVER_MODEL_MAX_BATCH_SIZE"], env["MLSERVER_MODEL_MAX_BATCH_TIME"]) == ("8", "0.005000")


def reaches(exposed: list[PathMatch], path: str) -> bool:
    """As a gateway matches: a prefix ends at a slash."""
    return any(
        path == each.value or (each.type == "PathPrefix" and path.startswith(f"{each.value}/")) for each in exposed
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_clients_reach_their_protocol_and_not_the_administration(case: Case) -> None:
    """A server that names no paths has none of its own, or only the user knows them."""
    exposed = rendered.runtimes()[case.runtime].spec.exposed
    assert (exposed is None) == (case.runtime in ("fastapi", "bentoml"))
    if exposed is None:
        return
    assert all(reaches(exposed.paths, ask.path) for ask in case.asks if isinstance(ask, Ask))
    reached = {path for _, path in case.administration if reaches(exposed.paths, path)}
    assert reached <= {f"/v2/models/{MODEL}/trace/setting"}, "which Triton itself refuses"


def test_triton_keeps_its_administration_for_who_knows_the_pod() -> None:
    container = server("triton")
    assert {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}} in container["env"]
    restricted = "model-repository,logging,trace,shared-memory:pod-uid=$(POD_UID)"
    assert f"--http-restricted-api={restricted}" in container["args"]
    assert f"--grpc-restricted-protocol={restricted}" in container["args"]
