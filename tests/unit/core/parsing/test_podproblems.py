"""What keeps a pod from serving, from states that a kubelet and a scheduler really write."""

from typing import Any

import pytest

from sluice_core.parsing import podproblems
from sluice_judge import timestamps
from tests.support.cases import builders

REVISION = builders.make_revision()
LONG_AGO = timestamps.rfc3339(builders.NOW - 300)
JUST_NOW = timestamps.rfc3339(builders.NOW - 10)


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"ready": False, "state": {"waiting": {"reason": reason, "message": message}}}


def ended(code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    return {"exitCode": code, "reason": reason, "message": message}


def unscheduled(message: str) -> dict[str, Any]:
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {
        "status": {"phase": "Pending", "conditions": [scheduled], "containerStatuses": [], "initContainerStatuses": []}
    }


TRITON_END = "W0101 10:00:01.1 1 server.cc:1] ...\nerror: creating server: Internal - failed to load all models\n"
TRITON_LOG = (
    "E0101 10:00:01.0 1 model_lifecycle.cc:642] \"failed to load 'digits' version 1: Unsupported: Unsupported ONNX Type "
    "'ONNX_TYPE_SEQUENCE' for I/O 'output_probability', expected 'ONNX_TYPE_TENSOR'\"\n"
    "I0101 10:00:01.0 1 model_lifecycle.cc:777] \"failed to load 'digits'\"\n" + TRITON_END
)
TRITON_TABLE = (
    "| Model  | Version | Status |\n"
    "| digits | 1       | UNAVAILABLE: Internal: onnx runtime error 7: Protobuf parsing failed. |\n" + TRITON_END
)


def failed_download(message: str, code: int = 1) -> dict[str, Any]:
    return {"downloader": {"ready": False, "state": {"terminated": ended(code, message)}}}


def beside(**fields: Any) -> dict[str, Any]:
    """A container of the ServingRuntime before the server, which waits for it; the download is over."""
    fetched = {"name": "storage-initializer", "ready": True, "state": {"terminated": {"exitCode": 0}}}
    return {
        "status": {
            "initContainerStatuses": [fetched, {"name": "proxy", "ready": False, **fields}],
            "containerStatuses": [],
        }
    }


CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "object not found": (
        failed_download("2026 INFO start\nObjectNotFound: s3://models/x has no object\n"),
        "ObjectNotFound", "s3://models/x has no object; check spec.model.uri",
    ),
    "the downloader's own remedy is enough": (
        failed_download("ObjectNotFound: s3://models/x holds no files; check spec.model.uri"),
        "ObjectNotFound", "s3://models/x holds no files; check spec.model.uri",
    ),
    "access denied": (failed_download("AccessDenied: wrong signature"), "AccessDenied", "credentialsSecretRef"),
    "store away": (failed_download("StoreUnreachable: http://s3:9000"), "StoreUnreachable", "AWS_ENDPOINT_URL"),
    "corrupt or unknown files": (failed_download("UnsupportedModel: no .onnx file"), "UnsupportedModel", "spec.model.format"),
    "volume full": (failed_download("VolumeTooSmall: 9 GB"), "VolumeTooSmall", "ephemeral storage"),
    "wrong checksum": (
        failed_download("ChecksumMismatch: https://h/m.onnx has sha256 1, not 2"), "ChecksumMismatch", "spec.model.sha256",
    ),
    "half a download": (
        failed_download("DownloadInterrupted: https://h/m.onnx: the connection was lost after 5 MB"),
        "DownloadInterrupted", "after 5 MB; the download is retried and continues",
    ),
    "any other end of the downloader": (
        failed_download("Traceback: boom", code=2),
        "ModelDownloadFailed", "(exit code 2): Traceback: boom; see `kubectl logs",
    ),
    "downloader backing off": (
        {"downloader": {**waiting("CrashLoopBackOff"), "lastState": {"terminated": ended(1, "AccessDenied: no")}}},
        "AccessDenied", "no; check the keys",
    ),
    "downloader trying again": (
        {"downloader": {"state": {"running": {"startedAt": JUST_NOW}},
                        "lastState": {"terminated": ended(1, "AccessDenied: no")}}},
        "AccessDenied", "no; check the keys",
    ),
    "secret missing": (
        {"downloader": waiting("CreateContainerConfigError", 'secret "models-s3" not found')},
        "CredentialsNotFound", 'secret "models-s3" not found; create the Secret with the keys of its source, or',
    ),
    "key missing in the secret": (
        {"downloader": waiting("CreateContainerConfigError", "couldn't find key AWS_ACCESS_KEY_ID in Secret ml/models-s3")},
        "CredentialsNotFound", "AWS_ACCESS_KEY_ID in Secret ml/models-s3; create",
    ),
    "other configuration": (
        {"server": waiting("CreateContainerConfigError", 'configmap "c" not found')},
        "CreateContainerConfigError", 'container triton cannot be created: configmap "c" not found',
    ),
    "another secret is not the downloader's": (
        {"server": waiting("CreateContainerConfigError", 'secret "tokens" not found')},
        "CreateContainerConfigError", 'secret "tokens" not found; check spec.runtime.env',
    ),
    "downloader's image missing": (
        {"downloader": waiting("ImagePullBackOff", "no")},
        "ImagePullBackOff", "storage-initializer:0.1.0 cannot be pulled: no; check storageInitializer",
    ),
    "no such command": (
        {"server": waiting("RunContainerError", "exec: tritonserver: not found")}, "RunContainerError", "not found",
    ),
    "image missing on the node": (
        {"server": waiting("ErrImageNeverPull", "Container image is not present with pull policy of Never")},
        "ErrImageNeverPull", "nvcr.io/nvidia/tritonserver:24.10-py3 cannot be pulled",
    ),
    "bad image name": ({"server": waiting("InvalidImageName", "invalid reference")}, "InvalidImageName", "check its name"),
    "no room": (
        unscheduled("0/1 nodes are available: 1 Insufficient cpu."),
        "Unschedulable", "1 Insufficient cpu; lower spec.resources.requests",
    ),
    "no claim": (
        unscheduled('0/1 nodes are available: persistentvolumeclaim "models" not found.'),
        "Unschedulable", "create the PersistentVolumeClaim",
    ),
    "no such devices": (
        unscheduled("0/2 nodes are available: 2 cannot allocate all claims."), "Unschedulable", "check spec.resourceClaims",
    ),
    "no claim of devices": (
        unscheduled('waiting for dynamic resource controller to create the resourceclaim "digits-gpu"'),
        "Unschedulable", "check spec.resourceClaims",
    ),
    "a sidecar crashes": (
        beside(lastState={"terminated": ended(3, "no route")}, restartCount=2),
        "CrashLoopBackOff", "container proxy ended with exit code 3 (2 restarts): no route; see `kubectl logs",
    ),
    "a sidecar is not ready": (
        beside(state={"running": {"startedAt": LONG_AGO}}), "ModelNotReady", "container proxy of the ServingRuntime has been running",
    ),
    "a sidecar without its Secret": (
        beside(**waiting("CreateContainerConfigError", 'secret "proxy" not found')),
        "CreateContainerConfigError", 'container proxy cannot be created: secret "proxy" not found',
    ),
    "taint": (unscheduled("0/1 nodes: 1 node(s) had untolerated taint {gpu: }."), "Unschedulable", "spec.tolerations"),
    "node selector": (
        unscheduled("1 node(s) didn't match Pod's node affinity/selector."), "Unschedulable", "spec.nodeSelector",
    ),
    "server crashes": (
        {"server": {**waiting("CrashLoopBackOff"), "lastState": {"terminated": ended(1, "failed to load model")}},
         "restarts": 4},
        "CrashLoopBackOff", "container triton ended with exit code 1 (4 restarts): failed to load model; see",
    ),
    "the file is no model": (
        {"server": {**waiting("CrashLoopBackOff"), "lastState": {"terminated": ended(1, "ModelNotLoadable: no protobuf")}}},
        "ModelNotLoadable", "no protobuf; check that the file at spec.model.uri",
    ),
    "Triton's own image says that a model has no tensors": (
        {"server": {**waiting("CrashLoopBackOff"), "lastState": {"terminated": ended(1, TRITON_LOG)}}},
        "ModelNotLoadable",
        "Triton could not load the model: Unsupported: Unsupported ONNX Type 'ONNX_TYPE_SEQUENCE' for I/O "
        "'output_probability', expected 'ONNX_TYPE_TENSOR'; export the model with tensors only (skl2onnx: options={'zipmap'",
    ),
    "Triton's own image says that a file is damaged, in the table": (
        {"server": {**waiting("CrashLoopBackOff"), "lastState": {"terminated": ended(1, TRITON_TABLE)}}},
        "ModelNotLoadable",
        "load the model: Internal: onnx runtime error 7: Protobuf parsing failed; check that the file at spec.model.uri",
    ),
    "the end of Triton's log, without the cause": (
        {"server": {**waiting("CrashLoopBackOff"), "lastState": {"terminated": ended(1, TRITON_END)}}},
        "ModelNotLoadable", "--previous -n ml | grep 'failed to load'`. ONNX_TYPE_SEQUENCE in it means: export the model with",
    ),
    "server out of memory": (
        {"server": {**waiting("CrashLoopBackOff"), "lastState": {"terminated": ended(137, reason="OOMKilled")}}},
        "OOMKilled", "container triton needs more memory than its limit; raise spec.resources.limits.memory",
    ),
    "downloader out of memory": (
        {"downloader": {"state": {"terminated": ended(137, reason="OOMKilled")}}},
        "OOMKilled", "raise storageInitializer.resources",
    ),
    "model does not load": (
        {"server": {"state": {"running": {"startedAt": LONG_AGO}}}}, "ModelNotReady", "more than 60 s",
    ),
    "evicted": (
        {"status": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}},
        "Evicted", "The node was low on memory; check",
    ),
}  # fmt: skip


