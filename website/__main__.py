"""`python -m website` stages the pages in build/website; `make docs` then builds the site from them, `make docs-serve`
shows it.

Links that lead out of docs/ lead to the repository, and README.md is the home page.
"""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, Final

from website import navigation, reference

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = ROOT / "docs"
STAGE: Final = ROOT / "build" / "website"
REPOSITORY: Final = "https://github.com/sluice-dev/sluice"
LINK: Final = re.compile(r"(\]\()([^)\s]+)(\))")
FENCE: Final = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)
OUTSIDE: Final = re.compile(r"[a-z]+:|#")


def main() -> None:
    """Writes pages and configuration; what was staged before and is gone goes."""
    pages = STAGE / "docs"
    shutil.rmtree(pages, ignore_errors=True)
    for source in sorted(path for path in DOCS.rglob("*") if path.is_file()):
        target = pages / source.relative_to(DOCS)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            target.write_text(staged(source.read_text(), source, target.relative_to(pages)))
        else:
            shutil.copyfile(source, target)
    home = ROOT / navigation.HOME
    (pages / "index.md").write_text(staged(home.read_text(), home, Path("index.md")))
    (pages / "fields").mkdir()
    for name, text in reference.pages().items():
        (pages / "fields" / name).write_text(text)
    (STAGE / "mkdocs.yml").write_text(json.dumps(configuration(), indent=1))


def staged(text: str, source: Path, place: Path) -> str:
    """A page whose links lead to where their targets are on the site. place: that of the page, within the site."""
    parts = FENCE.split(text)
    return "".join(part if part.startswith("```") else _relinked(part, source, place) for part in parts)


def _relinked(text: str, source: Path, place: Path) -> str:
    def relinked(found: re.Match[str]) -> str:
        return f"{found[1]}{_link(found[2], source, place)}{found[3]}"

    return LINK.sub(relinked, text)


def _link(link: str, source: Path, place: Path) -> str:
    if OUTSIDE.match(link):
        return link
    file, hash_, anchor = link.partition("#")
    target = (source.parent / file).resolve()
    if target == ROOT / navigation.HOME:
        on_site = Path("index.md")
    elif target.is_relative_to(DOCS) and target.is_file():
        on_site = target.relative_to(DOCS)
    else:
        kind = "tree" if target.is_dir() else "blob"
        return f"{REPOSITORY}/{kind}/main/{target.relative_to(ROOT)}{hash_}{anchor}"
    return f"{os.path.relpath(on_site, place.parent)}{hash_}{anchor}"


def configuration() -> dict[str, Any]:
    """The generator's configuration; nothing that the pages need comes from elsewhere."""
    light = {"media": "(prefers-color-scheme: light)", "scheme": "default"}
    dark = {"media": "(prefers-color-scheme: dark)", "scheme": "slate"}
    return {
        "site_name": "Sluice",
        "site_description": "Serves machine-learning models, and releases new versions of them based on evidence",
        "repo_url": REPOSITORY,
        "docs_dir": "docs",
        "site_dir": "site",
        "nav": navigation.as_configured(navigation.navigation(DOCS)),
        "theme": {
            "name": "material",
            "font": False,
            "features": ["navigation.sections", "navigation.top", "navigation.indexes", "content.code.copy"],
            "palette": [light, dark],
        },
        "markdown_extensions": [
            "tables",
            "attr_list",
            {"toc": {"permalink": True, "slugify": {"object": "pymdownx.slugs.slugify", "kwds": {"case": "lower"}}}},
            "pymdownx.superfences",
            "pymdownx.highlight",
        ],
    }


if __name__ == "__main__":
    main()
