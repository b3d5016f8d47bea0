"""A stand-in for the gateway: its counters in Prometheus' text format."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.simulated import trials
from tests.support.simulated.prometheus import LES, Prometheus


class Exporter:
    """Serves the counters of a synthetic gateway in Prometheus' text format."""

    def __init__(self) -> None:
        self.gateway = Prometheus()
        self.broken: frozenset[str] = frozenset()
        """Names of counters that show NaN."""
        self.lock = threading.Lock()
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = exporter.text().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def text(self) -> str:
        with self.lock:
            lines = ["envoy_server_live 1"]
            for counters in self.gateway.counters.values():
                for key, value in counters.items():
                    labels = {k: v for k, v in key if k not in ("__name__", "job", "instance")}
                    inside = ",".join(f'{label}="{text}"' for label, text in labels.items())
                    name = dict(key)["__name__"]
                    lines.append(f"{name}{{{inside}}} {'NaN' if name in self.broken else value}")
        return "\n".join(lines) + "\n"

    def grpc(self, revision: str, *, status: int, times: int) -> None:
        with self.lock:
            name = f"envoy_cluster_grpc_{status}"
            self.gateway.count("a", name, times, envoy_cluster_name=f"shop_{revision}_81")
            self.gateway.count("a", "envoy_cluster_grpc_0", 0, envoy_cluster_name=f"shop_{trials.STABLE}_81")
            self._none_timed_out(f"shop_{revision}_81")
            for le in LES:
                labels = {"envoy_cluster_name": f"shop_{revision}_81", "le": le}
                self.gateway.count("a", "envoy_cluster_upstream_rq_time_bucket", times, **labels)

    def request(self, revision: str, *, code: str, times: int, wrong: bool | None = None) -> None:
        with self.lock:
            self.gateway.request(revision, code=code, times=times, wrong=wrong)
            self._none_timed_out(f"shop_{revision}_80")

    def _none_timed_out(self, cluster: str) -> None:
        """Envoy has this counter, as all that have no code, from the beginning."""
        self.gateway.count("a", "envoy_cluster_upstream_rq_timeout", 0, envoy_cluster_name=cluster)

    def restart(self) -> None:
        """Everything counts from 0 again."""
        with self.lock:
            for target in self.gateway.counters:
                self.gateway.restart(target)
