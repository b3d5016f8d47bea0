"""A model mounted into the pod: nothing is fetched, its files are linked.

    <mount>/…             a PersistentVolumeClaim or an image, read-only, here and in the model server at the same path
    <destination>/…/file  a symbolic link to <mount>/…/file

A copy would need the model's size on every node and the time to write it; links need neither. So the files must not
change while a version serves, as in any other source.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sluice_storage.failures import DownloadError, Reason

IMAGE_FOLDER: Final = "models"
HIDDEN: Final = frozenset({"lost+found"})


def folder_of(uri: str, mount: Path) -> tuple[Path, list[str]]:
    """The location of the model of pvc://claim/path below its claim's mount, and the relative paths of its files,
    sorted."""
    claim, _, path = uri.removeprefix("pvc://").partition("/")
    place = mount / path.strip("/")
    if not place.resolve().is_relative_to(mount.resolve()):
        raise DownloadError(Reason.UNSUPPORTED_MODEL, f"{uri} leads out of the claim; use pvc://claim/path")
    if not place.exists():
        raise DownloadError(
            Reason.OBJECT_NOT_FOUND,
            f"{uri} does not exist: the claim {claim} has no {path.strip('/')!r} but {_entries(mount)}; check spec.model.uri",
        )
    if place.is_file():
        return place.parent, readable(uri, place.parent, [place.name])
    return place, readable(uri, place, listed(place))


def image(uri: str, mount: Path) -> tuple[Path, list[str]]:
    """The location of the model in a mounted image, and its files."""
    place = model_folder(mount)
    return place, readable(uri, place, listed(place))


def model_folder(root: Path) -> Path:
    """/models of an image, where it has that; otherwise all of it."""
    return root / IMAGE_FOLDER if (root / IMAGE_FOLDER).is_dir() else root


def listed(folder: Path) -> list[str]:
    """Relative paths of the files below `folder`, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in _files(folder))


def empty_folders(folder: Path) -> list[str]:
    """Relative paths of empty folders below `folder`: some servers need them."""
    return sorted(
        Path(root).relative_to(folder).as_posix()
        for root, folders, names in os.walk(folder, followlinks=False)
        if not folders and not names and Path(root) != folder and Path(root).name not in HIDDEN
    )


def readable(uri: str, folder: Path, files: list[str]) -> list[str]:
    """`files`, if there are any and all of them may be read."""
    if not files:
        raise DownloadError(Reason.OBJECT_NOT_FOUND, f"{uri} has no readable files; check spec.model.uri")
    # The server sees this folder only.
    outside = [file for file in files if not (folder / file).resolve().is_relative_to(folder.resolve())]
    if outside:
        raise DownloadError(
            Reason.UNSUPPORTED_MODEL,
            f"{uri}: {outside[0]} is a link to a file outside; put the file itself there, or point spec.model.uri to "
            "a folder that contains both",
        )
    closed = [file for file in files if not os.access(folder / file, os.R_OK)]
    if closed:
        raise DownloadError(
            Reason.ACCESS_DENIED,
            f"{uri}: {closed[0]} is not readable for user {os.getuid()}; make it readable for everybody, or for group "
            f"{os.getgid()}",
        )
    return files


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, followlinks=False):
        folders[:] = [name for name in folders if name not in HIDDEN]
        yield from (Path(root, name) for name in names if Path(root, name).is_file())


def _entries(folder: Path, limit: int = 5) -> str:
    names = sorted(path.name for path in folder.iterdir() if path.name not in HIDDEN)
    return (", ".join(names[:limit]) + (" …" if len(names) > limit else "")) or "nothing at all"
