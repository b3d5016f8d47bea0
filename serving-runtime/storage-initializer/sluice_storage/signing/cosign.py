"""cosign's signatures in a registry: over the digest of a manifest, by which everything in it is checked.

simple signing   a layer of the manifest with the tag sha256-<digest>.sig; its bytes are what is signed, and its annotations
                 have the signature, a certificate and a log's entry
bundles          in manifests that refer to it (cosign 3): a statement about the digest
"""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cryptography import x509

from sluice_storage.signing import bundles, certificates
from sluice_storage.signing.certificates import Material, Signed, Untrusted
from sluice_storage.signing.signers import Trust
from sluice_storage.stores import manifests

CERTIFICATE: Final = "dev.sigstore.cosign/certificate"
CHAIN: Final = "dev.sigstore.cosign/chain"
ENTRY: Final = "dev.sigstore.cosign/bundle"
TYPES: Final = frozenset({"cosign container image signature", "https://sigstore.dev/cosign/sign/v1"})
PREDICATE: Final = "https://sigstore.dev/cosign/sign/v1"
"""Other statements about an image, such as its contents, do not permit its use."""


def kept(found: Iterable[Mapping[str, Any]]) -> bytes:
    """Signatures as kept with the model: `body`, and the annotations of its layer."""
    listed = [{"body": base64.b64encode(each["body"]).decode(), "annotations": each["annotations"]} for each in found]
    return json.dumps(listed).encode()


def signer(body: bytes, digests: Sequence[str], name: str, trust: Trust) -> tuple[str, str]:
    """The signer of one of the digests, and which. Raises Untrusted with the defect of the last signature.

    name: the signed repository; empty: any.
    """
    with certificates.reasons("the signatures have no meaning"):
        listed = json.loads(body)
        last = Untrusted(f"{digests[-1]} has no signature; sign it (cosign sign)")
        for each in listed[: manifests.MOST_SIGNATURES]:
            try:
                return _signer(base64.b64decode(each["body"], validate=True), each["annotations"], digests, name, trust)
            except Untrusted as why:
                last = why
        raise last


def _signer(
    body: bytes, annotations: Mapping[str, str], digests: Sequence[str], name: str, trust: Trust
) -> tuple[str, str]:
    with certificates.reasons("the signature has no meaning"):
        if manifests.SIGNATURE in annotations:
            who = trust.signer(_simple(body, annotations))
            critical = json.loads(body)["critical"]
            said, kind = {str(critical["image"]["docker-manifest-digest"])}, critical["type"]
            whose = {str(critical["identity"]["docker-reference"])}
        else:
            statement = bundles.read(body)
            who, kind = trust.signer(statement.signed), statement.kind
            said = {f"sha256:{subject['digest']['sha256']}" for subject in statement.content["subject"]}
            whose = {str(subject.get("name") or "") for subject in statement.content["subject"]}
        if kind not in TYPES:
            raise Untrusted(f"what is signed is {kind!r}, and no image")
        if name and name not in whose:
            raise Untrusted(f"it is signed as {', '.join(sorted(whose))!r}, and not as {name!r}")
        for digest in digests:
            if digest in said:
                return who, digest
    raise Untrusted(f"the signature is that of {', '.join(sorted(said))}, and not of {digests[-1]}")


def _simple(body: bytes, annotations: Mapping[str, str]) -> Signed:
    signature = base64.b64decode(annotations[manifests.SIGNATURE], validate=True)
    if CERTIFICATE not in annotations:
        return Signed(body, signature, Material())
    certificate = x509.load_pem_x509_certificate(annotations[CERTIFICATE].encode())
    others = x509.load_pem_x509_certificates(annotations[CHAIN].encode()) if annotations.get(CHAIN) else []
    entry = _entry(json.loads(annotations[ENTRY])) if ENTRY in annotations else None
    return Signed(body, signature, Material(certificate, tuple(others), entry))


def _entry(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """In a bundle's format."""
    payload = said["Payload"]
    return {
        "canonicalizedBody": payload["body"],
        "integratedTime": payload["integratedTime"],
        "logIndex": payload["logIndex"],
        "logId": {"keyId": base64.b64encode(bytes.fromhex(payload["logID"])).decode()},
        "inclusionPromise": {"signedEntryTimestamp": said["SignedEntryTimestamp"]},
    }
