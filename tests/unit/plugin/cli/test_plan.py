"""`plan` from a file to its text."""

import functools
import io
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from kubectl_sluice.cli import console, manifests
from kubectl_sluice.cli.kube.metrics import PrometheusFromHere
from kubectl_sluice.cli.releases import plan
from kubectl_sluice.views.plan import PlanView
from sluice_core import errors
from sluice_core.api.config import OperatorConfig
from tests.support.simulated import scenarios
from tests.unit.plugin.cli.fakes import FakeCluster

NOWHERE = "http://127.0.0.1:9"
"""Nothing listens on the discard port."""


@functools.cache
def serving() -> list[dict[str, Any]]:
    """What there is when the first version serves; nothing here changes it."""
    cluster = scenarios.serving_cluster(warm_seconds=20)
    return [*cluster.objects.values(), *cluster.shared.values()]


def fake(**settings: Any) -> FakeCluster:
    return FakeCluster(serving(), **settings)


def text(view: PlanView) -> str:
    shown = Console(file=io.StringIO(), width=110, markup=False, highlight=False)
    shown.print(plan.text(view))
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue()


async def planned(cluster: FakeCluster, manifest: dict[str, Any]) -> PlanView:
    source = PrometheusFromHere(cluster.typed, NOWHERE)
    return await plan.planned(cluster.typed, manifest, file="m.yaml", config=OperatorConfig(), source=source)


async def test_the_plan_is_readable_without_prometheus() -> None:
    shown = " ".join(text(await planned(fake(), scenarios.manifest(scenarios.V2))).split())
    for part in (
        "s3://models/digits/1 -> s3://models/digits/2 would be released by Canary",
        "(new)",
        "no forecast: Prometheus does not answer",
        "from outside the cluster, pass an address with --prometheus",
        "watched for 30s after 100 %, the old version stays warm",
        "downtime none",
        "kubectl sluice calibrate digits -n default shows how often this policy would have rolled back",
    ):
        assert part in shown


async def test_what_the_api_server_refuses_is_said_with_the_file() -> None:
    with pytest.raises(console.Failure, match=r"m\.yaml: weights must increase"):
        await planned(fake(refuses="weights must increase"), scenarios.manifest(scenarios.V2))


async def test_without_permission_to_write_the_plugin_checks_the_fields(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = fake(denied=frozenset({"dry-run"}))
    assert (await planned(cluster, scenarios.manifest(scenarios.V2))).releases
    assert "not checked by the API server: no permission" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(console.Failure, match=r"m\.yaml: spec\.rolout: is not known"):
        await planned(cluster, scenarios.manifest(scenarios.V2, rolout={}))


@pytest.mark.parametrize("kind", ["ControllerRevision", "ModelRollout", "Deployment", "HTTPRoute"])
async def test_without_what_decides_there_is_no_plan(kind: str) -> None:
    """A stable version that we may not see would make a release look like a first version."""
    with pytest.raises(errors.Denied):
        await planned(fake(denied=frozenset({kind})), scenarios.manifest(scenarios.V2))


async def test_pods_may_be_hidden() -> None:
    assert (await planned(fake(denied=frozenset({"Pod", "Gateway"})), scenarios.manifest(scenarios.V2))).releases


async def test_a_new_model_may_be_planned_in_an_empty_namespace() -> None:
    cluster = scenarios.make_cluster()
    view = await planned(FakeCluster(list(cluster.shared.values())), scenarios.manifest(scenarios.V1))
    assert not view.exists
    assert view.summary.startswith("the first version")


@pytest.mark.parametrize(
    ("content", "want"),
    [
        ("{", "this is not YAML"),
        ("", "must hold one ModelDeployment, but holds nothing"),
        ("{kind: Service}", "but holds Service"),
        ("{kind: ModelDeployment, apiVersion: sluice.dev/v9, spec: {}}", "apiVersion 'sluice.dev/v9' is unknown"),
        ("{kind: ModelDeployment, apiVersion: sluice.dev/v1alpha1}", "spec is missing"),
        ("kind: ModelDeployment\n---\nkind: ModelDeployment", "but holds 2 of them"),
    ],
)
def test_files_that_are_no_manifest(content: str, want: str, tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(content)
    with pytest.raises(console.Failure, match=want):
        manifests.read_manifest(str(file), "ModelDeployment")


def test_a_manifest_is_found_among_others(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    wanted = scenarios.manifest(scenarios.V1)
    file.write_text(yaml.safe_dump_all([{"kind": "Namespace"}, wanted, None]))
    assert manifests.read_manifest(str(file), "ModelDeployment") == wanted


def test_no_file() -> None:
    with pytest.raises(console.Failure, match=r"/nowhere\.yaml: cannot be read: No such file"):
        manifests.read_text("/nowhere.yaml")


def test_one_line_for_an_error_of_many(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(textwrap.dedent("a: b\n  c: d: e\n"))
    with pytest.raises(console.Failure) as failure:
        manifests.read_manifest(str(file), "ModelDeployment")
    assert "\n" not in str(failure.value)
