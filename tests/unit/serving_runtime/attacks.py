"""Archives and layers as somebody makes them who wants more than to serve a model."""

import io
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

STEPS = "abcdefghijklmnop"
LONG = "d" * 247

Entry = tuple[tarfile.TarInfo, bytes]


def entry(name: str, body: bytes = b"", *, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> Entry:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.size = kind, link, mode, len(body)
    return info, body


def folder(name: str) -> Entry:
    return entry(name, kind=tarfile.DIRTYPE, mode=0o755)


def symlink(name: str, to: str | Path) -> Entry:
    return entry(name, kind=tarfile.SYMTYPE, link=str(to))


def hard_link(name: str, to: str) -> Entry:
    return entry(name, kind=tarfile.LNKTYPE, link=to)


def tar(entries: Iterable[Entry], mode: str = "w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as packed:  # type: ignore[call-overload]
        for info, body in entries:
            packed.addfile(info, io.BytesIO(body))
    return stream.getvalue()


def past_long_paths(up: str, body: bytes, prefix: str = "") -> list[Entry]:
    """A file above the folder, by links whose real path is too long to be resolved (CVE-2025-4517)."""
    entries, path = [folder(prefix or ".")], prefix
    for step in STEPS:
        entries += [folder(f"{path}{LONG}"), symlink(f"{path}{step}", LONG)]
        path += f"{LONG}/"
    far = prefix + "/".join(STEPS) + "/" + "l" * 254
    entries.append(symlink(far, "../" * len(STEPS)))
    entries.append(symlink(f"{prefix}escape", f"{far.removeprefix(prefix)}/{up}"))
    return [*entries, entry(f"{prefix}escape/outside", body)]


def hard_link_to_a_link(target: Path, name: str, prefix: str = "") -> list[Entry]:
    """A link that stays inside where it is deep, under a second name where it does not."""
    deep = prefix + "/".join(f"{step}{step}" for step in STEPS * 2)
    up = "../" * len(deep.split("/")) + str(target).lstrip("/")
    return [folder(deep), symlink(f"{deep}/link", up), hard_link(f"{prefix}{name}", f"{deep}/link")]


def zip_of_zeros(megabytes: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("model.onnx", "w") as file:
        for _ in range(megabytes):
            file.write(bytes(1 << 20))
    return stream.getvalue()


def many_files(count: int) -> bytes:
    return tar((entry(f"{number:07}") for number in range(count)), "w:gz")


def zip_with_a_link(name: str, to: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        info = zipfile.ZipInfo(name)
        info.external_attr = 0o120777 << 16
        packed.writestr(info, to)
    return stream.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for name, body in files.items():
            packed.writestr(name, body)
    return stream.getvalue()


def sparse(parts: list[tuple[int, int]], size: int, stored: bytes, *, goes_on: bool = False) -> bytes:
    """A file with holes, as GNU's tar packs it: up to four parts (offset, bytes) in its header."""
    info, _ = entry("sparse", kind=tarfile.GNUTYPE_SPARSE)
    info.size = len(stored)
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    for number, (offset, length) in enumerate(parts):
        header[386 + 24 * number : 386 + 24 * number + 24] = b"%011o\0%011o\0" % (offset, length)
    header[482] = goes_on
    header[483:495] = b"%011o\0" % size
    header[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(header))[0]
    return bytes(header) + stored + bytes(-len(stored) % 512) + (b"" if goes_on else bytes(1024))


def sparse_without_end(blocks: int) -> bytes:
    """Block after block that says where further parts are."""
    block = b"%011o\0%011o\0" % (1, 1) * 21 + b"\x01"
    return sparse([], 1, b"", goes_on=True) + (block + bytes(512 - len(block))) * blocks
