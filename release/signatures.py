"""Checksums of all files of a release, and their signature. One signature is enough: the files name images by digest."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from lab import processes
from lab.processes import LabError
from release.wheels import digest

SUMS: Final = "SHA256SUMS"
SIGNATURE: Final = f"{SUMS}.sig"
PUBLIC_KEY: Final = "sluice.pub"
OWN: Final = frozenset({SUMS, SIGNATURE, PUBLIC_KEY})


def sums(folder: Path, files: Iterable[Path]) -> str:
    """As `sha256sum --check` reads them, by name."""
    named = sorted((file.relative_to(folder).as_posix(), file) for file in files)
    return "".join(f"{digest(file)}  {name}\n" for name, file in named)


def write_sums(folder: Path) -> Path:
    """The checksums of everything in the folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in OWN)
    target = folder / SUMS
    target.write_text(sums(folder, files))
    return target


def sign(folder: Path, key: str) -> None:
    """Sign the checksums with a private key (PEM, elliptic or RSA), and put its public key beside them.

    Raises LabError if the key cannot sign, or if the signature does not hold.
    """
    signature, public = folder / SIGNATURE, folder / PUBLIC_KEY
    if "PRIVATE KEY-----" not in key:
        raise LabError(
            "KEY: is not a private key in PEM; make one with `openssl ecparam -name prime256v1 -genkey -noout`"
        )
    signed = ("openssl", "dgst", "-sha256", "-sign", "/dev/stdin", "-out", signature, folder / SUMS)
    processes.run(signed, text=key)
    processes.run(("openssl", "pkey", "-in", "/dev/stdin", "-pubout", "-out", public), text=key)
    verify(folder, public)


def verify(folder: Path, public: Path) -> None:
    """Raises LabError if the checksums were not signed by this key, or if a file is not as they say."""
    held = ("openssl", "dgst", "-sha256", "-verify", public, "-signature", folder / SIGNATURE, folder / SUMS)
    processes.run(held)
    processes.run(("sha256sum", "--check", "--strict", "--quiet", SUMS), directory=folder)
