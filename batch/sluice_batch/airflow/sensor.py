"""BatchInferenceSensor: waits for a BatchInference that was applied elsewhere."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator, Context, PokeReturnValue, conf

from sluice_batch.airflow import objects, tasks
from sluice_batch.airflow.trigger import BatchInferenceTrigger


class BatchInferenceSensor(BaseSensorOperator):
    """Waits until a BatchInference is complete; it may not exist yet.

    name, namespace: the object. Default of the namespace: the connection's, otherwise `default`.
    since: for an object with a schedule of its own: wait for the first run that began then or later, such as
    `{{ data_interval_end }}`. ISO 8601 with an offset. Default: the newest run.
    kubernetes_conn_id, unreachable_seconds, deferrable: as of BatchInferenceOperator.
    The rest, such as `timeout`, `poke_interval`, `mode` and `soft_fail`: as of every sensor of Airflow.

    XCom: as of BatchInferenceOperator; `return_value` is empty for a run of a schedule that is not the newest any more.
    """

    template_fields: Sequence[str] = ("name", "namespace", "since", "kubernetes_conn_id")
    ui_color = "#d7e8dc"

    def __init__(
        self,
        *,
        name: str,
        namespace: str | None = None,
        since: str | None = None,
        kubernetes_conn_id: str = tasks.CONNECTION,
        unreachable_seconds: float = tasks.UNREACHABLE_SECONDS,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.namespace = namespace
        self.since = since
        self.kubernetes_conn_id = kubernetes_conn_id
        self.unreachable_seconds = unreachable_seconds
        self.deferrable = deferrable

    def execute(self, context: Context) -> Any:
        if self.deferrable:
            limit = timedelta(seconds=self.timeout)
            self.defer(trigger=self._waiting(), method_name="execute_complete", timeout=limit)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, int]:
        """Resumes in a worker after the trigger has fired."""
        return asyncio.run(tasks.delivered(context, self._waiting(), objects.TaskOutcome.of_event(event)))

    def poke(self, context: Context) -> PokeReturnValue:
        return asyncio.run(self._looked(context))

    async def _looked(self, context: Context) -> PokeReturnValue:
        waiting = self._waiting()
        found = await waiting.cluster.fetch(self.name)
        if (outcome := waiting.judged(found)) is None:
            self.log.info("BatchInference %s: %s", self.name, objects.progress_of(found))
            return PokeReturnValue(is_done=False)
        await waiting.tell(outcome)
        return PokeReturnValue(is_done=True, xcom_value=await tasks.delivered(context, waiting, outcome))

    def _waiting(self) -> BatchInferenceTrigger:
        if self.since is not None:
            with tasks.refused_arguments():
                objects.checked_since(self.since)
        return BatchInferenceTrigger(
            name=self.name,
            namespace=self.namespace,
            kubernetes_conn_id=self.kubernetes_conn_id,
            unreachable_seconds=self.unreachable_seconds,
            since=self.since,
        )