def test_the_models_image_is_told_from_the_downloaders() -> None:
    pod = builders.make_pod(
        REVISION, ready=False, downloader=waiting("ErrImagePull", 'failed to pull "r:5000/digits:9": not found')
    )
    pod["spec"] = {**pod["spec"], "volumes": [{"name": "source", "image": {"reference": "r:5000/digits:9"}}]}
    problem = podproblems.problem(pod, builders.NOW)
    assert problem is not None
    assert problem.reason == "ImagePullBackOff"
    assert problem.message.startswith("the model's image r:5000/digits:9 cannot be pulled: failed")
    assert "check spec.model.uri" in problem.message


OWN_IMAGES = {
    "batch": "check config.batchRunner.image (config.spark.image with engine Spark) of the chart",
    "spark-kubernetes-driver": "check config.spark.image of the chart",
    "spark-kubernetes-executor": "check config.spark.image of the chart",
    "optimizer": "check config.optimizer.image of the chart",
}


@pytest.mark.parametrize("container", OWN_IMAGES)
@pytest.mark.parametrize("reason", ["ImagePullBackOff", "ErrImageNeverPull"])
def test_an_image_of_sluice_is_named_by_the_charts_value(container: str, reason: str) -> None:
    """No ServingRuntime names it."""
    pod = builders.make_pod(REVISION, ready=False)
    pod["spec"] = {**pod["spec"], "containers": [{"name": container, "image": "ghcr.io/sluice-dev/batch:0.1.0"}]}
    pod["status"]["containerStatuses"] = [{"name": container, **waiting(reason, "not found")}]
    for problem in (podproblems.batch_problem(pod, builders.NOW), podproblems.job_problem(pod, builders.NOW)):
        assert problem is not None
        assert "image ghcr.io/sluice-dev/batch:0.1.0 cannot be pulled" in problem.message
        assert OWN_IMAGES[container] in problem.message
        assert "serving-runtime/README.md" in problem.message
        assert "ServingRuntime" not in problem.message


