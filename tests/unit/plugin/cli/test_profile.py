"""`profile`: the pod's life, whatever happens, and what people read."""

import asyncio
import contextlib
import io
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from kubectl_sluice.cli import app, console
from kubectl_sluice.cli.kube import cluster, temporary
from kubectl_sluice.cli.options import ModelTarget
from kubectl_sluice.cli.profiling import loadcontainer, profile, profiled
from kubectl_sluice.offline.profile import pod, sweep
from kubectl_sluice.offline.profile.sweep import Sweep
from kubectl_sluice.views.reports.profile import ProfileView
from sluice_core import errors
from sluice_core.render import workload
from tests.support.cases.builders import make_model_deployment, make_revision, manifest
from tests.unit.plugin.cli import fakes
from tests.unit.plugin.cli.fakes import FakeCluster
from tests.unit.plugin.cli.profiling import ProfilingCluster
from tests.unit.plugin.offline.profile.builders import AS_IS, BATCHING, SERVER, lines, point_event

DEPLOYMENT = make_model_deployment(namespace="default")
REVISION = make_revision(deployment=DEPLOYMENT)
NAME = pod.pod_name(REVISION.name)
WHOLE = "\n".join(
    lines(
        SERVER,
        {"event": "setting", "setting": AS_IS},
        point_event(1),
        point_event(4, requests=44),
        {"event": "setting", "setting": BATCHING},
        point_event(4, BATCHING, requests=80, latency={"p50": 20, "p95": 25, "p99": 30, "mean": 21}),
        {"event": "end"},
    )
)
BEGUN = "\n".join(lines(SERVER, {"event": "setting", "setting": AS_IS}, point_event(1)))


def order(**changes: Any) -> profiled.ProfileOrder:
    return profiled.ProfileOrder(
        **{
            "deployment": DEPLOYMENT,
            "revision": REVISION,
            "sweep": Sweep(sweep.settings(sweep.parse_batching("1ms"), ()), (1, 4), 1, 32, 600, None),
            "path": "/v2/models/digits/infer",
            "payload": None,
            "image": pod.image_of(REVISION.template),
            "kubectl_options": (),
        }
        | changes
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiled, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(temporary, "POLL_SECONDS", 0.01)


def fake(**settings: Any) -> ProfilingCluster:
    return ProfilingCluster([workload.desired_controller_revision(REVISION, DEPLOYMENT)], **{"log": WHOLE, **settings})


def pods(there: ProfilingCluster) -> list[str]:
    return [raw["metadata"]["name"] for raw in there.objects if raw["kind"] == "Pod"]


async def measured(there: ProfilingCluster, **changes: Any) -> ProfileView:
    target = ModelTarget(name="digits", namespace=None, context=None, kubeconfig=None)
    return await profile.profile_of(cluster.Session(there.typed, target), order(**changes), (), None)


def text(view: ProfileView) -> str:
    shown = Console(file=io.StringIO(), width=110, markup=False, highlight=False)
    shown.print(profile.for_terminal(view))
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue()


async def test_the_pod_is_gone_when_all_is_measured() -> None:
    there = fake(keeps=3)
    view = await measured(there)
    assert [row.concurrency for row in view.rows] == [1, 4, 4]
    assert (len(there.created), there.deleted, pods(there)) == (1, [NAME], [])


async def test_what_people_read() -> None:
    shown = " ".join(text(await measured(fake())).split())
    for part in (
        "digits in default: digits-",
        "on triton 2.51.0, 4 processors",
        "setting at once requests/s p50 ms p95 ms p99 ms queue ms compute ms other ms mean batch cores",
        "batching 1ms 4 40.0 20.0 25.0 30.0 2.00 16.0",
        "→ Set batching 1ms: 40.0 instead of 22.0 requests/s (+82 %) with 4 at once",
        "config.pbtxt: max_batch_size: 4",
        "generated from the model's metadata (zeros), 271 bytes",
    ):
        assert part in shown


async def test_each_number_of_threads_is_a_pod_of_its_own() -> None:
    there = fake()
    target = ModelTarget(name="digits", namespace=None, context=None, kubeconfig=None)
    view = await profile.profile_of(cluster.Session(there.typed, target), order(), (2, 4), 100)
    assert {row.setting for row in view.rows} >= {"as it is", "2 threads", "batching 1ms, 4 threads"}
    assert (len(there.created), there.deleted, pods(there)) == (3, [NAME] * 3, [])


async def test_a_leftover_is_removed_first(capsys: pytest.CaptureFixture[str]) -> None:
    there = fake(keeps=2)
    left = {"kind": "Pod", "metadata": {"name": "old", "namespace": "default", "labels": {pod.LABEL: "digits"}}}
    others = [
        {"kind": "Pod", "metadata": {"name": "serving", "namespace": "default", "labels": {}}},
        {"kind": "Pod", "metadata": {"name": "else", "namespace": "team", "labels": {pod.LABEL: "digits"}}},
    ]
    there.objects += [left, *others]
    await measured(there)
    assert there.deleted == ["old", NAME]
    assert pods(there) == ["serving", "else"]
    assert "removing pod old, left behind by an earlier profile" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("refusal", "want"),
    [
        (errors.Denied("cannot create pods default/p: exceeded quota: small"), "raise the ResourceQuota"),
        (errors.Denied("cannot create pods default/p: no"), "create and delete of pods, and get of pods/log"),
        (errors.Refused("cannot create pods default/p: LimitRange"), "within the LimitRange"),
        (
            errors.Refused("cannot create pods default/p: minimum cpu usage per Container is 100m"),
            "within the LimitRange",
        ),
        (errors.Conflict("exists"), "somebody else is profiling digits right now"),
    ],
)
async def test_a_pod_that_may_not_be_made(refusal: errors.ApiError, want: str) -> None:
    there = fake(refusal=refusal)
    with pytest.raises(console.Failure, match=want):
        await measured(there)
    assert not there.deleted, "of somebody else"


