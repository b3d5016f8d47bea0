"""What commands read from the cluster: a ModelDeployment with its releases, and its model's address."""

import contextlib
import difflib
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from kubectl_sluice.adapters import kubecontext, kubectl
from kubectl_sluice.cli.console import Failure
from kubectl_sluice.cli.kube import installation
from kubectl_sluice.cli.options import Connection, ModelTarget
from kubectl_sluice.views import example
from kubectl_sluice.views.releases import release
from sluice_core import errors
from sluice_core.adapters import kinds
from sluice_core.api.base import ApiObject
from sluice_core.api.reach import Reach, RoutingMode
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel import commands
from sluice_core.kernel.rawobjects import Object
from sluice_core.render import common

if TYPE_CHECKING:
    from kubectl_sluice.views.releases.revisions import KnownRevision


class FetchedRelease(NamedTuple):
    """One read of a ModelDeployment and its ModelRollouts."""

    deployment: ModelDeployment
    rollouts: tuple[ModelRollout, ...]
    """Newest first."""
    raw: Object
    """The ModelDeployment as the API server sent it."""

    @property
    def newest(self) -> ModelRollout | None:
        return self.rollouts[0] if self.rollouts else None

    def rollout(self, name: str) -> ModelRollout:
        """The release of a name; a `Failure` that lists the existing ones."""
        rollout = next((one for one in self.rollouts if one.metadata.name == name), None)
        if rollout is None:
            present = ", ".join(one.metadata.name for one in self.rollouts[:5]) or "none"
            raise Failure(f"there is no release {name!r} of {self.deployment.metadata.name}; there are: {present}")
        return rollout


class Session:
    """A connection, and the ModelDeployment that the command is about."""

    def __init__(self, cluster: kubectl.Kubectl, target: ModelTarget) -> None:
        self.cluster: Final = cluster
        self.name: Final = target.name
        self.namespace: Final = target.namespace or cluster.namespace

    def command(self, name: str, *arguments: str) -> str:
        """A command about this model, to show."""
        return commands.sluice(name, self.name, *arguments, namespace=self.namespace)

    async def fetch(self) -> FetchedRelease:
        """Reads both kinds; a `Failure` with similar names where there is no such object."""
        try:
            raw = await self.cluster.fetch(kinds.BY_KIND[ModelDeployment.kind], self.namespace, self.name)
        except kubectl.NotFound:
            raise await not_found(self.cluster, ModelDeployment, self.namespace, self.name) from None
        rollouts = await self.cluster.fetch_rollouts(self.namespace, self.name)
        return FetchedRelease(kubectl.parsed(raw), release.newest_first(rollouts), raw)

    async def fetch_pods(self) -> tuple[Object, ...] | None:
        """All pods of the model; None where we may not list them."""
        try:
            selector = kubectl.owned_by(self.name)
            return await self.cluster.fetch_all(kinds.BY_KIND["Pod"], namespace=self.namespace, selector=selector)
        except errors.Denied:
            return None

    async def fetch_known_revisions(self, release: FetchedRelease) -> "tuple[KnownRevision, ...]":
        """The revisions that can serve again, newest first."""
        from kubectl_sluice.views.releases import (  # imports the snapshot, which is not needed to show a model
            revisions,
        )

        try:
            kept = await self.cluster.fetch_revisions(self.namespace, self.name)
        except errors.Denied:
            return revisions.from_rollouts(release.rollouts, release.deployment)
        return revisions.from_revisions(kept, release.deployment)

    async def fetch_address(self, deployment: ModelDeployment, gateway: str | None) -> example.Address:
        """The model's address, as seen from here."""
        host = example.host_of(deployment.status.url or "") or next(iter(deployment.spec.routing.hostnames), "")
        if not host:
            raise Failure(f"{self.name} has no address yet; see: {self.command('status')}")
        url = gateway or await self._fetch_gateway_url(deployment)
        if urlsplit(url).scheme not in ("http", "https"):
            raise Failure(f"--gateway: {url!r} is not an address; write it as http://HOST:PORT")
        return example.Address(gateway=url, host=host, model=common.served_name(deployment))

    async def _fetch_gateway_url(self, deployment: ModelDeployment) -> str:
        config = (await installation.fetch(self.cluster)).part(Reach)
        if config.gateway_url:
            return config.gateway_url
        if config.routing is RoutingMode.SERVICE:
            forward = commands.kubectl("port-forward", f"service/{self.name}", "8000:80", namespace=self.namespace)
            raise Failure(
                f"{self.name} can only be reached inside the cluster; from outside, run {forward} "
                f"and pass --gateway http://127.0.0.1:8000"
            )
        ref = deployment.spec.routing.gateway_ref or config.gateway
        url = gateway_url(await self.cluster.fetch_gateway(ref) or {})
        if url is None:
            raise Failure(
                f"the address of Gateway {ref.namespace}/{ref.name} is unknown; pass it with --gateway "
                "http://HOST:PORT or SLUICE_GATEWAY, or set config.gatewayUrl in the chart"
            )
        return url


@contextlib.asynccontextmanager
async def connected(connection: Connection) -> AsyncIterator[kubectl.Kubectl]:
    connect = kubecontext.connect(
        kubeconfig=connection.kubeconfig,
        context=connection.context,
        operator_namespace=connection.operator_namespace,
    )
    async with connect as cluster:
        yield cluster


@contextlib.asynccontextmanager
async def session(target: ModelTarget) -> AsyncIterator[Session]:
    async with connected(target) as cluster:
        yield Session(cluster, target)


async def not_found(cluster: kubectl.Kubectl, kind: type[ApiObject], namespace: str, name: str) -> Failure:
    """Reports a missing object, with the names that may have been meant."""
    message = f"there is no {kind.kind} {name!r} in namespace {namespace!r}"
    try:
        names = await cluster.fetch_names(kind.kind, namespace)
    except errors.ApiError:
        return Failure(message)
    similar = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if similar:
        return Failure(f"{message}; did you mean {' or '.join(similar)}?")
    present = f"there are: {', '.join(sorted(names)[:10])}" if names else "there are none at all"
    return Failure(f"{message}; {present} (kubectl get {kind.short_names[0]} -A shows all)")


def gateway_url(gateway: Mapping[str, Any]) -> str | None:
    """The address of a Gateway from its status and its first HTTP listener; None while it has none."""
    addresses = gateway.get("status", {}).get("addresses", [])
    if not addresses:
        return None
    listeners = gateway.get("spec", {}).get("listeners", [])
    listener: Mapping[str, Any] = next((one for one in listeners if one.get("protocol") in ("HTTP", "HTTPS")), {})
    scheme = "https" if listener.get("protocol") == "HTTPS" else "http"
    host, port = addresses[0]["value"], listener.get("port", 80)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
