"""Delivers a model from its store to its volume.

<destination>/.download/         what is fetched; on the same volume, so that files never lie there twice
<destination>/.download-version  which version that is: another attempt at the same one goes on with it
<destination>/.download-parts    which parts of its files are there, while they come in parts
<destination>/.download-unpacked/  what an archive or an image holds
<destination>/…                  the server's layout
"""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sluice_storage import cache, checksum, confine, failures, layout, names
from sluice_storage.cache import Cache, Entry
from sluice_storage.console import free, megabytes, progress, say, written
from sluice_storage.failures import DownloadError, Reason
from sluice_storage.signing import verification
from sluice_storage.stores import mounted, parts, sources
from sluice_storage.stores.source import Source, Version
from sluice_storage.tree import Allowance, Tree

STAGING: Final = ".download"
STAGED_VERSION: Final = ".download-version"
STAGED_PARTS: Final = f"{STAGING}{parts.JOURNAL}"
UNPACKED: Final = ".download-unpacked"
MOST_BYTES: Final = 256 << 30
SERVER_CODE: Final = Path(__file__).with_name("triton_model.py")


@dataclass(frozen=True, slots=True)
class Order:
    """What to deliver, and where."""

    uri: str
    sha256: str  # of the only file; empty: not checked
    layout: layout.Layout
    model_name: str
    destination: Path
    mount: Path | None = None
    """The mount of a model that need not be fetched."""
    plain_http: bool = False
    """Whether the registry of oci:// speaks HTTP."""
    namespace: str = ""
    """The pod's namespace; without one there is no cache."""
    cache: Cache | None = None
    """The node's cache of models."""
    most_bytes: int = MOST_BYTES
    """The most bytes in the destination, packed and unpacked together."""
    requirements: tuple[verification.Requirement, ...] = ()
    """The required signers; empty: none."""
    writes_to: tuple[Path, ...] = ()
    """The only places where this process may write between fetching and unpacking; empty: anywhere."""


def deliver(order: Order) -> verification.Finding | None:
    """Fetches the model and lays its files out in the destination, with nothing else left there.

    Returns the finding about its signature, for the operator; None where none is required.
    """
    inspector = verification.Inspector(order.requirements, order.uri)
    if order.mount is None:
        _download(order, inspector)
    elif order.requirements and not order.uri.startswith("oci://"):
        _copy_mounted(order, order.mount, inspector)
    else:
        _link(order, order.mount, inspector)
    say(f"laid out as {order.layout.value} in {order.destination}")
    return inspector.finding


def _link(order: Order, mount: Path, inspector: verification.Inspector) -> None:
    say(f"linking {order.uri}")
    folder, files = sources.files_of_mounted(order.uri, mount)
    if order.sha256:
        checksum.verify([folder / file for file in files], order.sha256, order.uri)
    inspector.inspect(None, folder)
    order.destination.mkdir(parents=True, exist_ok=True)
    for entry in order.destination.iterdir():
        _remove(entry)
    arrangement = layout.arranged(files, order.layout, order.model_name, mounted.empty_folders(folder))
    _carry_out(arrangement, folder, order.destination, os.symlink)


def _copy_mounted(order: Order, mount: Path, inspector: verification.Inspector) -> None:
    """Others may change a mounted model at any time: only a copy of our own stays as inspected."""
    say(f"copying {order.uri}, to see who signed it")
    folder, files = sources.files_of_mounted(order.uri, mount)
    order.destination.mkdir(parents=True, exist_ok=True)
    for entry in order.destination.iterdir():
        _remove(entry)
    staging = order.destination / STAGING
    staging.mkdir()
    allowance = Allowance(order.most_bytes, failures.too_large(order.uri, order.most_bytes))
    beside = [(folder / f"{files[0]}{verification.SUFFIX}", verification.EVIDENCE)] if len(files) == 1 else []
    with Tree(staging, allowance) as tree:
        for place, name in (*((folder / file, file) for file in files), *(each for each in beside if each[0].exists())):
            _copy_file(tree, place, name, links=not inspector.enforces)
    if order.sha256:
        _verify(order, staging)
    inspector.inspect(None, staging)
    inspector.settle(staging)
    arrangement = layout.arranged(_files(staging), order.layout, order.model_name)
    _carry_out(arrangement, staging, order.destination, os.rename)
    _remove(staging)


