"""The Kubernetes API as a person uses it: reads for the CLI, and the one write by which a rollout is steered."""

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar, cast

import aiohttp
import yaml
from kubernetes.aio import client, config

from sluice import errors
from sluice.api.base import GROUP, VERSION
from sluice.api.v1alpha1.modeldeployment import GatewayRef, ModelDeployment
from sluice.api.v1alpha1.modelrollout import ModelRollout
from sluice.core import naming

REQUEST_SECONDS: Final = 10.0
"""After this long a request to the API server is given up."""
CONFIG_SELECTOR: Final = "app.kubernetes.io/name=sluice"
"""Finds the operator's ConfigMap, whatever the Helm release and its namespace are called."""
CONFIG_KEY: Final = "config.yaml"

Result = TypeVar("Result")
Raw: TypeAlias = dict[str, Any]


class NotFound(errors.Missing):
    """The kind exists, an object of this name does not."""


class Kubectl:
    """One connection; every method raises an error of `sluice.errors` with a message for a person."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self._custom = client.CustomObjectsApi(api)
        self._core = client.CoreV1Api(api)
        self._authentication = client.AuthenticationV1Api(api)
        self._server = api.configuration.host
        self.namespace: Final = namespace
        """The namespace of the kubeconfig context."""

    async def fetch_deployment(self, namespace: str, name: str) -> ModelDeployment:
        raw = await self._object(
            f"get modeldeployment {namespace}/{name}",
            self._custom.get_namespaced_custom_object(
                GROUP, VERSION, namespace, ModelDeployment.plural, name, _request_timeout=REQUEST_SECONDS
            ),
        )
        return ModelDeployment.model_validate(raw)

    async def fetch_deployment_names(self, namespace: str) -> list[str]:
        raw = await self._object(
            f"list modeldeployments in {namespace}",
            self._custom.list_namespaced_custom_object(
                GROUP, VERSION, namespace, ModelDeployment.plural, _request_timeout=REQUEST_SECONDS
            ),
        )
        return [item["metadata"]["name"] for item in raw["items"]]

    async def fetch_rollouts(self, namespace: str, deployment: str) -> list[ModelRollout]:
        """The ModelRollouts of a ModelDeployment, in no particular order."""
        raw = await self._object(
            f"list modelrollouts in {namespace}",
            self._custom.list_namespaced_custom_object(
                GROUP,
                VERSION,
                namespace,
                ModelRollout.plural,
                label_selector=f"{naming.LABEL_OWNER}={deployment}",
                _request_timeout=REQUEST_SECONDS,
            ),
        )
        return [ModelRollout.model_validate(item) for item in raw["items"]]

    async def patch_intent(self, rollout: ModelRollout, intent: Mapping[str, Any]) -> None:
        """Writes `spec.intent`; `Conflict` when the rollout has changed since it was read."""
        meta = rollout.metadata
        body = {"metadata": {"resourceVersion": meta.resource_version}, "spec": {"intent": dict(intent)}}
        await self._asked(
            f"patch modelrollout {meta.namespace}/{meta.name}",
            self._custom.patch_namespaced_custom_object(
                GROUP,
                VERSION,
                meta.namespace,
                ModelRollout.plural,
                meta.name,
                body,
                field_manager="kubectl-sluice",
                _content_type="application/merge-patch+json",
                _request_timeout=REQUEST_SECONDS,
            ),
        )

    async def fetch_user(self) -> str:
        """The name under which the API server knows us."""
        review = await self._asked(
            "create selfsubjectreview",
            self._authentication.create_self_subject_review(
                client.V1SelfSubjectReview(), _request_timeout=REQUEST_SECONDS
            ),
        )
        user = review.status.user_info if review.status else None
        if user is None or not user.username:
            raise errors.Denied("the API server does not say who you are; log in again")
        return str(user.username)

    async def fetch_operator_config(self) -> Mapping[str, Any] | None:
        """The operator's configuration, wherever it is installed; None where there is none or we may not read it."""
        try:
            found = await self._asked(
                "list configmaps",
                self._core.list_config_map_for_all_namespaces(
                    label_selector=CONFIG_SELECTOR, _request_timeout=REQUEST_SECONDS
                ),
            )
        except errors.Denied:
            return None
        texts = [item.data[CONFIG_KEY] for item in found.items if item.data and CONFIG_KEY in item.data]
        loaded = yaml.safe_load(texts[0]) if texts else None
        return loaded if isinstance(loaded, Mapping) else None

    async def fetch_gateway(self, ref: GatewayRef) -> Mapping[str, Any] | None:
        """The raw Gateway; None where it does not exist or we may not read it."""
        try:
            return await self._object(
                f"get gateway {ref.namespace}/{ref.name}",
                self._custom.get_namespaced_custom_object(
                    "gateway.networking.k8s.io",
                    "v1",
                    ref.namespace,
                    "gateways",
                    ref.name,
                    _request_timeout=REQUEST_SECONDS,
                ),
            )
        except (errors.Denied, errors.Missing):
            return None

    async def _object(self, what: str, request: Awaitable[object]) -> Raw:
        """The client gives custom objects no type; the API server answers with JSON objects only."""
        return cast("Raw", await self._asked(what, request))

    async def _asked(self, what: str, request: Awaitable[Result]) -> Result:
        try:
            return await request
        except client.ApiException as error:
            raise _translated(what, error) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise errors.Unavailable(
                f"no answer from the API server {self._server} ({str(error) or type(error).__name__}); check that the "
                "cluster runs, and the context: kubectl config current-context"
            ) from error


