"""What the operator may read, by what its lists were answered."""

from dataclasses import dataclass, field
from typing import Final

from sluice_core.kernel.snapshot import Object

GATEWAYS: Final = "gateways"


@dataclass(slots=True)
class Access:
    """Which kinds can be read, and in which namespace where each is read apart; otherwise that is empty."""

    denied: set[tuple[str, str]] = field(default_factory=set)
    """Plurals that we may not list."""
    absent: set[tuple[str, str]] = field(default_factory=set)
    """Kinds that the cluster does not serve."""

    def unseen(self, namespace: str, gateways: str = "") -> set[str]:
        """Plurals of what may not be listed and matters to what is in a namespace. gateways: where its Gateway is."""
        seen_apart = {GATEWAYS} if (GATEWAYS, gateways) in self.denied else set()
        return seen_apart | {plural for plural, within in self.denied if within in ("", namespace)}

    def serves(self, kind: str, namespace: str) -> bool:
        """Whether there is such a kind, as far as it was looked for in a namespace."""
        return self.absent.isdisjoint({(kind, ""), (kind, namespace)})


def gateway_namespace(deployment: Object) -> str:
    """Where the Gateway is that a model names, for an object that may not parse; empty where it names none."""
    routing = (deployment.get("spec") or {}).get("routing") or {}
    return str((routing.get("gatewayRef") or {}).get("namespace") or "")
