"""Envoy Gateway: its own Helm chart and definitions out of its Go module, with the images that the lab built."""

import shutil
from pathlib import Path
from typing import Final

from lab import baseimages, gotools, network, node, paths
from lab.gateways import manifests

NAME: Final = "envoy-gateway"
NAMESPACE: Final = "envoy-gateway"
GATEWAY: Final = "models-envoy-gateway"
WORKLOADS: Final = ("deployment/envoy-gateway",)
MODULE: Final = "github.com/envoyproxy/gateway"
CONTROLLER: Final = "gateway.envoyproxy.io/gatewayclass-controller"
IMAGE: Final = baseimages.ProgramImage(
    "docker.io/envoyproxy/gateway", "v1.9.1", "envoy-gateway", "/usr/local/bin/envoy-gateway"
)
END_SECONDS: Final = 10
"""How long the proxy's pod may take to end; by default six minutes, and so may its namespace."""
# What a two-processor machine has room for; the chart asks for half a gigabyte for each of three containers.
LITTLE: Final[manifests.Object] = {"requests": {"cpu": "20m", "memory": "64Mi"}}


def apply() -> None:
    """Definitions, control plane, and a Gateway whose proxy listens on the host."""
    source = gotools.module_folder(NAME, MODULE) / "charts"
    manifests.apply_definitions(sorted((source / "gateway-helm/charts/crds/crds/generated").glob("*.yaml")))
    manifests.apply_objects(manifests.namespace(NAMESPACE))
    _install(write_chart(source / "gateway-helm", paths.BUILD / NAME))
    port = network.GATEWAY_PORTS[NAME]
    parameters = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "lab", "namespace": NAMESPACE}
    manifests.apply_objects(
        envoy_proxy(port),
        manifests.gateway_class(NAME, CONTROLLER, parameters),
        manifests.gateway(GATEWAY, namespace=NAMESPACE, class_name=NAME, port=port),
    )


def write_chart(source: Path, target: Path) -> Path:
    """A copy of the chart with its two placeholders filled in, and without the definitions, which are applied apart."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns("crds", "Chart.lock"))
    for folder in (target, *(each for each in target.rglob("*") if each.is_dir())):
        folder.chmod(0o755)  # the module cache is read-only
    values = (target / "values.tmpl.yaml").read_text()
    filled = values.replace("${GatewayImage}", IMAGE.local).replace("${GatewayImagePullPolicy}", "IfNotPresent")
    (target / "values.yaml").write_text(filled)
    chart = (target / "Chart.yaml").read_text()
    (target / "Chart.yaml").write_text(chart.partition("\ndependencies:")[0] + "\n")
    return target


def envoy_proxy(port: int) -> manifests.Object:
    """How its Envoy runs: the lab's images, reached by a host port, asked every second whether it is ready."""
    quick = {"startupProbe": {"periodSeconds": 1}, "readinessProbe": {"periodSeconds": 1}}
    envoy = {"name": "envoy", "ports": [{"containerPort": port, "hostPort": port, "protocol": "TCP"}], **quick}
    manager = {"name": "shutdown-manager", "image": IMAGE.local, "resources": LITTLE, **quick}
    # The host port exists once on a node.
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    pod = {"terminationGracePeriodSeconds": END_SECONDS, "containers": [envoy, manager]}
    patch = {"spec": {"strategy": strategy, "template": {"spec": pod}}}
    proxy = next(image for image in baseimages.PROGRAM_IMAGES if image.program == "envoy")
    kubernetes = {
        "envoyDeployment": {
            "container": {"image": proxy.local, "resources": LITTLE},
            "patch": {"type": "StrategicMerge", "value": patch},
        },
        "envoyService": {"type": "ClusterIP"},
    }
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyProxy",
        "metadata": {"name": "lab", "namespace": NAMESPACE},
        "spec": {"provider": {"type": "Kubernetes", "kubernetes": kubernetes}},
    }


def _install(chart: Path) -> None:
    options = (
        "--set=topologyInjector.enabled=false",
        "--set=deployment.envoyGateway.resources.requests.cpu=20m",
        "--wait",
    )
    node.helm(NAMESPACE, "upgrade", "--install", NAME, chart, *options)
