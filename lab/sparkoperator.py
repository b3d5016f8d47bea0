"""What a SparkApplication asks for: the Spark operator, out of its own Go module, with its own Helm chart.

    SparkApplication ──> spark-operator ──spark-submit──> driver ──creates──> executors

It runs spark-submit itself, so its image stands on one with Spark: that of the drivers, whose version is then the same.
"""

from pathlib import Path
from typing import Final

from lab import baseimages, console, gotools, images, lifecycle, node, processes
from lab.gateways import manifests

NAME: Final = "spark-operator"
NAMESPACE: Final = "spark-operator"
MODULE: Final = "github.com/kubeflow/spark-operator/v2"
VERSION: Final = "2.5.0"
WAIT_SECONDS: Final = 120
SPARK_IMAGE: Final = "localhost/sluice/spark:dev"
IMAGE: Final = baseimages.ProgramImage(
    "ghcr.io/kubeflow/spark-operator/controller", VERSION, NAME, f"/usr/bin/{NAME}", SPARK_IMAGE
)
# Templates say all that the webhook would add to pods. One replica needs no leader, two processors no ten workers.
VALUES: Final = (
    "--set=webhook.enable=false",
    '--set-json=spark.jobNamespaces=[""]',
    "--set=spark.rbac.create=false",
    "--set=spark.serviceAccount.create=false",
    "--set=controller.leaderElection.enable=false",
    "--set=controller.workers=2",
    "--set=controller.resources.requests.cpu=20m",
    "--set=controller.resources.requests.memory=64Mi",
)


def up() -> None:
    """Build it unless that is done, and start it in the running lab for every namespace; quick when it runs already."""
    lifecycle.require_running("spark-operator")
    if not images.inputs_key(SPARK_IMAGE):
        raise processes.LabError(
            f"{SPARK_IMAGE}: not built yet; run `serving-runtime/stage.sh spark`, and then `python3 -m lab image "
            f"build/serving-runtime/spark {SPARK_IMAGE} --file serving-runtime/spark/Containerfile`"
        )
    gotools.ensure(NAME)
    baseimages.ensure_program_image(IMAGE)
    images.bring_to_node(IMAGE.local)
    with console.step("spark-operator applied"):
        manifests.apply_definitions(definitions())
        manifests.apply_objects(namespace())
        node.helm(NAMESPACE, "upgrade", "--install", NAME, chart(), "--skip-crds", *VALUES, *image_values(), "--wait")


def down() -> None:
    """End it, and take its API away. Whatever is a SparkApplication then goes, with its driver and executors."""
    with console.step("end spark-operator"):
        node.helm(NAMESPACE, "uninstall", NAME, "--ignore-not-found", "--wait")
        files = (f"--filename={file}" for file in definitions())
        node.kubectl("delete", *files, "--ignore-not-found", f"--timeout={WAIT_SECONDS}s")
        node.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", f"--timeout={WAIT_SECONDS}s")


def chart() -> Path:
    """Its Helm chart, as its makers publish it."""
    return gotools.module_folder(NAME, MODULE) / "charts" / "spark-operator-chart"


def definitions() -> list[Path]:
    return sorted((chart() / "crds").glob("*.yaml"))


def namespace() -> manifests.Object:
    """It keeps to the strictest standard, as its pods do."""
    made = manifests.namespace(NAMESPACE)
    made["metadata"]["labels"] = {"pod-security.kubernetes.io/enforce": "restricted"}
    return made


def image_values() -> tuple[str, ...]:
    """The chart's values for the image that was built here."""
    registry, _, rest = IMAGE.local.partition("/")
    repository, _, tag = rest.rpartition(":")
    return f"--set=image.registry={registry}", f"--set=image.repository={repository}", f"--set-string=image.tag={tag}"
