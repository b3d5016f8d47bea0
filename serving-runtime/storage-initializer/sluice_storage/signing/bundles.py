"""Sigstore's bundles: a signed statement about digests, with what proves who signed it.

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
"""The only type whose log entries may have a promise alone; later ones must prove that they are in the log."""
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
    """What somebody says of digests."""

    signed: Signed
    content: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return str(self.content["predicateType"])


def read(body: bytes) -> Statement:
    """Nothing of it is true before `Trust.signer` said by whom it is."""
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
    """What a signature of DSSE is over (PAE)."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def _material(document: Mapping[str, Any], *, proven: bool) -> Material:
    """A certificate in it is only believed with its authority; so is a log's entry with the log's key.

    proven: whether an entry needs the proof that the log has it.
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
