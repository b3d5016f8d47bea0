"""Requests of the tasks to the API server, through the Kubernetes provider's connection. One implementation for workers
and triggerers: asynchronous."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Container
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, TypeVar

import aiohttp
from airflow.providers.cncf.kubernetes.hooks.kubernetes import AsyncKubernetesHook
from kubernetes_asyncio import client, config, watch

from sluice_batch.airflow import errors, objects

FIELD_MANAGER: Final = "airflow"
APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
WATCH_SECONDS: Final = 50
"""How long one watch lasts; then the object is read again, so that a lost event delays a task but never hangs it. The
provider's client gives up on any request after 60 s."""
POLL_SECONDS: Final = 30
"""Pause between reads where the server does not let us watch."""
PAUSE_SECONDS: Final = 5
"""Pause between attempts to reach a server that does not answer."""
PASSING: Final = frozenset({429, 500, 502, 503, 504})
"""Status codes of a server that is overloaded or restarts."""

JOB_NAME_LABEL: Final = "batch.kubernetes.io/job-name"
LOGGED_PODS: Final = 5
LOGGED_LINES: Final = 100

Answer = TypeVar("Answer")
Question = Callable[[client.CustomObjectsApi], Awaitable[Answer]]

log = logging.getLogger(__name__)


class BatchInferences:
    """The BatchInferences of one namespace.

    Every method raises ApiServerUnreachable after `unreachable_seconds` without an answer, and ApiServerRefused or
    SpecRefused with the server's own words.
    """

    def __init__(self, connection: str, namespace: str | None, *, unreachable_seconds: float) -> None:
        """connection: id of an Airflow connection of the type kubernetes. namespace: default: the connection's."""
        self.connection = connection
        self.unreachable_seconds = unreachable_seconds
        self.hook = AsyncKubernetesHook(conn_id=connection)
        self._namespace = namespace

    async def namespace(self) -> str:
        if not self._namespace:
            self._namespace = (await self.hook.get_conn_extras()).get("namespace") or "default"
        return self._namespace

    @property
    def known_namespace(self) -> str:
        """Empty before the connection was asked for it."""
        return self._namespace or ""

    async def pods(self, run: str, *, first: Container[str] = ()) -> list[client.V1Pod]:
        """The failed pods of a run, then those of these names.

        Raises client.ApiException, also where pods may not be read.
        """
        async with self._connected() as connection:
            api, namespace = client.CoreV1Api(connection), await self.namespace()
            found = (await api.list_namespaced_pod(namespace, label_selector=f"{JOB_NAME_LABEL}={run}")).items
        found.sort(key=lambda pod: (pod.status.phase != "Failed", pod.metadata.name not in first, pod.metadata.name))
        return found[:LOGGED_PODS]

    async def log_of(self, pod: client.V1Pod) -> str:
        """The last log lines of the container that reads, asks and writes, each with its timestamp."""
        async with self._connected() as connection:
            text: str = await client.CoreV1Api(connection).read_namespaced_pod_log(
                pod.metadata.name,
                await self.namespace(),
                container=pod.spec.containers[0].name,
                tail_lines=LOGGED_LINES,
                timestamps=True,
            )
            return text

    async def fetch(self, name: str) -> objects.Object | None:
        found, _ = await self._listed(name)
        return found

    async def take(self, name: str, spec: objects.Object, *, task_instance: objects.TaskInstance) -> objects.Object:
        """The object that a task's try waits for: an earlier try's, or a new one.

        an earlier try's …       … is
        running                  taken over; a spec that has changed since makes the operator begin another run
        suspended by a kill      resumed and taken over
        complete                 taken over, unless its result was collected: then the task was cleared to run again
        failed, being deleted    removed, and made anew
        """
        found = await self.fetch(name)
        if found is not None and not task_instance.owns(found):
            raise errors.NotOurs(_taken(await self.namespace(), name, found))
        if found is not None and not objects.is_worth_keeping(found):
            await self._remove(name)
        elif found is not None and objects.SUSPENDED in objects.annotations_of(found):
            await self._merge(name, _resumed(suspend=bool(spec.get("suspend"))))
        await self._apply(task_instance.manifest(name, spec))
        return await self._there(name)

    async def mark_collected(self, name: str, *, task_instance: objects.TaskInstance) -> None:
        """Notes that the result has been handed over."""
        note = {"metadata": {"annotations": {objects.COLLECTED: str(task_instance.try_number)}}}
        await _made(self._merge(name, note))

    async def stop(self, name: str, *, task_instance: objects.TaskInstance, how: objects.WhenKilled) -> str:
        """Ends the run that this try of the task waits for, and says what it did."""
        while True:
            found = await self.fetch(name)
            if found is None or objects.is_being_deleted(found):
                return "is gone"
            if not task_instance.holds(found):
                return "is left: it is not this try's"
            if objects.outcome_of(found) is not None:
                return "is left: its run has ended"
            match how:
                case objects.WhenKilled.LEAVE:
                    return "is left running"
                case objects.WhenKilled.DELETE if await _made(self._delete(found)):
                    return "is deleted"
                case objects.WhenKilled.SUSPEND if await _made(self._suspend(found)):
                    return "is suspended"

    async def states(self, name: str) -> AsyncGenerator[objects.Object | None, None]:
        """The object now and after each change, None while it does not exist. Ends only with an error."""
        while True:
            found, version = await self._listed(name)
            yield found
            try:
                async with aclosing(self._changes(name, version)) as changes:
                    async for change in changes:
                        yield change
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                log.info("The watch was interrupted (%s); reading the object again", text_of(error))
            except client.ApiException as error:
                # 410: the version is too old. 403: we may list, but not watch
                log.info("The watch ended (%s); reading the object again", text_of(error))
                await asyncio.sleep(0 if error.status == 410 else POLL_SECONDS)

    async def _there(self, name: str) -> objects.Object:
        """The applied object; the client returns nothing for an apply that creates (201)."""
        found = await self.fetch(name)
        if found is None:
            raise errors.RunFailed(f"the BatchInference {name} was deleted as soon as it was applied")
        return found

    async def _remove(self, name: str) -> None:
        """Deletes the object of this name and waits until it is gone with its pods."""
        async with aclosing(self.states(name)) as states:
            async for found in states:
                if found is None:
                    return
                if not objects.is_being_deleted(found):
                    await _made(self._delete(found))

    async def _listed(self, name: str) -> tuple[objects.Object | None, str]:
        """The object, and the version of the list, from which a watch continues even without an object."""

        async def read(api: client.CustomObjectsApi) -> objects.Object:
            listed: objects.Object = await api.list_namespaced_custom_object(
                *await self._collection(), field_selector=_only(name)
            )
            return listed

        listed = await self._asked(read)
        return next(iter(listed["items"]), None), listed["metadata"]["resourceVersion"]

    async def _changes(self, name: str, version: str) -> AsyncGenerator[objects.Object | None, None]:
        async with self._api() as api, watch.Watch() as events:
            async for event in events.stream(
                api.list_namespaced_custom_object,
                *await self._collection(),
                field_selector=_only(name),
                resource_version=version,
                timeout_seconds=WATCH_SECONDS,
            ):
                yield None if event["type"] == "DELETED" else event["raw_object"]

    async def _apply(self, wanted: objects.Object) -> None:
        """Server-side apply: creates the object, or changes the fields that differ."""
        await self._patch(wanted["metadata"]["name"], wanted, _content_type=APPLY, force=True)

    async def _merge(self, name: str, change: objects.Object) -> None:
        """Merge patch; ChangedSince when its metadata.resourceVersion is not the object's, or the object is gone."""
        await self._patch(name, change, _content_type=MERGE)

    async def _suspend(self, found: objects.Object) -> None:
        metadata = found["metadata"]
        by_try = objects.annotations_of(found)[objects.TRY]
        change = {"resourceVersion": metadata["resourceVersion"], "annotations": {objects.SUSPENDED: by_try}}
        await self._merge(metadata["name"], {"metadata": change, "spec": {"suspend": True}})

    async def _delete(self, found: objects.Object) -> None:
        """Deletes it with its pods, unless ChangedSince."""
        metadata = found["metadata"]
        unless_changed = client.V1Preconditions(uid=metadata["uid"], resource_version=metadata["resourceVersion"])
        # Foreground: the name is free again only when the pods are gone.
        options = client.V1DeleteOptions(propagation_policy="Foreground", preconditions=unless_changed)

        async def delete(api: client.CustomObjectsApi) -> None:
            await api.delete_namespaced_custom_object(*await self._collection(), metadata["name"], body=options)

        await self._asked(delete)

    async def _patch(self, name: str, change: objects.Object, **how: Any) -> None:
        async def patch(api: client.CustomObjectsApi) -> None:
            await api.patch_namespaced_custom_object(
                *await self._collection(), name, change, field_manager=FIELD_MANAGER, **how
            )

        await self._asked(patch)

    async def _collection(self) -> tuple[str, str, str, str]:
        return objects.GROUP, objects.VERSION, await self.namespace(), objects.PLURAL

    @asynccontextmanager
    async def _api(self) -> AsyncIterator[client.CustomObjectsApi]:
        async with self._connected() as connection:
            yield client.CustomObjectsApi(connection)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[client.ApiClient]:
        try:
            async with self.hook.get_conn() as connection:
                yield connection
        except config.ConfigException as error:
            raise errors.ApiServerRefused(
                f"the connection {self.connection!r} names no cluster: {error}; give it one of in_cluster, "
                "kube_config_path and kube_config"
            ) from error

    async def _asked(self, question: Question[Answer]) -> Answer:
        """The answer of a server that may be away for a while."""
        deadline = time.monotonic() + self.unreachable_seconds
        while True:
            try:
                async with self._api() as api:
                    return await question(api)
            except client.ApiException as error:
                if error.status not in PASSING:
                    raise _refusal(error) from error
                problem: Exception = error
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                problem = error
            if time.monotonic() + PAUSE_SECONDS > deadline:
                raise errors.ApiServerUnreachable(
                    f"the API server of the connection {self.connection!r} did not answer for "
                    f"{self.unreachable_seconds:.0f} s: {text_of(problem)}"
                ) from problem
            log.warning("The API server does not answer (%s); trying again in %d s", text_of(problem), PAUSE_SECONDS)
            await asyncio.sleep(PAUSE_SECONDS)


