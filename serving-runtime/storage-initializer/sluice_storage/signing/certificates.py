"""Reads and verifies signatures and certificates: every defect raises Untrusted."""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

ISSUER: Final = ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
"""The extension of Fulcio's certificates that names the signer's issuer, as a UTF8String."""
ISSUER_BEFORE: Final = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
"""The same in earlier certificates, as plain text."""
UTF8_STRING: Final = 0x0C
LONGEST: Final = 127
"""The most bytes of a text with a one-byte length."""
_PURPOSES: Final = frozenset({ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})
_Extension = TypeVar("_Extension", x509.KeyUsage, x509.ExtendedKeyUsage)
_HASHES: Final = {"secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512()}


class Untrusted(Exception):
    """Why a signature does not count, in one line."""


@dataclass(frozen=True, slots=True)
class Material:
    """What accompanies a signature."""

    certificate: x509.Certificate | None = None
    intermediates: tuple[x509.Certificate, ...] = ()
    entry: Mapping[str, Any] | None = None
    """The entry in a transparency log, as a bundle has it (TransparencyLogEntry)."""


@dataclass(frozen=True, slots=True)
class Signed:
    """Bytes with a signature over them."""

    message: bytes
    signature: bytes
    material: Material
    payload: bytes = b""
    """The type of the wrapped message (DSSE); empty: the message itself was signed."""


@contextmanager
def reasons(otherwise: str) -> Iterator[None]:
    """Turns any error of parsers of foreign bytes into a reason not to trust them."""
    try:
        yield
    except Untrusted:
        raise
    except Exception as error:
        raise Untrusted(f"{otherwise} ({type(error).__name__}: {error})") from error


def verifies(key: Any, signature: bytes, message: bytes) -> bool:
    """Whether the signature is valid, with the hash that belongs to the key; cosign takes SHA-256 for every curve."""
    try:
        match key:
            case ec.EllipticCurvePublicKey():
                return _verifies_on_curve(key, signature, message)
            case ed25519.Ed25519PublicKey():
                key.verify(signature, message)
            case rsa.RSAPublicKey() if key.key_size >= 2048:
                key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
            case _:
                raise Untrusted(f"keys of the kind {type(key).__name__} are not supported; use one on the curve P-256")
    except InvalidSignature:
        return False
    return True


def _verifies_on_curve(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    own = _HASHES.get(key.curve.name)
    if own is None:
        raise Untrusted(f"the curve {key.curve.name} is not supported; use P-256")
    for algorithm in {own.name: own, "sha256": hashes.SHA256()}.values():
        try:
            key.verify(signature, message, ec.ECDSA(algorithm))
        except InvalidSignature:
            continue
        return True
    return False


def chain(
    certificate: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    moment: float,
) -> list[x509.Certificate]:
    """The issuers of a certificate at a time, its own first."""
    at = datetime.fromtimestamp(moment, UTC)
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        raise Untrusted(
            f"its certificate was valid from {certificate.not_valid_before_utc:%Y-%m-%d} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d}, and not on {at:%Y-%m-%d}"
        )
    if not anchors:
        raise Untrusted(f"no authority of the trust root was valid on {at:%Y-%m-%d}")
    usage, anything = x509.ExtendedKeyUsage, verification.Criticality.AGNOSTIC
    authority = verification.ExtensionPolicy.webpki_defaults_ca().may_be_present(usage, anything, None)
    leaf = verification.ExtensionPolicy.webpki_defaults_ee().may_be_present(usage, anything, None)
    builder = verification.PolicyBuilder().store(verification.Store(list(anchors))).time(at.replace(tzinfo=None))
    policy = builder.extension_policies(ca_policy=authority, ee_policy=leaf).build_client_verifier()
    try:
        issuers = list(policy.verify(certificate, list(intermediates)).chain[1:])
    except verification.VerificationError as error:
        raise Untrusted(f"its certificate is not by a trusted authority ({error})") from None
    for each in issuers:
        require_purpose(each)
    return issuers


def subjects(certificate: x509.Certificate) -> list[str]:
    try:
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    kinds = (x509.RFC822Name, x509.UniformResourceIdentifier, x509.DNSName)
    return [name for kind in kinds for name in named.get_values_for_type(kind)]


def issuer(certificate: x509.Certificate) -> str:
    """The issuer of the identity in a keyless certificate."""
    for extension in certificate.extensions:
        value = getattr(extension.value, "value", b"")
        if extension.oid == ISSUER and value[:1] == bytes([UTF8_STRING]) and len(value) - 2 == value[1] <= LONGEST:
            return str(value[2:], "utf-8")
        if extension.oid == ISSUER_BEFORE:
            return str(value, "utf-8")
    raise Untrusted("its certificate does not say who vouches for the signer")


def fingerprint(key: Any) -> str:
    """SHA-256 of the key as certificates hold it (SubjectPublicKeyInfo)."""
    return hashlib.sha256(
        key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    ).hexdigest()


def certificate(raw: str) -> x509.Certificate:
    """The certificate in a bundle: DER in base64."""
    return x509.load_der_x509_certificate(base64.b64decode(raw, validate=True))


def require_purpose(certificate: x509.Certificate) -> None:
    purposes = extension(certificate, x509.ExtendedKeyUsage)
    if purposes is not None and _PURPOSES.isdisjoint(purposes):
        raise Untrusted("its certificate is for other purposes than signatures (extendedKeyUsage codeSigning)")


def extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
