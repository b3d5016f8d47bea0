"""The site has every page once, its links lead to where the targets are on the site, and every field of every kind."""

from pathlib import Path
from typing import Any

import pytest

from sluice_core.api import crd
from website import __main__ as website
from website import navigation, reference

DOCS = website.DOCS


def listed() -> list[str]:
    return list(navigation.pages(navigation.navigation(DOCS)))


def test_every_page_has_one_place() -> None:
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    assert len(set(listed())) == len(listed()), "a page is of one kind"
    assert set(listed()) == pages | {"index.md"} | {f"fields/{name}" for name in reference.pages()}, (
        "give the page its place in website/navigation.py"
    )


def test_there_is_each_of_the_four_kinds() -> None:
    titles = [entry[0] for entry in navigation.navigation(DOCS) if not isinstance(entry, str)]
    assert titles == ["Tutorial", "How-to guides", "Reference", "Explanation"]


@pytest.mark.parametrize(
    ("page", "link", "want"),
    [
        ("docs/alerts.md", "metrics.md", "metrics.md"),
        ("docs/alerts.md", "runbooks/batch.md#it-failed", "runbooks/batch.md#it-failed"),
        ("docs/alerts.md", "#alerts", "#alerts"),
        ("docs/alerts.md", "https://example.com/a.md#b", "https://example.com/a.md#b"),
        ("docs/runbooks/batch.md", "../alerts.md#dashboards", "../alerts.md#dashboards"),
        ("docs/runbooks/batch.md", "../../README.md#limits", "../index.md#limits"),
        ("docs/runbooks/batch.md", "../../manifests/examples", f"{website.REPOSITORY}/tree/main/manifests/examples"),
        ("docs/alerts.md", "../lab/README.md#figures", f"{website.REPOSITORY}/blob/main/lab/README.md#figures"),
        ("docs/alerts.md", "pictures/canary.svg", "pictures/canary.svg"),
        ("README.md", "docs/alerts.md#alerts", "alerts.md#alerts"),
        ("README.md", "manifests/install.yaml", f"{website.REPOSITORY}/blob/main/manifests/install.yaml"),
    ],
)
def test_links_lead_to_the_site_or_the_repository(page: str, link: str, want: str) -> None:
    source = website.ROOT / page
    place = Path("index.md") if page == "README.md" else source.relative_to(DOCS)
    text = f"See [this]({link}).\n\n```md\n[not this]({link})\n```\n"
    assert website.staged(text, source, place) == f"See [this]({want}).\n\n```md\n[not this]({link})\n```\n"


def fields(node: dict[str, Any]) -> int:
    """How many there are at and below a node of a schema."""
    values = node.get("additionalProperties")
    inside = [*node.get("properties", {}).values()]
    below = sum(map(fields, (*inside, *(each for each in (node.get("items"), values) if isinstance(each, dict)))))
    return len(inside) + below


@pytest.mark.parametrize("model", crd.KINDS, ids=lambda model: model.kind)
def test_every_field_has_its_row(model: Any) -> None:
    page, root = reference.page(model), crd.root_schema(model)["properties"]
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) == sum(fields(root[part]) for part in ("spec", "status") if part in root)
    assert all(row.replace("\\|", "").count("|") == 5 for row in rows), "a cell has a bar in it"
    assert f"../kinds/{model.kind.lower()}.md" in page


def test_a_row_says_type_default_and_limits() -> None:
    rows = {line.split("`")[1]: line for line in reference.pages()["rolloutpolicy.md"].splitlines() if "| `" in line}
    assert "| integer | `15` |" in rows["spec.scrapeIntervalSeconds"]
    assert "1 to 300." in rows["spec.scrapeIntervalSeconds"]
    assert "| required |" in rows["spec.objectives[].name"]