@contextlib.asynccontextmanager
async def connect(*, kubeconfig: Path | None = None, context: str | None = None) -> AsyncIterator[Kubectl]:
    """Connects as kubectl would: the given file, $KUBECONFIG or ~/.kube/config; inside a pod its service account."""
    settings = client.Configuration()
    namespace = await _load(settings, kubeconfig, context)
    async with client.ApiClient(settings) as api:
        yield Kubectl(api, namespace)


async def _load(settings: client.Configuration, kubeconfig: Path | None, context: str | None) -> str:
    in_pod = "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ
    if kubeconfig is None and context is None and in_pod and not (Path.home() / ".kube/config").exists():
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        return "default"
    try:
        loader = await config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=str(kubeconfig) if kubeconfig else None, context=context, client_configuration=settings
        )
        return str(loader.current_context["context"].get("namespace") or "default")
    except (config.ConfigException, OSError, yaml.YAMLError) as error:
        raise errors.Unavailable(
            f"no cluster to talk to: {error}; set KUBECONFIG, or give --kubeconfig and --context "
            "(kubectl config get-contexts lists them)"
        ) from error


def _translated(what: str, error: client.ApiException) -> errors.ApiError:
    status = _status(error)
    said = status.get("message") or error.reason
    match error.status:
        case 401:
            return errors.Denied(
                f"cannot {what}: the API server does not accept the credentials of this context; log in again"
            )
        case 403:
            return errors.Denied(
                f"no permission to {what}: {said}; ask for the ClusterRole sluice-view "
                "(to steer releases: sluice-releaser)"
            )
        case 404 if status.get("details", {}).get("name"):
            return NotFound(f"cannot {what}: {said}")
        case 404:
            return errors.Missing(
                f"cannot {what}: this cluster does not know {GROUP}/{VERSION}; install Sluice: "
                "helm install sluice charts/sluice"
            )
        case 409:
            return errors.Conflict(f"cannot {what}: it has changed in the meantime; try again")
        case 400 | 422:
            return errors.Refused(f"cannot {what}: {said}")
        case _:
            return errors.Unavailable(f"cannot {what}: the API server answered {error.status} {said}; try again later")


def _status(error: client.ApiException) -> Mapping[str, Any]:
    """The `Status` object in the answer; empty where the body is none, as for a path that is not served."""
    try:
        body = yaml.safe_load(error.body or "")
    except yaml.YAMLError:
        return {}
    return body if isinstance(body, dict) else {}
