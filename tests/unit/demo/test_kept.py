"""What a kept demo says at its end works as it is printed."""

import base64
import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo import cluster as clusters
from demo import kept, setup
from demo.cluster import BuiltImage, Cluster, Kind
from demo.program import DemoError, Tools

KEYS = {"AWS_ACCESS_KEY_ID": "an id", "AWS_SECRET_ACCESS_KEY": "it's $HOME"}


class Known(Tools):
    """Tools of a cluster that has an object store."""

    def get(self, *arguments: str) -> dict[str, Any]:
        assert arguments == ("secret", "object-store", "--namespace=storage")
        return {"data": {key: base64.b64encode(text.encode()).decode() for key, text in KEYS.items()}}


class Bare(Tools):
    def get(self, *arguments: str) -> dict[str, Any]:
        raise DemoError(f"{' '.join(arguments)}: not found")


def program(file: Path, text: str) -> str:
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/bash\n{text}\n")
    file.chmod(0o755)
    return str(file)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """One whose kubectl finds the plugin as the real one does, and whose plugin says what it was asked."""
    monkeypatch.setattr(kept, "FOLDER", tmp_path / "a checkout" / "kept")
    monkeypatch.setattr(clusters, "build_page", lambda _: BuiltImage(clusters.PAGE_IMAGE.tag, "a key"))
    monkeypatch.setattr(setup, "serve_page", lambda *_: "http://sluice.localhost:8080")
    kubectl = program(tmp_path / "some where" / "kubectl", 'shift\nexec kubectl-sluice "$@"')
    plugin = program(tmp_path / "own" / "kubectl-sluice", 'echo "$@ in $KUBECONFIG"')
    (tmp_path / "kubeconfig").write_text("of the cluster")
    tools = Known(kubectl, "helm", plugin, tmp_path / "kubeconfig")
    return Cluster(
        Kind.LAB, tools, "http://gateway", "http://prometheus", "http://store", "192.0.2.7", started_here=True
    )


def told(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> str:
    kept.tell(cluster, "digits")
    return capsys.readouterr().out


def typed(command: str, folder: Path) -> str:
    environment = {"PATH": "/usr/bin:/bin", "HOME": os.environ["HOME"]}
    done = subprocess.run(
        ["bash", "-euc", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_hint_works_in_a_new_terminal(cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [hint] = re.findall(r"kept running \(make lab-down ends it\): (.*)", told(cluster, capsys))
    assert typed(hint, tmp_path) == f"status digits -n default in {kept.FOLDER / 'kubeconfig'}\n"


def test_a_later_command_leaves_a_chosen_namespace_as_it_is(cluster: Cluster, tmp_path: Path) -> None:
    kept.leave(cluster, kept.FOLDER)
    (kept.FOLDER / "kubeconfig").write_text("with a namespace")
    assert typed(kept.command(cluster, "kubectl sluice status"), tmp_path).startswith("status in ")
    assert (kept.FOLDER / "kubeconfig").read_text() == "with a namespace"


def test_the_hint_names_the_page(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    [page] = re.findall(r"docs/\S+\.md", told(cluster, capsys))
    assert (clusters.ROOT / page).exists()


def test_what_the_page_needs_is_in_the_environment(cluster: Cluster, tmp_path: Path) -> None:
    file = kept.leave(cluster, kept.FOLDER)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    names = {*KEYS, "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_FOR_PODS", "SLUICE_GATEWAY"}
    found = typed(f"source '{file}'; env -0", tmp_path).split("\0")
    values = dict(each.split("=", 1) for each in found if each)
    assert {key: values[key] for key in names} == {
        **KEYS,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://store",
        "AWS_ENDPOINT_URL_FOR_PODS": "http://object-store.storage:7070",
        "SLUICE_GATEWAY": "http://gateway",
    }


def test_a_namespace_chosen_there_is_not_the_clusters(cluster: Cluster, tmp_path: Path) -> None:
    kept.leave(cluster, kept.FOLDER)
    (kept.FOLDER / "kubeconfig").write_text("with a namespace")
    assert (tmp_path / "kubeconfig").read_text() == "of the cluster"


def test_the_relay_reads_this_machine(cluster: Cluster) -> None:
    kept.leave(cluster, kept.FOLDER)
    pod = yaml.safe_load((kept.FOLDER / kept.RELAY).read_text())
    [container] = pod["spec"]["containers"]
    assert container["env"] == [{"name": "SOURCE", "value": "http://192.0.2.7:9105/metrics"}]
    assert container["image"] == clusters.IMAGES["storage-initializer"].tag


def test_a_cluster_without_object_store_is_told_of(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    bare = Cluster(Kind.CURRENT, Bare("kubectl", "helm", "kubectl-sluice"), "", "", "", "", started_here=False)
    assert "secret object-store --namespace=storage: not found" in told(bare, capsys)
