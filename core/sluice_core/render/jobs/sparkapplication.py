"""A run on Spark: a driver that plans and concludes, and executors that process the splits.

    Job, one pod ──> driver (spark-submit, client mode) ──creates──> executors        on any cluster
    SparkApplication ──Spark operator──> driver ──creates──> executors                where a Spark operator is installed

Every pod is the one that engine Job would run, with Spark's image: each has the model, the credentials of the data, and
what the restricted Pod Security Standard requires.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sluice_core.api.base import GROUP
from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.batchinference import BatchInference, BatchRun
from sluice_core.kernel import differ, naming, rawobjects
from sluice_core.kernel.snapshot import Revision
from sluice_core.render.jobs import batchjob

API_VERSION: Final = "sparkoperator.k8s.io/v1beta2"
KIND: Final = "SparkApplication"
SPARK_VERSION: Final = "4.3.0"
MAIN: Final = "local:///opt/site/sluice_batch/spark/__main__.py"
DRIVER_PORT: Final = 7078
BLOCK_MANAGER_PORT: Final = 7079
UI_PORT: Final = 4040
ANNOTATION_EXECUTOR: Final = f"{GROUP}/spark-executor"
"""On the driver's pod: the executors' pod as JSON, which a volume turns into the file that Spark reads."""
TEMPLATE_FOLDER: Final = "/etc/sluice-spark"
HEAP: Final = "512m"
"""Memory of each Java process: it moves no rows, and Spark refuses to start with less."""
HEAP_BYTES: Final = 512 << 20
SMALLEST_BYTES: Final = 1 << 30
NETWORK_POLICY_STEP: Final = "org.apache.spark.deploy.k8s.features.NetworkPolicyFeatureStep"
"""A step of spark-submit in cluster mode; the Spark operator's own role does not let it write NetworkPolicies."""
RETRIES: Final = 3
"""Retries of a driver under the Spark operator, which cannot tell which failures deserve another attempt."""
RETRY_SECONDS: Final = 10
TOKEN: Final = "driver-token"  # noqa: S105 - a volume
TOKEN_FOLDER: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
"""Where clients of the API server look for the pod's token."""
TOKEN_SECONDS: Final = 3607
"""The kubelet renews it long before; the usual lifetime of a mounted token."""
ANY_ACCOUNT: Final = "*"


class AccountNotAllowed(ValueError):
    """A driver would run with an account that is not for drivers."""

    def __init__(self, account: str, allowed: Sequence[str]) -> None:
        super().__init__(
            f"spec.engine.serviceAccountName: {account} is not one of {', '.join(allowed) or 'none'}, the accounts that "
            "the operator's configuration allows for drivers of Spark (spark.serviceAccountNames): use one of these, or "
            "have it added"
        )


class TooLittleMemory(ValueError):
    """A pod of Spark would not start."""

    def __init__(self, amount: Any) -> None:
        super().__init__(
            f"spec.resources: {amount} of memory is too little for a Spark pod, whose Java process takes 512Mi; use "
            "1Gi or more"
        )


def desired_driver_job(
    batch: BatchInference, run: BatchRun, revision: Revision, config: OperatorConfig
) -> dict[str, Any]:
    """The Job whose one pod is the driver.

    Raises `AccountNotAllowed`, `TooLittleMemory`, `batchjob.ProtocolNotSupported` and `podtemplate.UnknownProfile`.
    """
    pod = _pod(batch, run, revision, config)
    return batchjob.job(batchjob.task_of(batch, run), _driver(batch, run, pod), batchjob.metadata(batch, run))


