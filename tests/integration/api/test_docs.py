"""Every YAML block of the docs is taken by a real API server as it stands, or by Helm, and none replaces what the chart made."""

import re
import textwrap
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml

from lab import gotools, processes
from tests.integration.conftest import REPOSITORY
from tests.support.cases import objects
from tests.support.live.kube import Kube

Object = dict[str, Any]

FENCED: Final = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
VALUES: Final = frozenset(yaml.safe_load((REPOSITORY / "charts/sluice/values.yaml").read_text()))
KUSTOMIZATIONS: Final = {"docs/gitops.md 1", "docs/gitops.md 2"}
"""Built with their folders in `test_kustomize.py`."""
OF_THE_CHART: Final = {
    ("RolloutPolicy", "default"),
    ("RolloutPolicy", "default-streaming"),
    *(("ServingRuntime", name) for name in yaml.safe_load((REPOSITORY / "charts/sluice/values.yaml").read_text())["runtimes"]),
}  # fmt: skip
"""What somebody who applies an example would replace for everybody."""
BASES: Final = {
    "docs/grpc.md": objects.runtime,
    "docs/kinds/servingruntime.md": objects.runtime,
    "docs/kinds/modelrollout.md": objects.rollout,
}
"""Whose `spec` a page shows where it is not a ModelDeployment's."""


class Block(NamedTuple):
    """One block of a page, and all documents in it."""

    page: str
    number: int
    documents: tuple[Any, ...]

    @property
    def name(self) -> str:
        return f"{self.page} {self.number}"


def blocks(page: Path) -> list[Block]:
    found = FENCED.findall(page.read_text())
    return [
        Block(
            str(page.relative_to(REPOSITORY)),
            number,
            tuple(each for each in yaml.safe_load_all(textwrap.dedent(text)) if each),
        )
        for number, text in enumerate(found, start=1)
    ]


PAGES: Final = [
    REPOSITORY / "README.md",
    *sorted(page for page in (REPOSITORY / "docs").rglob("*.md") if page.parent.name != "decisions"),
]
BLOCKS: Final = [each for page in PAGES for each in blocks(page) if each.name not in KUSTOMIZATIONS]


def whole(block: Block, document: Any) -> Object | None:
    """The object that a reader makes of a document; None where it is values of the chart."""
    match document:
        case {"kind": _}:
            return dict(document)
        case list():
            return objects.policy({"objectives": document})
        case {"spec": spec}:
            return BASES.get(block.page, objects.deployment)(spec)
        case {"metadata": _}:
            return objects.merged(objects.deployment(), document)
        case {"model": _} | {"rollout": _}:
            return objects.deployment(document)
        case {"uri": _}:
            return objects.deployment({"model": document})
        case _:
            assert document.keys() <= VALUES, f"{block.name}: {sorted(document)} are no values of the chart"
            return None


@pytest.fixture(scope="module")
def cluster(kube: Kube) -> Kube:
    """With the namespaces and the further kinds that the docs speak of."""
    kube.install_crds([objects.open_definition("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors")])
    named = {
        made["metadata"]["namespace"]
        for block in BLOCKS
        for document in block.documents
        if (made := whole(block, document)) is not None and "namespace" in made.get("metadata", {})
    }
    for name in named:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        kube.apply(namespace, manager="tests").raise_for_status()
    return kube


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_a_block_is_taken_as_it_stands(block: Block, cluster: Kube, tmp_path: Path) -> None:
    for document in block.documents:
        made = whole(block, document)
        if made is None:
            file = tmp_path / "values.yaml"
            file.write_text(yaml.safe_dump(document))
            gotools.ensure("helm")
            processes.run(
                [gotools.program("helm"), "template", "sluice", "charts/sluice", f"--values={file}"],
                directory=REPOSITORY,
            )
            continue
        by = made.get("spec", {}).get("intent", {}).get("requestedBy")
        answer = cluster.apply(made, manager="dry-run", dry_run=True, force=True, user=by)
        assert not answer.is_error, answer.text


def test_no_block_replaces_what_the_chart_made() -> None:
    shown = {
        (document["kind"], document["metadata"]["name"]): block.name
        for block in BLOCKS
        for document in block.documents
        if isinstance(document, dict) and "kind" in document
    }
    assert {key: where for key, where in shown.items() if key in OF_THE_CHART} == {}


def test_there_are_blocks() -> None:
    assert len(BLOCKS) > 60
