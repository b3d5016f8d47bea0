"""A model's single Service as observed (`routing: Service`), in the form of a route."""

from collections.abc import Iterable, Sequence
from typing import Final

from sluice_core.kernel import naming, rawobjects
from sluice_core.kernel.snapshot import Object, Paths, Revision, Route
from sluice_core.parsing import endpoints
from sluice_core.render.traffic import sharedservice
from sluice_judge import hashing

OWN_KEYS: Final = {naming.LABEL_OWNER, naming.LABEL_REVISION}


def observed_route(owned: Sequence[Object], revisions: Iterable[Revision], name: str) -> Route | None:
    """The shares that the Service stands for, and whether its endpoints follow; None if it does not exist."""
    services = rawobjects.of_kind(owned, "Service")
    raw = next((service for service in services if rawobjects.name(service) == name), None)
    if raw is None:
        return None
    paths = sharedservice.read_paths(raw)
    selector = raw["spec"].get("selector") or {}
    message = _foreign_keys(name, selector) or _foreign_pods(owned, revisions, paths, name)
    return Route(
        paths=paths,
        generation=int(hashing.stable_hash([paths.weights, paths.preview, selector], 8), 16),
        programmed=not message,
        message=message,
        answered=not message,
    )


def _foreign_keys(name: str, selector: Object) -> str:
    foreign = ", ".join(sorted(set(selector) - OWN_KEYS))
    return f"the selector of Service {name} has keys that Sluice did not set: {foreign}; remove them" if foreign else ""


def _foreign_pods(owned: Sequence[Object], revisions: Iterable[Revision], paths: Paths, name: str) -> str:
    """Why the Service selects pods that it should not, or empty; between two writes it does.

    When several revisions share requests, the Service cannot exclude another's pods: they are behind it until they end.
    """
    taking, behind = sharedservice.selected(paths), endpoints.ready(owned, name)
    if len(taking) > 1:
        return ""
    strangers = [
        revision.name
        for revision in revisions
        if revision.name not in taking and behind & endpoints.ready(owned, revision.name)
    ]
    return f"Service {name} still leads to pods of {', '.join(strangers)}" if strangers else ""
