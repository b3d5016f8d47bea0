"""The models that follow a registry, by namespace: the first of them keeps the resolver for all."""

from collections import defaultdict
from typing import Any

from sluice_core.api.v1alpha1 import registry
from sluice_core.kernel.snapshot import Object


class Followers:
    """Names and times of creation by namespace, of objects that may not parse."""

    def __init__(self) -> None:
        self._since: dict[str, dict[str, str]] = defaultdict(dict)

    def see(self, namespace: str, name: str, model: Object) -> None:
        """Notes the newest version of a ModelDeployment."""
        if follows(model):
            self._since[namespace][name] = str(model["metadata"].get("creationTimestamp", ""))

    def forget(self, namespace: str, name: str) -> None:
        if self._since.get(namespace, {}).pop(name, None) is not None and not self._since[namespace]:
            del self._since[namespace]

    def first(self, namespace: str, without: str = "") -> str | None:
        """The oldest follower; None where there is none. without: a name to leave out."""
        known = self._since.get(namespace, {})
        return min((name for name in known if name != without), key=lambda name: (known[name], name), default=None)


def follows(model: Object) -> bool:
    """Whether a registry determines the model's location."""
    spec: Any = model.get("spec")
    named: Any = (spec.get("model") if isinstance(spec, dict) else None) or {}
    if not isinstance(named, dict):
        return False
    uri = named.get("uri")
    return isinstance(uri, str) and (named.get("follow") is True or registry.is_followed(uri))
