"""Further gateways of the lab: pinned versions, ports of their own, and manifests that fit together."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import __main__ as command_line
from lab import baseimages, gateways, gotools, lifecycle, network, node, paths
from lab.gateways import envoy_gateway, manifests, traefik
from sluice_judge.gateways import PRESETS
from tests.unit.lab.test_pins import module_version

MODULES = {"envoy-gateway": "github.com/envoyproxy/gateway", "traefik": "github.com/traefik/traefik/v3"}
every_gateway = pytest.mark.parametrize("gateway", gateways.GATEWAYS.values(), ids=list(gateways.GATEWAYS))


@every_gateway
def test_each_has_a_preset_a_tool_and_a_port_of_its_own(gateway: gateways.Gateway) -> None:
    assert gateway.name in PRESETS
    assert gotools.TOOLS[gateway.image.program].on_demand
    ports = [*network.HOST_PORTS.values(), *network.GATEWAY_PORTS.values()]
    assert ports.count(gateway.port) == 1
    assert str(gateway.port) in network.guard_rules(), "nobody outside the machine reaches it"


@every_gateway
def test_the_image_is_tagged_with_the_version_that_is_built(gateway: gateways.Gateway) -> None:
    assert module_version(gateway.name, MODULES[gateway.name]) == gateway.image.tag
    assert gateway.image not in baseimages.PROGRAM_IMAGES, "the plain lab does not build it"


def test_what_stands_in_for_a_module_is_part_of_the_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "TOOLS_SOURCE", tmp_path)
    (tmp_path / "go.work").touch()
    (tmp_path / "x" / "ext").mkdir(parents=True)
    (tmp_path / "x" / "go.mod").write_text("module x\n")
    (tmp_path / "x" / "ext" / "ext.go").write_text("package ext\n")
    before = gotools.fingerprint(gotools.GoTool("x", ("x",)))
    (tmp_path / "x" / "ext" / "ext.go").write_text("package ext // changed\n")
    assert gotools.fingerprint(gotools.GoTool("x", ("x",))) != before


def test_the_chart_is_copied_without_placeholders_and_definitions(tmp_path: Path) -> None:
    source = tmp_path / "module" / "gateway-helm"
    (source / "crds").mkdir(parents=True)
    (source / "templates").mkdir()
    (source / "crds" / "a.yaml").write_text("kind: CustomResourceDefinition\n")
    (source / "templates" / "deployment.yaml").write_text("kind: Deployment\n")
    (source / "values.tmpl.yaml").write_text("image: ${GatewayImage}\npull: ${GatewayImagePullPolicy}\n")
    (source / "Chart.yaml").write_text("name: gateway-helm\nversion: 1\ndependencies:\n- name: crds\n")
    (source / "templates").chmod(0o555)
    chart = envoy_gateway.write_chart(source, tmp_path / "chart")
    assert (chart / "values.yaml").read_text() == f"image: {envoy_gateway.IMAGE.local}\npull: IfNotPresent\n"
    assert (chart / "Chart.yaml").read_text() == "name: gateway-helm\nversion: 1\n"
    assert not (chart / "crds").exists()
    envoy_gateway.write_chart(source, tmp_path / "chart")  # once more over the first copy


def test_the_proxy_of_envoy_gateway_runs_on_the_lab_s_images_and_its_host_port() -> None:
    kubernetes = envoy_gateway.envoy_proxy(8081)["spec"]["provider"]["kubernetes"]
    pod = kubernetes["envoyDeployment"]["patch"]["value"]["spec"]["template"]["spec"]
    envoy, manager = pod["containers"]
    assert envoy["ports"] == [{"containerPort": 8081, "hostPort": 8081, "protocol": "TCP"}]
    assert manager["image"] == envoy_gateway.IMAGE.local
    assert kubernetes["envoyDeployment"]["container"]["image"] in baseimages.tags_on_node()


def test_traefik_listens_where_its_gateway_says_and_counts_services() -> None:
    template = traefik.deployment(8082)["spec"]["template"]
    container = template["spec"]["containers"][0]
    assert "--entrypoints.models.address=:8082" in container["args"]
    assert "--metrics.prometheus.addserviceslabels=true" in container["args"]
    assert container["ports"] == [{"name": "http", "containerPort": 8082, "hostPort": 8082}]
    assert template["metadata"]["annotations"]["prometheus.io/port"] == str(traefik.METRICS_PORT)
    assert container["securityContext"]["runAsNonRoot"] is True


def test_traefik_may_write_nothing_but_the_status_of_routes() -> None:
    rules = next(each for each in traefik.access() if each["kind"] == "ClusterRole")["rules"]
    for rule in rules:
        writes = set(rule["verbs"]) - {"get", "list", "watch"}
        assert not writes or all(resource.endswith("/status") for resource in rule["resources"])


def test_the_gateway_takes_routes_of_every_namespace() -> None:
    made = manifests.gateway("models-x", namespace="x", class_name="x", port=80)
    assert made["spec"]["listeners"][0]["allowedRoutes"] == {"namespaces": {"from": "All"}}


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Every kubectl call; Gateways exist."""
    calls: list[tuple[Any, ...]] = []

    def kubectl(*arguments: Any, text: str | None = None) -> str:
        calls.append(arguments)
        return "gateway/models\n" if arguments[0] == "get" else ""

    monkeypatch.setattr(node, "kubectl", kubectl)
    return calls


def stopped_lab(state: str) -> Callable[[], lifecycle.Status]:
    return lambda: lifecycle.Status(state, "", "", "", "", "", "", "", {})


def test_down_removes_the_gateway_before_its_controller(
    recorded: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "status", stopped_lab("running"))
    gateways.down("traefik")
    deleted = [call[1] for call in recorded if call[0] == "delete"]
    assert deleted == ["gateway/models-traefik", "namespace", "gatewayclass"]


@pytest.mark.parametrize("action", ["up", "down"])
def test_without_a_lab_it_says_how_to_start_one(
    action: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lifecycle, "status", stopped_lab("stopped"))
    assert command_line.main(["gateway", "traefik", action]) == 1
    assert "python3 -m lab up" in capsys.readouterr().err
