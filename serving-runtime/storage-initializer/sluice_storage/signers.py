"""Whose signature counts: keys, certificates of an authority, and identities that a log has witnessed.

    a signature alone                 one of `publicKeys`
    with a certificate                it chains to one of `authorities`, is valid now, and names one of `identities`
    with a certificate and a log's    the same at the time that the log of `trustedRoot` gives, by the authorities
    entry (keyless)                   there, and for an identity with its issuer

Nothing is fetched: what is trusted comes with the order. Everything that is wrong raises Untrusted.
"""

import base64
import hashlib
import time
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
"""Of Fulcio's certificates: who said who the signer is, as a UTF8String."""
ISSUER_BEFORE: Final = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
"""The same as earlier certificates have it, as it is."""
UTF8_STRING: Final = 0x0C
LONGEST: Final = 127
"""Bytes of a text whose length is one byte."""
_PURPOSES: Final = frozenset({ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})
_Extension = TypeVar("_Extension", x509.KeyUsage, x509.ExtendedKeyUsage)
_HASHES: Final = {"secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512()}


class Untrusted(Exception):
    """Why a signature does not count, in one line."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody whom a certificate names."""

    subject: str
    """A name of the certificate: an address, a URI or a host; a `*` at its end stands for anything."""
    issuer: str = ""
    """Who vouches for it, such as https://token.actions.githubusercontent.com; empty: one of `authorities`."""

    def is_in(self, names: Sequence[str]) -> bool:
        if self.subject.endswith("*"):
            return any(name.startswith(self.subject[:-1]) for name in names)
        return self.subject in names


@dataclass(frozen=True, slots=True)
class Material:
    """What comes with a signature."""

    certificate: x509.Certificate | None = None
    intermediates: tuple[x509.Certificate, ...] = ()
    entry: Mapping[str, Any] | None = None
    """Of a transparency log, as a bundle has it (TransparencyLogEntry)."""


@dataclass(frozen=True, slots=True)
class Signed:
    """Bytes with a signature over them."""

    message: bytes
    signature: bytes
    material: Material
    payload: bytes = b""
    """What the message wraps (DSSE); empty: the message itself was signed."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to believe."""

    public_keys: tuple[Any, ...] = ()
    authorities: tuple[x509.Certificate, ...] = ()
    identities: tuple[Identity, ...] = ()
    root: Mapping[str, Any] | None = None
    """Sigstore's trusted root (trusted_root.json)."""

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Trust":
        return cls(
            tuple(serialization.load_pem_public_key(text.encode()) for text in document.get("publicKeys", ())),
            tuple(each for text in document.get("authorities", ()) for each in _certificates(text)),
            tuple(Identity(each["subject"], each.get("issuer") or "") for each in document.get("identities", ())),
            document.get("trustedRoot"),
        )

    def signer(self, signed: Signed) -> str:
        """Who signed, in words."""
        with reasons("the signature has no meaning"):
            certificate, entry = signed.material.certificate, signed.material.entry
            if certificate is None:
                return self._owner(signed)
            if not verifies(certificate.public_key(), signed.signature, signed.message):
                raise Untrusted("the signature is not that of its certificate's key")
            if entry is not None and self.root is not None:
                return self._witnessed(signed, certificate, entry, self.root)
            return self._certified(signed.material, certificate)

    def _owner(self, signed: Signed) -> str:
        for key in self.public_keys:
            if verifies(key, signed.signature, signed.message):
                return f"key {fingerprint(key)[:16]}"
        raise Untrusted(
            f"it is signed by none of the {len(self.public_keys)} trusted keys"
            if self.public_keys
            else "no key is trusted"
        )

    def _certified(self, material: Material, certificate: x509.Certificate) -> str:
        if not self.authorities:
            raise Untrusted("it is signed with a certificate, and no authority of such ones is trusted")
        chain(certificate, material.intermediates, self.authorities, time.time())
        return self._named(certificate, "")

    def _witnessed(
        self, signed: Signed, certificate: x509.Certificate, entry: Mapping[str, Any], root: Mapping[str, Any]
    ) -> str:
        from sluice_storage import transparency

        moment = transparency.moment(signed, certificate, entry, root)
        anchors = transparency.authorities(root, moment)
        issuers = chain(certificate, signed.material.intermediates, anchors, moment)
        transparency.require_logged(certificate, issuers[0], root)
        return self._named(certificate, issuer(certificate))

    def _named(self, certificate: x509.Certificate, vouching: str) -> str:
        _require_for_signing(certificate)
        names = subjects(certificate)
        for identity in self.identities:
            if identity.issuer == vouching and identity.is_in(names):
                return f"{names[0] if identity.subject.endswith('*') else identity.subject}" + (
                    f" ({vouching})" if vouching else ""
                )
        whose = f"{', '.join(names) or 'nobody'}{f' by {vouching}' if vouching else ''}"
        raise Untrusted(f"its certificate is that of {whose}, which is no trusted identity")


@contextmanager
def reasons(otherwise: str) -> Iterator[None]:
    """Whatever readers of bytes from outside raise is one more reason not to believe them."""
    try:
        yield
    except Untrusted:
        raise
    except Exception as error:
        raise Untrusted(f"{otherwise} ({type(error).__name__}: {error})") from error


def verifies(key: Any, signature: bytes, message: bytes) -> bool:
    """With the hash that belongs to the key; cosign takes SHA-256 for every curve."""
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
        _require_purpose(each)
    return issuers


def subjects(certificate: x509.Certificate) -> list[str]:
    try:
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    kinds = (x509.RFC822Name, x509.UniformResourceIdentifier, x509.DNSName)
    return [name for kind in kinds for name in named.get_values_for_type(kind)]


def issuer(certificate: x509.Certificate) -> str:
    """Who vouches for the subject of a keyless certificate."""
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
    """Of a bundle: DER in base64."""
    return x509.load_der_x509_certificate(base64.b64decode(raw, validate=True))


def _certificates(text: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(text.encode())


def _require_for_signing(certificate: x509.Certificate) -> None:
    """Each of the two extensions that is there has to allow it (RFC 5280, 4.2.1.12), and one has to be there."""
    usage = _extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        raise Untrusted("its certificate is not for signatures (keyUsage digitalSignature)")
    _require_purpose(certificate)
    if usage is None and _extension(certificate, x509.ExtendedKeyUsage) is None:
        raise Untrusted("its certificate is not for signatures (keyUsage digitalSignature)")


def _require_purpose(certificate: x509.Certificate) -> None:
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    if purposes is not None and _PURPOSES.isdisjoint(purposes):
        raise Untrusted("its certificate is for other purposes than signatures (extendedKeyUsage codeSigning)")


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
