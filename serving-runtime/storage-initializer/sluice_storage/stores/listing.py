"""A store's listing, as files. A writer to a bucket chooses every name in it."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from sluice_storage import names
from sluice_storage.failures import DownloadError, Reason
from sluice_storage.tree import MOST_FILES

MOST_ENTRIES: Final = MOST_FILES
"""The most entries of a list that are read; it may be endless."""
MOST_PAGES: Final = 10_000
"""The same for its pages, which may be empty."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Item:
    key: str
    """Its name in the store."""
    size: int
    tag: str
    """Changes when the content does."""
    name: str = ""
    """Its place below the model's folder."""

    @property
    def is_folder(self) -> bool:
        """An empty object with this name is how stores keep an empty folder."""
        return self.key.endswith("/")


def item(key: object, size: object, tag: object) -> Item:
    """An entry of a list. Raises ValueError where it is malformed."""
    if not isinstance(key, str) or not isinstance(size, int) or size < 0:
        raise ValueError("the store's list has no meaning; is it a store of this kind?")
    return Item(key, size, str(tag or ""))


def bounded(entries: Iterable[Item], uri: str) -> list[Item]:
    found: list[Item] = []
    for entry in entries:
        if len(found) == MOST_ENTRIES:
            raise DownloadError(
                Reason.UNSUPPORTED_MODEL,
                f"{uri}: there are more than {MOST_ENTRIES} objects; let spec.model.uri name a smaller folder",
            )
        found.append(entry)
    return found


def of_pages(pages: Iterable[Iterable[T]], uri: str) -> Iterator[T]:
    for number, page in enumerate(pages):
        if number == MOST_PAGES:
            raise DownloadError(
                Reason.DOWNLOAD_FAILED, f"{uri}: the store's list has more than {MOST_PAGES} pages; is it a store?"
            )
        yield from page


def below(entries: Iterable[Item], path: str) -> list[Item]:
    """The entries below `path`, with names relative to it. Raises DownloadError where two cannot coexist as files."""
    prefix = f"{path.rstrip('/')}/"
    found = [_named(entry, entry.key.removeprefix(prefix)) for entry in entries if entry.key.startswith(prefix)]
    require_side_by_side(
        [item.name for item in found if not item.is_folder], (f"{i.name}/" for i in found if i.is_folder)
    )
    return [item for item in found if item.name]


def version(items: Iterable[Item]) -> str:
    """Changes whenever one of them does."""
    told = "\n".join(f"{item.key} {item.tag} {item.size}" for item in items)
    return hashlib.sha256(told.encode(errors="surrogatepass")).hexdigest()


def require_side_by_side(files: Sequence[str], folders: Iterable[str] = ()) -> None:
    """folders: with a trailing slash."""
    taken, made = set(files), set[str]()
    if len(taken) < len(files):
        raise _refused(next(name for name, count in Counter(files).items() if count > 1), "is that of two files")
    for name in (*files, *folders):
        parts = name.split("/")
        for length in range(1, len(parts)):
            if (folder := "/".join(parts[:length])) in taken:
                raise _refused(folder, "is that of a file and of a folder")
            made.add(folder)
            if len(made) > MOST_FILES:
                raise DownloadError(
                    Reason.UNSUPPORTED_MODEL, f"the model has more than {MOST_FILES} folders; name a smaller part of it"
                )


def exactly(entries: Iterable[Item], key: str) -> list[Item]:
    """The entry that `key` names."""
    return [_named(entry, key.rpartition("/")[2]) for entry in entries if entry.key == key and not entry.is_folder]


def _named(entry: Item, name: str) -> Item:
    if entry.is_folder:
        return Item(entry.key, 0, entry.tag, names.relative(name))
    return Item(entry.key, entry.size, entry.tag, names.of_file(name))


def _refused(name: str, why: str) -> DownloadError:
    return DownloadError(Reason.UNSUPPORTED_MODEL, f"the name {names.quoted(name)} {why}; rename one of them")
