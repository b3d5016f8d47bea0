"""What must stand before the first release: Sluice, the models in the object store, the first version, feedback."""

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
import yaml
from botocore.exceptions import ClientError

from demo import cluster as clusters
from demo import digits, models
from demo.cluster import BuiltImage, Cluster
from demo.load import LoadClient, Target
from demo.program import DemoError, Tools
from demo.progress import CONSOLE, ascii_image, say

NAME: Final = "digits"
NAMESPACE: Final = "default"
DEPLOYMENTS: Final = "modeldeployments.sluice.dev"
RELEASE: Final = "sluice"
OPERATOR_NAMESPACE: Final = "sluice-system"
BUCKET: Final = "models"
CREDENTIALS_SECRET: Final = "models-s3"  # noqa: S105 - its name
EXAMPLES: Final = clusters.ROOT / "manifests" / "examples"
RELAY: Final = EXAMPLES / "feedback-relay.yaml"
STORE_SECRET: Final = ("storage", "object-store")
STORE_IN_CLUSTER: Final = "http://object-store.storage:7070"
PAGE_HOST: Final = "sluice.localhost"
READER: Final = "demo-reader"
"""A ServiceAccount that may read everything but Secrets, for the web page."""
REGION: Final = "us-east-1"

WARM_UP_SECONDS: Final = 5.0
MEASURE_SECONDS: Final = 15.0
SLOW_MILLIS: Final = 50
TOLERATED_SLOW_SHARE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Credentials:
    key: str
    secret: str


def install_sluice(cluster: Cluster, built: Mapping[str, BuiltImage]) -> None:
    """CRDs, operator, default policy and the triton runtime by the chart, with the images that were built here."""
    tools = cluster.tools
    tools.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={clusters.ROOT / 'crds'}")
    values = {
        **_image("image", built["operator"].reference),
        r"podAnnotations.sluice\.dev/build": built["operator"].key,  # a tag stays, so this is what restarts the Pod
        "config.gatewayUrl": cluster.gateway,
        "config.storageInitializer.image": built["storage-initializer"].reference,
        "runtimes.triton.image": built["triton"].reference,
        "runtimes.triton.layout": "TritonPythonOnnx",
        **_further_images(cluster.registry),
    }
    settings = [f"--set-string={key}={value}" for key, value in values.items()]
    chart = str(clusters.ROOT / "charts" / "sluice")
    where = [f"--namespace={OPERATOR_NAMESPACE}", "--create-namespace", "--wait", "--timeout=180s"]
    tools.helm("upgrade", "--install", RELEASE, chart, *where, *settings)


def _image(value: str, reference: str) -> dict[str, str]:
    """As the chart's value has it: in parts."""
    repository, at, digest = reference.partition("@")
    if at:
        return {f"{value}.repository": repository, f"{value}.digest": digest}
    repository, _, tag = reference.rpartition(":")
    return {f"{value}.repository": repository, f"{value}.tag": tag}


def _further_images(registry: str) -> dict[str, str]:
    """Named before they are built: what `make demo-image` pushes later has the same tag as what it pushed before."""
    named = {key: clusters.FURTHER_IMAGES[name].named_in(registry) for name, key in clusters.FURTHER_VALUES.items()}
    values = {f"config.{key}.image": reference for key, reference in named.items()}
    return values | ({f"config.{key}.imagePullPolicy": "Always" for key in named} if registry else {})


def add_values(tools: Tools, **values: str) -> None:
    """Upgrade Sluice with further values of the chart."""
    _upgrade(tools, [f"--set={key}={value}" for key, value in values.items()])


def _upgrade(tools: Tools, settings: Sequence[str]) -> None:
    where = [f"--namespace={OPERATOR_NAMESPACE}", "--reuse-values", "--wait", "--timeout=180s"]
    tools.helm("upgrade", RELEASE, str(clusters.ROOT / "charts" / "sluice"), *where, *settings)