async def test_a_pod_whose_creation_nobody_confirmed_is_removed() -> None:
    there = fake(lost=True)
    with pytest.raises(errors.Unavailable):
        await measured(there)
    assert (there.deleted, pods(there)) == ([NAME], [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_removes_the_pod(number: signal.Signals) -> None:
    there = fake(log=BEGUN)

    async def interrupted() -> None:
        asyncio.get_running_loop().call_later(0.3, os.kill, os.getpid(), number)
        await measured(there)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(interrupted())
    assert (len(there.created), there.deleted, pods(there)) == (1, [NAME], [])


def failed(reason: str, problem: str) -> str:
    return "\n".join(lines({"event": "failed", "reason": reason, "problem": problem}))


def terminated(name: str, message: str) -> dict[str, Any]:
    ended = {"name": name, "state": {"terminated": {"exitCode": 1, "message": message}}}
    return {"phase": "Running", "containerStatuses": [ended]}


@pytest.mark.parametrize(
    ("settings", "want"),
    [
        (
            {"log": failed("PayloadRefused", "answers 400: shape")},
            "answers 400: shape; pass a body .* predict digits -n default --sample",
        ),
        ({"log": failed("NoPayload", "no inputs")}, "no inputs; pass the body with --payload"),
        ({"log": failed("NotReady", "not ready")}, "raise --ready .* status digits"),
        (
            {"log": "", "statuses": [terminated("triton", "CUDA out of memory")]},
            "nothing was measured: container triton .*CUDA",
        ),
        (
            {"log": "Traceback\nModuleNotFoundError: no zlib", "statuses": [terminated("load", "")]},
            "the load generator ended: ModuleNotFoundError: no zlib",
        ),
    ],
)
async def test_what_cannot_be_measured_says_what_to_do(settings: dict[str, Any], want: str) -> None:
    there = fake(**settings)
    with pytest.raises(console.Failure, match=want):
        await measured(there)
    assert (there.deleted, pods(there)) == ([NAME], [])


async def test_a_pod_that_does_not_start_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiled, "PATIENCE_SECONDS", 0.05)
    waiting = {
        "phase": "Pending",
        "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu"}
        ],
    }
    there = fake(log="", statuses=[waiting])
    with pytest.raises(console.Failure, match=r"does not start: no node for pod .*Insufficient cpu; lower"):
        await measured(there)
    assert there.deleted == [NAME]


async def test_what_was_measured_before_the_server_ended_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    there = fake(log=BEGUN, statuses=[terminated("triton", "killed")])
    view = await measured(there)
    assert len(view.rows) == 1
    assert "cut short after 1 point: container triton ended" in capsys.readouterr().err


async def test_an_api_server_that_is_away_for_a_moment_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await measured(fake(away=5))).rows
    monkeypatch.setattr(profiled, "AWAY_SECONDS", 0.05)
    there = fake(away=10_000)
    with pytest.raises(errors.Unavailable):
        await measured(there)
    assert (there.deleted, pods(there)) == ([NAME], [])


async def test_a_pod_that_somebody_else_removes() -> None:
    there = fake(log=BEGUN)
    asyncio.get_running_loop().call_later(0.2, lambda: there.objects.remove(there.created[0]))
    with pytest.raises(console.Failure, match="was removed while it was measured, by another profile or a person"):
        await measured(there)


async def test_a_pod_that_stays_is_told_with_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporary, "GONE_SECONDS", 0.05)
    await measured(fake(keeps=10_000))
    assert f"remove it: kubectl delete pod {NAME} -n default" in capsys.readouterr().err


async def test_a_payload_that_does_not_fit_into_a_pod() -> None:
    with pytest.raises(console.Failure, match=r"do not fit into a pod .* --from-here"):
        await measured(fake(), payload=os.urandom(1_000_000))


