"""Traefik: one Pod, told by its command line alone."""

from typing import Final

from lab import baseimages, gotools, network
from lab.gateways import manifests

NAME: Final = "traefik"
NAMESPACE: Final = "traefik"
GATEWAY: Final = "models-traefik"
WORKLOADS: Final = ("deployment/traefik",)
CONTROLLER: Final = "traefik.io/gateway-controller"
IMAGE: Final = baseimages.ProgramImage("docker.io/library/traefik", "v3.7.13", "traefik", "/usr/local/bin/traefik")
METRICS_PORT: Final = 9100
# Kinds that it watches in any case, and that Contour's edition of the Gateway API does not have.
DEFINITIONS: Final = ("backendtlspolicies", "tlsroutes")
# Its own buckets (0.1, 0.3, 1.2 and 5 s) say nothing about a model that answers in milliseconds.
BUCKETS_SECONDS: Final = "0.001,0.0025,0.005,0.01,0.025,0.05,0.1,0.25,0.5,1,2.5,5,10,30"


def apply() -> None:
    api = gotools.module_folder(NAME, "sigs.k8s.io/gateway-api") / "config" / "crd" / "standard"
    manifests.apply_definitions(api / f"gateway.networking.k8s.io_{kind}.yaml" for kind in DEFINITIONS)
    port = network.GATEWAY_PORTS[NAME]
    manifests.apply_objects(
        manifests.namespace(NAMESPACE),
        *access(),
        deployment(port),
        manifests.gateway_class(NAME, CONTROLLER),
        manifests.gateway(GATEWAY, namespace=NAMESPACE, class_name=NAME, port=port),
    )


def arguments(port: int) -> list[str]:
    """Its configuration: the listener's port must be that of an entry point."""
    return [
        f"--entrypoints.models.address=:{port}",
        f"--entrypoints.metrics.address=:{METRICS_PORT}",
        "--providers.kubernetesgateway=true",
        "--metrics.prometheus=true",
        "--metrics.prometheus.entrypoint=metrics",
        "--metrics.prometheus.addserviceslabels=true",
        f"--metrics.prometheus.buckets={BUCKETS_SECONDS}",
        "--ping=true",
        "--ping.entrypoint=metrics",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--log.level=INFO",
    ]


def deployment(port: int) -> manifests.Object:
    labels = {"app": NAME}
    scrape = {"prometheus.io/scrape": "true", "prometheus.io/port": str(METRICS_PORT), "prometheus.io/path": "/metrics"}
    container = {
        "name": NAME,
        "image": IMAGE.local,
        "imagePullPolicy": "IfNotPresent",
        "args": arguments(port),
        "ports": [{"name": "http", "containerPort": port, "hostPort": port}],
        "readinessProbe": {"httpGet": {"path": "/ping", "port": METRICS_PORT}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
        "securityContext": manifests.restricted(),
    }
    template = {
        "metadata": {"labels": labels, "annotations": scrape},
        "spec": {"serviceAccountName": NAME, "containers": [container]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},  # the host port exists once on a node
            "selector": {"matchLabels": labels},
            "template": template,
        },
    }


def access() -> tuple[manifests.Object, ...]:
    """It reads routes and endpoints everywhere and writes nothing but their status."""
    reads, group = ("get", "list", "watch"), "gateway.networking.k8s.io"
    kinds = ("gatewayclasses", "gateways", "httproutes", "grpcroutes", "tlsroutes", "backendtlspolicies")
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "sluice-lab-traefik"},
        "rules": [
            manifests.rule("", ("namespaces", "services", "secrets", "configmaps"), reads),
            manifests.rule("discovery.k8s.io", ("endpointslices",), reads),
            manifests.rule(group, (*kinds, "referencegrants"), reads),
            manifests.rule(group, tuple(f"{kind}/status" for kind in kinds), ("update",)),
        ],
    }
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": NAMESPACE}}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "sluice-lab-traefik"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "sluice-lab-traefik"},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
    }
    return account, role, binding
