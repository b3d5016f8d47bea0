"""Trusted signers: keys, certificates of an authority, and identities that a log has witnessed.

    a signature alone                 one of `publicKeys`
    with a certificate                it chains to one of `authorities`, is valid now, and names one of `identities`
    with a certificate and a log's    the same at the time that the log of `trustedRoot` gives, by the authorities
    entry (keyless)                   there, and for an identity with its issuer

Nothing is fetched: the trusted keys come with the order. Every defect raises Untrusted.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from sluice_storage.signing import certificates, transparency
from sluice_storage.signing.certificates import Material, Signed, Untrusted


@dataclass(frozen=True, slots=True)
class Identity:
    """A signer that a certificate names."""

    subject: str
    """A name of the certificate: an address, a URI or a host; a `*` at its end stands for anything."""
    issuer: str = ""
    """Its issuer, such as https://token.actions.githubusercontent.com; empty: one of `authorities`."""

    def is_in(self, names: Sequence[str]) -> bool:
        if self.subject.endswith("*"):
            return any(name.startswith(self.subject[:-1]) for name in names)
        return self.subject in names


@dataclass(frozen=True, slots=True)
class Trust:
    """The trusted signers."""

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
        """The signer, in words."""
        with certificates.reasons("the signature has no meaning"):
            certificate, entry = signed.material.certificate, signed.material.entry
            if certificate is None:
                return self._owner(signed)
            if not certificates.verifies(certificate.public_key(), signed.signature, signed.message):
                raise Untrusted("the signature is not that of its certificate's key")
            if entry is not None and self.root is not None:
                return self._witnessed(signed, certificate, entry, self.root)
            return self._certified(signed.material, certificate)

    def _owner(self, signed: Signed) -> str:
        for key in self.public_keys:
            if certificates.verifies(key, signed.signature, signed.message):
                return f"key {certificates.fingerprint(key)[:16]}"
        raise Untrusted(
            f"it is signed by none of the {len(self.public_keys)} trusted keys"
            if self.public_keys
            else "no key is trusted"
        )

    def _certified(self, material: Material, certificate: x509.Certificate) -> str:
        if not self.authorities:
            raise Untrusted("it is signed with a certificate, and no authority of such ones is trusted")
        certificates.chain(certificate, material.intermediates, self.authorities, time.time())
        return self._named(certificate, "")

    def _witnessed(
        self, signed: Signed, certificate: x509.Certificate, entry: Mapping[str, Any], root: Mapping[str, Any]
    ) -> str:
        moment = transparency.moment(signed, certificate, entry, root)
        anchors = transparency.authorities(root, moment)
        issuers = certificates.chain(certificate, signed.material.intermediates, anchors, moment)
        transparency.require_logged(certificate, issuers[0], root)
        return self._named(certificate, certificates.issuer(certificate))

    def _named(self, certificate: x509.Certificate, vouching: str) -> str:
        _require_for_signing(certificate)
        names = certificates.subjects(certificate)
        for identity in self.identities:
            if identity.issuer == vouching and identity.is_in(names):
                return f"{names[0] if identity.subject.endswith('*') else identity.subject}" + (
                    f" ({vouching})" if vouching else ""
                )
        whose = f"{', '.join(names) or 'nobody'}{f' by {vouching}' if vouching else ''}"
        raise Untrusted(f"its certificate is that of {whose}, which is no trusted identity")


def _certificates(text: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(text.encode())


def _require_for_signing(certificate: x509.Certificate) -> None:
    """Each of the two extensions, if present, must allow it (RFC 5280, 4.2.1.12), and one must be present."""
    usage = certificates.extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        raise Untrusted("its certificate is not for signatures (keyUsage digitalSignature)")
    certificates.require_purpose(certificate)
    if usage is None and certificates.extension(certificate, x509.ExtendedKeyUsage) is None:
        raise Untrusted("its certificate is not for signatures (keyUsage digitalSignature)")
