"""Names that only the cluster knows, for completion; a separate module, so that no other proposal imports the
client."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from pydantic import ValidationError

from kubectl_sluice.adapters import kubecontext, kubectl
from sluice_core import errors
from sluice_core.api.v1alpha1.batchinference import BatchInference
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.servingruntime import ServingRuntime

Source: TypeAlias = Callable[[kubectl.Kubectl, str, str], Coroutine[Any, Any, Iterable[str]]]
"""Reads names with a connection, a namespace, and the ModelDeployment named so far (or empty)."""
SECONDS: Final = 2.0
"""The longest wait for a proposal."""


async def model_names(cluster: kubectl.Kubectl, namespace: str, _: str) -> Iterable[str]:
    """ModelDeployments."""
    return await cluster.fetch_names(ModelDeployment.kind, namespace)


async def release_names(cluster: kubectl.Kubectl, namespace: str, model: str) -> Iterable[str]:
    """ModelRollouts of the model."""
    return [rollout.metadata.name for rollout in await cluster.fetch_rollouts(namespace, model)]


async def batch_names(cluster: kubectl.Kubectl, namespace: str, _: str) -> Iterable[str]:
    """BatchInferences of the namespace."""
    return await cluster.fetch_names(BatchInference.kind, namespace)


async def revision_names(cluster: kubectl.Kubectl, namespace: str, model: str) -> Iterable[str]:
    """Revisions of the model."""
    return [revision.name for revision in await cluster.fetch_revisions(namespace, model)] if model else ()


async def runtime_names(cluster: kubectl.Kubectl, _: str, __: str) -> Iterable[str]:
    """ServingRuntimes."""
    return await cluster.fetch_names(ServingRuntime.kind, "")


SOURCES: Final[Mapping[str, Source]] = {
    "name": model_names,
    "batch": batch_names,
    "runtime": runtime_names,
    "rollout": release_names,
    "to": revision_names,
    "against": revision_names,
}
"""Readers of names that only the cluster knows, by parameter."""


def known(
    parameter: str, kubeconfig: str | None, context: str | None, namespace: str | None, *, model: str
) -> Iterable[str]:
    """Values of a parameter; none where the cluster does not answer in time. model: named so far, or empty."""
    connection = kubecontext.connect(kubeconfig=Path(kubeconfig) if kubeconfig else None, context=context)
    with contextlib.suppress(errors.ApiError, TimeoutError, ValidationError, ValueError):
        return asyncio.run(_fetch(SOURCES[parameter], connection, namespace, model))
    return ()


async def _fetch(
    source: Source,
    connection: contextlib.AbstractAsyncContextManager[kubectl.Kubectl],
    namespace: str | None,
    model: str,
) -> Iterable[str]:
    async with asyncio.timeout(SECONDS), connection as cluster:
        return await source(cluster, namespace or cluster.namespace, model)