async def test_from_here_the_pod_has_no_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The port-forward of this test leads nowhere, so that the generator gives up."""
    (tmp_path / "kubectl").write_text('#!/bin/sh\necho "Forwarding from 127.0.0.1:9 -> 8000"\nexec sleep 60\n')
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    there = fake()
    quickly = Sweep(sweep.settings((), ()), (1,), 1, 32, 1, None)
    with pytest.raises(console.Failure, match="the model was not ready within 1 s"):
        await measured(there, image=None, sweep=quickly)
    [made] = there.created
    assert pod.GENERATOR not in [each["name"] for each in made["spec"]["containers"]]
    assert (there.deleted, pods(there)) == ([NAME], [])


async def test_which_revision() -> None:
    session = cluster.Session(fake().typed, ModelTarget(name="digits", namespace=None, context=None, kubeconfig=None))
    serving = make_model_deployment(
        namespace="default", status={"stable": {"revision": REVISION.name, "weight": 100, "replicas": 1}}
    )
    assert (await profile._revision(session, serving, None)).name == REVISION.name
    with pytest.raises(console.Failure, match=f"the cluster keeps: {REVISION.name}"):
        await profile._revision(session, serving, "digits-0")
    with pytest.raises(console.Failure, match="has no stable version yet"):
        await profile._revision(session, DEPLOYMENT, None)


@pytest.mark.parametrize(
    ("template", "named", "want"),
    [
        (REVISION.template, "", pod.image_of(REVISION.template)),
        ({"spec": {}}, "sluice-system", pod.Image("i:1", "Never")),
        ({"spec": {}}, "", None),
    ],
    ids=["downloads", "image of the user's own", "and whose configuration counts was not said"],
)
async def test_where_the_load_comes_from(template: Any, named: str, want: pod.Image | None) -> None:
    config = {"storageInitializer": {"image": "i:1", "imagePullPolicy": "Never"}}
    api = FakeCluster(fakes.operator(config), operator_namespace=named)
    assert await loadcontainer.fetch_image(api.typed, replace(REVISION, template=template)) == want


@pytest.mark.parametrize(
    ("arguments", "want"),
    [
        (["--concurrency", "0"], "write whole numbers from 1 to 256"),
        (["--batching", "fast"], "is not a batching setting"),
        (["--seconds", "0"], "greater than or equal to 1"),
        (["--payload", "nowhere.json"], "does not exist"),
    ],
)
def test_options_that_make_no_sense(arguments: list[str], want: str) -> None:
    result = CliRunner().invoke(app.app, ["profile", "digits", *arguments], terminal_width=200)
    assert result.exit_code == 2
    assert want in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("plot", "write", "want"),
    [
        ("a.png", None, "use a name that ends in .html"),
        ("nowhere/a.svg", None, "--plot nowhere/a.svg: there is no folder nowhere"),
        (None, "nowhere/a.yaml", "--write nowhere/a.yaml: there is no folder"),
    ],
)
def test_files_are_checked_before_the_load(plot: str | None, write: str | None, want: str) -> None:
    with pytest.raises(console.Failure, match=want):
        profile._check_files(Path(plot) if plot else None, Path(write) if write else None)


@pytest.mark.parametrize(
    ("arguments", "settings", "concurrency"),
    [
        ([], ["as is 0", "on 0", "on 100", "on 1000"], [1, 2, 4, 8, 16]),
        (["--batching=", "--concurrency=2", "--instances=2,3"], ["as is 0"] * 3, [2]),
    ],
    ids=["by default", "as asked for"],
)
def test_the_whole_command(
    arguments: list[str],
    settings: list[str],
    concurrency: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    there = fake()
    serving = make_model_deployment(
        namespace="default", status={"stable": {"revision": REVISION.name, "weight": 100, "replicas": 1}}
    )
    there.objects.append(manifest(serving))

    @contextlib.asynccontextmanager
    async def session(target: ModelTarget) -> AsyncIterator[cluster.Session]:
        yield cluster.Session(there.typed, target)

    monkeypatch.setattr(cluster, "session", session)
    assert app.app(["profile", "digits", *arguments, "--output=json"], standalone_mode=False) == 0
    assert json.loads(capsys.readouterr().out)["bottleneck"]
    [generator] = [each for each in there.created[0]["spec"]["containers"] if each["name"] == pod.GENERATOR]
    asked = json.loads(next(each["value"] for each in generator["env"] if each["name"] == pod.PLAN))
    assert [f"{each['batching']} {each['delayMicros']}" for each in asked["settings"]] == settings
    assert (asked["concurrency"], asked["seconds"], asked["path"]) == (concurrency, 5, "/v2/models/digits/infer")


async def test_the_files(tmp_path: Path) -> None:
    view = await measured(fake())
    profile._write_files(view, tmp_path / "a.html", tmp_path / "a.yaml")
    assert "<svg" in (tmp_path / "a.html").read_text()
    assert "max_batch_size: 4" in (tmp_path / "a.yaml").read_text()
