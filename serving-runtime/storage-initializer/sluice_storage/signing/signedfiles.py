"""OpenSSF Model Signing: a statement with the digest of every file of a model.

The files must be exactly those of the statement; files that the signer left out by name (such as .gitattributes, and
the signature itself) are not given to the server.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from sluice_storage import names, selection
from sluice_storage.signing import certificates
from sluice_storage.signing.bundles import Statement
from sluice_storage.signing.certificates import Untrusted
from sluice_storage.tree import CHUNK_BYTES, MOST_FILES

PREDICATE: Final = "https://model_signing/signature/v1.0"
SIGNATURE: Final = "model.sig"
"""The signature's name, at the top of a signed folder."""
ITSELF: Final = "."
"""The name of a model of one file."""
NEVER_SIGNED: Final = (SIGNATURE, ".git", ".gitattributes", ".github", ".gitignore")
"""Files that the signer's tool leaves out by default."""
ALGORITHMS: Final = {"sha256": hashlib.sha256, "blake2b": hashlib.blake2b}
"""The hash functions, by their names in statements; without BLAKE3, which Python lacks."""
SHARDED: Final = "-sharded-"


@dataclass(frozen=True, slots=True)
class Piece:
    """A file, or a part of one."""

    name: str
    algorithm: str
    digest: str
    start: int = 0
    end: int | None = None
    """None: the file's end."""


@dataclass(frozen=True, slots=True)
class SignedFiles:
    name: str
    """The signer's name of the model: the folder's name."""
    digest: str
    """The digest of all digests together, as `model_signing` prints it."""
    pieces: tuple[Piece, ...]
    ignored: frozenset[str]

    @property
    def files(self) -> frozenset[str]:
        return frozenset(piece.name for piece in self.pieces)

    def left_out(self, file: str) -> bool:
        parts = file.split("/")
        return any("/".join(parts[:length]) in self.ignored for length in range(1, len(parts) + 1))


def read(statement: Statement) -> SignedFiles:
    with certificates.reasons("what is signed are no files of a model"):
        if statement.kind != PREDICATE:
            raise Untrusted(f"it is a signature of the kind {statement.kind!r}, and not of a model ({PREDICATE})")
        (subject,) = statement.content["subject"]
        predicate = statement.content["predicate"]
        listed = predicate["resources"]
        if len(listed) > MOST_FILES:
            raise Untrusted(f"it lists more than {MOST_FILES} files")
        total = hashlib.sha256(b"".join(bytes.fromhex(each["digest"]) for each in listed)).hexdigest()
        if total != subject["digest"]["sha256"]:
            raise Untrusted("its digest is not that of the files that it lists")
        how = predicate["serialization"]
        pieces = tuple(_piece(each, how["method"]) for each in listed)
        if len({(piece.name, piece.start) for piece in pieces}) < len(pieces):
            raise Untrusted("it lists a file twice")
        ignored = {str(path).rstrip("/") for path in how.get("ignore_paths") or ()}
        return SignedFiles(str(subject["name"]), f"sha256:{total}", pieces, frozenset({*NEVER_SIGNED, *ignored}))


def _piece(listed: Mapping[str, Any], method: str) -> Piece:
    name, algorithm, start, end = str(listed["name"]), str(listed["algorithm"]), 0, None
    if method == "shards":
        name, first, last = name.rsplit(":", 2)
        algorithm, start, end = algorithm.partition(SHARDED)[0], int(first), int(last)
    elif method != "files":
        raise Untrusted(f"files that are signed as {names.quoted(method)} are not supported")
    if algorithm not in ALGORITHMS:
        raise Untrusted(f"digests of the kind {names.quoted(algorithm)} are not supported; sign with sha256")
    return Piece(name, algorithm, str(listed["digest"]), start, end)


def require_same(
    signed: SignedFiles, root: Path, *, but: str = "", read_by: str = "", hashed: Mapping[str, str] | None = None
) -> list[str]:
    """The unsigned files below `root`, which must not be delivered. Raises Untrusted.

    but: a file that is not part of the model. read_by: a format, where only the files that its servers read were
    fetched. hashed: by file, the SHA-256 of content already read since it arrived.
    """
    there = [file for file in _there(root) if file != but]
    wanted = {_itself(piece, there): piece for piece in signed.pieces}.keys()
    expected = set(selection.read_by(read_by, sorted(wanted)))
    dropped = [file for file in there if file not in wanted and signed.left_out(file)]
    added = sorted(set(there) - expected - set(dropped))
    missing = sorted(expected - set(there))
    for found, what in ((added, "is there and was not signed"), (missing, "was signed and is not there")):
        if found:
            others = f" (and {len(found) - 1} others)" if len(found) > 1 else ""
            raise Untrusted(f"{names.quoted(found[0])} {what}{others}")
    by_file: dict[str, list[Piece]] = defaultdict(list)
    for piece in signed.pieces:
        by_file[_itself(piece, there)].append(piece)
    unread = [file for file in sorted(expected) if not _is_signed(by_file[file], (hashed or {}).get(file))]
    _require_digests(root, [(file, by_file[file]) for file in unread])
    return dropped


def _is_signed(pieces: Sequence[Piece], sha256: str | None) -> bool:
    """Whether a whole file with this checksum is among the signed."""
    return [(each.algorithm, each.start, each.end, each.digest) for each in pieces] == [("sha256", 0, None, sha256)]


def _require_digests(root: Path, files: Iterable[tuple[str, Sequence[Piece]]]) -> None:
    """Several files at once: hashing releases Python's lock."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        begun = [pool.submit(_require_digest, root, file, pieces) for file, pieces in files]
        try:
            for each in begun:
                each.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _require_digest(root: Path, file: str, pieces: Sequence[Piece]) -> None:
    with os.fdopen(os.open(root / file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as content:
        size, place = os.fstat(content.fileno()).st_size, 0
        for piece in sorted(pieces, key=lambda each: each.start):
            end = size if piece.end is None else piece.end
            if piece.start != place or not place <= end <= size or _digest(content, piece, end) != piece.digest:
                raise Untrusted(f"{names.quoted(file)} is not the file that was signed")
            place = end
        if place != size:
            raise Untrusted(f"{names.quoted(file)} is longer than the file that was signed")


def _digest(content: BinaryIO, piece: Piece, end: int) -> str:
    if piece.end is None:
        return hashlib.file_digest(content, ALGORITHMS[piece.algorithm]).hexdigest()
    hasher, left = ALGORITHMS[piece.algorithm](), end - piece.start
    while left and (chunk := content.read(min(left, CHUNK_BYTES))):
        hasher.update(chunk)
        left -= len(chunk)
    return hasher.hexdigest()


def _itself(piece: Piece, there: Sequence[str]) -> str:
    """A model of one file has no name of its own in the statement."""
    return there[0] if piece.name == ITSELF and len(there) == 1 else piece.name


def _there(root: Path) -> list[str]:
    found = []
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise Untrusted(f"{names.quoted(path.relative_to(root).as_posix())} is a link, and no file")
            if path.is_file():
                found.append(path.relative_to(root).as_posix())
    return sorted(found)
