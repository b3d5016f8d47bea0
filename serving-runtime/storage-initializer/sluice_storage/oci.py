"""Models in an OCI registry: images with the model in /models (or at the top), and artifacts whose layers are files.

    GET /v2/                        --> 401 with a challenge: a token, or name and password
    GET /v2/<repository>/manifests/<tag or digest>  --> the image for this machine, by digest
    GET /v2/<repository>/blobs/<digest>             --> layers, continued where they were cut, each checked by its digest

The registry's protocol itself, because no kept library does this: kserve-storage (with oras) takes /models only, checks no
digest, and begins from the start again.
"""

import base64
import binascii
import hashlib
import json
import os
import platform
import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import urlencode

from sluice_storage import archive, checksum, mounted, transfer
from sluice_storage.failures import DownloadError, Reason
from sluice_storage.source import Version

LOGINS: Final = "DOCKER_CONFIG_JSON"
ADVICE: Final = "check the key .dockerconfigjson of the secret (type kubernetes.io/dockerconfigjson) that spec.model.credentialsSecretRef names"
WORK: Final = ".oci"
TITLE: Final = "org.opencontainers.image.title"
WHITEOUT: Final = ".wh."
OPAQUE: Final = ".wh..wh..opq"
INDEXES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
UNAUTHORIZED: Final = frozenset({401})

_REFERENCE: Final = re.compile(r"([^/]+)/([a-z0-9][a-z0-9._/-]*)(?::([\w.-]+))?(?:@(sha256:[0-9a-f]{64}))?")
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class _Layer:
    digest: str
    size: int
    media_type: str
    title: str
    """The file that the layer is; empty for a layer of an image."""

    @property
    def file(self) -> str:
        return self.digest.partition(":")[2]


class Image:
    """A Source."""

    resumable = True

    def __init__(self, uri: str, *, plain_http: bool) -> None:
        reference = _REFERENCE.fullmatch(uri.removeprefix("oci://"))
        if not reference:
            raise DownloadError(
                Reason.UNSUPPORTED_MODEL,
                f"spec.model.uri {uri!r} does not name an image; use oci://registry/repository:tag or …@sha256:DIGEST",
            )
        registry, self._repository, tag, digest = reference.groups()
        self._uri = uri
        self._reference = digest or tag or "latest"
        self._base = f"{'http' if plain_http else 'https'}://{'registry-1.docker.io' if registry == 'docker.io' else registry}/v2"
        self._login = _login(registry)
        self._session = transfer.new_session()
        self._headers: dict[str, str] | None = None
        self._layers: Sequence[_Layer] = ()
        self._digest = ""

    def version(self) -> Version:
        digest, manifest = self._manifest(self._reference)
        if manifest.get("mediaType") in INDEXES or "manifests" in manifest:
            digest, manifest = self._manifest(self._for_this_machine(manifest))
        self._layers = tuple(self._layers_of(manifest))
        self._digest = digest
        return Version(digest, sum(layer.size for layer in self._layers))

    def fetch(self, folder: Path) -> str:
        work = folder / WORK
        for entry in [path for path in folder.iterdir() if path != work]:  # of an attempt that ended at its very end
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        work.mkdir(exist_ok=True)
        for layer in self._layers:
            self._fetch_layer(layer, work)
        tree = work / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir()
        for layer in self._layers:
            if layer.title:
                target = tree / layer.title
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(work / layer.file, target)
        _unpack([work / layer.file for layer in self._layers if not layer.title], tree, self._uri)
        root = mounted.model_folder(tree)
        for entry in list(root.iterdir()):
            entry.rename(folder / entry.name)
        shutil.rmtree(work)
        return self._digest

    def _fetch_layer(self, layer: _Layer, work: Path) -> None:
        target = work / layer.file
        if not target.exists():
            told = transfer.Told(layer.size, immutable=True)
            transfer.fetch(self._session, self._remote(f"blobs/{layer.digest}"), told, target)
        actual = checksum.sha256(target)
        if actual != layer.file:
            target.unlink()  # the next attempt must not go on with it
            raise DownloadError(
                Reason.CHECKSUM_MISMATCH,
                f"{self._uri}: the registry gave sha256:{actual} for the layer {layer.digest}; push the image again",
            )

    def _manifest(self, reference: str) -> tuple[str, dict[str, Any]]:
        """The digest and the content of a manifest or an index."""
        page = transfer.read(self._session, self._remote(f"manifests/{reference}", (*MANIFESTS, *INDEXES)))
        digest = f"sha256:{hashlib.sha256(page.body).hexdigest()}"
        if reference.startswith("sha256:") and digest != reference:
            raise DownloadError(
                Reason.CHECKSUM_MISMATCH,
                f"{self._uri}: the registry gave {digest} for {reference}; push the image again",
            )
        try:
            manifest = json.loads(page.body)
        except ValueError:
            manifest = None
        if not isinstance(manifest, dict):
            raise DownloadError(
                Reason.DOWNLOAD_FAILED, f"{self._uri}: the registry gave no manifest; is it a registry?"
            )
        return digest, manifest

    def _for_this_machine(self, index: Mapping[str, Any]) -> str:
        wanted = ARCHITECTURES.get(platform.machine(), platform.machine())
        entries = index.get("manifests") or ()
        found = [entry for entry in entries if (entry.get("platform") or {}).get("architecture") == wanted]
        anything = [entry for entry in entries if not entry.get("platform")]
        for entry in [*found, *anything]:
            return str(entry["digest"])
        raise DownloadError(
            Reason.UNSUPPORTED_MODEL, f"{self._uri} has no image for {wanted}; build one, or name another image"
        )

    def _layers_of(self, manifest: Mapping[str, Any]) -> Iterator[_Layer]:
        for entry in manifest.get("layers") or ():
            title = str((entry.get("annotations") or {}).get(TITLE, ""))
            media_type, digest = str(entry.get("mediaType", "")), str(entry.get("digest", ""))
            is_tar = re.search(r"\.tar($|[.+])", media_type) is not None
            if media_type.endswith("zstd"):
                raise self._unsupported(f"a layer is compressed with zstd ({media_type}); build the image with gzip")
            if not is_tar and not title:
                continue  # attestations and the like
            if not _DIGEST.fullmatch(digest):
                raise self._unsupported(f"a layer has the digest {digest!r}; only sha256 is supported")
            if PurePosixPath(title).is_absolute() or ".." in PurePosixPath(title).parts:
                raise self._unsupported(f"a layer's title {title!r} leads out of the folder")
            yield _Layer(digest, int(entry.get("size", 0)), media_type, "" if is_tar else title)

    def _unsupported(self, text: str) -> DownloadError:
        return DownloadError(Reason.UNSUPPORTED_MODEL, f"{self._uri}: {text}")

    def _remote(self, path: str, accept: Sequence[str] = ()) -> transfer.Remote:
        if self._headers is None:
            self._headers = self._authorized()
        headers = {**self._headers, **({"Accept": ", ".join(accept)} if accept else {})}
        return transfer.Remote(f"{self._base}/{self._repository}/{path}", self._uri, ADVICE, headers)

    def _authorized(self) -> dict[str, str]:
        """The header that the registry wants: none, name and password, or a token for them."""
        basic = {"Authorization": f"Basic {self._login}"} if self._login else {}
        page = transfer.read(self._session, transfer.Remote(f"{self._base}/", self._uri, ADVICE), also=UNAUTHORIZED)
        challenge = page.headers.get("WWW-Authenticate", "")
        if page.status != 401 or not challenge.lower().startswith("bearer "):
            return basic if page.status == 401 else {}
        asked = dict(_CHALLENGE.findall(challenge))
        if self._base.startswith("https://") and not asked.get("realm", "").startswith("https://"):
            raise DownloadError(
                Reason.ACCESS_DENIED,
                f"{self._uri}: the registry asks for the password to be sent without encryption; correct its realm",
            )
        url = _token_url(asked.get("realm", ""), asked.get("service", ""), f"repository:{self._repository}:pull")
        page = transfer.read(self._session, transfer.Remote(url, self._uri, ADVICE, basic))
        try:
            answer = json.loads(page.body)
            return {"Authorization": f"Bearer {answer.get('token') or answer['access_token']}"}
        except (ValueError, KeyError, AttributeError):
            raise DownloadError(Reason.ACCESS_DENIED, f"{self._uri}: the registry gave no token; {ADVICE}") from None