@pytest.mark.parametrize("case", CASES)
def test_a_problem_has_a_precise_reason_and_a_remedy(case: str) -> None:
    state, reason, text = CASES[case]
    restarts = state.get("restarts", 0)
    pod = builders.make_pod(REVISION, ready=False, **{**state, "restarts": restarts, **_server(state, restarts)})
    problem = podproblems.problem(pod, builders.NOW)
    assert problem is not None
    assert problem.reason == reason
    assert text in problem.message
    assert len(problem.message) <= 1024


def test_what_a_pod_asks_for_stands_beside_what_nodes_lack() -> None:
    pod = builders.make_pod(
        REVISION,
        ready=False,
        **unscheduled(
            "0/5 nodes are available: 1 node(s) had untolerated taint {gpu: }, 2 Insufficient cpu, 4 Insufficient memory. "
            "preemption: 0/5 nodes are available: 1 Preemption is not helpful for scheduling, 4 No preemption victims found."
        ),
    )
    server, side = (
        {"name": n, "resources": {"requests": r}} for n, r in (("a", {"cpu": "64"}), ("b", {"cpu": "100m"}))
    )
    problem = podproblems.problem({**pod, "spec": {**pod["spec"], "containers": [server, side]}}, builders.NOW)
    assert problem is not None
    assert problem.message.endswith(
        " (0 of 5): 1 node(s) had untolerated taint {gpu: }, 2 Insufficient cpu (it asks for 64 + 100m), 4 Insufficient "
        "memory; lower spec.resources.requests, or add a node that has so much free (kubectl describe nodes: Allocated "
        "resources)"
    )