def desired_application(
    batch: BatchInference, run: BatchRun, revision: Revision, config: OperatorConfig
) -> dict[str, Any]:
    """The SparkApplication of a run; raises like `desired_driver_job`."""
    pod = _pod(batch, run, revision, config)
    container = _container(pod)
    sizes = _Sizes.of(container)
    both = {"cores": 1, **sizes.in_application}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": batchjob.metadata(batch, run),
        "spec": {
            "type": "Python",
            "pythonVersion": "3",
            "sparkVersion": SPARK_VERSION,
            "mode": "cluster",
            "image": container["image"],
            "imagePullPolicy": container["imagePullPolicy"],
            "mainApplicationFile": MAIN,
            "arguments": [*container["args"], "--shard", "0"],
            "sparkConf": {
                "spark.kubernetes.executor.disableConfigMap": "true",
                "spark.kubernetes.driver.pod.excludedFeatureSteps": NETWORK_POLICY_STEP,
            },
            "suspend": batch.spec.suspend,
            "restartPolicy": {
                "type": "OnFailure",
                "onFailureRetries": RETRIES,
                "onFailureRetryInterval": RETRY_SECONDS,
                "onSubmissionFailureRetries": RETRIES,
                "onSubmissionFailureRetryInterval": RETRY_SECONDS,
            },
            "driver": {
                **both,
                "serviceAccount": batch.spec.engine.service_account_name,
                "template": _named(_with_identity(pod, run), naming.SPARK_DRIVER_CONTAINER),
            },
            "executor": {
                **both,
                "instances": batch.spec.engine.executor_count,
                "template": _named(_executor(pod), naming.SPARK_EXECUTOR_CONTAINER),
            },
        },
    }


@dataclass(frozen=True, slots=True)
class _Sizes:
    """The resources of a Spark pod: quantities of CPU as the user writes them, memory beside Java's in MiB."""

    cpu_request: str
    cpu_limit: str | None
    overhead_mebibytes: int

    @staticmethod
    def of(container: Mapping[str, Any]) -> "_Sizes":
        """Raises TooLittleMemory."""
        resources = container.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        memory = limits.get("memory") or requests.get("memory") or "2Gi"
        size = int(differ.quantity(memory) or 0)
        if size < SMALLEST_BYTES:
            raise TooLittleMemory(memory)
        cpu_limit = limits.get("cpu")
        request = requests.get("cpu") or cpu_limit or "200m"
        return _Sizes(str(request), None if cpu_limit is None else str(cpu_limit), (size - HEAP_BYTES) >> 20)

    @property
    def in_application(self) -> dict[str, Any]:
        limit = {} if self.cpu_limit is None else {"coreLimit": self.cpu_limit}
        overhead = {"memory": HEAP, "memoryOverhead": f"{self.overhead_mebibytes}m"}
        return {"coreRequest": self.cpu_request, **limit, **overhead}

    @property
    def as_configuration(self) -> dict[str, str]:
        limit = {} if self.cpu_limit is None else {"spark.kubernetes.executor.limit.cores": self.cpu_limit}
        return {
            "spark.driver.memory": HEAP,
            "spark.executor.cores": "1",
            "spark.executor.memory": HEAP,
            "spark.executor.memoryOverhead": f"{self.overhead_mebibytes}m",
            "spark.kubernetes.executor.request.cores": self.cpu_request,
            **limit,
        }


def _pod(batch: BatchInference, run: BatchRun, revision: Revision, config: OperatorConfig) -> dict[str, Any]:
    allowed, account = config.spark.service_account_names, batch.spec.engine.service_account_name or ""
    if not {account, ANY_ACCOUNT} & set(allowed):
        raise AccountNotAllowed(account, allowed)
    task, labels = batchjob.task_of(batch, run), naming.batch_labels(batch.metadata.name)
    return batchjob.template(task, revision, config, config.spark, batch.spec.engine.executor_count, labels=labels)


def _container(pod: Mapping[str, Any]) -> dict[str, Any]:
    """The container that runs data through the model."""
    (container,) = pod["spec"]["containers"]
    return dict(container)


