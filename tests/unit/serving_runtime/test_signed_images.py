"""cosign's signatures of images and artifacts, beside what somebody else may push in their place."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sluice_storage.stores import transfer

from tests.support.stores import modelpacks, signing, webserver
from tests.support.stores.downloader import Downloader, Outcome
from tests.support.stores.signing import Keyless, Signer, asked, wanted
from tests.support.stores.webserver import Page, WebServer
from tests.unit.serving_runtime import attacks
from tests.unit.serving_runtime.attacks import entry

MODEL = bytes(range(256)) * 400
NAME = "registry.example/acme/digits"
TEAM, STRANGER = Signer(), Signer()
TRUSTED = wanted(keys=[TEAM.public])
SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def digest_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


@dataclass
class Pushed:
    """A registry with images of one repository."""

    web: WebServer
    downloader: Downloader

    def put(self, path: str, body: bytes) -> str:
        self.web.pages[f"/v2/acme/digits/{path}"] = Page(body)
        return digest_of(body)

    def blob(self, body: bytes, **more: Any) -> dict[str, Any]:
        digest = digest_of(body)
        self.put(f"blobs/{digest}", body)
        return {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": len(body), **more}

    def manifest(self, tag: str, content: dict[str, Any]) -> str:
        body = json.dumps(content).encode()
        self.put(f"manifests/{digest_of(body)}", body)
        return self.put(f"manifests/{tag}", body)

    def image(self, tag: str, model: bytes) -> str:
        layer = attacks.tar([entry("models/model.onnx", model)])
        return self.manifest(tag, {"layers": [self.blob(layer)]})

    def pack(self, tag: str, model: bytes) -> str:
        artifact = modelpacks.modelpack(
            modelpacks.raw("model.onnx", model), modelpacks.raw("README.md", b"how it was made", "doc")
        )
        for each in artifact.blobs:
            self.put(f"blobs/{each.digest}", each.body)
        return self.manifest(tag, artifact.manifest)

    def sign(self, digest: str, signer: Signer, payload: bytes = b"", **annotations: str) -> None:
        """As cosign 2 does: under a tag that is made of the digest."""
        payload = payload or signing.simple(digest, NAME)
        signature = signing.coded(signing.signature(signer.key, payload))
        layer = self.blob(payload, annotations={"dev.cosignproject.cosign/signature": signature, **annotations})
        self.manifest(f"{digest.replace(':', '-')}.sig", {"layers": [{**layer, "mediaType": SIMPLE}]})

    def refer(self, digest: str, bundle: dict[str, Any], place: str = "referrers/{}") -> None:
        """As cosign 3 does: by a manifest that refers to the digest."""
        layer = self.blob(json.dumps(bundle).encode()) | {"mediaType": BUNDLE}
        manifest = self.manifest("unused", {"artifactType": BUNDLE, "layers": [layer]})
        named = {"digest": manifest, "artifactType": BUNDLE, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
        self.put(place.format(digest), json.dumps({"mediaType": INDEX, "manifests": [named]}).encode())

    def start(self, *requirements: dict[str, Any], reference: str = ":1", more: tuple[str, ...] = ()) -> Outcome:
        uri = f"oci://localhost:{self.web.port}/acme/digits{reference}"
        return self.downloader.run(uri, "--plain-http", *asked(*requirements or (TRUSTED,)), *more)


@pytest.fixture
def registry(downloader: Downloader, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pushed]:
    monkeypatch.setattr(transfer, "PAUSES_SECONDS", (0.0,))
    with webserver.running() as web:
        found = Pushed(web, downloader)
        found.put("", b"{}")
        web.pages["/v2/"] = Page(b"{}")
        yield found


def test_an_image_that_is_signed(registry: Pushed) -> None:
    digest = registry.image("1", MODEL)
    registry.sign(digest, TEAM)
    outcome = registry.start()
    assert outcome.files == {"model.onnx": MODEL}, outcome.message
    assert json.loads(outcome.message)["verification"]["digest"] == digest


def test_a_modelpack_is_signed_as_an_image_is(registry: Pushed) -> None:
    digest = registry.pack("1", MODEL)
    registry.sign(digest, TEAM)
    outcome = registry.start()
    assert outcome.files == {"model.onnx": MODEL}, outcome.message
    assert json.loads(outcome.message)["verification"]["digest"] == digest
    registry.put(f"blobs/{digest_of(MODEL)}", MODEL[::-1])
    outcome = registry.start()
    assert outcome.files == {}
    assert outcome.message.startswith("ChecksumMismatch: ")


def test_a_modelpack_that_is_not_signed_is_not_served(registry: Pushed) -> None:
    signed = registry.pack("0", MODEL[::-1])
    registry.sign(signed, TEAM)
    registry.sign(registry.pack("1", MODEL), STRANGER)
    outcome = registry.start()
    assert (outcome.status, outcome.files) == (1, {})
    assert registry.start(reference=":0").files == {"model.onnx": MODEL[::-1]}


def test_an_image_that_is_signed_as_cosign_3_does(registry: Pushed) -> None:
    digest = registry.image("1", MODEL)
    registry.refer(digest, TEAM.bundle(signing.of_image(digest)))
    assert registry.start().files == {"model.onnx": MODEL}


def test_a_registry_without_a_list_of_referrers(registry: Pushed) -> None:
    digest = registry.image("1", MODEL)
    registry.refer(digest, TEAM.bundle(signing.of_image(digest)), f"manifests/{digest.replace(':', '-')}")
    assert registry.start().files == {"model.onnx": MODEL}


def test_the_index_of_platforms_may_be_what_is_signed(registry: Pushed) -> None:
    image = registry.image("amd64", MODEL)
    index = registry.manifest("1", {"mediaType": INDEX, "manifests": [{"digest": image}]})
    registry.sign(index, TEAM)
    outcome = registry.start()
    assert json.loads(outcome.message)["verification"]["digest"] == index


def test_one_of_several_signatures_is_enough(registry: Pushed) -> None:
    digest = registry.image("1", MODEL)
    registry.sign(digest, STRANGER)
    registry.refer(digest, TEAM.bundle(signing.of_image(digest)))
    assert registry.start().files == {"model.onnx": MODEL}


def not_at_all(registry: Pushed, digest: str) -> None:
    pass


def by_another_key(registry: Pushed, digest: str) -> None:
    registry.sign(digest, STRANGER)


def with_the_signature_of_another(registry: Pushed, digest: str) -> None:
    registry.sign(digest, TEAM, signing.simple(digest_of(b"another"), NAME))


def with_another_payload(registry: Pushed, digest: str) -> None:
    """The signature of one image on what says another."""
    old = signing.simple(digest_of(b"another"), NAME)
    registry.sign(
        digest, TEAM, **{"dev.cosignproject.cosign/signature": signing.coded(signing.signature(TEAM.key, old))}
    )


def about_something_else(registry: Pushed, digest: str) -> None:
    """A statement of what is in the image is no word that it may be used."""
    registry.refer(digest, TEAM.bundle(signing.of_image(digest, predicate="https://cyclonedx.org/bom")))


def with_a_truncated_bundle(registry: Pushed, digest: str) -> None:
    bundle = TEAM.bundle(signing.of_image(digest))
    del bundle["dsseEnvelope"]["signatures"][0]["sig"]
    registry.refer(digest, bundle)


def with_nonsense(registry: Pushed, digest: str) -> None:
    registry.put(f"manifests/{digest.replace(':', '-')}.sig", b"[]")


@pytest.mark.parametrize(
    "sign",
    [
        not_at_all,
        by_another_key,
        with_the_signature_of_another,
        with_another_payload,
        about_something_else,
        with_a_truncated_bundle,
        with_nonsense,
    ],
)
def test_an_image_that_is_not_signed_is_not_served(sign: Callable[[Pushed, str], None], registry: Pushed) -> None:
    sign(registry, registry.image("1", MODEL))
    outcome = registry.start()
    assert (outcome.status, outcome.files) == (1, {})


def test_an_older_signed_image_under_the_tag_of_a_newer(registry: Pushed) -> None:
    newer, older = registry.image("1", MODEL), registry.image("0", MODEL[::-1])
    registry.sign(newer, TEAM)
    registry.sign(older, TEAM)
    this_one = wanted(keys=[TEAM.public], digest=newer)
    assert registry.start(this_one).files == {"model.onnx": MODEL}
    registry.image("1", MODEL[::-1])
    outcome = registry.start(this_one)
    assert (outcome.status, outcome.files) == (1, {})
    assert f"{older} is signed, and {newer} is wanted" in outcome.message
    assert registry.start(this_one, reference=f"@{newer}").files == {"model.onnx": MODEL}


def test_a_layer_that_was_changed(registry: Pushed) -> None:
    digest = registry.image("1", MODEL)
    registry.sign(digest, TEAM)
    layer = attacks.tar([entry("models/model.onnx", MODEL)])
    registry.put(f"blobs/{digest_of(layer)}", layer[:-1] + b"x")
    outcome = registry.start()
    assert outcome.files == {}
    assert outcome.message.startswith("ChecksumMismatch: ")


def test_the_repository_that_was_signed(registry: Pushed) -> None:
    registry.sign(registry.image("1", MODEL), TEAM)
    assert registry.start(wanted(keys=[TEAM.public], name=NAME)).files == {"model.onnx": MODEL}
    assert registry.start(wanted(keys=[TEAM.public], name="registry.example/acme/letters")).files == {}


def keyless_annotations(keyless: Keyless, digest: str, **more: Any) -> tuple[Signer, dict[str, str]]:
    taken = signing.now() - 30 * signing.DAY
    signer = keyless.authority.signer(begins=taken, lasts=signing.DAY, issuer=signing.ISSUER)
    payload = signing.simple(digest, NAME)
    signature = signing.coded(signing.signature(signer.key, payload))
    certificate = signing.pem(signer.certificates[0])
    body = {
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}},
            "signature": {"content": signature, "publicKey": {"content": signing.coded(certificate.encode())}},
        },
    }
    logged = keyless.log.entry(body | more, taken, proof=False)
    bundle = {
        "SignedEntryTimestamp": logged["inclusionPromise"]["signedEntryTimestamp"],
        "Payload": {
            "body": logged["canonicalizedBody"],
            "integratedTime": int(logged["integratedTime"]),
            "logIndex": int(logged["logIndex"]),
            "logID": keyless.log.name.hex(),
        },
    }
    return signer, {
        "dev.cosignproject.cosign/signature": signature,
        "dev.sigstore.cosign/certificate": certificate,
        "dev.sigstore.cosign/bundle": json.dumps(bundle),
    }


def test_a_keyless_signature(registry: Pushed) -> None:
    keyless, digest = Keyless(), registry.image("1", MODEL)
    signer, annotations = keyless_annotations(keyless, digest)
    registry.sign(digest, signer, **annotations)
    identity = {"subject": signing.TEAM, "issuer": signing.ISSUER}
    assert registry.start(wanted(root=keyless.root(), identities=[identity])).files == {"model.onnx": MODEL}
    other = identity | {"subject": "other@example.com"}
    assert registry.start(wanted(root=keyless.root(), identities=[other])).files == {}
    assert registry.start(wanted(root=Keyless().root(), identities=[identity])).files == {}


def test_the_cache_keeps_the_signatures(registry: Pushed, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    more = ("--cache-reserve-percent", "0", "--namespace", "team", "--cache", str(tmp_path / "cache"))
    registry.sign(registry.image("1", MODEL), TEAM)
    registry.start(more=more)
    registry.web.asked.clear()
    outcome = registry.start(more=more)
    assert outcome.files == {"model.onnx": MODEL}
    assert not any(path.endswith(".sig") for path, _, _ in registry.web.asked)
    assert "verified: sha256:" in outcome.log


def test_an_image_that_the_node_mounts_is_seen_by_nobody(registry: Pushed, tmp_path: Path) -> None:
    (tmp_path / "image" / "models").mkdir(parents=True)
    (tmp_path / "image" / "models" / "model.onnx").write_bytes(MODEL)
    registry.sign(registry.image("1", MODEL), TEAM)
    outcome = registry.start(more=("--mount", str(tmp_path / "image")))
    assert (outcome.status, outcome.files) == (1, {})
    assert registry.start(TRUSTED | {"mode": "Warn"}, more=("--mount", str(tmp_path / "image"))).status == 0
