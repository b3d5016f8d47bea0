"""Models from every source on the real cluster: from servers that run as processes of this machine.

A Service without a selector gives the web server a name of the cluster, which http:// wants; the others are named by address.
"""

import base64
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "serving-runtime" / "storage-initializer"))

from demo import setup
from tests.e2e import claims
from tests.e2e.conftest import PLAIN_REGISTRY_PORT, upgrade
from tests.support.live.scene import Object, Scene, manifest, wait_until
from tests.support.stores import azblob, gcs, hub, webserver
from tests.support.stores import registry as registries
from tests.support.stores.registry import TAR_GZIP, Registry
from tests.support.stores.webserver import Page, WebServer

FILES = "files"
"""The Service in front of the web server."""
NONROOT = 65532
TOKEN = "s3cret-t0ken"
LOGIN = ("reader", "s3cret")
HTPASSWD = "reader:$2b$05$WHJes77Odo19ML4O2WWyRuIjKsymKeDSqo8VQtcXi4/CSrC9YMkbK\n"  # of that password
SMALL = {"requests": {"cpu": "10m"}}


@pytest.fixture(scope="module")
def model() -> bytes:
    """A good model."""
    return setup.prepared_models()["v1"].read_bytes()


@pytest.fixture(scope="module")
def web(scene: Scene, model: bytes) -> Iterator[WebServer]:
    address = scene.cluster.own_address
    with webserver.running(address) as server:
        scene.apply(*selectorless_service(FILES, address, server.port))
        server.host = f"{FILES}.{scene.namespace}.svc"
        server.pages["/model.onnx"] = Page(model)
        yield server


def selectorless_service(name: str, address: str, port: int) -> tuple[Object, Object]:
    ports = [{"name": "http", "port": port, "protocol": "TCP"}]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": ports}}
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": [{"addresses": [address]}],
    }
    return service, slice_


