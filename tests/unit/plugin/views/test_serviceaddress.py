"""Addresses that only pods can resolve, and what is none of them."""

import pytest

from kubectl_sluice.views import serviceaddress


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://prometheus.monitoring:9090", "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy"),
        ("http://prometheus.monitoring", "/api/v1/namespaces/monitoring/services/prometheus:80/proxy"),
        ("https://prometheus.monitoring", "/api/v1/namespaces/monitoring/services/https:prometheus:443/proxy"),
        ("https://p.m.svc:9091/", "/api/v1/namespaces/m/services/https:p:9091/proxy"),
        ("http://p.m.svc.cluster.local:9090", "/api/v1/namespaces/m/services/p:9090/proxy"),
        ("http://P.m.svc.cluster.local.:9090", "/api/v1/namespaces/m/services/p:9090/proxy"),
        ("http://mimir.obs.svc:8080/prometheus/", "/api/v1/namespaces/obs/services/mimir:8080/proxy/prometheus"),
        ("http://p.0ps:9090/a/b-c_1", "/api/v1/namespaces/0ps/services/p:9090/proxy/a/b-c_1"),
    ],
)
def test_a_service_of_the_cluster(url: str, path: str) -> None:
    address = serviceaddress.parsed(url)
    assert address is not None
    assert address.proxy_path == path


@pytest.mark.parametrize(
    "url",
    [
        "",
        "prometheus.monitoring:9090",
        "ftp://prometheus.monitoring",
        "http://",
        "http://prometheus:9090",
        "http://localhost:9090",
        "http://prometheus.example.com",
        "http://prometheus.monitoring.svcs:9090",
        "http://prometheus.monitoring..svc",
        "http://prometheus..svc",
        "http://.monitoring",
        "http://prometheus.monitoring.:9090/..",
        "http://10.0.0.1:9090",
        "http://10.1:9090",
        "http://[::1]:9090",
        "http://[prometheus.monitoring:9090",
        "http://prometheus.monitoring:port",
        "http://prometheus.monitoring:0",
        "http://prometheus.monitoring:70000",
        "http://user:password@prometheus.monitoring",
        "http://prometheus.monitoring/?tenant=a",
        "http://prometheus.monitoring/#a",
        "http://prometheus.monitoring/../../../secrets",
        "http://prometheus.monitoring/a/./b",
        "http://prometheus.monitoring//a",
        "http://prometheus.monitoring/%2e%2e/secrets",
        "http://prometheus.monitoring/a b",
        "http://prom_etheus.monitoring",
        f"http://{'p' * 64}.monitoring",
        f"http://p.{'m' * 64}",
    ],
)
def test_other_addresses(url: str) -> None:
    assert serviceaddress.parsed(url) is None
