"""The documentation names only what exists: files, headings, make targets, reasons, commands, metrics."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from kubectl_sluice.cli.app import ENTRIES
from sluice.shell.reporting import metrics
from sluice.shell.reporting.telemetry import Telemetry
from sluice_core.kernel.conditions import CONDITIONS
from sluice_core.kernel.reasons import PodReason, Reason
from tests.support.packages import PACKAGES, modules, text

ROOT: Final = Path(__file__).resolve().parents[3]
BUILT: Final = {"build", "dist", "node_modules"}
PAGES: Final = sorted(
    page
    for page in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part in BUILT for part in page.relative_to(ROOT).parts)
)
RUNBOOKS: Final = sorted((ROOT / "docs" / "runbooks").glob("*.md"))

LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE: Final = re.compile(r"`([^`\n]+)`")
TOP: Final = (
    "operator",
    "judge",
    "core",
    "plugin",
    "tests",
    "docs",
    "integrations",
    "lab",
    "demo",
    "charts",
    "manifests",
    "crds",
    "serving-runtime",
    "release",
    ".ci",
)
SLUICE: Final = (
    "shell",
    "api",
    "adapters",
    "views",
    "cli",
    "sluice_core",
    "sluice_judge",
    "kubectl_sluice",
    "sluice_batch",
)
REASON: Final = re.compile(r"[A-Z][A-Za-z]+")
GROUPS: Final = {"METRICS", "OF_OBJECTS", "OF_PROCESS", "OF_MODEL", "OF_BATCH"}
"""Names of `shell/reporting/metrics.py` that are no metric."""
MACHINE_PATH: Final = re.compile(r"(?<![\w.}~-])/(?:work|root|home|tmp|Users)/")


@functools.cache
def words_of_the_code() -> frozenset[str]:
    """Every word in our packages."""
    return frozenset(word for path in modules() for word in re.findall(r"\w+", text(path)))


@functools.cache
def names_of_tests() -> frozenset[str]:
    files = (ROOT / "tests").rglob("test_*.py")
    return frozenset(name for path in files for name in re.findall(r"def (test_\w+)\(", path.read_text()))


def title(page: Path) -> str:
    return str(page.relative_to(ROOT))


@functools.cache
def anchors(page: Path) -> set[str]:
    """The headings as a link writes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text(page)), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code_of(page: Path) -> Iterator[str]:
    """Code spans, and the lines of code blocks."""
    for block in FENCE.findall(text(page)):
        yield from block.splitlines()[1:-1]
    yield from CODE.findall(FENCE.sub("", text(page)))


def test_operator_is_no_package() -> None:
    """The repository is on the path: with an `__init__.py` the folder would shadow the standard library's `operator`."""
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_there_are_pages() -> None:
    assert {"README.md", "docs/architecture.md", "docs/runbooks/README.md"} <= set(map(title, PAGES))


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCE.sub("", text(page))):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{title(page)}: {link} leads nowhere"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{title(page)}: {link}: there is no such heading"


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_named_files_exist(page: Path) -> None:
    for code in code_of(page):
        for word in re.findall(r"[\w.-]+(?:/[\w.-]+)+/?", code):
            first = word.split("/")[0]
            if (first in TOP or word.startswith("batch/sluice_batch")) and not code.startswith(("s3:", "http")):
                assert (ROOT / word).exists(), f"{title(page)}: {word} does not exist"
            elif first in SLUICE and word.endswith((".py", "/")):
                homes = (*PACKAGES, *(package.parent for package in PACKAGES))
                assert any((home / word).exists() for home in homes), (
                    f"{title(page)}: {word} is in none of our packages"
                )


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for code in code_of(page) for name in re.findall(r"(?:^|&& )make ([a-z][a-z0-9-]*)", code)}
    assert named <= targets, f"{title(page)}: the Makefile has no target {', '.join(sorted(named - targets))}"


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_plugin_commands_exist(page: Path) -> None:
    commands = set(ENTRIES)
    named = {word for code in code_of(page) for word in re.findall(r"kubectl sluice ([a-z]+)\b", code)}
    assert named <= commands, f"{title(page)}: kubectl sluice has no command {', '.join(sorted(named - commands))}"


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_named_tests_exist(page: Path) -> None:
    for name in set(re.findall(r"`(test_\w+)`", text(page))):
        assert name in names_of_tests(), f"{title(page)}: there is no test {name}"


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_no_path_of_a_machine(page: Path) -> None:
    assert not MACHINE_PATH.search(text(page)), f"{title(page)} names a path of the machine it was written on"


@pytest.mark.parametrize("page", RUNBOOKS, ids=title)
def test_runbooks_name_reasons_of_the_code(page: Path) -> None:
    words = {word for word in CODE.findall(FENCE.sub("", text(page))) if REASON.fullmatch(word)}
    unknown = words - words_of_the_code()
    assert words, f"{title(page)} names no reason"
    assert not unknown, f"{title(page)}: not in our packages: {', '.join(sorted(unknown))}"


@functools.cache
def rows_of_reasons() -> dict[str, str]:
    """The last column of the index of runbooks by reason."""
    index = (ROOT / "docs" / "runbooks" / "README.md").read_text().split("## Reasons, A to Z")[1]
    rows = re.findall(r"^\| (`.*?) \| .*? \| (.*) \|$", index, re.MULTILINE)
    return {reason: said for reasons, said in rows for reason in CODE.findall(reasons)}


@pytest.mark.parametrize("reason", [*Reason, *PodReason])
def test_every_reason_has_its_row_in_the_index_of_runbooks(reason: Reason | PodReason) -> None:
    row = rows_of_reasons().get(reason)
    assert row is not None, f"docs/runbooks/README.md: add a row for {reason}"
    if isinstance(reason, Reason):
        assert (f"({reason.runbook})" in row) if reason.runbook else ("](" not in row)


def test_the_index_of_runbooks_has_no_row_of_a_reason_that_nothing_gives() -> None:
    assert set(rows_of_reasons()) <= {*Reason, *PodReason}


def test_every_condition_is_explained() -> None:
    index = (ROOT / "docs" / "runbooks" / "README.md").read_text()
    for declaration in CONDITIONS:
        assert f"| `{declaration.type}` |" in index, f"docs/runbooks/README.md: explain {declaration.type}"


def test_the_table_of_metrics_is_up_to_date() -> None:
    page = (ROOT / metrics.PAGE).read_text()
    assert page == metrics.written_into(page), "run `make crds`"


def test_metrics_are_those_of_the_operator() -> None:
    """Gauges are registered where their values are, so that no object has to be made for this."""
    counted = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in Telemetry().registry.collect()
        if family.name.startswith("sluice_")
    }
    app, under_way = (
        (ROOT / "operator" / "sluice" / "shell" / name).read_text() for name in ("app.py", "reporting/underway.py")
    )
    used = {
        getattr(metrics, name).name
        for name in re.findall(r"metrics\.([A-Z_]+)\b", app + under_way)
        if name not in GROUPS
    }
    assert counted | used == {metric.name for metric in metrics.METRICS}
