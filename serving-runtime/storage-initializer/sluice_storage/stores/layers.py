"""Turns the layers of an image, an artifact or a pack into the model's files.

Layers of an image are stacked: only /models, if any of them has it, otherwise everything. Those of a pack are placed
side by side. A layer that is a file gets its name, and an archive is deleted once unpacked, so that nothing needs its
size twice.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Final

from sluice_storage import archive, names
from sluice_storage.archive import Member, Unreadable
from sluice_storage.failures import DownloadError, Reason
from sluice_storage.stores import listing, mounted
from sluice_storage.stores.manifests import Layer
from sluice_storage.tree import Allowance, Tree

WHITEOUT: Final = ".wh."
OPAQUE: Final = ".wh..wh..opq"
OF_THE_MODEL: Final = (mounted.IMAGE_FOLDER, WHITEOUT + mounted.IMAGE_FOLDER, OPAQUE)
"""Patterns for an image with that folder: its content, and the marks of its removal."""


def unpack_image(layers: Sequence[Layer], folder: Path, into: Path, allowance: Allowance, uri: str) -> Path:
    """The location of the model's files, below `into`. The layers are in `folder`, named by their digests."""

    def take(tree: Tree, member: Member) -> None:
        if not inside or _top(member.name) in OF_THE_MODEL:
            _put(tree, member)

    try:
        inside = any(map(_has_model, _packed(layers, folder)))
    except Unreadable as error:
        raise _unreadable(uri, error) from error
    _unpack(layers, folder, into, allowance, uri, take)
    return mounted.model_folder(into)


def unpack_pack(layers: Sequence[Layer], folder: Path, into: Path, allowance: Allowance, uri: str) -> Path:
    """The same, without enclosing folders: authors pack the folder that they keep the model in."""
    files, folders = [layer.title for layer in layers if layer.title], list[str]()

    def take(tree: Tree, member: Member) -> None:
        if member.kind == "file":
            files.append(names.of_file(member.name))
        else:
            folders.append(f"{names.relative(member.name)}/")
        archive.put(tree, member)

    _unpack(layers, folder, into, allowance, uri, take)
    listing.require_side_by_side(files, folders)
    return _innermost(into)


def _innermost(root: Path) -> Path:
    """A number is the name of a version, which belongs to the model."""
    entries = list(root.iterdir())
    while len(entries) == 1 and entries[0].is_dir() and not entries[0].name.isdecimal():
        root, entries = entries[0], list(entries[0].iterdir())
    return root


def _unpack(
    layers: Sequence[Layer],
    folder: Path,
    into: Path,
    allowance: Allowance,
    uri: str,
    take: Callable[[Tree, Member], None],
) -> None:
    into.mkdir()
    limit = archive.of_archive(uri, sum(path.stat().st_size for path in _packed(layers, folder)), allowance)
    try:
        with Tree(into, limit) as tree:
            for layer, is_last in _uses(layers):
                _lay(tree, layer, folder / layer.file, take, is_last=is_last)
    except Unreadable as error:
        raise _unreadable(uri, error) from error


def _packed(layers: Sequence[Layer], folder: Path) -> set[Path]:
    return {folder / layer.file for layer in layers if not layer.title}


def _unreadable(uri: str, error: Unreadable) -> DownloadError:
    return DownloadError(Reason.UNSUPPORTED_MODEL, f"{uri}: a layer cannot be unpacked: {error}")


def _has_model(layer: Path) -> bool:
    with closing(archive.of_tar(layer)) as members:
        return any(_top(member.name) == mounted.IMAGE_FOLDER for member in members)


def _uses(layers: Sequence[Layer]) -> Iterator[tuple[Layer, bool]]:
    """Files first, each with whether its bytes are no longer needed: an image may have a layer twice."""
    ordered = sorted(layers, key=lambda layer: not layer.title)
    last = {layer.digest: number for number, layer in enumerate(ordered)}
    yield from ((layer, last[layer.digest] == number) for number, layer in enumerate(ordered))


def _lay(tree: Tree, layer: Layer, file: Path, take: Callable[[Tree, Member], None], *, is_last: bool) -> None:
    if layer.title and is_last:
        tree.adopt(file, layer.title)
        return
    if layer.title:
        with file.open("rb") as content:
            tree.write(layer.title, content)
        return
    with closing(archive.of_tar(file)) as members:
        for member in members:
            take(tree, member)
    if is_last:
        file.unlink()


def _put(tree: Tree, member: Member) -> None:
    name = PurePosixPath(names.relative(member.name))
    gone = name.name.removeprefix(WHITEOUT)
    if not name.name.startswith(WHITEOUT):
        archive.put(tree, member)
    elif name.name == OPAQUE:
        tree.clear(name.parent.as_posix())
    elif gone not in ("", ".", ".."):
        tree.remove((name.parent / gone).as_posix())


def _top(name: str) -> str:
    """The first part of a path."""
    return next(iter(PurePosixPath(name.lstrip("/")).parts), "")
