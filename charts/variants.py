"""The chart with other values than its own, for what checks rendered manifests: `python -m charts.variants FOLDER`."""

import sys
from pathlib import Path
from typing import Final

from charts import render

VARIANTS: Final = {
    "CPU image": ["--set", "runtimes.triton.image=sluice/triton:cpu", "--set", "runtimes.triton.layout=TritonPythonOnnx"],
    "all model servers": [
        *(part for name in ("bentoml", "kserve", "llamacpp", "mlserver", "torchserve") for part in ("--set", f"runtimes.{name}.create=true")),
    ],
    "three replicas": ["--set", "replicas=3", "--set", "nodeSelector.disk=ssd", "--set", "priorityClassName=urgent"],
    "nothing of others": ["--set", "config.engines.keda=false", "--set", "config.engines.sparkOperator=false"],
    "two namespaces": ["--set-json", 'config.watchNamespaces=["team-a","gateway"]', "--set", "accountPolicy.serviceAccounts={models}"],
    "no rights in the cluster": [
        *("--set-json", 'config.watchNamespaces=["team-a"]', "--set", "rbac.clusterRoles=false", "--set", "config.routing=Service"),
    ],
    "second install": [
        *("--set", "fullnameOverride=sluice-b", "--set", "sharedObjects=false", "--set-json", 'config.watchNamespaces=["team-a"]'),
    ],
    "hardened": [
        *("--set", "networkPolicy.enabled=true", "--set", f"image.digest=sha256:{'0a' * 32}"),
        *("--set", "config.prometheusSecretName=prometheus-client", "--set", "config.prometheusUrl=https://prometheus.monitoring:9090"),
        *("--set-json", 'config.allowedFormats=[{"namespaces":["*"],"formats":["onnx"]}]'),
        *("--set-json", 'config.allowedPriorityClasses=[{"namespaces":["team-a"],"classes":["models"]}]'),
        *("--set-json", 'config.allowedVolumes=[{"namespaces":["team-a"],"hostPaths":["/mnt/models"]}]'),
    ],
    "watched": [
        *(part for name in ("serviceMonitor", "podMonitor", "prometheusRule", "dashboards") for part in ("--set", f"monitoring.{name}.create=true")),
        *("--set", "monitoring.prometheusRule.labels.release=prometheus"),
    ],
    "page": [
        *("--set", "dashboard.enabled=true", "--set", "networkPolicy.enabled=true", "--set", "dashboard.url=https://sluice.example.com"),
        *("--set", "dashboard.httpRoute.create=true", "--set-json", 'dashboard.httpRoute.hostnames=["sluice.example.com"]'),
        *("--set-json", 'dashboard.httpRoute.parentRefs=[{"name":"models","namespace":"gateway"}]'),
        *("--set", "dashboard.ingress.create=true", "--set", "dashboard.ingress.host=sluice.example.com"),
    ],
    "page of another registry": [
        *("--set", "dashboard.enabled=true", "--set", "dashboard.image.repository=registry.example/sluice-dashboard"),
        *("--set", f"dashboard.image.digest=sha256:{'0b' * 32}"),
    ],
    "bare": [
        *("--set", "defaultPolicy.create=false", "--set", "runtimes.triton.create=false", "--set", "runtimes.fastapi.create=false"),
        *("--set", "admissionPolicy.create=false", "--set", "formatWarning.create=false", "--set", "monitoring.service=false"),
        *("--set", "notifications.secretNames=null"),
    ],
}  # fmt: skip


def write_all(folder: Path) -> None:
    """Each variant, and the chart as it is, rendered into a file of its own; other files of the folder go."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.yaml"):
        old.unlink()
    for name, options in {"as it is": [], **VARIANTS}.items():
        (folder / f"{name.replace(' ', '-')}.yaml").write_text(render.template(*options))


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
