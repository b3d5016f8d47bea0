"""What the operator may read, learned from the answers to its lists."""

from dataclasses import dataclass, field
from typing import Final

from sluice_core.kernel.snapshot import Object

GATEWAYS: Final = "gateways"


@dataclass(slots=True)
class Access:
    """Which kinds can be read; per namespace where each is read separately, otherwise the namespace is empty."""

    denied: set[tuple[str, str]] = field(default_factory=set)
    """Plurals that the operator may not list."""
    absent: set[tuple[str, str]] = field(default_factory=set)
    """Kinds that the cluster does not serve."""

    def unseen(self, namespace: str, gateways: str = "") -> set[str]:
        """Plurals that the operator may not list and that matter to a namespace. gateways: the namespace of its
        Gateway."""
        seen_apart = {GATEWAYS} if (GATEWAYS, gateways) in self.denied else set()
        return seen_apart | {plural for plural, within in self.denied if within in ("", namespace)}

    def serves(self, kind: str, namespace: str) -> bool:
        """Whether the kind exists, as far as a namespace was searched for it."""
        return self.absent.isdisjoint({(kind, ""), (kind, namespace)})


def gateway_namespace(deployment: Object) -> str:
    """The namespace of the Gateway that a model names, for an object that may not parse; empty where it names none."""
    routing = (deployment.get("spec") or {}).get("routing") or {}
    return str((routing.get("gatewayRef") or {}).get("namespace") or "")
