"""Whether a model has a signer that the namespace, and the author of the spec, trust.

fetch or copy ──> gather: the signature ──> inspect: the bytes that lie in the pod's own volume ──> settle ──> unpack,
lay out

The inspected files are the delivered ones: nothing else writes to that volume, and unsigned files are removed from it.
A copy from the node's cache is inspected like a download, since others may write there; the cache keeps the signature
with the bytes, under a key with both their version and the trusted signers, which saves a request to the store.
"""

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from sluice_storage import console
from sluice_storage.failures import DownloadError, Reason
from sluice_storage.stores import hf, oci, sources
from sluice_storage.stores.source import Source
from sluice_storage.tree import Allowance

if TYPE_CHECKING:  # cryptography is imported only to verify
    from sluice_storage.signing.signers import Trust

EVIDENCE: Final = ".sluice-signature"
"""The place of a signature that is not a file of the model: beside its files, while they are fetched and cached."""
SUFFIX: Final = ".sig"
"""The suffix of a signature's address after the file's."""
MOST_BYTES: Final = 64 << 20
"""The most bytes of a signature: one for a hundred thousand files has some 20 MB."""
ENFORCE: Final = "Enforce"
LONGEST: Final = 1000
"""The most characters about a failure that is only a warning."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A requirement of the platform or the spec."""

    by: str
    """The field that contains it."""
    enforced: bool
    trust: Mapping[str, Any]
    name: str = ""
    """The required name in the signature; empty: any."""
    digest: str = ""
    """The required digest; empty: any."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result for the operator."""

    digest: str = ""
    signer: str = ""
    problem: str = ""
    """Why it is not verified, if that is only a warning."""

    def told(self, now: float) -> str:
        said = {"digest": self.digest, "signer": self.signer, "problem": self.problem[:LONGEST]}
        known = {key: value for key, value in said.items() if value}
        return json.dumps({"verification": {**known, "time": f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}"}})


def read(text: str) -> tuple[Requirement, ...]:
    """The value of --verification; empty: nothing is required. Raises DownloadError for a malformed one."""
    if not text:
        return ()
    from sluice_storage.signing import certificates, signers

    try:
        found = tuple(
            Requirement(
                each["by"], each["mode"] == ENFORCE, each["trust"], each.get("name") or "", each.get("digest") or ""
            )
            for each in json.loads(text)
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DownloadError(Reason.VERIFICATION_FAILED, f"--verification has no meaning ({error})") from None
    for each in found:
        try:
            with certificates.reasons(f"the keys or certificates of {each.by} have no meaning"):
                signers.Trust.read(each.trust)
        except certificates.Untrusted as error:
            raise DownloadError(Reason.VERIFICATION_FAILED, f"{error}; correct {each.by}") from None
    return found


class Inspector:
    """For one download."""

    def __init__(self, wanted: tuple[Requirement, ...], uri: str) -> None:
        self._wanted = wanted
        self._uri = uri
        self._dropped: list[Path] = []
        self._claims: list[Finding] = []
        self._problem = ""
        self._of_files = not uri.startswith("oci://")

    @property
    def enforces(self) -> bool:
        return any(each.enforced for each in self._wanted)

    @property
    def trusted(self) -> list[str]:
        """The trusted signers, for the cache's key; empty where no signature is required."""
        if not self._wanted:
            return []
        told = [(each.by, each.enforced, each.trust, each.name, each.digest) for each in self._wanted]
        return [hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()]

    @property
    def finding(self) -> Finding | None:
        """None where nothing is required."""
        if not self._wanted:
            return None
        if self._problem:
            return Finding(problem=self._problem)
        whose = dict.fromkeys(claim.signer for claim in self._claims)
        return Finding(self._claims[0].digest, ", ".join(whose))

    def gather(self, source: Source, folder: Path, *, plain_http: bool) -> None:
        """Puts the signature beside the files, if it is not one of them."""
        if not self._wanted:
            return
        from sluice_storage.signing import cosign

        target = folder / EVIDENCE
        _remove(target)
        try:
            if isinstance(source, oci.Image):
                target.write_bytes(cosign.kept(source.signatures()))
            elif sum(path.is_file() for path in folder.rglob("*")) == 1:
                self._fetch_beside(target, plain_http=plain_http)
        except DownloadError as error:
            if self.enforces:
                raise
            console.say(f"WARNING: the signature cannot be read: {error}")

    def _fetch_beside(self, target: Path, *, plain_http: bool) -> None:
        place = beside(self._uri)
        shown, folder = sources.shown(place), target.with_name(f"{EVIDENCE}-folder")
        excess = DownloadError(Reason.VERIFICATION_FAILED, f"{shown} is too large for a signature")
        folder.mkdir(exist_ok=True)
        try:
            signature = sources.named(place, plain_http=plain_http)
            signature.version()
            signature.fetch(folder, Allowance(MOST_BYTES, excess))
            (file,) = [path for path in folder.rglob("*") if path.is_file()]
            file.rename(target)
        except DownloadError as error:
            if error.reason is not Reason.OBJECT_NOT_FOUND:
                raise  # failing to read it does not prove that there is none
        finally:
            _remove(folder)

    def inspect(self, source: Source | None, folder: Path) -> None:
        """Raises DownloadError where an enforced requirement is not met."""
        if not self._wanted:
            return
        from sluice_storage.signing import certificates

        self._claims, self._problem = [], ""
        self._dropped = [place for place in (_signature(folder)[1],) if self._of_files and place is not None]
        for each in self._wanted:
            try:
                with certificates.reasons("it cannot be verified"):
                    self._claims.append(self._claim(each, source, folder))
            except certificates.Untrusted as why:
                said = f"{sources.shown(self._uri)}: {why} ({each.by})"
                if each.enforced:
                    raise DownloadError(
                        Reason.VERIFICATION_FAILED, f"{said}; sign it, or put back what was signed"
                    ) from None
                console.say(f"WARNING: not verified: {said}")
                self._problem = self._problem or said
        if not self._problem:
            whose = dict.fromkeys(f"{claim.digest}, signed by {claim.signer}" for claim in self._claims)
            console.say(f"verified: {'; '.join(whose)}")

    def _claim(self, wanted: Requirement, source: Source | None, folder: Path) -> Finding:
        from sluice_storage.signing import certificates, cosign, signers

        trust = signers.Trust.read(wanted.trust)
        if isinstance(source, oci.Image):
            body = _bounded(folder / EVIDENCE)
            who, digest = cosign.signer(body, source.digests, wanted.name, trust)
        elif self._of_files:
            who, digest = self._signer_of_files(wanted, trust, source, folder)
        else:
            raise certificates.Untrusted("the node mounts the image, and nobody has seen its signature")
        if wanted.digest and wanted.digest != digest:
            raise certificates.Untrusted(f"{digest} is signed, and {wanted.digest} is wanted")
        return Finding(digest, who)

    def _signer_of_files(
        self, wanted: Requirement, trust: "Trust", source: Source | None, folder: Path
    ) -> tuple[str, str]:
        from sluice_storage.signing import bundles, certificates, signedfiles

        root, place = _signature(folder)
        if place is None:
            raise certificates.Untrusted(
                f"there is no signature: neither {signedfiles.SIGNATURE} in the model's folder, nor, for one file, "
                f"{sources.shown(beside(self._uri))}"
            )
        statement = bundles.read(_bounded(place))
        who = trust.signer(statement.signed)
        signed = signedfiles.read(statement)
        if wanted.name and wanted.name != signed.name:
            raise certificates.Untrusted(f"it is signed as {signed.name!r}, and {wanted.name!r} is wanted")
        of_hub = source if isinstance(source, hf.HF) else None
        dropped = signedfiles.require_same(
            signed,
            root,
            but=EVIDENCE if root == folder else "",
            read_by=of_hub.read_by if of_hub is not None else "",
            hashed=_below(root, folder, of_hub.hashed) if of_hub is not None else {},
        )
        self._dropped += [root / file for file in dropped] if wanted.enforced else []
        return who, signed.digest

    def settle(self, folder: Path) -> None:
        """Leaves the signed files; where a failure is a warning, it removes only the signature."""
        for file in (folder / EVIDENCE, *self._dropped):
            _remove(file)
        if not self.enforces or not self._of_files:
            return
        for place in sorted(folder.rglob("*"), reverse=True):  # deepest first; an empty folder cannot be signed
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()


def beside(uri: str) -> str:
    """The address of the signature of a model of one file."""
    if uri.startswith("hf://"):
        path, mark, revision = uri.partition("@")
        return f"{path}{SUFFIX}{mark}{revision}"
    if uri.startswith(("https://", "http://")):
        path = urlsplit(uri).path
        return uri.partition("?")[0].removesuffix(path) + path + SUFFIX
    return f"{uri}{SUFFIX}"


def _signature(folder: Path) -> tuple[Path, Path | None]:
    """The signed folder, which may be nested as the only content of others, and its signature."""
    from sluice_storage.signing import signedfiles

    root, evidence = folder, folder / EVIDENCE
    while not (root / signedfiles.SIGNATURE).is_file():
        inside = [path for path in root.iterdir() if path != evidence]
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].is_symlink():
            return root, evidence if evidence.is_file() else None
        root = inside[0]
    return root, root / signedfiles.SIGNATURE


def _below(root: Path, folder: Path, files: Mapping[str, str]) -> dict[str, str]:
    """`files`, keyed by names below `folder`, rekeyed by names below `root`."""
    return {os.path.relpath(folder / name, root): told for name, told in files.items()}


def _bounded(place: Path) -> bytes:
    """A signature. Raises Untrusted where it is not one."""
    from sluice_storage.signing import certificates

    with os.fdopen(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise certificates.Untrusted("its signature is no file")
        body = file.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise certificates.Untrusted("its signature is too large")
    return body


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