def _copy_file(tree: Tree, place: Path, name: str, *, links: bool) -> None:
    try:
        file = os.open(place, os.O_RDONLY | (0 if links else os.O_NOFOLLOW) | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DownloadError(
            Reason.VERIFICATION_FAILED, f"{names.quoted(name)} cannot be copied ({error.strerror}); use files, no links"
        ) from None
    with os.fdopen(file, "rb") as content:
        tree.write(name, content)


def _download(order: Order, inspector: verification.Inspector) -> None:
    began = time.monotonic()
    source = sources.named(order.uri, plain_http=order.plain_http)
    say(f"fetching {sources.shown(order.uri)}")
    version = source.version()
    staging = _staging(order, source, version)
    allowance = Allowance(order.most_bytes, failures.too_large(sources.shown(order.uri), order.most_bytes))
    _obtain(order, source, version, staging, allowance, inspector)
    inspector.settle(staging)
    if order.writes_to and not confine.writes_to(order.writes_to) and order.cache is not None:
        say("this kernel has no Landlock: what unpacks the model could write to the cache")
    unpacked = source.unpack(staging, order.destination / UNPACKED, allowance)
    files = _files(unpacked)
    size = sum((unpacked / file).stat().st_size for file in files)
    say(f"fetched {len(files)} files, {megabytes(size)}, in {time.monotonic() - began:.1f} s")
    arrangement = layout.arranged(files, order.layout, order.model_name, mounted.empty_folders(unpacked))
    for known in (STAGED_VERSION, STAGED_PARTS):
        _remove(order.destination / known)  # from here on, files leave the folder
    _carry_out(arrangement, unpacked, order.destination, os.rename)
    _remove(staging)
    _remove(order.destination / UNPACKED)


def _staging(order: Order, source: Source, version: Version) -> Path:
    """The folder to fetch into: with the leftovers of an earlier attempt at the same version, otherwise empty."""
    order.destination.mkdir(parents=True, exist_ok=True)
    staging, mark = order.destination / STAGING, order.destination / STAGED_VERSION
    journal = order.destination / STAGED_PARTS
    wanted = f"{order.uri}\n{version.name}"
    known = source.resumable and bool(version.name) and mark.is_file() and mark.read_text() == wanted
    for entry in order.destination.iterdir():
        if not (known and entry in (staging, mark, journal)):
            _remove(entry)
    staging.mkdir(exist_ok=True)
    mark.write_text(wanted)
    if known:
        say(f"  {megabytes(written(staging))} are left from an earlier attempt")
    return staging


def _obtain(
    order: Order,
    source: Source,
    version: Version,
    staging: Path,
    allowance: Allowance,
    inspector: verification.Inspector,
) -> None:
    """From the node's cache, or from the store."""
    if order.cache is None or not order.namespace or not version.name:
        _fetch(order, source, version, staging, allowance, inspector)
        return
    name = cache.key(order.namespace, order.uri, version.name, *sources.addresses(), *inspector.trusted)
    with order.cache.entry(name) as entry:
        if entry is not None and entry.exists and _copied(order, source, entry, staging, inspector):
            allowance.take(written(staging))
            return
        got = _fetch(order, source, version, staging, allowance, inspector)
        if entry is not None and got == version.name:
            entry.keep(staging)


def _copied(order: Order, source: Source, entry: Entry, staging: Path, inspector: verification.Inspector) -> bool:
    mark = order.destination / STAGED_VERSION
    wanted = mark.read_text()
    mark.unlink()  # half a copy cannot be continued
    _remove(staging)
    staging.mkdir()
    if entry.copied_to(staging):
        say("copied from the node's cache")
        try:
            _verify(order, staging)
            source.confirm(staging)
            inspector.inspect(source, staging)
        except DownloadError as error:
            _remove(staging)
            if error.reason in (Reason.CHECKSUM_MISMATCH, Reason.VERIFICATION_FAILED):
                entry.drop()
            raise
        return True
    _remove(staging)
    staging.mkdir()
    mark.write_text(wanted)
    return False


def _fetch(
    order: Order,
    source: Source,
    version: Version,
    staging: Path,
    allowance: Allowance,
    inspector: verification.Inspector,
) -> str:
    if (version.size or 0) > allowance.size:
        raise allowance.excess
    missing = (version.size or 0) - written(staging)
    room = free(staging)
    if missing > room:
        raise failures.no_space(
            sources.shown(order.uri), f": {megabytes(missing)} are missing, {megabytes(room)} are free"
        )
    with progress(staging, version.size):
        got = source.fetch(staging, allowance)
    _verify(order, staging)
    try:
        inspector.gather(source, staging, plain_http=order.plain_http)
        inspector.inspect(source, staging)
    except DownloadError as error:
        if error.reason is Reason.VERIFICATION_FAILED:
            _remove(staging)  # the next attempt must not continue with it
        raise
    return got


def _verify(order: Order, staging: Path) -> None:
    if not order.sha256:
        return
    try:
        files = [staging / file for file in _files(staging) if file != verification.EVIDENCE]
        checksum.verify(files, order.sha256, sources.shown(order.uri))
    except DownloadError:
        _remove(staging)  # the next attempt must not continue with it
        raise
    say("its sha256 is the expected one")


def _files(folder: Path) -> list[str]:
    """Relative paths, sorted. Never empty."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    if not files:
        raise DownloadError(Reason.OBJECT_NOT_FOUND, "there are no files at spec.model.uri; check it")
    return files


def _carry_out(
    arrangement: layout.Arrangement, folder: Path, destination: Path, place: Callable[[Path, Path], None]
) -> None:
    for source, target in arrangement.moves:
        place(folder / source, _prepared(destination / target))
        say(f"  {target}")
    for target in arrangement.folders:
        (destination / target).mkdir(parents=True, exist_ok=True)
        say(f"  {target}/")
    for target, text in arrangement.texts:
        _prepared(destination / target).write_text(text)
        say(f"  {target}")
    if arrangement.server_code:
        shutil.copyfile(SERVER_CODE, _prepared(destination / arrangement.server_code))
        say(f"  {arrangement.server_code}")


def _prepared(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