def test_a_remedy_of_the_servers_own_is_the_only_one() -> None:
    told = {"terminated": ended(1, "ModelNotLoadable: model.gguf is cut; upload it again")}
    pod = builders.make_pod(REVISION, ready=False, server={**waiting("CrashLoopBackOff"), "lastState": told})
    problem = podproblems.problem(pod, builders.NOW)
    assert problem is not None
    assert problem.message == "model.gguf is cut; upload it again"


def _server(state: dict[str, Any], restarts: int) -> dict[str, Any]:
    return {"server": {"restartCount": restarts, **state["server"]}} if "server" in state else {}


@pytest.mark.parametrize(
    "state",
    [
        {"ready": True},
        {"ready": True, "restarts": 5, "server": {"lastState": {"terminated": ended(137, reason="OOMKilled")}}},
        {"ready": False, "server": {"state": {"running": {"startedAt": JUST_NOW}}}},
        {
            "ready": False,
            "server": waiting("PodInitializing"),
            "downloader": {"state": {"running": {"startedAt": LONG_AGO}}},
        },
        {"ready": False, "server": waiting("ContainerCreating")},
        {"ready": False, "status": {"phase": "Pending", "conditions": [], "containerStatuses": None}},
    ],
    ids=str,
)
def test_a_pod_that_serves_or_is_on_its_way_has_none(state: dict[str, Any]) -> None:
    assert podproblems.problem(builders.make_pod(REVISION, **state), builders.NOW) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (  # pulling and backing off
            {"server": waiting("ErrImagePull", "rpc error: not found")},
            {"server": waiting("ImagePullBackOff", 'Back-off pulling image "x": ErrImagePull: rpc error: not found')},
        ),
        (  # crashed, waiting and running again
            {"server": {**waiting("CrashLoopBackOff"), "lastState": {"terminated": ended(1)}}},
            {"server": {"state": {"running": {"startedAt": LONG_AGO}}, "lastState": {"terminated": ended(1)}}},
        ),
    ],
)
def test_a_problem_stays_while_the_kubelet_tries_again(first: dict[str, Any], second: dict[str, Any]) -> None:
    problems = {
        podproblems.problem(builders.make_pod(REVISION, ready=False, **s), builders.NOW) for s in (first, second)
    }
    assert len(problems) == 1
    assert None not in problems


