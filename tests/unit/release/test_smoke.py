"""What takes seconds of a release, from the commit to its signature: all but the images, which are named and not built."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest
import yaml

from lab import gotools
from release import images, main, signatures, source, version, wheels
from release.images import Built
from release.source import OWN_IMAGES, ROOT, Source
from tests.support import patience, programs

REGISTRY: Final = "registry.example:5000/team"
DISTRIBUTIONS: Final = ("kubectl_sluice", "sluice", "sluice_batch", "sluice_core", "sluice_judge")
VERSION: Final = version.parsed("9.8.7-rc.1")
BUILT: Final = [Built(name, "", f"sha256:{number:064x}", Path()) for number, name in enumerate(images.recipes(ROOT))]


@pytest.fixture(scope="module")
def commit(tmp_path_factory: pytest.TempPathFactory) -> Source:
    programs.needed("uv", install="make setup")
    gotools.ensure("helm")
    return source.exported(tmp_path_factory.mktemp("release") / "source", VERSION)


@pytest.fixture(scope="module")
def released(commit: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the version. Wheels and chart are made twice, and refused if they differ."""
    target, scratch = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("scratch")
    wheels.built_twice(commit, scratch / "wheels", target)
    main._packed(commit, BUILT, REGISTRY, scratch, target)
    signatures.write_sums(target)
    key = ("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout")
    signatures.sign(target, subprocess.run(key, capture_output=True, text=True, check=True).stdout)
    return target


def test_it_is_what_the_docs_list_and_one_signature_holds_for_it(released: Path) -> None:
    files = {"install.yaml", "images.json", "sluice-9.8.7-rc.1.tgz"}
    made = {f"{name}-9.8.7rc1-py3-none-any.whl" for name in DISTRIBUTIONS}
    assert {path.name for path in released.iterdir()} == files | made | signatures.OWN
    signatures.verify(released, released / signatures.PUBLIC_KEY)


def test_whoever_installs_it_without_helm_gets_the_images_by_digest(released: Path) -> None:
    text = (released / "install.yaml").read_text()
    assert OWN_IMAGES not in text
    kinds = {each["kind"] for each in yaml.safe_load_all(text) if each}
    assert {"CustomResourceDefinition", "Namespace", "Deployment", "ServingRuntime", "RolloutPolicy"} <= kinds
    used = set(re.findall(rf"{re.escape(REGISTRY)}/[^\s\"',]+", text))
    assert len(used) >= 5
    digests = {image.name: image.digest for image in BUILT}
    for reference in used:
        name, _, digest = reference.removeprefix(f"{REGISTRY}/").partition("@")
        assert digest == digests[name.partition(":")[0]]


def test_the_plugin_runs_from_the_wheel(released: Path, tmp_path: Path) -> None:
    (file,) = released.glob("sluice-*.whl")
    with zipfile.ZipFile(file) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path)
    assert not [name for name in names if not name.startswith(("sluice/", "sluice-9.8.7rc1.dist-info/"))]
    code = "import sluice, sys; from kubectl_sluice.cli.start import main; print(sluice.__file__); main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=patience.HANG_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path)), "not this checkout's"
    assert "bom" in done.stdout
