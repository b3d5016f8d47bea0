"""What large models need of their pods: volumes, shared memory, labels, spread, claims of devices, init containers."""

from typing import Any

import pytest

from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1 import volumes
from sluice_core.kernel import naming
from sluice_core.render.pod import podextras, podgrants, podtemplate
from tests.support.cases import builders
from tests.support.cases.podfieldcases import EPHEMERAL

REVISION = "digits-0123456789"
CLAIM = {"name": "compiled", "persistentVolumeClaim": {"claimName": "compiled"}}
MOUNT = {"name": "compiled", "mountPath": "/var/lib/compiled", "subPathExpr": "$(POD_NAME)"}


def render(
    server: Any = None, *, config: OperatorConfig = builders.CONFIG, model: Any = None, **spec: Any
) -> dict[str, Any]:
    deployment = builders.make_model_deployment(model=model or {}, spec=spec)
    return podtemplate.render_template(deployment, server or builders.make_runtime(), config, REVISION)


def by_name(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in items}


def test_without_them_the_pod_is_as_it_was() -> None:
    empty: dict[str, Any] = {"volumes": [], "volumeMounts": [], "topologySpreadConstraints": [], "resourceClaims": []}
    assert render(**empty, podLabels={}) == render()
    assert not {"priorityClassName", "schedulerName", "resourceClaims"} & render()["spec"].keys()


def test_fields_of_the_pod_are_passed_on() -> None:
    claims = [{"name": "gpu", "resourceClaimTemplateName": "gpu"}]
    fields = {"priorityClassName": "models", "schedulerName": "volcano", "resourceClaims": claims}
    assert fields.items() <= render(**fields)["spec"].items()


def test_volumes_are_the_model_servers_alone() -> None:
    runtime = builders.make_runtime(containers=[builders.make_container(), {"name": "beside", "image": "b"}])
    spec = render(runtime, volumes=[CLAIM], volumeMounts=[MOUNT], warmup={})["spec"]
    assert spec["volumes"][-1] == CLAIM
    server, *others = spec["containers"]
    assert server["volumeMounts"][-1] == MOUNT
    assert len(others) == 2
    for container in (*others, *spec["initContainers"]):
        assert MOUNT not in container["volumeMounts"]


@pytest.mark.parametrize("path", ["/opt/data", "/opt", "/opt/data/mine"])
def test_the_runtimes_own_mounts_stay(path: str) -> None:
    own = {"name": "tmp", "mountPath": "/opt/data"}
    runtime = builders.make_runtime(containers=[builders.make_container(volumeMounts=[own])])
    with pytest.raises(podextras.MountTaken, match=f"spec.volumeMounts: {path} lies on /opt/data"):
        render(runtime, volumes=[CLAIM], volumeMounts=[{**MOUNT, "mountPath": path}])


def test_every_volume_of_ours_has_a_name_that_users_cannot_give() -> None:
    config = OperatorConfig.model_validate(
        {"storageInitializer": {"cache": {"hostPath": "/c"}, "caBundle": {"configMap": "a"}, "imageVolumes": True}}
    )
    warmup = {"payloadRef": {"configMap": "a", "key": "b"}}
    uris = ("s3://m/1", "pvc://m/1", "oci://ghcr.io/m:1")
    specs = [render(config=config, model={"uri": uri}, warmup=warmup)["spec"] for uri in uris]
    names = {name for spec in specs for name in by_name(spec["volumes"])}
    assert len(names) == 7
    assert all(map(volumes.is_ours, names))
    paths = {mount["mountPath"] for spec in specs for mount in spec["containers"][0]["volumeMounts"]}
    assert len(paths) == 5
    assert all(podgrants.overlapping(path, volumes.OUR_PATHS) for path in paths)


IN_MEMORY = {"emptyDir": {"medium": "Memory", "sizeLimit": "40Gi"}}


@pytest.mark.parametrize(
    ("wanted", "volume", "most"),
    [
        ({"emptyDir": {"sizeLimit": "40Gi"}}, {"emptyDir": {"sizeLimit": "40Gi"}}, str(40 << 30)),
        (IN_MEMORY, IN_MEMORY, str(40 << 30)),
        ({"ephemeral": EPHEMERAL}, {"ephemeral": EPHEMERAL}, None),
        (None, {"emptyDir": {"sizeLimit": "256Gi"}}, None),
    ],
)
def test_where_the_model_lies(wanted: dict[str, Any] | None, volume: dict[str, Any], most: str | None) -> None:
    spec = render(model={"volume": wanted})["spec"]
    assert by_name(spec["volumes"])["models"] == {"name": "models", **volume}
    assert by_name(spec["volumes"])["tmp"]["emptyDir"] == {"sizeLimit": "256Gi"}
    arguments = spec["initContainers"][0]["args"]
    assert arguments[-2:] == (["--maximum-bytes", most] if most else ["--destination", "/models"])


