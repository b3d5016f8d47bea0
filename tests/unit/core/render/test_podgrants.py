"""Which fields of their pods namespaces may have: what the platform grants them, and what is ours."""

from typing import Any

import pytest

from sluice_core.api.config import OperatorConfig, PriorityGrant, VolumeGrant
from sluice_core.render import workload
from sluice_core.render.pod import podgrants
from tests.support.cases import builders

CONFIG = OperatorConfig(
    allowed_priority_classes=[
        PriorityGrant(namespaces=["ml"], classes=["models", "batch"]),
        PriorityGrant(namespaces=["any"], classes=["*"]),
        PriorityGrant(namespaces=["platform"], classes=["*", "system-cluster-critical"]),
    ],
    allowed_volumes=[
        VolumeGrant(namespaces=["*"], csi_drivers=["keys.csi.example"]),
        VolumeGrant(namespaces=["any"], host_paths=["/mnt/models"]),
    ],
)
CACHED = CONFIG.model_validate(
    {
        **CONFIG.to_wire(),
        "storageInitializer": {"cache": {"persistentVolumeClaim": "cache"}, "maximumModelSize": "64Gi"},
    }
)


def problem(config: OperatorConfig = CONFIG, namespace: str = "ml", **spec: Any) -> str:
    model = spec.pop("model", {})
    return podgrants.problem(builders.make_model_deployment(namespace=namespace, model=model, spec=spec), config)


def volume(**source: Any) -> list[dict[str, Any]]:
    return [{"name": "store", **source}]


def mount(path: str, name: str = "store") -> dict[str, Any]:
    claim = {"persistentVolumeClaim": {"claimName": "a"}}
    return {"volumes": volume(**claim), "volumeMounts": [{"name": name, "mountPath": path}]}


@pytest.mark.parametrize(
    ("namespace", "wanted", "said"),
    [
        ("ml", "models", ""),
        ("ml", "urgent", "spec.priorityClassName: pods of namespace ml may not have the class 'urgent'; use batch or models"),
        ("ml", "system-node-critical", "config.allowedPriorityClasses"),
        ("any", "urgent", ""),
        ("any", "system-cluster-critical", "may not have the class 'system-cluster-critical'"),
        ("platform", "system-cluster-critical", ""),
        ("platform", "system-node-critical", "may not have the class"),
        ("other", "models", "it may use none, or have the platform add it"),
    ],
)  # fmt: skip
def test_who_may_have_which_priority(namespace: str, wanted: str, said: str) -> None:
    found = problem(namespace=namespace, priorityClassName=wanted)
    assert said in found
    assert bool(said) is bool(found)


def test_nobody_has_a_priority_or_a_folder_of_the_node_unless_it_is_said() -> None:
    assert "it may use none" in problem(OperatorConfig(), priorityClassName="models")
    assert "it may use none" in problem(OperatorConfig(), volumes=volume(hostPath={"path": "/"}))
    assert problem(OperatorConfig()) == ""


@pytest.mark.parametrize(
    ("namespace", "source", "said"),
    [
        ("ml", {"hostPath": {"path": "/mnt/models"}}, "may not mount /mnt/models of the node; it may use none"),
        ("any", {"hostPath": {"path": "/mnt/models"}}, ""),
        ("any", {"hostPath": {"path": "/mnt/models/.."}}, "may not mount /mnt/models/.. of the node; use /mnt/models, or"),
        ("any", {"hostPath": {"path": "/mnt"}}, "may not mount /mnt of the node"),
        ("any", {"hostPath": {}}, "may not mount None"),
        ("ml", {"csi": {"driver": "keys.csi.example"}}, ""),
        ("ml", {"csi": {"driver": "other.csi.example"}}, "may not use the CSI driver other.csi.example; use keys.csi.example"),
        ("ml", {"persistentVolumeClaim": {"claimName": "own"}}, ""),
        ("ml", {"persistentVolumeClaim": {"claimName": "cache"}}, "claim cache is the downloader's cache"),
        ("ml", {"nfs": {"server": "10.0.0.1"}}, "must have exactly one of configMap, csi"),
        ("ml", {}, "must have exactly one of"),
        ("ml", {"secret": {"secretName": "a"}, "hostPath": {"path": "/"}}, "must have exactly one of"),
        ("ml", {"projected": {"sources": [{"secret": {"name": "a"}}, {"downwardAPI": {}}]}}, ""),
        ("ml", {"projected": {"sources": [{"serviceAccountToken": {}}]}}, "sources of projected are configMap, downwardAPI"),
        ("ml", {"emptyDir": {"sizeLimit": "64Gi"}}, ""),
        ("ml", {"emptyDir": {"sizeLimit": 0}}, "spec.volumes: an emptyDir has a sizeLimit above 0"),
        ("ml", {"emptyDir": {"sizeLimit": "-1Gi"}}, "spec.volumes: an emptyDir has a sizeLimit above 0"),
        ("ml", {"emptyDir": {"sizeLimit": "65Gi"}}, "spec.volumes: 65Gi of emptyDir is more than 64Gi"),
    ],
)  # fmt: skip
def test_which_volumes(namespace: str, source: dict[str, Any], said: str) -> None:
    found = problem(CACHED, namespace, volumes=volume(**source))
    assert said in found
    assert bool(said) is bool(found)


