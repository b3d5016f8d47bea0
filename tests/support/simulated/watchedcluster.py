"""Readers of a cluster whose stable version is watched."""

from typing import Any, Final

from tests.support.simulated.cluster import Cluster

HOME: Final = {"namespace": "default", "model": "digits"}
"""Labels of the observer's series."""
ERRORS: Final[dict[str, Any]] = {
    "name": "errors",
    "failureRatio": {"source": "Gateway", "events": "ServerErrors", "ignoreBelow": "1%", "maximum": "2%"},
}


class WatchedCluster:
    """A cluster with an observer that counts while it is up. observer: its target's name in Prometheus."""

    cluster: Cluster

    def __init__(self, observer: str = "observer") -> None:
        self.target = observer
        self.is_up = True

    def goes_down(self) -> None:
        self.is_up = False
        self.cluster.prometheus.counters.pop(self.target)

    @property
    def healthy(self) -> dict[str, Any]:
        return self.cluster.condition("Healthy")

    @property
    def moved(self) -> list[str]:
        return [each["name"] for each in self.cluster.status()["watch"]["drift"].get("moved", ())]