def test_a_log_is_quoted_from_its_end() -> None:
    pod = builders.make_pod(REVISION, ready=False, **failed_download("x" * 5000 + " the cause"))
    problem = podproblems.problem(pod, builders.NOW)
    assert problem is not None
    assert "the cause; see" in problem.message
    assert len(problem.message) < 700


QUOTA = (
    'pods "digits-1-7d9c5-x2x4z" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2'
)


@pytest.mark.parametrize(
    ("message", "want"),
    [
        (
            QUOTA,
            "pods cannot be created: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2; raise",
        ),
        (
            'pods "x-" is forbidden: error looking up service account ml/m: serviceaccount "m" not found',
            "create the Serv",
        ),
        ('pods "x-a" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot', "pod security standard"),
        (
            'pods "x-a" is forbidden: minimum cpu usage per Container is 100m, but request is 50m.',
            "within the LimitRange",
        ),
        (
            'pods "x-a" is forbidden: cpu max limit to request ratio per Container is 2, but provided ratio is 4.0',
            "within the LimitRange",
        ),
        (
            'pods "x-a" is forbidden: failed quota: team: must specify limits.cpu for: server',
            "set in spec.resources what",
        ),
        ("something new", "pods cannot be created: something new; see"),
    ],
)
def test_pods_that_cannot_be_created_have_a_problem_too(message: str, want: str) -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    problem = podproblems.creation_problem({"status": {"conditions": [failure]}})
    assert problem is not None
    assert problem.reason == "FailedCreate"
    assert want in problem.message


@pytest.mark.parametrize(
    "deployment", [{}, {"status": {}}, {"status": {"conditions": [{"type": "ReplicaFailure", "status": "False"}]}}]
)
def test_a_deployment_that_creates_its_pods_has_none(deployment: dict[str, Any]) -> None:
    assert podproblems.creation_problem(deployment) is None


@pytest.mark.parametrize(
    ("line", "reason", "text"),
    [
        ("WarmUpFailed: POST /infer answers 400: bad shape; check the payload", "WarmUpFailed", "bad shape; check"),
        (
            "WarmUpTooSlow: after 90 requests they take 300 ms; raise the limit",
            "WarmUpTooSlow",
            "300 ms; raise the limit",
        ),
    ],
)
def test_why_a_pod_is_not_warm_comes_before_its_restarts(line: str, reason: str, text: str) -> None:
    said = {"terminated": ended(1, f"warm-up: waiting until the model is ready\n{line}")}
    pod = builders.make_pod(REVISION, ready=False)
    pod["status"]["containerStatuses"].append({"name": "warm-up", "restartCount": 3, "lastState": said})
    problem = podproblems.problem(pod, builders.NOW)
    assert problem is not None
    assert (problem.reason, text in problem.message) == (reason, True)


@pytest.mark.parametrize(
    "fields",
    [
        {"state": {"terminated": {"exitCode": 0}}},
        {"state": {"terminated": {"exitCode": 0}}, "lastState": {"terminated": ended(1)}},
        {"state": {"running": {"startedAt": timestamps.rfc3339(builders.NOW - 5)}}},
        {"state": {"running": {"startedAt": LONG_AGO}}, "ready": True},
    ],
)
def test_init_containers_that_are_done_or_at_work_are_no_problem(fields: dict[str, Any]) -> None:
    pod = builders.make_pod(REVISION, ready=False, **beside(**fields))
    assert podproblems.problem(pod, builders.NOW) is None
