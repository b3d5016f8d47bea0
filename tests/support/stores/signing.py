"""Signatures as `model_signing` and cosign make them, by a test's own keys, authorities and trust root.

`tests/unit/serving_runtime/test_signing_tool.py` checks that the tool accepts them, and that the downloader accepts the
tool's.
"""

import base64
import hashlib
import json
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
MODEL: Final = "https://model_signing/signature/v1.0"
IMAGE: Final = "https://sigstore.dev/cosign/sign/v1"
BUNDLE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
ISSUER: Final = "https://accounts.example.com"
TEAM: Final = "models@example.com"
DAY: Final = timedelta(days=1)


def now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


def coded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def new_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def private(key: ec.EllipticCurvePrivateKey) -> bytes:
    """In PEM, as tools read it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_private(text: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(text, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def public(key: ec.EllipticCurvePrivateKey) -> str:
    text = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def signature(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    hash_: hashes.HashAlgorithm = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}[key.key_size]
    return key.sign(message, ec.ECDSA(hash_))


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def der(certificate: x509.Certificate) -> str:
    return coded(certificate.public_bytes(serialization.Encoding.DER))


@dataclass
class Signer:
    """A key, with a certificate where an authority gave one."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    certificates: tuple[x509.Certificate, ...] = ()

    @property
    def public(self) -> str:
        return public(self.key)

    def material(self) -> dict[str, Any]:
        if not self.certificates:
            hint = hashlib.sha256(self.public.encode()).hexdigest()
            return {"publicKey": {"hint": hint}, "tlogEntries": []}
        chain = [{"rawBytes": der(each)} for each in self.certificates]
        return {"x509CertificateChain": {"certificates": chain}, "tlogEntries": []}

    def bundle(self, statement: Mapping[str, Any]) -> dict[str, Any]:
        payload = json.dumps(statement).encode()
        sig = signature(self.key, pae(payload))
        envelope = {
            "payload": coded(payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": coded(sig), "keyid": ""}],
        }
        return {"mediaType": BUNDLE, "verificationMaterial": self.material(), "dsseEnvelope": envelope}

    def model(self, name: str, files: Mapping[str, bytes], **more: Any) -> bytes:
        return json.dumps(self.bundle(of_files(name, files, **more))).encode()


def pae(payload: bytes) -> bytes:
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def of_files(
    name: str, files: Mapping[str, bytes], *, ignored: Sequence[str] = ("model.sig",), shard: int = 0
) -> dict[str, Any]:
    """The statement of `model_signing sign`."""
    how: dict[str, Any] = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": ignored}
    listed: list[dict[str, str]] = []
    for path, body in sorted(files.items()):
        if shard:
            how |= {"method": "shards", "shard_size": shard}
            listed += [
                entry(
                    f"{path}:{start}:{min(start + shard, len(body))}", body[start : start + shard], f"-sharded-{shard}"
                )
                for start in range(0, len(body), shard)
            ]
        else:
            listed.append(entry(path, body))
    total = hashlib.sha256(b"".join(bytes.fromhex(each["digest"]) for each in listed)).hexdigest()
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": total}}],
        "predicateType": MODEL,
        "predicate": {"serialization": how, "resources": listed},
    }


def entry(name: str, body: bytes, suffix: str = "") -> dict[str, str]:
    return {"name": name, "algorithm": f"sha256{suffix}", "digest": hashlib.sha256(body).hexdigest()}


def of_image(digest: str, name: str = "", predicate: str = IMAGE) -> dict[str, Any]:
    """The statement of cosign 3."""
    subject = {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [subject],
        "predicateType": predicate,
        "predicate": {},
    }