def serve_page(cluster: Cluster, built: BuiltImage) -> str:
    """The web page behind the cluster's gateway, and somebody who may read everything there; returns its address.

    Browsers take every name under localhost for this machine.
    """
    tools = cluster.tools
    address = f"http://{PAGE_HOST}:{urlsplit(cluster.gateway).port or 80}"
    route = {"create": True, "parentRefs": [{"name": "models", "namespace": "gateway"}], "hostnames": [PAGE_HOST]}
    settings = [
        *(f"--set-string={key}={value}" for key, value in _image("dashboard.image", built.reference).items()),
        "--set=dashboard.enabled=true",
        f"--set-string=dashboard.url={address}",
        f"--set-json=dashboard.httpRoute={json.dumps(route)}",
    ]
    _upgrade(tools, settings)
    tools.apply(json.dumps(_reader()))
    return address


def _reader() -> dict[str, Any]:
    account = {"kind": "ServiceAccount", "name": READER, "namespace": OPERATOR_NAMESPACE}
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": READER, "namespace": OPERATOR_NAMESPACE},
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": READER},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
                "subjects": [account],
            },
        ],
    }


def upload(cluster: Cluster, files: Mapping[str, Path]) -> None:
    """Put models where users put theirs, by their keys, and give the cluster the secret to fetch them."""
    store = object_store(cluster)
    try:
        store.create_bucket(Bucket=BUCKET)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise
    for key, path in files.items():
        store.upload_file(str(path), BUCKET, key)
    cluster.tools.apply(_credentials_secret(store_credentials(cluster.tools)))


def upload_models(cluster: Cluster, paths: Mapping[str, Path]) -> None:
    """The digits' models, by their short names."""
    upload(cluster, {f"{NAME}/{name.removeprefix('v')}/model.onnx": path for name, path in paths.items()})


def prepared_models() -> dict[str, Path]:
    return models.ensure(clusters.ROOT / models.FOLDER)


def object_store(cluster: Cluster) -> Any:
    """A client of the cluster's object store."""
    credentials = store_credentials(cluster.tools)
    return boto3.client(
        "s3",
        endpoint_url=cluster.object_store,
        aws_access_key_id=credentials.key,
        aws_secret_access_key=credentials.secret,
        region_name=REGION,
    )


def store_credentials(tools: Tools) -> Credentials:
    namespace, name = STORE_SECRET
    data = tools.get("secret", name, f"--namespace={namespace}")["data"]
    return Credentials(
        *(base64.b64decode(data[key]).decode() for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    )


def _credentials_secret(credentials: Credentials) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": CREDENTIALS_SECRET, "namespace": NAMESPACE},
            "stringData": {
                "AWS_ACCESS_KEY_ID": credentials.key,
                "AWS_SECRET_ACCESS_KEY": credentials.secret,
                "AWS_ENDPOINT_URL": STORE_IN_CLUSTER,
                "AWS_DEFAULT_REGION": REGION,
            },
        }
    )


def serve_first_version(cluster: Cluster, name: str = NAME) -> None:
    """As the manifests of this name among the examples have it."""
    tools = cluster.tools
    forget_model(tools, name)
    for manifest in (f"{name}-policy.yaml", f"{name}.yaml"):
        tools.kubectl("apply", f"--filename={EXAMPLES / manifest}", f"--namespace={NAMESPACE}")
    tools.plugin("wait", name, f"--namespace={NAMESPACE}", "--timeout=3m")


def forget_model(tools: Tools, name: str) -> None:
    """Delete what an earlier run of the demo left, and wait until it is gone."""
    tools.kubectl(
        "delete",
        DEPLOYMENTS,
        name,
        f"--namespace={NAMESPACE}",
        "--ignore-not-found",
        "--timeout=120s",
    )


def show_prediction(cluster: Cluster, folder: Path) -> None:
    """One image that the model never saw, sent through the gateway by the plugin."""
    _, held_out = digits.split()
    body = folder / "request.json"
    body.parent.mkdir(parents=True, exist_ok=True)
    body.write_bytes(digits.infer_bodies(held_out)[0])
    answer = cluster.tools.plugin(
        "predict", NAME, f"--namespace={NAMESPACE}", "-f", str(body), f"--gateway={cluster.gateway}"
    )
    CONSOLE.print(ascii_image(held_out.images[0]), markup=False)
    CONSOLE.print(f"This is a {held_out.labels[0]}. The model says: {' '.join(answer.split())}", markup=False)


