"""Users of many models, and the gateway that counts their requests: to each version according to the route.

Requests are counted as they arrive, without randomness: a failing version harms every request that reaches it.
Prometheus scrapes `/gateway`, which counts as Envoy does, and `/users`, where the models' users count wrong answers.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from tests.benchmarks.burst import SCRAPE_SECONDS

RATE: Final = 20.0
"""Requests a second to each model."""
WRONG: Final = 0.05
"""A good version's share of wrong answers."""
FAILS: Final = "fails"
ERRS: Final = "is wrong"
HOW: Final = (FAILS, ERRS)
"""How a version is bad: it answers 503, which the gateway counts, or wrongly, which its users count."""
JOBS: Final = (("envoy", "gateway"), ("pods", "users"))
"""Names of Prometheus' jobs, and their targets."""


@dataclass(slots=True)
class Version:
    """The answers of a version to its users."""

    namespace: str
    right: float = 0.0
    wrong: float = 0.0
    failed: float = 0.0
    bad: str = ""
    """One of `HOW`, or empty."""
    harmed: float = 0.0
    """Requests since it turned bad."""
    turned: float = 0.0
    """When it turned bad, monotonic seconds."""
    out: float = 0.0
    """When it got its last request since then, likewise."""

    def asked(self, requests: float, now: float) -> None:
        self.failed += requests * (self.bad == FAILS)
        wrong = (1.0 if self.bad == ERRS else WRONG) * (self.bad != FAILS)
        self.wrong += requests * wrong
        self.right += requests * (1.0 - wrong) * (self.bad != FAILS)
        if self.bad and requests:
            self.harmed += requests
            self.out = now


@dataclass(slots=True)
class Traffic:
    """Starts when its models have routes."""

    rates: Mapping[str, float] = field(default_factory=dict)
    """Requests a second, for models with another rate than `RATE`."""
    versions: dict[str, Version] = field(default_factory=dict)
    """By revision, which is the name of its Service."""
    _shares: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    _counted: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def route(self, namespace: str, model: str, weights: Mapping[str, int]) -> None:
        """The gateway gets a route. weights: by revision."""
        whole = sum(weights.values())
        with self._lock:
            self._count()
            for revision in weights:
                self.versions.setdefault(revision, Version(namespace))
            self._shares[namespace, model] = {name: weight / whole for name, weight in weights.items() if weight}

    def turn(self, revision: str, how: str) -> None:
        """Makes a version bad from now on."""
        with self._lock:
            self._count()
            version = self.versions[revision]
            version.bad, version.turned = how, self._counted

    def shares(self, namespace: str, model: str) -> Mapping[str, float]:
        """By revision; without those that get nothing."""
        with self._lock:
            return self._shares.get((namespace, model), {})

    def _count(self) -> None:
        now = time.monotonic()
        seconds, self._counted = now - self._counted, now
        for (_, model), shares in self._shares.items():
            requests = self.rates.get(model, RATE) * seconds
            for revision, share in shares.items():
                self.versions[revision].asked(requests * share, now)

    def gateway(self) -> Iterator[str]:
        yield "envoy_server_live 1"
        for revision, version in self._versions():
            cluster = f'envoy_cluster_name="{version.namespace}_{revision}_80"'
            yield f"envoy_cluster_membership_total{{{cluster}}} 1"
            yield f"envoy_cluster_upstream_rq_timeout{{{cluster}}} 0"
            for code, count in (("200", version.right + version.wrong), ("503", version.failed)):
                if count >= 1:
                    yield f'envoy_cluster_upstream_rq{{{cluster},envoy_response_code="{code}"}} {int(count)}'

    def users(self) -> Iterator[str]:
        for revision, version in self._versions():
            for correct, count in (("true", version.right), ("false", version.wrong)):
                labels = f'namespace="{version.namespace}",revision="{revision}",correct="{correct}"'
                yield f"feedback_total{{{labels}}} {int(count)}"

    def _versions(self) -> list[tuple[str, Version]]:
        with self._lock:
            self._count()
            return list(self.versions.items())


@contextmanager
def served(traffic: Traffic) -> Iterator[str]:
    """The configuration of a Prometheus that scrapes it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            lines = traffic.gateway() if self.path == "/gateway" else traffic.users()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write("".join(f"{line}\n" for line in lines).encode())

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    where = f"honor_labels: true, static_configs: [{{targets: ['127.0.0.1:{server.server_port}']}}]"
    jobs = (f"{{job_name: {job}, metrics_path: /{path}, {where}}}" for job, path in JOBS)
    try:
        yield f"global: {{scrape_interval: {SCRAPE_SECONDS}s}}\nscrape_configs: [{', '.join(jobs)}]\n"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
