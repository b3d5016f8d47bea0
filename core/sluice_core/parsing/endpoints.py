"""The pods behind a Service, by its EndpointSlices."""

from collections.abc import Iterable
from typing import Final

from sluice_core.kernel import rawobjects
from sluice_core.kernel.snapshot import Object

SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"


def ready(owned: Iterable[Object], service: str) -> frozenset[str]:
    """Identities of the pods that take requests: ready and not terminating, each once over all slices."""
    return frozenset(
        _identity(endpoint)
        for slice_ in rawobjects.of_kind(owned, "EndpointSlice")
        if rawobjects.labels(slice_).get(SERVICE_NAME_LABEL) == service
        for endpoint in slice_.get("endpoints") or ()
        if _takes_requests(endpoint.get("conditions") or {})
    )


def _takes_requests(conditions: Object) -> bool:
    """An unknown `ready` means ready, by the definition of the API."""
    return conditions.get("ready") is not False and not conditions.get("terminating")


def _identity(endpoint: Object) -> str:
    """The pod's identity, since a dual-stack Service has a slice for each address family."""
    target = endpoint.get("targetRef") or {}
    return str(target.get("uid") or target.get("name") or endpoint.get("addresses"))