async def _made(change: Awaitable[object]) -> bool:
    """Makes the change; False when the object has changed since it was read."""
    try:
        await change
    except errors.ChangedSince:
        return False
    return True


def _only(name: str) -> str:
    return f"metadata.name={name}"


def _resumed(*, suspend: bool) -> objects.Object:
    return {"metadata": {"annotations": {objects.SUSPENDED: None}}, "spec": {"suspend": suspend}}


def _taken(namespace: str, name: str, found: objects.Object) -> str:
    owner = objects.annotations_of(found).get(objects.TASK_INSTANCE)
    whose = f"belongs to the task instance {owner}" if owner else "was not created by Airflow"
    return (
        f"name: the BatchInference {namespace}/{name} {whose}; leave out the name, or put {{{{ run_id }}}} or a date "
        "into it"
    )


def _refusal(error: client.ApiException) -> Exception:
    """In the server's own words, which name the field or the missing permission."""
    match error.status:
        case 409:
            return errors.ChangedSince(text_of(error))
        case 404 if _answer(error).get("details", {}).get("kind") == objects.PLURAL:
            return errors.ChangedSince(text_of(error))
        case 404:
            return errors.ApiServerRefused(f"{text_of(error)} (is Sluice installed in this cluster?)")
        case 422:
            return errors.SpecRefused(text_of(error))
        case _:
            return errors.ApiServerRefused(text_of(error))


def text_of(error: Exception) -> str:
    """A client's exceptions carry headers and bodies; people want the message."""
    if isinstance(error, client.ApiException):
        return str(_answer(error).get("message") or f"{error.status} {error.reason}")
    return str(error) or type(error).__name__


def _answer(error: client.ApiException) -> objects.Object:
    """The Status in an error's body; empty where something other than the API server answered."""
    try:
        answer = json.loads(error.body or "")
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