def secret(name: str, type_: str = "Opaque", **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": type_, "stringData": data}


def deploy(scene: Scene, name: str, uri: str, *, credentials: str | None = None, **more: Any) -> None:
    spec = {key: more.pop(key) for key in ("replicas",) if key in more}
    reference = {"name": credentials} if credentials else None
    given = {"uri": uri, "credentialsSecretRef": reference, **more}
    scene.apply(manifest(name, "1", model=given, resources=SMALL, **spec))


def wait_reason(scene: Scene, name: str, reason: str) -> str:
    """The message of Ready=False with the reason."""

    def told() -> str | None:
        condition = scene.condition(name, "Ready")
        return condition["message"] if condition.get("reason") == reason else None

    return wait_until(told, f"{name} says {reason}, last {scene.condition(name, 'Ready')}")


def log(scene: Scene, name: str) -> str:
    """Of the downloader of the model's pods."""
    label = f"--selector=sluice.dev/model-deployment={name}"
    return scene.tools.kubectl("logs", label, scene.where, "--container=storage-initializer", "--tail=-1")


def configure(scene: Scene, **storage_initializer: Any) -> None:
    values = (f"--set-json=config.storageInitializer.{name}={json.dumps(v)}" for name, v in storage_initializer.items())
    upgrade(scene.cluster, *values)


def test_a_web_file_is_continued_checked_and_served(scene: Scene, web: WebServer, model: bytes) -> None:
    web.pages["/cut.onnx"] = Page(model, cuts=[len(model) // 2])
    deploy(scene, "web", web.url("/cut.onnx"), sha256=hashlib.sha256(model).hexdigest())
    scene.wait_ready("web")
    assert f"bytes={len(model) // 2}-" in web.ranges()
    said = log(scene, "web")
    assert "continued at" in said
    assert "its sha256 is the expected one" in said


@pytest.mark.slow
def test_what_goes_wrong_is_told(scene: Scene, web: WebServer, model: bytes) -> None:
    web.pages["/private.onnx"] = Page(model, authorization=f"Bearer {TOKEN}")
    web.pages["/huge.onnx"] = Page(model, claimed=2 * 10**11)
    web.pages["/half.onnx"] = Page(model, cuts=[len(model) // 2, *([0] * 5)])
    scene.apply(secret("web-wrong", HTTP_AUTHORIZATION="Bearer other"))
    deploy(scene, "absent", web.url("/absent.onnx"))
    deploy(scene, "wrong-sum", web.url("/model.onnx"), sha256="0" * 64)
    deploy(scene, "private", web.url("/private.onnx"), credentials="web-wrong")
    deploy(scene, "huge", web.url("/huge.onnx"))
    deploy(scene, "half", web.url("/half.onnx"))
    assert "HTTP_AUTHORIZATION" in wait_reason(scene, "private", "AccessDenied")
    assert "check spec.model.uri" in wait_reason(scene, "absent", "ObjectNotFound")
    assert "correct spec.model.sha256" in wait_reason(scene, "wrong-sum", "ChecksumMismatch")
    assert "are missing" in wait_reason(scene, "huge", "VolumeTooSmall")
    scene.wait_ready("half")  # the pod's second attempt goes on
    assert "are left from an earlier attempt" in log(scene, "half")
    scene.apply(secret("web-wrong", HTTP_AUTHORIZATION=f"Bearer {TOKEN}"))
    scene.tools.kubectl("delete", "pods", "--selector=sluice.dev/model-deployment=private", scene.where)
    scene.wait_ready("private")
    assert TOKEN not in log(scene, "private")


def test_a_claim_is_linked(scene: Scene, model: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("claim")
    (folder / "digits").mkdir()
    (folder / "digits" / "model.onnx").write_bytes(model)
    with claims.mounted(scene, "models", folder, "claim", "no-claim"):
        deploy(scene, "claim", "pvc://models/digits")
        deploy(scene, "no-claim", "pvc://absent/digits")
        scene.wait_ready("claim")
        assert "create the PersistentVolumeClaim" in wait_reason(scene, "no-claim", "Unschedulable")


@pytest.mark.slow
def test_google_cloud_storage(scene: Scene, model: bytes, tmp_path: Path) -> None:
    with gcs.running(tmp_path, {"digits/1/model.onnx": model}, scene.cluster.own_address) as endpoint:
        scene.apply(secret("gs", STORAGE_EMULATOR_HOST=endpoint))
        deploy(scene, "gs", f"gs://{gcs.BUCKET}/digits/1", credentials="gs")
        scene.wait_ready("gs")


@pytest.mark.slow
def test_azure_blob_storage(scene: Scene, model: bytes) -> None:
    address = scene.cluster.own_address
    with azblob.running(address) as store:
        store.blobs, store.secured = {"digits/1/model.onnx": model}, True
        endpoint = f"http://{address}:{store.port}/{azblob.ACCOUNT}"
        named = {"AZURE_STORAGE_ACCOUNT": azblob.ACCOUNT, "AZURE_STORAGE_ENDPOINT": endpoint}
        scene.apply(secret("azure", AZURE_STORAGE_KEY=azblob.KEY, **named), secret("azure-public", **named))
        deploy(scene, "azure", f"azblob://{azblob.CONTAINER}/digits/1", credentials="azure")
        deploy(scene, "azure-public", f"azblob://{azblob.CONTAINER}/digits/1", credentials="azure-public")
        scene.wait_ready("azure")
        assert "AZURE_STORAGE_KEY" in wait_reason(scene, "azure-public", "AccessDenied")


@pytest.mark.slow
def test_a_private_repository_of_a_hub(scene: Scene, model: bytes) -> None:
    address = scene.cluster.own_address
    with webserver.running(address) as web:
        hub.publish(web, "acme/digits", {"onnx/model.onnx": model, "README.md": b"#"}, token=TOKEN)
        scene.apply(secret("hub", HF_TOKEN=TOKEN, HF_ENDPOINT=f"http://{address}:{web.port}"))
        deploy(scene, "hub", f"hf://acme/digits/onnx@{hub.COMMIT}", credentials="hub")
        scene.wait_ready("hub")
        assert TOKEN not in log(scene, "hub")


def push(registry: Registry, model: bytes) -> None:
    registry.push("digits", "1", (TAR_GZIP, registries.layer({"models/model.onnx": model}), ""))


def test_an_image_from_a_private_registry(scene: Scene, model: bytes, tmp_path: Path) -> None:
    address = scene.cluster.own_address
    login = {"htpasswd": HTPASSWD, "login": LOGIN}
    with registries.running(tmp_path, address=address, port=PLAIN_REGISTRY_PORT, **login) as registry:
        push(registry, model)
        auth = base64.b64encode(":".join(LOGIN).encode()).decode()
        logins = json.dumps({"auths": {registry.host: {"auth": auth}}})
        scene.apply(secret("registry", "kubernetes.io/dockerconfigjson", **{".dockerconfigjson": logins}))
        deploy(scene, "image", f"oci://{registry.host}/digits:1", credentials="registry")
        deploy(scene, "no-image", f"oci://{registry.host}/digits:9", credentials="registry")
        scene.wait_ready("image")
        assert "digits:9 does not exist" in wait_reason(scene, "no-image", "ObjectNotFound")


@pytest.mark.slow
@pytest.mark.disturbs
def test_an_image_volume(scene: Scene, model: bytes, tmp_path: Path) -> None:
    with registries.running(tmp_path) as registry:  # containerd speaks HTTP with 127.0.0.1 only
        push(registry, model)
        configure(scene, imageVolumes=True)
        try:
            deploy(scene, "volume", f"oci://{registry.host}/digits:1")
            deploy(scene, "no-volume", f"oci://{registry.host}/digits:9")
            scene.wait_ready("volume")
            assert "linking oci://" in log(scene, "volume")
            message = wait_reason(scene, "no-volume", "ImagePullBackOff")
            assert f"the model's image {registry.host}/digits:9 cannot be pulled" in message
        finally:
            configure(scene, imageVolumes=False)


@pytest.mark.slow
@pytest.mark.disturbs
def test_the_second_pod_of_a_node_downloads_nothing(
    scene: Scene, web: WebServer, model: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    os.chown(folder, NONROOT, NONROOT)
    web.pages["/cached.onnx"] = Page(model)
    configure(scene, cache={"hostPath": str(folder), "maximumSize": "1Gi"})
    try:
        deploy(scene, "cached", web.url("/cached.onnx"), replicas=2)
        wait_until(
            lambda: scene.deployment("cached").get("status", {}).get("stable", {}).get("readyReplicas") == 2,
            "both pods of cached are ready",
        )
    finally:
        configure(scene, cache=None)
    asked = [range_ for path, range_, _ in web.asked if path == "/cached.onnx"]
    assert len(asked) == 3, "each pod asks for the version, one downloads"
    assert log(scene, "cached").count("copied from the node's cache") == 1
