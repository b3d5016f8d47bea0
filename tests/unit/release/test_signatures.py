"""One signature holds for every file of a release."""

import subprocess
from pathlib import Path

import pytest

from lab.processes import LabError
from release import signatures

EC = ("ecparam", "-name", "prime256v1", "-genkey", "-noout")
RSA = ("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")


def new_key(*how: str) -> str:
    return subprocess.run(["openssl", *how], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def released(tmp_path: Path) -> Path:
    (tmp_path / "sbom").mkdir()
    (tmp_path / "sluice-1.tgz").write_bytes(b"chart")
    (tmp_path / "sbom" / "a.cdx.json").write_text("{}")
    signatures.write_sums(tmp_path)
    return tmp_path


def test_sums_are_of_all_files_by_name(released: Path) -> None:
    lines = (released / "SHA256SUMS").read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == ["sbom/a.cdx.json", "sluice-1.tgz"]


@pytest.mark.parametrize("how", [EC, RSA], ids=["EC", "RSA"])
def test_a_signed_release_holds_for_whoever_has_the_public_key(released: Path, how: tuple[str, ...]) -> None:
    signatures.sign(released, new_key(*how))
    signatures.verify(released, released / "sluice.pub")
    signatures.write_sums(released)
    signatures.verify(released, released / "sluice.pub")


def _changed_file(folder: Path) -> None:
    (folder / "sluice-1.tgz").write_bytes(b"Chart")


def _missing_file(folder: Path) -> None:
    (folder / "sluice-1.tgz").unlink()


def _changed_sums(folder: Path) -> None:
    _changed_file(folder)
    signatures.write_sums(folder)


def _another_key(folder: Path) -> None:
    signature = (folder / "SHA256SUMS.sig").read_bytes()
    signatures.sign(folder, new_key(*EC))
    (folder / "SHA256SUMS.sig").write_bytes(signature)


@pytest.mark.parametrize("change", [_changed_file, _missing_file, _changed_sums, _another_key])
def test_what_was_changed_does_not_hold(released: Path, change: object) -> None:
    assert callable(change)
    signatures.sign(released, new_key(*EC))
    change(released)
    with pytest.raises(LabError):
        signatures.verify(released, released / "sluice.pub")


def test_a_public_key_cannot_sign(released: Path) -> None:
    with pytest.raises(LabError, match="KEY: is not a private key in PEM"):
        signatures.sign(released, "-----BEGIN PUBLIC KEY-----\n")
