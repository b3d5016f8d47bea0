"""Decisions are few, short and by topic, so that a maintainer finds the one that holds."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.unit.docs import test_docs

FOLDER: Final = test_docs.ROOT / "docs" / "decisions"
README: Final = FOLDER / "README.md"
PAGES: Final = sorted(page for page in FOLDER.glob("*.md") if page != README)
MOST_PAGES: Final = 40
MOST_WORDS: Final = 400


def test_there_are_few_pages() -> None:
    assert 0 < len(PAGES) <= MOST_PAGES, "put the decision into the page of its topic"


def test_the_index_has_each_page_once() -> None:
    listed = [link for link in test_docs.LINK.findall(README.read_text()) if "/" not in link]
    assert sorted(listed) == [page.name for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=test_docs.title)
def test_a_page_is_a_short_topic(page: Path) -> None:
    assert not re.match(r"\d", page.name), "a page is named by its topic, not by its date"
    assert len(page.read_text().split()) <= MOST_WORDS, "keep what holds now, why, and what was rejected"