def _token_url(realm: str, service: str, scope: str) -> str:
    return f"{realm}{'&' if '?' in realm else '?'}{urlencode({'service': service, 'scope': scope})}"


def _login(registry: str) -> str:
    """Name and password for the registry, as the header Authorization wants them; empty: none."""
    text = os.environ.get(LOGINS, "")
    if not text:
        return ""
    try:
        logins = json.loads(text)["auths"]
        places = (registry, *(f"https://{registry}{end}" for end in ("", "/", "/v1/", "/v2/")))
        hub = ("https://index.docker.io/v1/",) if registry == "docker.io" else ()
        entry: Mapping[str, Any] = next((logins[name] for name in (*places, *hub) if name in logins), {})
        login = str(entry.get("auth") or "")
        if not login and "username" in entry:
            login = base64.b64encode(f"{entry['username']}:{entry['password']}".encode()).decode()
        base64.b64decode(login, validate=True)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        raise DownloadError(Reason.ACCESS_DENIED, f"{LOGINS} is not a Docker configuration; {ADVICE}") from None
    return login


def _unpack(layers: Sequence[Path], tree: Path, uri: str) -> None:
    """Lays the layers over each other: of /models, if any of them has it, otherwise of everything."""
    try:
        inside = any(_is_model(name) for layer in layers for name in _names(layer))
        for layer in layers:
            with tarfile.open(layer) as tar:
                for member in tar:
                    name = _name(member)
                    if inside and not _is_model(name):
                        continue
                    if PurePosixPath(name).name.startswith(WHITEOUT):
                        _whiten(tree, PurePosixPath(name))
                    else:
                        archive.extract(tar, member, tree)
            layer.unlink()
    except (tarfile.TarError, EOFError) as error:
        raise DownloadError(Reason.UNSUPPORTED_MODEL, f"{uri}: a layer cannot be unpacked: {error}") from error


def _names(layer: Path) -> Iterator[str]:
    with tarfile.open(layer) as tar:
        yield from map(_name, tar)


def _name(member: tarfile.TarInfo) -> str:
    return member.name.removeprefix("./").lstrip("/")


def _is_model(name: str) -> bool:
    return PurePosixPath(name).parts[:1] == (mounted.IMAGE_FOLDER,)


def _whiten(tree: Path, mark: PurePosixPath) -> None:
    """Removes what a later layer says is gone."""
    folder = tree / mark.parent
    if not folder.resolve().is_relative_to(tree.resolve()):
        return
    name = mark.name.removeprefix(WHITEOUT)
    if mark.name != OPAQUE and name in ("", ".", ".."):
        return
    gone = folder.glob("*") if mark.name == OPAQUE else [folder / name]
    for path in gone:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
