"""Names of code in the documentation exist: modules, constants, files without their folder. `test_docs` has the rest."""

import functools
import re
from pathlib import Path
from typing import Final

import pytest

from tests.support.packages import PACKAGES
from tests.unit.docs.test_docs import BUILT, FENCE, PAGES, ROOT, TOP, code_of, title

SPAN: Final = re.compile(r"`([^`]+)`")
FILE: Final = re.compile(r"(?<![\w./-])(?:[\w-]+/)*[\w-]+\.py(?![\w.])")
FOLDER: Final = re.compile(r"[a-z_]+(?:/[a-z_0-9]+)+/?")
CONSTANT: Final = re.compile(r"(?:[a-z_]+\.)*([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[A-Z]{4,})")
MODULE: Final = re.compile(
    r"(?<![\w./@-])((?:sluice\.(?!example)\w+|sluice_core|sluice_judge|kubectl_sluice|sluice_batch|tests|charts|lab|demo|release|website|sluice_storage)(?:\.\w+)+)\b(?![/-])"
)
HOMES: Final = (ROOT, *(package.parent for package in PACKAGES), ROOT / "serving-runtime" / "storage-initializer")
"""From where modules are imported."""
OTHERS: Final = {"model.py", "NAME/1/model.py", "release.pem", "TORCHINDUCTOR_CACHE_DIR", "NAMESPACE_SERVICE_80"}
"""What a reader has or makes, and variables and series of other programs."""


@functools.cache
def files() -> list[Path]:
    return [
        path
        for top in (*TOP, "batch", "website", "Makefile", "pyproject.toml", "hatch_build.py", ".github")
        for path in ((ROOT / top).rglob("*") if (ROOT / top).is_dir() else (ROOT / top,))
        if path.suffix != ".md" and path.is_file() and not BUILT & set(path.relative_to(ROOT).parts)
    ]


@functools.cache
def names() -> frozenset[str]:
    return frozenset("/" + str(path.relative_to(ROOT)) for path in files())


@functools.cache
def capitals() -> frozenset[str]:
    return frozenset(
        word
        for path in files()
        if path != Path(__file__)
        for word in re.findall(r"\b[A-Z][A-Z0-9_]{2,}\b", path.read_text(errors="ignore"))
    )


def spans(page: Path) -> list[str]:
    return [" ".join(span.split()) for span in SPAN.findall(FENCE.sub("", page.read_text()))]


def file_missing(word: str) -> bool:
    return not any(name.endswith(f"/{word}") for name in names())


def folder_missing(path: str) -> bool:
    """Whether one of our packages begins so, and none of them goes on so."""
    homes = [home for home in (*PACKAGES, *HOMES[1:]) if (home / path.split("/")[0]).is_dir()]
    return bool(homes) and not any((home / path).exists() for home in (*homes, ROOT))


def module_missing(dotted: str) -> bool:
    """Whether neither a module has this name, nor a module the rest of it."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        for home in HOMES:
            place = home.joinpath(*parts[:count])
            file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            if place.is_dir() or file.is_file():
                return count < len(parts) and not (
                    file.is_file() and re.search(rf"\b{parts[count]}\b", file.read_text())
                )
    return True


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_names_of_code_exist(page: Path) -> None:
    missing = {word for code in spans(page) for word in FILE.findall(code) if file_missing(word)}
    missing |= {code for code in spans(page) if FOLDER.fullmatch(code) and folder_missing(code)}
    missing |= {found[1] for code in spans(page) if (found := CONSTANT.fullmatch(code))} - capitals()
    missing |= {name for code in code_of(page) for name in MODULE.findall(code) if module_missing(name)}
    missing -= OTHERS
    assert not missing, f"{title(page)}: not in this repository: {', '.join(sorted(missing))}"


def test_what_is_missing() -> None:
    assert not file_missing("weights.py")
    assert file_missing("desired/sharedservice.py")
    assert not module_missing("sluice.shell.order.workqueue.WORKERS")
    assert module_missing("sluice.shell.no_such_module")
