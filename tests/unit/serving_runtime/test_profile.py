"""`kubectl sluice profile` with a real tritonserver: its statistics, its batching, and the pod that is made and removed."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo import models
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.options import ModelTarget
from kubectl_sluice.cli.profiling import profile, profiled
from kubectl_sluice.offline.profile import pod, sweep
from kubectl_sluice.offline.profile.sweep import Sweep
from kubectl_sluice.views.reports.profile import ProfileView, Row
from lab import freeports
from sluice_core.render import workload
from tests.support import patience
from tests.support.cases.builders import make_model_deployment, make_revision, make_runtime
from tests.unit.plugin.cli.profiling import ProfilingCluster
from tests.unit.serving_runtime import test_triton
from tests.unit.serving_runtime.test_triton import Triton, python

pytestmark = test_triton.pytestmark
__all__ = ["python"]  # the fixture

SHIPPED, REFUSING = "shipped", "refusing"
REFUSING_MODEL = """
import shipped

class TritonPythonModel(shipped.TritonPythonModel):
    @staticmethod
    def auto_complete_config(config):
        config.set_max_batch_size(0)
        return shipped.TritonPythonModel.auto_complete_config(config)
"""


@dataclass(frozen=True)
class Server:
    """A tritonserver as the profiled pod starts it, with the small network under our server code, and under one that refuses to batch."""

    port: int
    process: int


@pytest.fixture(scope="module")
def server(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("repository")
    for name in (SHIPPED, REFUSING):
        test_triton.lay_out(repository, name, models.ensure()["v2"].read_bytes())
    version = repository / REFUSING / "1"
    (version / "model.py").rename(version / "shipped.py")
    (version / "model.py").write_text(REFUSING_MODEL)
    ports = [freeports.take() for _ in range(3)]
    arguments, environment = test_triton.command(python, repository, ports)
    arguments += ["--model-control-mode=explicit", "--load-model=*"]
    with (repository.parent / "triton.log").open("w") as log:
        process = subprocess.Popen(arguments, env=environment, stdout=log, stderr=log)
    try:
        test_triton._wait_until_ready(Triton(ports[0]), process, Path(log.name))
        yield Server(ports[0], process.pid)
    finally:
        process.terminate()
        process.wait(patience.HANG_SECONDS)


async def profiled_by(
    server: Server, folder: Path, model: str, *, here: bool = False, **changes: object
) -> tuple[ProfileView, ProfilingCluster]:
    deployment = make_model_deployment(name=model, namespace="default")
    revision = make_revision(deployment=deployment, runtime=make_runtime(port=server.port))
    there = ProfilingCluster(
        [workload.desired_controller_revision(revision, deployment)], processes=server.process, folder=folder
    )
    order = profiled.ProfileOrder(
        deployment=deployment,
        revision=revision,
        sweep=Sweep(
            **{  # type: ignore[arg-type]
                "settings": sweep.settings(sweep.parse_batching("off,2ms"), (2,)),
                "concurrency": (1, 8),
                "seconds": 1,
                "maximum_batch": 8,
                "ready_seconds": round(patience.HANG_SECONDS),
                "gateway": None,
            }
            | changes
        ),
        path=sweep.infer_path(model),
        payload=None,
        image=None if here else pod.image_of(revision.template),
        kubectl_options=(),
    )
    target = ModelTarget(name=model, namespace=None, context=None, kubeconfig=None)
    return await profile.profile_of(cluster.Session(there.typed, target), order, (), None), there


def row(view: ProfileView, setting: str, concurrency: int) -> Row:
    return next(each for each in view.rows if (each.setting, each.concurrency) == (setting, concurrency))


async def test_a_profile_of_a_model_that_can_batch(server: Server, tmp_path: Path) -> None:
    view, there = await profiled_by(server, tmp_path, SHIPPED)
    assert view.server == "triton 2.51.0"
    assert [(each.setting, each.concurrency) for each in view.rows] == [
        *((setting, clients) for setting in ("as it is", "batching 2ms", "2 instances") for clients in (1, 8)),
        ("as it is, again", 8),
    ]
    assert row(view, "as it is, again", 8).mean_batch == 1, "as it was found"
    alone, together = row(view, "as it is", 1), row(view, "batching 2ms", 8)
    assert alone.mean_batch == 1
    assert together.mean_batch is not None
    assert together.mean_batch > 2
    delayed = row(view, "batching 2ms", 1)
    assert delayed.queue_millis is not None
    assert delayed.queue_millis > 1, "a request that is alone waits for others"
    for each in view.rows:
        parts = (each.queue_millis, each.input_millis, each.compute_millis, each.output_millis, each.outside_millis)
        assert all(part is not None and part >= 0 for part in parts)
        assert each.failures == 0
        assert each.cores is not None
        assert each.cores > 0
    assert "not measured: no batching: the same as it is" in view.notes
    assert not [raw for raw in there.objects if raw["kind"] == "Pod"]


async def test_server_code_that_refuses_to_batch_is_told_and_the_rest_is_measured(
    server: Server, tmp_path: Path
) -> None:
    view, _ = await profiled_by(server, tmp_path, REFUSING, concurrency=(1,))
    assert [each.setting for each in view.rows] == ["as it is", "2 instances", "as it is, again"]
    [why] = [note for note in view.notes if note.startswith("not measured: batching 2ms")]
    assert "max_batch_size" in why


async def test_from_here_through_a_port_forward(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kubectl").write_text(
        f'#!/bin/sh\necho "Forwarding from 127.0.0.1:{server.port} -> 8000"\nexec sleep 600\n'
    )
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    view, there = await profiled_by(
        server, tmp_path, SHIPPED, here=True, concurrency=(2,), settings=sweep.settings((), ())
    )
    [only] = view.rows
    assert only.queue_millis is not None
    assert only.cores is None
    assert profile.FROM_HERE in view.notes
    assert not [raw for raw in there.objects if raw["kind"] == "Pod"]
