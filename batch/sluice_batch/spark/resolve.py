"""Resolves the name of a ModelDeployment to the URI of the model that it serves, through the Kubernetes API."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import urllib3
from kubernetes import client, config

from sluice_batch.failures import BatchError, FailureReason

NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
GROUP, VERSION, PLURAL = "sluice.dev", "v1alpha1", "modeldeployments"
TIMEOUT_SECONDS: Final = 10
ANSWERS: Final = {
    401: FailureReason.ACCESS_DENIED,
    403: FailureReason.ACCESS_DENIED,
    404: FailureReason.OBJECT_NOT_FOUND,
}


def stable_uri(name: str, namespace: str | None = None) -> str:
    """The URI of the stable revision's model.

    Asks with the credentials of the kubeconfig ($KUBECONFIG, ~/.kube/config), in a pod without one with those of its
    service account, which must be allowed to get modeldeployments.sluice.dev and controllerrevisions.apps.
    namespace: default is that of the kubeconfig's context, or the pod's. Raises BatchError.
    """
    settings, here = _connection()
    namespace = namespace or here
    with client.ApiClient(settings) as api:
        deployment = _asked(
            f"ModelDeployment {namespace}/{name}",
            lambda: client.CustomObjectsApi(api).get_namespaced_custom_object(
                GROUP, VERSION, namespace, PLURAL, name, _request_timeout=TIMEOUT_SECONDS
            ),
        )
        revision = ((deployment.get("status") or {}).get("stable") or {}).get("revision")
        if not revision:
            raise BatchError(
                FailureReason.OBJECT_NOT_FOUND,
                f"ModelDeployment {namespace}/{name} has no stable revision yet; wait until it is Ready, or give uri=",
            )
        pinned = _asked(
            f"ControllerRevision {namespace}/{revision}",
            lambda: client.AppsV1Api(api).read_namespaced_controller_revision(
                revision, namespace, _request_timeout=TIMEOUT_SECONDS
            ),
        )
    return str(pinned.data["uri"])


def _connection() -> tuple[Any, str]:
    """A connection like kubectl's, and the default namespace."""
    settings = client.Configuration()
    settings.retries = False
    file = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ and not Path(file).exists():
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
            return settings, NAMESPACE_FILE.read_text().strip()
        config.load_kube_config(config_file=file, client_configuration=settings)  # type: ignore[no-untyped-call]
        _, current = config.list_kube_config_contexts(config_file=file)  # type: ignore[no-untyped-call]
        return settings, current["context"].get("namespace") or "default"
    except (config.ConfigException, OSError) as error:
        raise BatchError(
            FailureReason.INVALID_OPTION,
            f"no cluster to ask for the model: {error}; set KUBECONFIG, or give uri= with the place of the model",
        ) from error


def _asked(what: str, question: Callable[[], Any]) -> Any:
    try:
        return question()
    except client.ApiException as error:
        raise BatchError(ANSWERS.get(error.status, FailureReason.SERVER_UNREACHABLE), _told(what, error)) from error
    except urllib3.exceptions.HTTPError as error:
        raise BatchError(
            FailureReason.SERVER_UNREACHABLE, f"{what}: the API server does not answer: {error}"
        ) from error


def _told(what: str, error: Any) -> str:
    match error.status:
        case 401:
            return f"{what}: the API server does not accept the credentials; log in again"
        case 403:
            return f"{what} may not be read; the role sluice-view allows it (verb get)"
        case 404:
            return f"{what} does not exist; check model= and namespace="
        case _:
            return f"{what}: the API server answers {error.status} {error.reason}"
