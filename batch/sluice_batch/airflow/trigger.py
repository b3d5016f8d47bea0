"""What waits for a BatchInference: in the triggerer, or in the worker where a task does not defer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import asdict
from datetime import datetime
from functools import cached_property
from typing import Any

from airflow.sdk.exceptions import AirflowException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from sluice_batch.airflow import client, errors, objects
from sluice_batch.airflow.podlogs import PodLogs


class BatchInferenceTrigger(BaseTrigger):
    """Fires once, with a `TaskOutcome` as its event.

    name, namespace: the object; the namespace's default is the connection's.
    kubernetes_conn_id: the Airflow connection of the cluster.
    unreachable_seconds: how long an API server that does not answer is asked again before the task fails.
    uid: the object that was applied; without one, an object that does not exist is waited for.
    since: of an object with a schedule, the first run that began then or later; ISO 8601 with an offset.
    task_instance: fields of the `TaskInstance` that holds the object.
    when_killed: what becomes of the object when that task is ended by somebody.
    """

    def __init__(
        self,
        *,
        name: str,
        namespace: str | None,
        kubernetes_conn_id: str,
        unreachable_seconds: float,
        uid: str | None = None,
        since: str | None = None,
        task_instance: dict[str, Any] | None = None,
        when_killed: str = objects.WhenKilled.LEAVE.value,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.name = name
        self.namespace = namespace
        self.kubernetes_conn_id = kubernetes_conn_id
        self.unreachable_seconds = unreachable_seconds
        self.uid = uid
        self.since = since
        self.holder = None if task_instance is None else objects.TaskInstance(**task_instance)
        self.when_killed = objects.WhenKilled(when_killed)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        arguments = {
            "name": self.name,
            "namespace": self.namespace,
            "kubernetes_conn_id": self.kubernetes_conn_id,
            "unreachable_seconds": self.unreachable_seconds,
            "uid": self.uid,
            "since": self.since,
            "task_instance": None if self.holder is None else asdict(self.holder),
            "when_killed": self.when_killed.value,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    @cached_property
    def cluster(self) -> client.BatchInferences:
        """Kept, so that a task that is being killed need not ask Airflow for the connection any more."""
        return client.BatchInferences(
            self.kubernetes_conn_id, self.namespace, unreachable_seconds=self.unreachable_seconds
        )

    @cached_property
    def _waited_since(self) -> datetime | None:
        return None if self.since is None else objects.checked_since(self.since)

    @cached_property
    def pod_logs(self) -> PodLogs:
        return PodLogs(self.cluster)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield TriggerEvent((await self.outcome()).event())  # type: ignore[no-untyped-call]

    async def outcome(self) -> objects.TaskOutcome:
        """Waits for the end and logs progress, with what the pods say. An error of the API server is an outcome, which the
        task then tells."""
        telling = asyncio.create_task(self.pod_logs.tell_on())
        try:
            outcome = await self._followed()
        except errors.ApiServerUnreachable as error:
            return objects.TaskOutcome(objects.Ending.UNREACHABLE, str(error))
        except AirflowException as error:
            return objects.TaskOutcome(objects.Ending.REFUSED, str(error))
        finally:
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling
        await self.tell(outcome)
        return outcome

    async def tell(self, outcome: objects.TaskOutcome) -> None:
        """Logs what the pods of an ended run said, as far as it was not told before."""
        self.pod_logs.of(outcome.run.get("name", ""))
        await self.pod_logs.tell()

    async def on_kill(self) -> None:
        """Airflow calls it when somebody fails or clears the deferred task; never at a restart of the triggerer."""
        if self.holder is not None:
            done = await self.cluster.stop(self.name, task_instance=self.holder, how=self.when_killed)
            self.log.info("The task was ended; BatchInference %s %s", self.name, done)

    def judged(self, found: objects.Object | None) -> objects.TaskOutcome | None:
        """What the object says; None: wait."""
        if self.uid is not None and (found is None or found["metadata"]["uid"] != self.uid):
            return objects.TaskOutcome(objects.Ending.DELETED, "it was deleted while the task waited for it")
        if found is None:
            return None
        if self._waited_since is not None:
            return objects.outcome_since(found, self._waited_since)
        return objects.outcome_of(found)

    async def _followed(self) -> objects.TaskOutcome:
        told: tuple[object, ...] | None = None
        async with aclosing(self.cluster.states(self.name)) as states:
            async for found in states:
                if (outcome := self.judged(found)) is not None:
                    return outcome
                self.pod_logs.of(objects.run_of(found, self._waited_since))
                if told != (milestone := objects.milestone_of(found)):
                    told = milestone
                    self.log.info("BatchInference %s: %s", self.name, objects.progress_of(found))
        raise AssertionError("states() ends with an error only")
