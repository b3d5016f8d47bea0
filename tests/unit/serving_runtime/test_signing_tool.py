"""What `model_signing` makes, the downloader takes; and what the other tests make, `model_signing` and `sigstore` take."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support import patience, programs
from tests.support.stores import signing
from tests.support.stores.downloader import Downloader
from tests.support.stores.signing import Authority, Keyless, Log, Signer, asked, wanted

pytestmark = pytest.mark.slow
VERSION = "1.1.1"
FILES = {"config.json": b"{}", "weights/part-1.bin": bytes(range(256)) * 900, ".gitattributes": b"* text"}

MODEL_SIGNING = ("-m", "model_signing")
KEYLESS = """
import pathlib, sys
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier, policy
root, bundle, subject, issuer = sys.argv[1:]
verifier = Verifier(trusted_root=TrustedRoot.from_file(root))
verifier.verify_dsse(Bundle.from_json(pathlib.Path(bundle).read_text()), policy.Identity(identity=subject, issuer=issuer))
"""
"""What `model_signing verify sigstore` does, without a service to sign with."""

Tool = Callable[..., None]


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Tool:
    """In an environment of its own: it brings some thirty packages, which nothing else here needs."""
    programs.needed("uv", install="make setup")
    place = tmp_path_factory.mktemp("model-signing")
    packages = [f"model-signing=={VERSION}", "pyOpenSSL", "certifi"]
    command = ["uv", "pip", "install", "--quiet", "--python", sys.executable, "--target", str(place), *packages]
    subprocess.run(command, check=True, timeout=300)

    def run(*arguments: object) -> None:
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            env=os.environ | {"PYTHONPATH": str(place)},
            check=False,
            capture_output=True,
            text=True,
            timeout=patience.HANG_SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def written(folder: Path) -> Path:
    for name, body in FILES.items():
        path = folder / "digits" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return folder / "digits"


def private(key: ec.EllipticCurvePrivateKey, place: Path) -> Path:
    place.write_bytes(signing.private(key))
    return place


def served(downloader: Downloader, folder: Path, *requirements: object) -> dict[str, bytes]:
    arguments = asked(*requirements)  # type: ignore[arg-type]
    outcome = downloader.run("pvc://claim/digits", "--mount", str(folder), *arguments)
    assert outcome.status == 0, outcome.message
    return outcome.files


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_a_key_of_the_tool(curve: ec.EllipticCurve, tool: Tool, tmp_path: Path, downloader: Downloader) -> None:
    model, signer = written(tmp_path / "claim"), Signer(signing.new_key(curve))
    key = private(signer.key, tmp_path / "key.pem")
    tool(*MODEL_SIGNING, "sign", "key", model, "--private_key", key, "--signature", model / "model.sig")
    files = served(downloader, tmp_path / "claim", wanted(keys=[signer.public], name="digits"))
    assert files == {name: body for name, body in FILES.items() if name != ".gitattributes"}


def test_a_certificate_of_the_tool(tool: Tool, tmp_path: Path, downloader: Downloader) -> None:
    model, root = written(tmp_path / "claim"), Authority("Root")
    signer = Authority(above=root).signer()
    key = private(signer.key, tmp_path / "key.pem")
    for number, certificate in enumerate(signer.certificates):
        (tmp_path / f"{number}.pem").write_text(signing.pem(certificate))
    more = ("--signing_certificate", tmp_path / "0.pem", "--certificate_chain", tmp_path / "1.pem")
    tool(*MODEL_SIGNING, "sign", "certificate", model, "--private_key", key, *more, "--signature", model / "model.sig")
    trusted = wanted(authorities=[signing.pem(root.certificate)], identities=[{"subject": signing.TEAM}])
    assert "config.json" in served(downloader, tmp_path / "claim", trusted)


def test_the_tool_takes_what_the_tests_make(tool: Tool, tmp_path: Path) -> None:
    model, signer = written(tmp_path), Signer()
    files = {name: body for name, body in FILES.items() if name != ".gitattributes"}
    (tmp_path / "key.pub").write_text(signer.public)
    (model / "model.sig").write_bytes(signer.model("digits", files))
    tool(
        *MODEL_SIGNING, "verify", "key", model, "--public_key", tmp_path / "key.pub", "--signature", model / "model.sig"
    )


def test_sigstore_takes_the_keyless_signatures_of_the_tests(tool: Tool, tmp_path: Path) -> None:
    keyless = Keyless(certificates=Log("certificates.example.com"))
    (tmp_path / "trusted_root.json").write_text(json.dumps(keyless.root()))
    (tmp_path / "model.sig").write_text(json.dumps(keyless.bundle(signing.of_files("digits", FILES))))
    tool("-c", KEYLESS, tmp_path / "trusted_root.json", tmp_path / "model.sig", signing.TEAM, signing.ISSUER)
