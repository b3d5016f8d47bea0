"""A transparency log's evidence for a signature: when it existed, and that its certificate was issued.

The entry is bound to the signature, the log's promise to the entry and its time, and the proof, if any, to a checkpoint
that the log signed. Keys come only from the trust root.
"""

import base64
import hashlib
import json
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import certificate_transparency

from sluice_storage.signing import certificates
from sluice_storage.signing.certificates import Signed, Untrusted

_NOTE: Final = re.compile(r"\u2014 \S+ (\S+)\n")
KEY_HINT: Final = 4
"""Bytes in front of a checkpoint's signature that identify its key."""


def moment(signed: Signed, certificate: x509.Certificate, entry: Mapping[str, Any], root: Mapping[str, Any]) -> float:
    """When the log accepted the signature, in seconds since the epoch."""
    body = base64.b64decode(entry["canonicalizedBody"], validate=True)
    _require_bound(json.loads(body), signed, certificate)
    taken = int(entry.get("integratedTime") or 0)
    promise = (entry.get("inclusionPromise") or {}).get("signedEntryTimestamp")
    if not taken or not promise:
        raise Untrusted("its log gives no time (inclusionPromise), and other time stamps are not supported")
    name = base64.b64decode(entry["logId"]["keyId"], validate=True)
    keys = list(_keys(root.get("tlogs"), name, taken))
    said = {
        "body": entry["canonicalizedBody"],
        "integratedTime": taken,
        "logID": name.hex(),
        "logIndex": int(entry["logIndex"]),
    }
    message = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    if not any(certificates.verifies(key, base64.b64decode(promise), message) for key in keys):
        raise Untrusted("its entry is not by a log of the trust root")
    if proof := entry.get("inclusionProof"):
        _require_included(body, proof, keys)
    return float(taken)


def authorities(root: Mapping[str, Any], taken: float) -> list[x509.Certificate]:
    """The certificates of the trust root that issued others at a time."""
    return [
        certificates.certificate(each["rawBytes"])
        for authority in root.get("certificateAuthorities") or ()
        if _holds(authority.get("validFor"), taken)
        for each in authority["certChain"]["certificates"]
    ]


def require_logged(certificate: x509.Certificate, issuer: x509.Certificate, root: Mapping[str, Any]) -> None:
    """Checks that a certificate log has it (SCT), where the trust root names such logs."""
    if not root.get("ctlogs"):
        return
    try:
        found = certificate.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps).value
    except x509.ExtensionNotFound:
        raise Untrusted("its certificate is in no log of certificates") from None
    for stamp in found:
        message, at = _precertificate(stamp, certificate, issuer), stamp.timestamp.replace(tzinfo=UTC).timestamp()
        keys = _keys(root.get("ctlogs"), stamp.log_id, at)
        if isinstance(stamp.signature_hash_algorithm, hashes.SHA256) and any(
            certificates.verifies(key, stamp.signature, message) for key in keys
        ):
            return
    raise Untrusted("its certificate is in no log of certificates that the trust root names")


def _precertificate(
    stamp: certificate_transparency.SignedCertificateTimestamp, certificate: x509.Certificate, issuer: x509.Certificate
) -> bytes:
    """What the log signed (RFC 6962, 3.2)."""
    told, key = certificate.tbs_precertificate_bytes, bytes.fromhex(certificates.fingerprint(issuer.public_key()))
    millis = round(stamp.timestamp.replace(tzinfo=UTC).timestamp() * 1000)
    entry = struct.pack("!BBQH", 0, 0, millis, 1) + key + len(told).to_bytes(3, "big") + told
    return entry + struct.pack("!H", len(stamp.extension_bytes)) + stamp.extension_bytes


def _keys(logs: Any, name: bytes, at: float) -> Iterator[Any]:
    """The keys of the logs of this name that were in use at a time."""
    for log in logs or ():
        public = log["publicKey"]
        if base64.b64decode(log["logId"]["keyId"]) == name and _holds(public.get("validFor"), at):
            yield serialization.load_der_public_key(base64.b64decode(public["rawBytes"], validate=True))


def _holds(span: Mapping[str, str] | None, at: float) -> bool:
    start, end = ((span or {}).get(name) for name in ("start", "end"))
    return (not start or _seconds(start) <= at) and (not end or at <= _seconds(end))


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _require_bound(body: Mapping[str, Any], signed: Signed, certificate: x509.Certificate) -> None:
    """Checks that the entry is for this signature by this certificate, and for nothing else."""
    spec, kind = body["spec"], (body["kind"], body["apiVersion"])
    match kind:
        case ("dsse", "0.0.1"):
            of_what, wanted = spec["payloadHash"], signed.payload
            (said,) = spec["signatures"]
            signature, verifier = said["signature"], said["verifier"]
        case ("hashedrekord", "0.0.1"):
            of_what, wanted = spec["data"]["hash"], signed.message
            signature, verifier = spec["signature"]["content"], spec["signature"]["publicKey"]["content"]
        case _:
            raise Untrusted(f"entries {'/'.join(map(str, kind))} of logs are not supported")
    by = x509.load_pem_x509_certificate(base64.b64decode(verifier, validate=True))
    if (
        of_what != {"algorithm": "sha256", "value": hashlib.sha256(wanted).hexdigest()}
        or base64.b64decode(signature, validate=True) != signed.signature
        or by != certificate
    ):
        raise Untrusted("the log's entry is that of another signature")


def _require_included(body: bytes, proof: Mapping[str, Any], keys: Sequence[Any]) -> None:
    """Checks that the entry is a leaf of the tree whose root the log signed (RFC 9162, 2.1.3.2)."""
    index, size = int(proof["logIndex"]), int(proof["treeSize"])
    note, _, marks = proof["checkpoint"]["envelope"].partition("\n\n")
    _, said, root, *_ = note.split("\n")
    stamps = [base64.b64decode(stamp, validate=True)[KEY_HINT:] for stamp in _NOTE.findall(marks)]
    if not any(certificates.verifies(key, stamp, f"{note}\n".encode()) for key in keys for stamp in stamps):
        raise Untrusted("the checkpoint of its log's entry is not by the log")
    path = [base64.b64decode(each, validate=True) for each in proof.get("hashes") or ()]
    if not 0 <= index < size or int(said) != size or _root(body, index, size, path) != base64.b64decode(root):
        raise Untrusted("its entry is not in the log")


def _root(body: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    place, last, found = index, size - 1, hashlib.sha256(b"\0" + body).digest()
    for sibling in path:
        if last == 0:
            raise Untrusted("the proof of its log's entry is too long")
        if place & 1 or place == last:
            found = hashlib.sha256(b"\1" + sibling + found).digest()
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\1" + found + sibling).digest()
        place, last = place >> 1, last >> 1
    if last:
        raise Untrusted("the proof of its log's entry is too short")
    return found
