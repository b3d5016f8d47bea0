"""The Job that asks one version to answer a labelled data set, and counts the wrong answers."""

from typing import Any, Final

from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.batchinference import Engine
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.validation import Validation
from sluice_core.kernel import naming
from sluice_core.kernel.snapshot import Revision
from sluice_core.render import common
from sluice_core.render.jobs import batchjob
from sluice_core.render.jobs.batchjob import Task

ASIDE: Final = "validation"
EVERY_ROW: Final = "100%"
"""A row without an answer counts as wrong, and never ends the Job."""


def desired_job(
    deployment: ModelDeployment, revision: Revision, validation: Validation, name: str, config: OperatorConfig
) -> dict[str, Any]:
    """The Job by this name, with the pods of a batch run. Raises `batchjob.ProtocolNotSupported`.

    Its pods have no revision label, and the model's label with a suffix, so that they get no requests.
    """
    batch = validation.batch
    task = Task(
        run=name,
        input=batch.input,
        output=None,
        labels=batch.labels,
        batch_size=batch.batch_size,
        maximum_failed_rows_percent=EVERY_ROW,
        engine=Engine(shards=batch.shards),
        deadline_seconds=validation.deadline_seconds,
    )
    labels = naming.aside_labels(deployment.metadata.name, ASIDE)
    pod = batchjob.template(task, revision, config, config.batch_runner, batch.shards, labels=labels)
    return batchjob.job(task, pod, common.child_metadata(deployment, name, revision.name))
