"""Sigstore's bundles: a signed statement about digests, with the proof of its signer.

dsseEnvelope          payload (in-toto statement), payloadType, one signature over both (DSSE)
verificationMaterial  a hint to a key, or certificates, and entries of transparency logs
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sluice_storage.signing import certificates
from sluice_storage.signing.certificates import Material, Signed, Untrusted

PROMISED: Final = "application/vnd.dev.sigstore.bundle+json;version=0.1"
"""The only type whose log entries may have only a promise; later ones must prove that they are in the log."""
MEDIA_TYPES: Final = frozenset(
    {
        *(f"application/vnd.dev.sigstore.bundle+json;version=0.{minor}" for minor in (1, 2, 3)),
        "application/vnd.dev.sigstore.bundle.v0.3+json",
    }
)
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
STATEMENTS: Final = frozenset({STATEMENT, "https://in-toto.io/Statement/v0.1"})


@dataclass(frozen=True, slots=True)
class Statement:
    """A claim about digests."""

    signed: Signed
    content: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return str(self.content["predicateType"])


def read(body: bytes) -> Statement:
    """Nothing in it is trusted before `Trust.signer` has found its signer."""
    with certificates.reasons("its signature is no bundle of Sigstore"):
        document = json.loads(body)
        if document["mediaType"] not in MEDIA_TYPES:
            raise Untrusted(f"bundles of the type {document['mediaType']!r} are not supported")
        envelope = document["dsseEnvelope"]
        if envelope["payloadType"] != PAYLOAD_TYPE:
            raise Untrusted(f"it signs {envelope['payloadType']!r}, and not a statement")
        payload = base64.b64decode(envelope["payload"], validate=True)
        (signature,) = envelope["signatures"]
        signed = Signed(
            encoded(PAYLOAD_TYPE, payload),
            base64.b64decode(signature["sig"], validate=True),
            _material(document["verificationMaterial"], proven=document["mediaType"] != PROMISED),
            payload,
        )
        content = json.loads(payload)
        if content["_type"] not in STATEMENTS or not isinstance(content["predicateType"], str):
            raise Untrusted("what it signs is no statement of in-toto")
        return Statement(signed, content)


def encoded(kind: str, payload: bytes) -> bytes:
    """The bytes that a signature of DSSE covers (PAE)."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def _material(document: Mapping[str, Any], *, proven: bool) -> Material:
    """Its certificate is only trusted with its authority, and its log entry with the log's key.

    proven: whether an entry needs proof of inclusion.
    """
    raw = [document["certificate"]] if "certificate" in document else []
    raw = raw or (document.get("x509CertificateChain") or {}).get("certificates") or []
    found = [certificates.certificate(each["rawBytes"]) for each in raw]
    entries = document.get("tlogEntries") or []
    if not found:
        return Material()
    if len(entries) > 1:
        raise Untrusted("it has entries of several logs, and one is supported")
    if proven and any(not entry.get("inclusionProof") for entry in entries):
        raise Untrusted("its log's entry has no proof that the log has it (inclusionProof)")
    return Material(found[0], tuple(found[1:]), entries[0] if entries else None)
