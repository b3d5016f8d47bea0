"""The signatures that a model needs: by its spec, and by the platform for its namespace."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field

from sluice_core.api.base import Time
from sluice_judge.schema.cel import Cel
from sluice_judge.schema.model import ApiModel, no_items

_BASE64: Final = r"[A-Za-z0-9+/=\s]+"
PublicKey = Annotated[
    str,
    Field(max_length=1024, pattern=rf"^\s*-----BEGIN PUBLIC KEY-----{_BASE64}-----END PUBLIC KEY-----\s*$"),
]
"""A public key in PEM: ECDSA on P-256, P-384 or P-521, Ed25519, or RSA of 2048 bits and more."""
Certificates = Annotated[
    str,
    Field(
        max_length=4096,
        pattern=rf"^\s*(-----BEGIN CERTIFICATE-----{_BASE64}-----END CERTIFICATE-----\s*)+$",
    ),
]
"""Certificates in PEM."""


class VerificationMode(StrEnum):
    """What happens to a model that is not verified."""

    OFF = "Off"
    """Signatures are not checked."""
    WARN = "Warn"
    """It serves; status and log say that it is not verified, and why."""
    ENFORCE = "Enforce"
    """It is not served."""


class SignerIdentity(ApiModel):
    """A signer that a certificate names."""

    subject: Annotated[str, Field(min_length=3, max_length=512, pattern=r"^[^\s*]+\*?$")]
    """A name in the certificate (subjectAltName): an e-mail address, a URI or a host name. A `*` at the end matches any
    ending."""
    issuer: Annotated[str, Field(min_length=1, max_length=126)] | None = None
    """The identity provider of a keyless signature's signer, such as https://token.actions.githubusercontent.com. None:
    the certificate is by one of authorities."""


class SignatureTrust(ApiModel):
    """The signatures that count; any one of them is enough. Twice the maximum fits into one argument of a program (128
    KiB)."""

    public_keys: Annotated[list[PublicKey], Field(max_length=16)] = Field(default_factory=no_items)
    """Keys of signers."""
    authorities: Annotated[list[Certificates], Field(max_length=4)] = Field(default_factory=no_items)
    """Authorities that certify signers. A certificate counts while it is valid, and for signers in identities."""
    trusted_root: Annotated[str, Field(min_length=2, max_length=16384)] | None = None
    """For keyless signatures: Sigstore's trusted_root.json, with authorities and logs. None of them is contacted."""
    identities: Annotated[list[SignerIdentity], Field(max_length=16)] = Field(default_factory=no_items)
    """The signers whose certificates count."""

    @property
    def names_somebody(self) -> bool:
        """Whether any signature could count."""
        return bool(self.public_keys or ((self.authorities or self.trusted_root) and self.identities))


NEEDS_IDENTITIES: Final = Cel(
    "!(has(self.authorities) && size(self.authorities) > 0 || has(self.trustedRoot)) || "
    "has(self.identities) && size(self.identities) > 0",
    message="authorities and trustedRoot certify anybody: name the signers that count",
    field_path=".identities",
    reason="FieldValueRequired",
)


class ModelVerification(SignatureTrust):
    """The required signers of a model and its adapters, and what they signed. It adds to the platform's requirements
    and removes none.
    """

    cel_rules: ClassVar[tuple[Cel, ...]] = (NEEDS_IDENTITIES,)

    mode: VerificationMode = VerificationMode.ENFORCE
    """What happens to a model that is not verified."""
    name: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """The name of the model in the signature: the name of the folder or file that was signed, or of an image's
    repository. It prevents another model of the same signer from passing for this one. None: any."""
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", min_length=71, max_length=71)] | None = None
    """The digest that must have been signed, as the status shows it. It prevents another version of the same signer
    from passing for this one, such as one from before a fix. None: any."""


class VerificationStatus(ApiModel):
    """What the oldest pod of a revision found before its server saw the model."""

    verified: bool = False
    """Whether the model and each of its adapters are verified."""
    digest: str = ""
    """The digest of the model: of all files that were signed, or of the image's manifest."""
    signer: str = ""
    """The beginning of the key's fingerprint, or the identity and its issuer."""
    time: Time | None = None
    """When it was verified."""
    problem: str = ""
    """Why it is not verified; only with mode Warn."""
