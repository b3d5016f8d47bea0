"""Each gateway's series of the simulated traffic: Envoy's names, as `Cluster` counts, translated to a preset's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sluice_core.kernel.snapshot import Object
from sluice_judge.gateways import PRESETS
from tests.support import traefiknames
from tests.support.simulated.cluster import Cluster

NAMESPACE: Final = "default"


@dataclass
class SpeakingCluster(Cluster):
    """A cluster whose gateway has the series of its preset."""

    serves: bool = True
    """Whether the scraped instance gets the requests; otherwise another one does."""
    knows: bool = True
    """Whether it has the backends at all."""

    def count(self, name: str, *labels: tuple[str, str], job: str = "envoy", times: int = 1) -> None:
        said = DIALECTS.get(self.preset)
        if job != "envoy" or (self.serves and said is None):
            super().count(name, *labels, job=job, times=times)
        elif said is not None and name == "envoy_cluster_upstream_rq" and self.serves and times:
            known = dict(labels)
            service = known["envoy_cluster_name"].split("_")[1]
            route = next(each for each in self.of_kind("HTTPRoute") if service in str(each["spec"]["rules"][0]))
            own, spoken = said(route, service, known["envoy_response_code"])
            super().count(own, *spoken.items(), times=times)

    def _scrape(self) -> None:
        self._shows_itself()
        super()._scrape()

    def _shows_itself(self) -> None:
        """The series by which the preset recognises a scraped gateway."""
        name, _, rest = PRESETS[self.preset].freshness.partition("{")
        labels = dict(part.split("=") for part in rest.rstrip("}").split(",") if part)
        unquoted = {label: value.strip('"') for label, value in labels.items()}
        self.prometheus.gauge("envoy-0", name, 1.0, job="envoy", namespace="projectcontour", **unquoted)

    def backend_names(self) -> list[str]:
        return super().backend_names() if self.knows else []

    def restart_gateway(self) -> None:
        """Resets its counters, which begin anew with the next request."""
        self.prometheus.counters.pop("envoy-0", None)


def _traefik(route: Object, service: str, code: str) -> tuple[str, Mapping[str, str]]:
    return "traefik_service_requests_total", {"service": traefiknames.service_of(route, service), "code": code}


def _istio(_: Object, service: str, code: str) -> tuple[str, Mapping[str, str]]:
    return "istio_requests_total", {
        "reporter": "source",
        "destination_service_namespace": NAMESPACE,
        "destination_service_name": service,
        "request_protocol": "http",
        "response_code": code,
        "response_flags": "-",
    }


def _nginx(_: Object, service: str, code: str) -> tuple[str, Mapping[str, str]]:
    labels = {"nginx_upstream_name": f"{NAMESPACE}_{service}_80", "nginx_status_range": f"{code[0]}xx"}
    return "nginx_http_upstream_peer_responses_total", labels


DIALECTS: Final[Mapping[str, Callable[[Object, str, str], tuple[str, Mapping[str, str]]]]] = {
    "traefik": _traefik,
    "istio": _istio,
    "nginx-gateway-fabric": _nginx,
}
"""By preset: a request to a Service of a route, answered with a code. The others use Envoy's."""