def simple(digest: str, name: str) -> bytes:
    """What cosign signs of an image."""
    critical = {
        "identity": {"docker-reference": name},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    return json.dumps({"critical": critical, "optional": None}).encode()


class Authority:
    """Issues certificates."""

    def __init__(
        self,
        name: str = "Models CA",
        above: "Authority | None" = None,
        purposes: Sequence[ObjectIdentifier] = (),
    ) -> None:
        self.key = new_key()
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        parent, today = above or self, now()
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(parent.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(today - 400 * DAY)
            .not_valid_after(today + 400 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(parent.key.public_key()), critical=False)
        )
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=True)
        self.certificate = builder.sign(parent.key, hashes.SHA256())
        self.above = above

    def signer(
        self,
        *names: x509.GeneralName,
        begins: datetime | None = None,
        lasts: timedelta = DAY,
        issuer: str = "",
        for_signing: bool = True,
        purposes: Sequence[ObjectIdentifier] = (ExtendedKeyUsageOID.CODE_SIGNING,),
        logged: "Log | None" = None,
    ) -> Signer:
        key, begins = new_key(), begins or now() - timedelta(hours=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + lasts)
            .add_extension(x509.SubjectAlternativeName(names or [x509.RFC822Name(TEAM)]), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if for_signing:
            builder = builder.add_extension(_usage(), critical=True)
            # Fulcio's is not critical, and sigstore refuses a critical one; one for another purpose insists on it.
            builder = builder.add_extension(
                x509.ExtendedKeyUsage(purposes), critical=ExtendedKeyUsageOID.CODE_SIGNING not in purposes
            )
        if issuer:
            text = issuer.encode()
            for number, body in ((1, text), (8, bytes([0x0C, len(text)]) + text)):
                oid = ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{number}")
                builder = builder.add_extension(x509.UnrecognizedExtension(oid, body), critical=False)
        chain = (self.certificate,) if self.above is not None else ()
        if logged is not None:
            blank = builder.add_extension(_stamps(bytes(32), 0, b"none"), critical=False).sign(
                self.key, hashes.SHA256()
            )
            told, millis = blank.tbs_precertificate_bytes, int(begins.timestamp()) * 1000
            entry = hashlib.sha256(spki(self.key)).digest() + len(told).to_bytes(3, "big") + told
            stamp = signature(logged.key, struct.pack("!BBQH", 0, 0, millis, 1) + entry + bytes(2))
            builder = builder.add_extension(_stamps(logged.name, millis, stamp), critical=False)
        return Signer(key, (builder.sign(self.key, hashes.SHA256()), *chain))


def _stamps(log: bytes, millis: int, stamp: bytes) -> x509.UnrecognizedExtension:
    """A certificate log's promise (SCT), in the format of a certificate (RFC 6962, 3.3)."""
    one = struct.pack("!B32sQHBBH", 0, log, millis, 0, 4, 3, len(stamp)) + stamp
    listed = struct.pack("!HH", len(one) + 2, len(one)) + one
    octets = bytes([0x04, 0x81, len(listed)]) if len(listed) > 127 else bytes([0x04, len(listed)])
    return x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2"), octets + listed)


def _usage(*, certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


class Log:
    """A transparency log with two entries: ours, and one beside it."""

    def __init__(self, origin: str = "log.example.com") -> None:
        self.key = new_key()
        self.origin = origin
        self.name = hashlib.sha256(spki(self.key)).digest()

    def entry(self, body: Mapping[str, Any], taken: datetime, *, proof: bool = True) -> dict[str, Any]:
        raw = json.dumps(body).encode()
        seconds = int(taken.timestamp())
        said = {"body": coded(raw), "integratedTime": seconds, "logID": self.name.hex(), "logIndex": 41}
        promise = signature(self.key, json.dumps(said, sort_keys=True, separators=(",", ":")).encode())
        result = {
            "logIndex": "41",
            "logId": {"keyId": coded(self.name)},
            "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
            "integratedTime": str(seconds),
            "inclusionPromise": {"signedEntryTimestamp": coded(promise)},
            "canonicalizedBody": coded(raw),
        }
        return {**result, "inclusionProof": self._proof(raw)} if proof else result

    def _proof(self, raw: bytes) -> dict[str, Any]:
        """Of the third leaf of five."""
        leaf = hashlib.sha256(b"\0" + raw).digest()
        others = [hashlib.sha256(b"\0" + bytes([each])).digest() for each in range(4)]
        left, right = _node(others[0], others[1]), _node(leaf, others[2])
        root = _node(_node(left, right), others[3])
        note = f"{self.origin} - 1\n5\n{coded(root)}\n"
        stamp = self.name[:4] + signature(self.key, note.encode())
        return {
            "logIndex": "2",
            "treeSize": "5",
            "rootHash": coded(root),
            "hashes": [coded(others[2]), coded(left), coded(others[3])],
            "checkpoint": {"envelope": f"{note}\n\u2014 {self.origin} {coded(stamp)}\n"},
        }

    def described(self) -> dict[str, Any]:
        """Its entry in a trust root."""
        return {
            "baseUrl": f"https://{self.origin}",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": coded(spki(self.key)),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": {"start": "2020-01-01T00:00:00Z"},
            },
            "logId": {"keyId": coded(self.name)},
        }


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


@dataclass
class Keyless:
    """A signer without its own keys: an authority for short-lived certificates, and a log."""

    authority: Authority = field(default_factory=lambda: Authority("Fulcio"))
    log: Log = field(default_factory=Log)
    certificates: Log | None = None
    """A log of certificates."""

    def root(self) -> dict[str, Any]:
        """trusted_root.json."""
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [self.log.described()],
            "certificateAuthorities": [
                {
                    "subject": {"organization": "example", "commonName": "Fulcio"},
                    "uri": "https://fulcio.example.com",
                    "certChain": {"certificates": [{"rawBytes": der(self.authority.certificate)}]},
                    "validFor": {"start": "2020-01-01T00:00:00Z"},
                }
            ],
            "ctlogs": [] if self.certificates is None else [self.certificates.described()],
            "timestampAuthorities": [],
        }

    def bundle(
        self,
        statement: Mapping[str, Any],
        *names: x509.GeneralName,
        taken: datetime | None = None,
        begins: datetime | None = None,
        logged: Log | None = None,
    ) -> dict[str, Any]:
        taken = taken or now() - 100 * DAY
        begins = begins or taken - timedelta(minutes=1)
        logged = logged or self.certificates
        signer = self.authority.signer(*names, begins=begins, lasts=timedelta(minutes=10), issuer=ISSUER, logged=logged)
        bundle = signer.bundle(statement)
        envelope = bundle["dsseEnvelope"]
        body = {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": {"algorithm": "sha256", "value": "00" * 32},
                "payloadHash": {
                    "algorithm": "sha256",
                    "value": hashlib.sha256(base64.b64decode(envelope["payload"])).hexdigest(),
                },
                "signatures": [
                    {
                        "signature": envelope["signatures"][0]["sig"],
                        "verifier": coded(pem(signer.certificates[0]).encode()),
                    }
                ],
            },
        }
        bundle["verificationMaterial"] = {
            "certificate": {"rawBytes": der(signer.certificates[0])},
            "tlogEntries": [self.log.entry(body, taken)],
        }
        return bundle


def wanted(
    *,
    keys: Iterable[str] = (),
    authorities: Iterable[str] = (),
    identities: Iterable[Mapping[str, str]] = (),
    root: Mapping[str, Any] | None = None,
    mode: str = "Enforce",
    by: str = "config.verification",
    **more: str,
) -> dict[str, Any]:
    """One requirement of --verification."""
    trust = {"publicKeys": [*keys], "authorities": [*authorities], "identities": [*identities]}
    return {"by": by, "mode": mode, "trust": trust | ({"trustedRoot": root} if root else {}), **more}


def asked(*requirements: Mapping[str, Any]) -> tuple[str, str]:
    """Arguments of the downloader."""
    return "--verification", json.dumps(requirements)