def _driver(batch: BatchInference, run: BatchRun, pod: Mapping[str, Any]) -> dict[str, Any]:
    container = _container(pod)
    configuration = _configuration(batch, container)
    container["args"] = [
        *("spark-submit", "--master", "k8s://https://kubernetes.default.svc", "--deploy-mode", "client"),
        *("--name", run.name),
        *(part for name, value in configuration.items() for part in ("--conf", f"{name}={value}")),
        MAIN,
        *container["args"],
    ]
    container["env"] = [*container["env"], _of_pod("POD_NAME", "metadata.name"), _of_pod("POD_IP", "status.podIP")]
    ports = {"driver": DRIVER_PORT, "blocks": BLOCK_MANAGER_PORT, "ui": UI_PORT}
    container["ports"] = [*container["ports"], *({"name": n, "containerPort": p} for n, p in ports.items())]
    container["volumeMounts"] = [
        *container["volumeMounts"],
        {"name": "executor", "mountPath": TEMPLATE_FOLDER, "readOnly": True},
    ]
    executor = {"apiVersion": "v1", "kind": "Pod", **_executor(pod)}
    annotations = {**pod["metadata"]["annotations"], ANNOTATION_EXECUTOR: json.dumps(executor, sort_keys=True)}
    field = {"path": "pod.json", "fieldRef": {"fieldPath": f"metadata.annotations['{ANNOTATION_EXECUTOR}']"}}
    spec = {
        **pod["spec"],
        "serviceAccountName": batch.spec.engine.service_account_name,
        "volumes": [*pod["spec"]["volumes"], {"name": "executor", "downwardAPI": {"items": [field]}}],
    }
    return {"metadata": {**pod["metadata"], "annotations": annotations}, "spec": _with_token(spec, container)}


def _configuration(batch: BatchInference, container: Mapping[str, Any]) -> dict[str, str]:
    """Spark's client-mode configuration. The kubelet fills in pod name and address, so the driver needs no Service."""
    return {
        "spark.kubernetes.namespace": batch.metadata.namespace,
        "spark.kubernetes.driver.pod.name": "$(POD_NAME)",
        "spark.driver.host": "$(POD_IP)",
        "spark.driver.port": str(DRIVER_PORT),
        "spark.driver.blockManager.port": str(BLOCK_MANAGER_PORT),
        "spark.kubernetes.container.image": container["image"],
        "spark.kubernetes.container.image.pullPolicy": container["imagePullPolicy"],
        "spark.executor.instances": str(batch.spec.engine.executor_count),
        "spark.kubernetes.executor.podTemplateFile": f"{TEMPLATE_FOLDER}/pod.json",
        "spark.kubernetes.executor.podTemplateContainerName": naming.BATCH_CONTAINER,
        "spark.kubernetes.executor.disableConfigMap": "true",
        **_Sizes.of(container).as_configuration,
    }


def _executor(pod: Mapping[str, Any]) -> dict[str, Any]:
    """The executor's pod: Spark sets the container's arguments, and it is never asked for its progress."""
    container = {name: value for name, value in _container(pod).items() if name not in ("args", "ports")}
    return {
        "metadata": {"labels": pod["metadata"]["labels"]},
        "spec": {**pod["spec"], "containers": [container]},
    }


def _with_identity(pod: Mapping[str, Any], run: BatchRun) -> dict[str, Any]:
    """The pod of a driver that the Spark operator creates, labelled like the pod of a Job with one shard."""
    labels = {**pod["metadata"]["labels"], rawobjects.JOB_NAME_LABEL: run.name, batchjob.INDEX_LABEL: "0"}
    container = {name: value for name, value in _container(pod).items() if name != "args"}
    return {
        "metadata": {**pod["metadata"], "labels": labels},
        "spec": _with_token(pod["spec"], container),
    }


def _with_token(spec: Mapping[str, Any], container: Mapping[str, Any]) -> dict[str, Any]:
    """Mounts the account's token into this container alone: beside it are the downloader and the model's own server."""
    token = {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}}
    authority = {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
    namespace = {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}
    mounted = {"name": TOKEN, "mountPath": TOKEN_FOLDER, "readOnly": True}
    return {
        **spec,
        "automountServiceAccountToken": False,
        "containers": [{**container, "volumeMounts": [*container["volumeMounts"], mounted]}],
        "volumes": [*spec["volumes"], {"name": TOKEN, "projected": {"sources": [token, authority, namespace]}}],
    }


def _named(pod: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {**pod, "spec": {**pod["spec"], "containers": [{**_container(pod), "name": name}]}}


def _of_pod(variable: str, path: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"fieldRef": {"fieldPath": path}}}
