"""Pod fields of a ModelDeployment that the API server refuses, with the field and a part of the reason, and others."""

from typing import Any

from tests.support.cases.objects import deployment, runtime

Object = dict[str, Any]

CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "200Gi"}}}
EPHEMERAL = {"volumeClaimTemplate": {"spec": CLAIM}}


def volume(name: str = "store", **source: Any) -> Object:
    return {"volumes": [{"name": name, **source}]}


def mounted(path: str, name: str = "store") -> Object:
    claim = {"persistentVolumeClaim": {"claimName": "cache"}}
    return {**volume(**claim), "volumeMounts": [{"name": name, "mountPath": path}]}


def labelled(key: str, value: str = "x") -> Object:
    return {"podLabels": {key: value}}


VOLUMES, MOUNTS = "spec.volumes[0]", "spec.volumeMounts[0].mountPath"
_REFUSED: list[tuple[str, Object, str, str]] = [
    ("a volume of nothing", volume(), VOLUMES, "set exactly one of"),
    ("a volume of two", volume(emptyDir={"sizeLimit": "1Gi"}, secret={"secretName": "a"}), VOLUMES, "set exactly one of"),
    ("our volume", volume("models", emptyDir={"sizeLimit": "1Gi"}), f"{VOLUMES}.name", "Sluice's own volumes"),
    ("a volume of ours to come", volume("sluice-x", emptyDir={"sizeLimit": "1Gi"}), f"{VOLUMES}.name", "Sluice's own volumes"),
    ("a volume without a name", {"volumes": [{"secret": {"secretName": "a"}}]}, f"{VOLUMES}.name", "Required value"),
    ("a name with a dot", volume("a.b", secret={"secretName": "a"}), f"{VOLUMES}.name", "should match"),
    ("a folder without an end", volume(emptyDir={}), f"{VOLUMES}.emptyDir.sizeLimit", "Required value"),
    ("a volume twice", {"volumes": volume(secret={"secretName": "a"})["volumes"] * 2}, "spec.volumes[1]", "Duplicate"),
    ("a claim of nothing", volume(ephemeral={"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}),
     f"{VOLUMES}.ephemeral.volumeClaimTemplate.spec.resources", "Required value"),
    ("a mount of nothing", mounted("/cache", "other"), "spec.volumeMounts", "must be that of one of spec.volumes"),
    ("a mount twice", {**mounted("/cache"), "volumeMounts": mounted("/cache")["volumeMounts"] * 2},
     "spec.volumeMounts[1]", "Duplicate"),
    *((f"a mount at {path}", mounted(path), MOUNTS, "a path from the root")
      for path in ("cache", "/", "/cache/", "/a//b", "/a/../tmp", "/./tmp", "/a:b")),
    *((f"a mount on {path}", mounted(path), MOUNTS, "belong to Sluice and Kubernetes")
      for path in ("/models", "/models/1", "/mnt", "/mnt/model/a", "/tmp", "/tmp/x", "/dev/shm", "/var", "/var/run/secrets/a",
                   "/run/secrets/kubernetes.io/serviceaccount", "/proc/1")),
    *((f"the label {key}", labelled(key), "spec.podLabels", "belong to Sluice and Kubernetes")
      for key in ("sluice.dev/revision", "sluice.dev/model-deployment", "sluice.dev/x", "app.kubernetes.io/managed-by",
                  "app.kubernetes.io/name", "pod-template-hash", "job-name", "batch.kubernetes.io/job-name")),
    ("a label's value", labelled("a", "no value"), "spec.podLabels.a", "should match"),
    ("a priority class", {"priorityClassName": "No Class"}, "spec.priorityClassName", "should match"),
    ("a spread without a skew", {"topologySpreadConstraints": [{"topologyKey": "a", "whenUnsatisfiable": "ScheduleAnyway"}]},
     "spec.topologySpreadConstraints[0].maxSkew", "Required value"),
    ("a claim of devices by both ways", {"resourceClaims": [{"name": "g", "resourceClaimName": "a", "resourceClaimTemplateName": "b"}]},
     "spec.resourceClaims[0]", "set exactly one of"),
    ("a claim of no devices", {"resourceClaims": [{"name": "g"}]}, "spec.resourceClaims[0]", "set exactly one of"),
    ("a model in two places", {"model": {"volume": {"emptyDir": {"sizeLimit": "1Gi"}, "ephemeral": EPHEMERAL}}},
     "spec.model.volume", "set exactly one of"),
    ("a model in no place", {"model": {"volume": {}}}, "spec.model.volume", "set exactly one of"),
    ("a model in memory without an end", {"model": {"volume": {"emptyDir": {"medium": "Memory"}}}},
     "spec.model.volume.emptyDir.sizeLimit", "Required value"),
    ("a model on huge pages", {"model": {"volume": {"emptyDir": {"medium": "HugePages", "sizeLimit": 1}}}},
     "spec.model.volume.emptyDir.medium", "Unsupported value"),
    ("shared memory without an end", {"sharedMemory": {}}, "spec.sharedMemory.sizeLimit", "Required value"),
]  # fmt: skip
REFUSED: list[tuple[str, Object, str, str]] = [
    *((f"{name}, as a pod field", deployment(spec), field, reason) for name, spec, field, reason in _REFUSED),
    ("a sidecar of our name", runtime({"initContainers": [{"name": "storage-initializer", "image": "a"}]}),
     "spec.initContainers", "names must differ"),
    ("a sidecar of the server's name", runtime({"initContainers": [{"name": "server", "image": "a"}]}),
     "spec.initContainers", "names must differ"),
    ("a sidecar that is restarted sometimes", runtime({"initContainers": [{"name": "s", "image": "a", "restartPolicy": "Never"}]}),
     "spec.initContainers[0].restartPolicy", "should match"),
]  # fmt: skip

PRUNED: list[tuple[str, Object, str]] = [
    ("a token", volume(projected={"sources": [{"serviceAccountToken": {"path": "token"}}]}),
     f"{VOLUMES}.projected.sources[0].serviceAccountToken"),
    ("a certificate of the pod", volume(projected={"sources": [{"podCertificate": {"keyType": "RSA"}}]}),
     f"{VOLUMES}.projected.sources[0].podCertificate"),
    ("a file server", volume(nfs={"server": "10.0.0.1", "path": "/"}), f"{VOLUMES}.nfs"),
    ("another namespace's data", volume(ephemeral={"volumeClaimTemplate": {"spec": {
        **CLAIM, "dataSourceRef": {"kind": "VolumeSnapshot", "name": "a", "namespace": "other"}}}}),
     f"{VOLUMES}.ephemeral.volumeClaimTemplate.spec.dataSourceRef"),
    ("a volume of somebody's", volume(ephemeral={"volumeClaimTemplate": {"spec": {**CLAIM, "volumeName": "pv-1"}}}),
     f"{VOLUMES}.ephemeral.volumeClaimTemplate.spec.volumeName"),
    ("mounts that leave the pod", {**mounted("/cache"), "volumeMounts": [
        {"name": "store", "mountPath": "/cache", "mountPropagation": "Bidirectional"}]},
     "spec.volumeMounts[0].mountPropagation"),
    ("an init container", {"initContainers": [{"name": "a", "image": "a"}]}, "spec.initContainers"),
]  # fmt: skip
"""Fields that do not exist because no pod may have them."""

_ACCEPTED: list[tuple[str, Object]] = [
    ("volumes of all kinds", {"volumes": [
        {"name": "config", "configMap": {"name": "a", "items": [{"key": "a", "path": "b"}], "defaultMode": 256, "optional": True}},
        {"name": "keys", "secret": {"secretName": "a", "defaultMode": 256}},
        {"name": "claim", "persistentVolumeClaim": {"claimName": "a", "readOnly": True}},
        {"name": "own", "ephemeral": EPHEMERAL},
        {"name": "small", "emptyDir": {"medium": "Memory", "sizeLimit": 1}},
        {"name": "all", "projected": {"sources": [
            {"configMap": {"name": "a"}}, {"secret": {"name": "b", "optional": True}},
            {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        ]}},
        {"name": "vault", "csi": {"driver": "secrets-store.csi.k8s.io", "readOnly": True, "volumeAttributes": {"a": "b"}}},
        {"name": "node", "hostPath": {"path": "/mnt/models", "type": "Directory"}},
    ], "volumeMounts": [{"name": "claim", "mountPath": "/cache", "subPathExpr": "$(POD_NAME)", "readOnly": True}]}),
    *((f"a mount at {path}", mounted(path)) for path in ("/cache", "/.cache", "/models-cache", "/opt/a/..b", "/mnt/models", "/tmpfs")),
    ("labels", {"podLabels": {"team": "digits", "example.com/cost": "", "app.kubernetes.io/part-of": "shop"}}),
    ("a priority class", {"priorityClassName": "models"}),
    ("a scheduler", {"schedulerName": "volcano"}),
    ("a spread", {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}]}),
    ("claims of devices", {"resourceClaims": [
        {"name": "gpu", "resourceClaimTemplateName": "gpu"}, {"name": "shared", "resourceClaimName": "shared"}]}),
    ("a model in memory", {"model": {"volume": {"emptyDir": {"medium": "Memory", "sizeLimit": "40Gi"}}}}),
    ("a model on a claim", {"model": {"volume": {"ephemeral": EPHEMERAL}}}),
    ("shared memory", {"sharedMemory": {"sizeLimit": "16Gi"}}),
]  # fmt: skip
ACCEPTED: list[tuple[str, Object]] = [
    *((f"{name}, as a pod field", deployment(spec)) for name, spec in _ACCEPTED),
    (
        "init containers",
        runtime(
            {
                "initContainers": [
                    {"name": "proxy", "image": "a", "restartPolicy": "Always", "ports": [{"containerPort": 1}]},
                    {"name": "compile", "image": "b"},
                ]
            }
        ),
    ),
]