def test_what_is_written_to_memory_counts_for_the_downloader() -> None:
    config = OperatorConfig.model_validate(
        {"storageInitializer": {"resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}}}
    )
    plain, memory = (render(config=config, model={"volume": wanted})["spec"] for wanted in (None, IN_MEMORY))
    assert plain["initContainers"][0]["resources"]["limits"] == {"memory": "2Gi"}
    assert memory["initContainers"][0]["resources"] == {
        "requests": {"cpu": "1", "memory": str(41 << 30)},
        "limits": {"memory": str(42 << 30)},
    }
    assert memory["containers"][0].get("resources") == plain["containers"][0].get("resources")


def test_shared_memory_has_an_end_where_it_is_given() -> None:
    shm = by_name(render(sharedMemory={"sizeLimit": "16Gi"})["spec"]["volumes"])["shm"]
    assert shm == {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}}
    assert by_name(render()["spec"]["volumes"])["shm"] == {"name": "shm", "emptyDir": {"medium": "Memory"}}


def test_our_labels_keep_their_values() -> None:
    own = {naming.LABEL_OWNER: "other", naming.LABEL_REVISION: "other", "app.kubernetes.io/name": "other"}
    assert render(podLabels={**own, "team": "digits"})["metadata"]["labels"] == {
        **render()["metadata"]["labels"],
        "team": "digits",
    }


def test_pods_are_spread_as_the_user_says() -> None:
    hard = {"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
    others = {**hard, "labelSelector": {"matchLabels": {"team": "digits"}}}
    found = render(topologySpreadConstraints=[hard, others])["spec"]["topologySpreadConstraints"]
    assert found == [{**hard, "labelSelector": {"matchLabels": {naming.LABEL_REVISION: REVISION}}}, others]


def test_claims_of_devices_are_the_model_servers() -> None:
    claims = [{"name": "gpu", "resourceClaimTemplateName": "gpu"}, {"name": "nic", "resourceClaimName": "nic"}]
    resources = {"limits": {"memory": "2Gi"}}
    accelerator = {"resource": "nvidia.com/gpu"}
    spec = render(resourceClaims=claims, resources=resources, accelerator=accelerator, warmup={})["spec"]
    server, warm_up = spec["containers"]
    assert server["resources"] == {
        "limits": {"memory": "2Gi", "nvidia.com/gpu": "1"},
        "claims": [{"name": "gpu"}, {"name": "nic"}],
    }
    assert "claims" not in warm_up["resources"]
    assert render(resourceClaims=claims[:1])["spec"]["containers"][0]["resources"]["claims"] == [{"name": "gpu"}]


SIDECAR = {
    "name": "proxy",
    "image": "proxy:1",
    "restartPolicy": "Always",
    "args": ["--name={{model.name}}"],
    "startupProbe": {"tcpSocket": {"port": 1}},
}
COMPILER = {"name": "compile", "image": "c", "volumeMounts": [{"name": "models", "mountPath": "/models"}]}


def test_the_runtimes_init_containers_come_after_the_download() -> None:
    runtime = builders.make_runtime(init_containers=[SIDECAR, COMPILER], drain={"pre_stop_seconds": 5})
    init = render(runtime)["spec"]["initContainers"]
    assert [container["name"] for container in init] == ["storage-initializer", "proxy", "compile"]
    _, sidecar, compiler = init
    assert sidecar["args"] == ["--name=digits"]
    assert sidecar["restartPolicy"] == "Always"
    for container in (sidecar, compiler):
        assert "lifecycle" not in container, "Kubernetes ends sidecars after the server, and refuses it elsewhere"
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
    models = [mount for mount in sidecar["volumeMounts"] if mount["name"] == "models"]
    assert models == [{"name": "models", "mountPath": "/models", "readOnly": True}]
    assert COMPILER["volumeMounts"][0] in compiler["volumeMounts"], "what the runtime says itself wins"


def test_init_containers_of_an_image_that_carries_its_model() -> None:
    runtime = builders.make_runtime(formats=["custom"], init_containers=[SIDECAR])
    spec = render(runtime, model={"format": "custom", "uri": None}, runtime={"image": "a/b:1"})["spec"]
    assert [container["name"] for container in spec["initContainers"]] == ["proxy"]
