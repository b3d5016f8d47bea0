"""BatchInferenceOperator: runs a model over a data set, and waits for it."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, ClassVar

from airflow.sdk import BaseOperator, Context, conf
from airflow.sdk.exceptions import TaskDeferralTimeout

from sluice_batch.airflow import objects, tasks
from sluice_batch.airflow.link import BatchInferenceLink
from sluice_batch.airflow.trigger import BatchInferenceTrigger


class BatchInferenceOperator(BaseOperator):
    """Applies a BatchInference and waits until it is complete.

    model_deployment, revision: the ModelDeployment, and Stable (the default), Candidate or the name of a revision of it.
    input_data, output_data: `spec.input` and `spec.output`.
    spec: everything else of the spec, or all of it; no field may be given twice. A name that ends with .yaml or .yml is a
    file that Airflow finds as it finds other templates: the spec, or a whole manifest.
    name: of the object. Default: made of the ids of the DAG, the run and the task, so that a retry finds the object of the
    try before and waits for it, instead of starting a second run.
    namespace: of the object. Default: the connection's, otherwise `default`.
    kubernetes_conn_id: the Airflow connection of the cluster.
    when_killed: what becomes of the object when somebody ends the task: Delete, Suspend or Leave.
    unreachable_seconds: how long an API server that does not answer is asked again before the task fails.
    deferrable: wait in the triggerer, without a worker's slot. Default: `[operators] default_deferrable`.

    XCom: `return_value` has the rows {total, read, written, failed}; `namespace`, `name`, `run`, `revision` and `uri` say
    whose they are and where.
    """

    template_fields: Sequence[str] = (
        "model_deployment",
        "revision",
        "input_data",
        "output_data",
        "spec",
        "name",
        "namespace",
        "kubernetes_conn_id",
    )
    template_ext: Sequence[str] = (".yaml", ".yml")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "input_data": "json",
        "output_data": "json",
        "spec": "json",
    }
    operator_extra_links = (BatchInferenceLink(),)
    ui_color = "#d7e8dc"

    def __init__(
        self,
        *,
        model_deployment: str | None = None,
        revision: str | None = None,
        input_data: dict[str, Any] | None = None,
        output_data: dict[str, Any] | None = None,
        spec: dict[str, Any] | str | None = None,
        name: str | None = None,
        namespace: str | None = None,
        kubernetes_conn_id: str = tasks.CONNECTION,
        when_killed: str = objects.WhenKilled.DELETE.value,
        unreachable_seconds: float = tasks.UNREACHABLE_SECONDS,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model_deployment = model_deployment
        self.revision = revision
        self.input_data = input_data
        self.output_data = output_data
        self.spec = spec
        self.name = name
        self.namespace = namespace
        self.kubernetes_conn_id = kubernetes_conn_id
        self.when_killed = objects.WhenKilled(when_killed).value
        self.unreachable_seconds = unreachable_seconds
        self.deferrable = deferrable
        self._waiting: BatchInferenceTrigger | None = None

    def execute(self, context: Context) -> dict[str, int]:
        waiting, spec = self._held(context), self._wanted_spec()
        found = asyncio.run(waiting.cluster.take(waiting.name, spec, task_instance=tasks.task_instance_of(context)))
        waiting.uid = found["metadata"]["uid"]
        self.log.info("BatchInference %s is applied", waiting.name)
        if self.deferrable and waiting.judged(found) is None:
            self.defer(trigger=waiting, method_name="execute_complete", timeout=self.execution_timeout)
        return self._finished(context, waiting, asyncio.run(waiting.outcome()))

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, int]:
        """Resumes in a worker after the trigger has fired."""
        return self._finished(context, self._held(context), objects.TaskOutcome.of_event(event))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """A deferred task that exceeds its execution_timeout is ended like one that waits in a worker."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            self._held(context)
            self.on_kill()
            raise

    def on_kill(self) -> None:
        """Airflow calls it in the worker, from a signal handler. An event loop may run in this thread: use another."""
        if self._waiting is not None:
            with ThreadPoolExecutor(max_workers=1) as pool:
                pool.submit(asyncio.run, self._waiting.on_kill()).result()

    def _held(self, context: Context) -> BatchInferenceTrigger:
        """Remembers which run `on_kill` must end from now on."""
        task_instance = tasks.task_instance_of(context)
        with tasks.refused_arguments():
            name = objects.checked_name(self.name) if self.name else task_instance.object_name
        self._waiting = BatchInferenceTrigger(
            name=name,
            namespace=self.namespace,
            kubernetes_conn_id=self.kubernetes_conn_id,
            unreachable_seconds=self.unreachable_seconds,
            task_instance=asdict(task_instance),
            when_killed=self.when_killed,
        )
        return self._waiting

    def _wanted_spec(self) -> objects.Object:
        with tasks.refused_arguments():
            return objects.spec_of(
                model_deployment=self.model_deployment,
                revision=self.revision,
                input_data=self.input_data,
                output_data=self.output_data,
                rest=objects.read_spec(self.spec) if isinstance(self.spec, str) else self.spec,
            )

    def _finished(
        self, context: Context, waiting: BatchInferenceTrigger, outcome: objects.TaskOutcome
    ) -> dict[str, int]:
        """The result, after noting that it was collected."""
        rows = asyncio.run(tasks.delivered(context, waiting, outcome))
        asyncio.run(waiting.cluster.mark_collected(waiting.name, task_instance=tasks.task_instance_of(context)))
        return rows
