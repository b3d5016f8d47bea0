"""A version that is pushed to a real registry, which lets in only who has a login: what is there is what was built."""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import requests
import yaml

sys.path.insert(0, str(Path(__file__).parents[3] / "serving-runtime" / "storage-initializer"))

from sluice_storage.signing import cosign as reader
from sluice_storage.signing.signers import Trust, Untrusted
from sluice_storage.stores import oci

from lab import gotools, images, processes
from lab.processes import LabError
from release import cosign, publish, version
from release import images as release_images
from release.images import Built
from release.source import ROOT, Source
from tests.support import patience
from tests.support.stores import registry as registries
from tests.support.stores import signing
from tests.support.stores.registry import Registry
from tests.support.stores.signing import Signer

pytestmark = pytest.mark.slow
LOGIN: Final = ("releaser", "s3cret")
HTPASSWD: Final = "releaser:$2b$05$WHJes77Odo19ML4O2WWyRuIjKsymKeDSqo8VQtcXi4/CSrC9YMkbK\n"  # of that password
VERSION: Final = version.parsed("0.0.1-alpha.7")
SOURCE: Final = Source(ROOT, "c0ffee", 1_700_000_000, VERSION)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with registries.running(tmp_path, htpasswd=HTPASSWD, login=LOGIN) as found:
        yield found


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Built]:
    """One without a program, since no base is needed for it."""
    (tmp_path / "file").write_text("content")
    reference = f"{release_images.STORED}/nothing:{VERSION.text}-first"
    with release_images.forgotten(VERSION):
        buildah = images.buildah()
        container = processes.run([*buildah, "from", "scratch"]).strip()
        processes.run([*buildah, "copy", container, tmp_path / "file", "/"])
        processes.run([*buildah, "commit", "--quiet", "--rm", f"--timestamp={SOURCE.epoch}", container, reference])
        layout = tmp_path / "layout"
        processes.run([*buildah, "push", "--quiet", "--format=oci", reference, f"oci:{layout}"])
        yield Built("nothing", reference, release_images.manifest_digest(layout), tmp_path)


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """Packed, alone in its folder."""
    gotools.ensure("helm")
    folder = tmp_path / "dist"
    packing = ("package", ROOT / "charts" / "sluice", f"--version={VERSION.text}", f"--destination={folder}")
    processes.run([gotools.program("helm"), *packing])
    return folder / f"sluice-{VERSION.text}.tgz"


def test_with_its_login_everything_arrives_as_it_was_built(
    registry: Registry, image: Built, chart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_USER", LOGIN[0])
    monkeypatch.setenv("REGISTRY_PASSWORD", LOGIN[1])
    signer = Signer()
    with publish.opened(f"{registry.host}/team", plain_http=True) as opened:
        publish.push(opened, [image], chart, SOURCE)
        cosign.sign_all(opened, publish.pushed([image], VERSION.text), signing.private(signer.key).decode())
        monkeypatch.setenv("DOCKER_CONFIG_JSON", opened.login.read_text())
        login = opened.login
    assert not login.exists(), "the login does not stay on this machine"
    for name, accepted in (("nothing", registries.MANIFEST), ("release", registries.MANIFEST)):
        answer = requests.get(
            registry.url(f"team/{name}/manifests/{VERSION.text}"),
            headers={"Accept": accepted},
            auth=LOGIN,
            timeout=patience.HANG_SECONDS,
        )
        answer.raise_for_status()
        if name == "nothing":
            assert answer.headers["Docker-Content-Digest"] == image.digest
    listed = requests.get(
        registry.url(f"team/charts/sluice/manifests/{VERSION.text}"),
        headers={"Accept": registries.MANIFEST},
        auth=LOGIN,
        timeout=patience.HANG_SECONDS,
    ).json()
    digests = {layer["digest"] for layer in listed["layers"]}
    assert f"sha256:{hashlib.sha256(chart.read_bytes()).hexdigest()}" in digests, json.dumps(listed)
    for name in ("nothing", "release"):
        assert who_signed(f"{registry.host}/team/{name}", signer).startswith("key ")
        with pytest.raises(Untrusted, match="none of the 1 trusted keys"):
            who_signed(f"{registry.host}/team/{name}", Signer())


def who_signed(image: str, signer: Signer) -> str:
    """As the downloader asks for the signatures of cosign."""
    source = oci.Image(f"oci://{image}:{VERSION.text}", plain_http=True)
    source.version()
    trust = Trust.read({"publicKeys": [signer.public]})
    who, digest = reader.signer(reader.kept(source.signatures()), source.digests, image, trust)
    assert digest in source.digests
    return who


@pytest.mark.parametrize("login", [None, (LOGIN[0], "another")], ids=["nobody", "another password"])
def test_without_it_nothing_does(
    login: tuple[str, str] | None, registry: Registry, image: Built, chart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REGISTRY_USER", raising=False)
    if login is not None:
        monkeypatch.setenv("REGISTRY_USER", login[0])
        monkeypatch.setenv("REGISTRY_PASSWORD", login[1])
    with publish.opened(f"{registry.host}/team", plain_http=True) as opened, pytest.raises(LabError, match="uthor"):
        publish.push(opened, [image], chart, SOURCE)
    assert requests.get(registry.url("_catalog"), auth=LOGIN, timeout=patience.HANG_SECONDS).json() == {
        "repositories": []
    }


def test_both_helms_read_the_same_objects_out_of_it(tmp_path: Path, chart: Path) -> None:
    gotools.ensure("helm3")
    (tmp_path / "open").mkdir()
    found = []
    with registries.running(tmp_path / "open") as anybodys, release_images.forgotten(VERSION):
        with publish.opened(f"{anybodys.host}/team", plain_http=True) as opened:
            publish.push(opened, [], chart, SOURCE)
        named = (f"{opened.charts}/sluice", f"--version={VERSION.text}", "--plain-http")
        for program in ("helm", "helm3"):
            shown = processes.run([gotools.program(program), "show", "crds", *named])
            cluster = f"--kube-version={gotools.KUBERNETES_VERSION}"
            made = processes.run([gotools.program(program), "template", "sluice", *named, cluster])
            found.append([document for text in (shown, made) for document in yaml.safe_load_all(text) if document])
    assert {"CustomResourceDefinition", "Deployment", "ClusterRole"} <= {each["kind"] for each in found[0]}
    assert found[0] == found[1]