@pytest.mark.parametrize("name", ["models", "cache", "sluice-later"])
def test_our_volumes_are_ours(name: str) -> None:
    assert "is the name of a volume of Sluice's own" in problem(volumes=[{"name": name, "secret": {"secretName": "a"}}])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (mount("/cache"), ""),
        (mount("/cache", "other"), "'other' is not one of spec.volumes (store)"),
        ({"volumeMounts": [{"name": "a", "mountPath": "/a"}]}, "is not one of spec.volumes (none)"),
        (mount("/a/../models"), "is not a path from the root"),
        (mount("/cache\n"), "is not a path from the root"),
        (mount("/models/x"), "/models/x lies on /models, which belongs to Sluice"),
        (mount("/var"), "/var lies on /var/run/secrets"),
    ],
)
def test_where_they_are_mounted(fields: dict[str, Any], said: str) -> None:
    found = problem(**fields)
    assert said in found
    assert bool(said) is bool(found)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("team", ""),
        ("example.com/team", ""),
        ("sluice.dev/revision", "belongs to Sluice or to Kubernetes"),
        ("app.kubernetes.io/managed-by", "belongs to Sluice or to Kubernetes"),
        ("team/", "is not the name of a label"),
        ("team\n", "is not the name of a label"),
        ("x" * 64, "is not the name of a label"),
    ],
)
def test_which_labels(name: str, said: str) -> None:
    found = problem(podLabels={name: "x"})
    assert said in found
    assert bool(said) is bool(found)


def test_a_models_folder_is_no_larger_than_the_platform_allows() -> None:
    large = {"emptyDir": {"sizeLimit": "65Gi"}}
    found = problem(CACHED, model={"volume": large})
    assert "spec.model.volume.emptyDir.sizeLimit: 65Gi of emptyDir is more than 64Gi" in found
    assert "config.storageInitializer.maximumModelSize" in found
    assert problem(CONFIG, model={"volume": large}) == ""
    endless = {"emptyDir": {"sizeLimit": "0"}}
    assert "spec.model.volume.emptyDir.sizeLimit: an emptyDir has" in problem(model={"volume": endless})


def test_folders_are_counted_together() -> None:
    folders = [{"name": name, "emptyDir": {"sizeLimit": "40Gi"}} for name in ("one", "two")]
    assert problem(CACHED, volumes=folders[:1]) == ""
    assert "spec.volumes: 40Gi + 40Gi of emptyDir is more than 64Gi" in problem(CACHED, volumes=folders)


def test_what_a_revision_was_pinned_with() -> None:
    folders = volume(hostPath={"path": "/mnt/models"})
    deployment = builders.make_model_deployment(namespace="any", spec={"volumes": folders})
    cached = OperatorConfig.model_validate({"storageInitializer": {"cache": {"hostPath": "/var/cache/models"}}})
    revision = workload.new_revision(deployment, builders.make_runtime(), cached, 1)
    assert podgrants.pinned_problem(revision.template, "any", CONFIG) == ""
    assert "may not mount /mnt/models of the node" in podgrants.pinned_problem(revision.template, "ml", CONFIG)