def target(cluster: Cluster, name: str = NAME) -> Target:
    url = cluster.tools.get(DEPLOYMENTS, name, f"--namespace={NAMESPACE}")["status"]["url"]
    host = url.partition("://")[2].split("/")[0].split(":")[0]
    return Target(cluster.gateway, host, name)


def connect_feedback(cluster: Cluster, client: LoadClient, namespace: str) -> None:
    """Bring the client's counters to Prometheus, through a Pod that it finds by annotation."""
    pod = relay(cluster, client.metrics_port)
    name, where = pod["metadata"]["name"], f"--namespace={namespace}"
    cluster.tools.kubectl("delete", "pod", name, where, "--ignore-not-found")
    pod["metadata"]["namespace"] = namespace
    cluster.tools.apply(yaml.safe_dump(pod))
    cluster.tools.kubectl("wait", f"pod/{name}", where, "--for=condition=Ready", "--timeout=60s")


def relay(cluster: Cluster, port: int) -> dict[str, Any]:
    """The Pod that hands on what a program on this machine counts."""
    pod: dict[str, Any] = yaml.safe_load(RELAY.read_text())
    container = pod["spec"]["containers"][0]
    container["image"] = clusters.IMAGES["storage-initializer"].named_in(cluster.registry)
    container["env"][0]["value"] = f"http://{cluster.own_address}:{port}/metrics"
    return pod


def require_calm_machine(client: LoadClient) -> None:
    """Measure the first version: where it is slow itself, latency cannot be judged. Raises DemoError then."""
    time.sleep(WARM_UP_SECONDS)
    before = client.counts().total
    time.sleep(MEASURE_SECONDS)
    after = client.counts().total
    requests = after.requests - before.requests
    slow = after.slower_than(SLOW_MILLIS) - before.slower_than(SLOW_MILLIS)
    lost = after.lost - before.lost
    say(f"v1: {requests} requests, {slow} over {SLOW_MILLIS} ms, {lost} lost, p95 {after.percentile_millis(95)} ms")
    if not requests or lost:
        raise DemoError(f"v1 does not serve: {lost} of {requests} requests lost ({dict(after.problems)})")
    if slow > TOLERATED_SLOW_SHARE * requests:
        raise DemoError(
            f"this machine is too busy to judge latency: {100 * slow / requests:.1f} % of v1's answers took over "
            f"{SLOW_MILLIS} ms, and more than {100 * TOLERATED_SLOW_SHARE:.0f} % makes every verdict unreliable; "
            "stop other work on it and start the demo again"
        )


def remove(tools: Tools, name: str) -> None:
    """Take the demo and Sluice out of a cluster that goes on living; also one that has not got all of it."""
    if tools.kubectl("get", "crd", DEPLOYMENTS, "--ignore-not-found", "--output=name"):
        forget_model(tools, name)
        tools.kubectl("delete", "rolloutpolicies.sluice.dev", f"{name}-demo", "--ignore-not-found")
    pod = yaml.safe_load(RELAY.read_text())["metadata"]["name"]
    tools.kubectl(
        "delete", f"pod/{pod}", f"secret/{CREDENTIALS_SECRET}", f"--namespace={NAMESPACE}", "--ignore-not-found"
    )
    extras = (f"configmap/{name}-plug-in", f"configmap/{name}-reference")
    tools.kubectl("delete", *extras, f"--namespace={NAMESPACE}", "--ignore-not-found")
    tools.kubectl("delete", f"clusterrolebinding/{READER}", "--ignore-not-found")
    where = f"--namespace={OPERATOR_NAMESPACE}"
    tools.helm("uninstall", RELEASE, where, "--ignore-not-found", "--wait", "--timeout=120s")
