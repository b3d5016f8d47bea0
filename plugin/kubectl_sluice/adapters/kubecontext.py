"""A connection to the cluster like kubectl's, from a kubeconfig or as a pod."""

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import yaml
from kubernetes.aio import client, config

from kubectl_sluice.adapters.kubectl import Kubectl
from sluice_core import errors
from sluice_core.adapters import exchange

# The client reads a kubeconfig by `yaml.safe_load`, which takes no loader: libyaml's is sixteen times as fast. For mypy
# this replaces a class; both have the same constructor and read the same.
if yaml.__with_libyaml__:
    yaml.SafeLoader = yaml.CSafeLoader  # type: ignore[misc, assignment]


@contextlib.asynccontextmanager
async def connect(
    *, kubeconfig: Path | None = None, context: str | None = None, operator_namespace: str | None = None
) -> AsyncIterator[Kubectl]:
    """Connects as kubectl would: the given file, $KUBECONFIG or ~/.kube/config; inside a pod its service account."""
    settings = client.Configuration()
    namespace = await _load(settings, kubeconfig, context)
    exchange.with_proxy(settings)
    settings.client_session_kwargs = {**(settings.client_session_kwargs or {}), "trace_configs": [_without_redirects()]}
    async with client.ApiClient(settings) as api:
        yield Kubectl(api, namespace, operator_namespace=operator_namespace or "")


def _without_redirects() -> aiohttp.TraceConfig:
    """The API server never redirects; a Service behind its proxy may, and would get our credentials."""

    async def refuse(_session: object, _context: object, redirected: aiohttp.TraceRequestRedirectParams) -> None:
        redirected.response.close()
        raise aiohttp.ClientError(f"it redirects to {redirected.response.headers.get('Location')}")

    tracing = aiohttp.TraceConfig()
    tracing.on_request_redirect.append(refuse)
    return tracing


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
            f"no cluster to talk to: {error}; set KUBECONFIG, or pass --kubeconfig and --context (kubectl config "
            "get-contexts lists them)"
        ) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # the loader does not check what it reads
        raise errors.Unavailable(
            f"{kubeconfig or 'the kubeconfig'} is empty or not a kubeconfig; kubectl config view shows what kubectl reads"
        ) from error
