"""Names and labels: deterministic, so that a second writer writes the same ones."""

from typing import Final

from sluice_core.api.base import GROUP
from sluice_judge import hashing

FIELD_MANAGER: Final = "sluice"
LABEL_OWNER: Final = f"{GROUP}/model-deployment"
LABEL_REVISION: Final = f"{GROUP}/revision"
LABEL_BATCH: Final = f"{GROUP}/batch-inference"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
ANNOTATION_DRAIN_UNTIL: Final = f"{GROUP}/drain-until"
ANNOTATION_STABLE_SINCE: Final = f"{GROUP}/stable-since"
"""On a ControllerRevision: the sequence of the newest release that made it stable."""
ANNOTATION_OUTCOME: Final = f"{GROUP}/outcome"
"""On a ModelRollout that outlives its model: how it ended, for a restore without statuses."""
ANNOTATION_FORGET_AFTER: Final = f"{GROUP}/forget-after"
"""On an object that has outlived its model: when it is deleted, RFC 3339."""
REVISION_HEADER: Final = "x-model-revision"
MODEL_PATH: Final = "/models"
MOUNT_PATH: Final = "/mnt/model"
"""Where a model that need not be fetched is mounted, in the downloader and in the server."""
ADAPTERS_PATH: Final = "/adapters"
ADAPTERS_MOUNT_PATH: Final = "/mnt/adapters"
"""The same for adapters: each has a folder of its name."""
OBSERVER: Final = "observer"
"""The pod beside a model that counts copies of its requests."""
RESOLVER: Final = "resolver"
"""The pod beside a model that asks registries for all models of its namespace."""
BATCH_CONTAINER: Final = "batch"
OPTIMIZER_CONTAINER: Final = "optimizer"
SPARK_DRIVER_CONTAINER: Final = "spark-kubernetes-driver"
SPARK_EXECUTOR_CONTAINER: Final = "spark-kubernetes-executor"
"""The names that the Spark operator gives to the containers of its templates."""
SERVICE_PORT: Final = 80
"""Port of every revision's Service."""
GRPC_SERVICE_PORT: Final = 81
"""Its port for gRPC, if the server speaks it."""


def owned_labels(name: str, revision: str | None = None) -> dict[str, str]:
    """Labels of every child, by which it is watched and found."""
    labels = {LABEL_MANAGED_BY: "sluice", LABEL_OWNER: name}
    if revision is not None:
        labels[LABEL_REVISION] = revision
    return labels


def aside_labels(name: str, what: str) -> dict[str, str]:
    """Labels of a model's pods that serve no requests: they are watched with its children, whose selectors do not match
    them.

    No ModelDeployment's name contains a dot.
    """
    return {LABEL_MANAGED_BY: "sluice", LABEL_OWNER: f"{name}.{what}"}


def is_aside(label: str, what: str) -> bool:
    """Whether a label's value belongs to a pod of this kind beside a model."""
    return label.partition(".")[2] == what


def batch_labels(name: str) -> dict[str, str]:
    """Labels of a BatchInference's children and of their pods."""
    return {LABEL_MANAGED_BY: "sluice", LABEL_BATCH: name}


def owner_name(label: str) -> str:
    """The ModelDeployment's name in a label's value, of its serving pods or of those beside it."""
    return label.partition(".")[0]


def revision_name(name: str, hash_: str) -> str:
    """Name of a revision and of its Deployment and Service."""
    return f"{name}-{hash_}"


def service_name(revision: str, suffix: str = "") -> str:
    """Name of a revision's Service; with a suffix, of the one for requests that are counted separately."""
    return f"{revision}-{suffix}" if suffix else revision


def single_run_name(name: str, uid: str, generation: int, input_hash: str) -> str:
    """Name of the run that a change of a BatchInference's spec begins.

    Another object of the same name, or the same spec for a second time, has another run, which reads its data anew.
    """
    return f"{name}-{hashing.stable_hash([uid, generation, input_hash])}"


def scheduled_run_name(name: str, moment: float) -> str:
    """Name of the run for a moment of the schedule, seconds since the epoch."""
    return f"{name}-{int(moment // 60)}"


def observer_name(name: str) -> str:
    """Name of the Deployment and the Service of a ModelDeployment's observer."""
    return f"{name}-{OBSERVER}"


def resolver_name(name: str) -> str:
    """Name of the Deployment of the resolver that a ModelDeployment owns for its namespace."""
    return f"{name}-{RESOLVER}"


def rollout_name(revision: str, attempt: int) -> str:
    """Name of the ModelRollout of the n-th attempt to release a revision."""
    return f"{revision}-{attempt}"
