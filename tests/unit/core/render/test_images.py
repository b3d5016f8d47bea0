"""An image that is named by its digest stays named by it, in every pod."""

from typing import Any, Final

import pytest

from sluice_core.api.config import BatchRunner, OperatorConfig, Optimizer, SparkRunner, StorageInitializer
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.render import workload
from sluice_core.render.jobs import variantjob
from tests.support.cases import builders
from tests.support.simulated import batchcluster

DIGEST: Final = "sha256:" + "0123456789abcdef" * 4
IMAGES: Final = {
    name: f"registry.example:5000/team/{name}{tag}@{DIGEST}"
    for name, tag in (("downloader", ""), ("optimizer", ""), ("batch", ""), ("spark", ""), ("server", ":26.07"), ("own", ""))
}  # fmt: skip
CONFIG: Final = OperatorConfig(
    storage_initializer=StorageInitializer(image=IMAGES["downloader"]),
    optimizer=Optimizer(image=IMAGES["optimizer"]),
    batch_runner=BatchRunner(image=IMAGES["batch"]),
    spark=SparkRunner(image=IMAGES["spark"]),
)
RUNTIME: Final = builders.make_runtime(containers=[{"name": "server", "image": IMAGES["server"]}])


def images(pod: dict[str, Any]) -> set[str]:
    return {each["image"] for key in ("initContainers", "containers") for each in pod.get(key, ())}


def pod_of(deployment: ModelDeployment) -> dict[str, Any]:
    spec: dict[str, Any] = workload.new_revision(deployment, RUNTIME, CONFIG, 1).template["spec"]
    return spec


def test_of_the_downloader_and_the_server() -> None:
    assert images(pod_of(builders.make_model_deployment())) == {IMAGES["downloader"], IMAGES["server"]}


def test_of_a_users_own_image() -> None:
    own = builders.make_model_deployment(spec={"runtime": {"image": IMAGES["own"]}})
    assert images(pod_of(own)) == {IMAGES["downloader"], IMAGES["own"]}


def test_of_the_maker_of_variants() -> None:
    deployment = builders.make_model_deployment(
        spec={"variants": [{"name": "int8", "optimize": {"quantization": "Int8Dynamic"}}]}
    )
    job = variantjob.desired_job(deployment, deployment.spec.variants[0], CONFIG)
    assert images(job["spec"]["template"]["spec"]) == {IMAGES["optimizer"]}


@pytest.mark.parametrize(
    ("engine", "runner"),
    [({"shards": 3}, "batch"), ({"type": "Spark", "executors": 2, "serviceAccountName": "spark"}, "spark")],
)
def test_of_batch_inference(engine: dict[str, Any], runner: str) -> None:
    cluster = batchcluster.BatchCluster(config=CONFIG, runtimes=(builders.manifest(RUNTIME),))
    model = {"format": "onnx", "uri": "s3://models/1"}
    cluster.user_applies(batchcluster.batch(model=model, modelDeploymentRef=None, engine=engine))
    cluster.step()
    [job] = cluster.of_kind("Job")
    assert images(job["spec"]["template"]["spec"]) == {IMAGES["downloader"], IMAGES[runner]}
    assert DIGEST in IMAGES[runner]
