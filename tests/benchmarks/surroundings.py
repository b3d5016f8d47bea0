"""The surroundings of benchmarks: the lab with this checkout's Sluice, and a temporary namespace."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from demo import cluster as clusters
from demo import setup
from demo.cluster import Cluster, Kind
from demo.progress import say, step
from tests.support.live.scene import Scene

PREFIX: Final = "bench-"
POLICY: Final = "digits-demo"
"""The demo's policy; its accuracy objective is distinguished by revision, hence by the ModelDeployment's name."""


@contextlib.contextmanager
def lab(*, install: bool, keep: bool = False) -> Iterator[Cluster]:
    """The lab, started unless it runs, with this checkout's Sluice, v1 in the store, and the demo's policy.

    install False: with the Sluice that runs there.
    """
    with clusters.running(Kind.LAB, keep=keep) as cluster:
        if install:
            with step("build the images and install Sluice"):
                setup.install_sluice(cluster, clusters.build_images(cluster.kind))
        upload(cluster, {"v1": setup.prepared_models()["v1"]})  # brings the store's key to the cluster as well
        cluster.tools.kubectl("apply", f"--filename={setup.EXAMPLES / 'digits-policy.yaml'}")
        yield cluster


@contextlib.contextmanager
def scene(cluster: Cluster, name: str) -> Iterator[Scene]:
    """A namespace with the key of the object store; deleted at the end, with everything in it."""
    tools, namespace = cluster.tools, f"{PREFIX}{name}"
    tools.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--timeout=120s")
    tools.kubectl("create", "namespace", namespace)
    found = Scene(cluster, namespace)
    secret = tools.get("secret", setup.CREDENTIALS_SECRET, f"--namespace={setup.NAMESPACE}")
    found.apply({**secret, "metadata": {"name": setup.CREDENTIALS_SECRET}})
    try:
        yield found
    finally:
        say(f"delete namespace {namespace}")
        tools.kubectl("delete", "namespace", namespace, "--timeout=300s")


def upload(cluster: Cluster, files: dict[str, Path]) -> None:
    """Puts models under s3://models/digits/<version>; keys are `v<version>`."""
    with step(f"upload models: {len(files)}"):
        setup.upload_models(cluster, files)


def pause(seconds: float) -> None:
    """For measuring over a time, never for waiting until something is done."""
    time.sleep(seconds)
