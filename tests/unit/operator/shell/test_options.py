"""Command line and configuration: a mistake is named by file and field before anything starts."""

from pathlib import Path

import pytest

from sluice.shell import app, options
from sluice.shell.options import InvalidOptions
from sluice.shell.reporting import telemetry
from sluice_core.adapters.prometheusaccess import PrometheusAccess


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("prometheusUrl: ftp://x", "prometheusUrl"),
        ("storageInitializer: {imagePullPolicy: Sometimes}", "storageInitializer.imagePullPolicy"),
        ("historyLimit: 0", "historyLimit"),
        ("gatewayPreset: nginx", "gatewayPreset: there is no preset 'nginx'; use one of contour"),
        ("[1, 2]", "must be a mapping"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_bad_configuration_ends_with_status_2_and_names_the_field(
    text: str, want: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert app.main(["--config", str(path), "--namespace", "ns"]) == 2
    said = capsys.readouterr().err
    assert want in said
    assert str(path) in said


def test_an_absent_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--config", "/nowhere/config.yaml", "--namespace", "ns"]) == 2
    assert "/nowhere/config.yaml: cannot be read" in capsys.readouterr().err


def test_the_namespace_of_the_lease_must_be_known(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("")
    with pytest.raises(InvalidOptions, match="POD_NAMESPACE"):
        options.parse(["--config", str(path)], {})


def test_the_environment_of_the_pod_is_used(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("domain: example.com\nlogLevel: WARNING\n")
    given = options.parse(["--config", str(path)], {"POD_NAME": "sluice-1", "POD_NAMESPACE": "sluice-system"})
    assert (given.identity, given.namespace, given.log_level) == ("sluice-1", "sluice-system", "WARNING")
    assert given.config.domain == "example.com"
    assert given.warnings == ()


def test_a_secret_for_prometheus_is_read_where_the_chart_mounts_it(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("prometheusSecretName: prometheus-client\n")
    access = app.access_of(options.parse(["--config", str(path), "--namespace", "ns"], {}))
    assert access == PrometheusAccess(Path("/etc/sluice-prometheus"), "Secret ns/prometheus-client")
    path.write_text("")
    assert app.access_of(options.parse(["--config", str(path), "--namespace", "ns"], {})) == PrometheusAccess()


def test_fields_that_nobody_reads_are_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("domian: x\nstorageInitializer: {image: a, imagePolicy: Never}\n")
    given = options.parse(["--config", str(path), "--namespace", "ns"], {})
    assert [warning.split(": ")[1] for warning in given.warnings] == ["domian", "storageInitializer.imagePolicy"]


@pytest.mark.parametrize(
    ("config", "warned"),
    [
        ("", False),
        ("gatewaySeries: {job: envoy}", False),
        ("routing: Service\ngatewayPreset: traefik", False),
        ("gatewaySeries: {}", True),
        ("gatewayPreset: traefik", True),
        ("prometheusUrl: http://thanos.monitoring:9090", True),
        ("gateway: {name: edge, namespace: gateway}", True),
    ],
)
def test_a_gateway_that_nothing_tells_from_others_is_warned_of(tmp_path: Path, config: str, warned: bool) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(config)
    found = options.parse(["--config", str(path), "--namespace", "ns"], {})
    assert [warning.split(": ")[1] for warning in found.warnings] == ["gatewaySeries"] * warned
    assert bool(found.preset.own) is (not warned and found.preset.requests != "")


def test_no_cluster_ends_with_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(telemetry, "set_up_logging", lambda _: None)
    path = tmp_path / "config.yaml"
    path.write_text("")
    assert app.main(["--config", str(path), "--namespace", "ns"]) == 2
    assert "--kubeconfig" in capsys.readouterr().err
