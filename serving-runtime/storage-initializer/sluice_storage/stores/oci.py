"""Models in an OCI registry: images with the model in /models (or at the top), artifacts whose layers are files, and
packs (`packs`) whose layers state their role in a model.

    GET /v2/                        --> 401 with a challenge: a token, or name and password
    GET /v2/<repository>/manifests/<tag or digest>  --> the image for this machine, by digest
    GET /v2/<repository>/blobs/<digest>             --> layers, continued where they were cut, each checked by its digest

The registry's protocol itself, because no maintained library does this: kserve-storage (with oras) takes /models only,
checks no digest, and restarts from the beginning.
"""

import base64
import binascii
import hashlib
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from sluice_storage import checksum, selection
from sluice_storage.failures import DownloadError, Reason
from sluice_storage.stores import layers, manifests, packs, transfer
from sluice_storage.stores.source import Version
from sluice_storage.tree import Allowance

LOGINS: Final = "DOCKER_CONFIG_JSON"
ADVICE: Final = "check the key .dockerconfigjson of the secret (type kubernetes.io/dockerconfigjson) that spec.model.credentialsSecretRef names"
UNAUTHORIZED: Final = frozenset({401})
MISSING: Final = frozenset({400, 404, 405, 501})
"""Statuses of registries without a signature, or without a list of referrers."""

_REFERENCE: Final = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9.-]*(?::\d+)?)/((?!.*\.\.)[a-z0-9][a-z0-9._/-]*)(?::([\w.-]+))?(?:@(sha256:[0-9a-f]{64}))?"
)
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')


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
        self._layers: Sequence[manifests.Layer] = ()
        self._is_pack = False
        self._name = ""
        self.digests: tuple[str, ...] = ()
        """The digest of the URI's image, after that of its index, if any: either may be signed."""

    def version(self) -> Version:
        digest, manifest = self._manifest(self._reference)
        self.digests = (digest,)
        if manifests.is_index(manifest):
            digest, manifest = self._manifest(manifests.for_machine(manifest, platform.machine(), self._uri))
            self.digests = (*self.digests, digest)
        self._is_pack, server = packs.is_pack(manifest), selection.server()
        found = packs.layers(manifest, self._uri, server) if self._is_pack else manifests.layers(manifest, self._uri)
        self._layers = tuple(found)
        self._name = f"{digest} for {server}" if self._is_pack and server else digest
        return Version(self._name, sum({layer.digest: layer.size for layer in self._layers}.values()))

    def digest(self) -> str:
        """The digest that the URI names now: of an image, or of an index of images."""
        return self._manifest(self._reference)[0]

    def fetch(self, folder: Path, allowance: Allowance) -> str:
        for layer in {layer.digest: layer for layer in self._layers}.values():
            target = folder / layer.file
            self._fetch_layer(layer, target, allowance)
            self._verify(layer, target)
        return self._name

    def confirm(self, folder: Path) -> None:
        for layer in self._layers:
            self._verify(layer, folder / layer.file)

    def signatures(self) -> Iterator[dict[str, Any]]:
        """The registry's signatures for the digests, as `cosign` reads them; none is trusted here."""
        for digest in self.digests:
            yield from self._signed_by_tag(f"{digest.replace(':', '-')}.sig")
            for place in (f"referrers/{digest}", f"manifests/{digest.replace(':', '-')}"):
                for named in manifests.referring(self._optional(place), manifests.BUNDLE, self._uri)[
                    : manifests.MOST_SIGNATURES
                ]:
                    for layer in manifests.blobs(self._optional(f"manifests/{named}", named), self._uri):
                        yield {"body": self._optional(f"blobs/{layer.digest}", layer.digest), "annotations": {}}

    def _signed_by_tag(self, tag: str) -> Iterator[dict[str, Any]]:
        for layer in manifests.blobs(self._optional(f"manifests/{tag}"), self._uri)[: manifests.MOST_SIGNATURES]:
            if manifests.SIGNATURE in layer.annotations:
                body = self._optional(f"blobs/{layer.digest}", layer.digest)
                yield {"body": body, "annotations": dict(layer.annotations)}

    def _optional(self, path: str, digest: str = "") -> bytes:
        """A small document; empty: it does not exist, or does not match its digest."""
        accept = () if path.startswith("blobs/") else (*manifests.MANIFESTS, *manifests.INDEXES)
        page = transfer.read(self._session, self._remote(path, accept), also=MISSING)
        is_it = not digest or f"sha256:{hashlib.sha256(page.body).hexdigest()}" == digest
        return page.body if page.status == 200 and is_it else b""

    def unpack(self, folder: Path, into: Path, allowance: Allowance) -> Path:
        unpack = layers.unpack_pack if self._is_pack else layers.unpack_image
        return unpack(self._layers, folder, into, allowance, self._uri)

    def _verify(self, layer: manifests.Layer, file: Path) -> None:
        actual = checksum.sha256(file) if file.is_file() else "nothing"
        if actual != layer.file:
            file.unlink(missing_ok=True)  # the next attempt must not continue with it
            raise DownloadError(
                Reason.CHECKSUM_MISMATCH,
                f"{self._uri}: the registry gave sha256:{actual} for the layer {layer.digest}; push the image again",
            )

    def _manifest(self, reference: str) -> tuple[str, dict[str, Any]]:
        """The digest and the content of a manifest or an index."""
        page = transfer.read(
            self._session, self._remote(f"manifests/{reference}", (*manifests.MANIFESTS, *manifests.INDEXES))
        )
        digest = f"sha256:{hashlib.sha256(page.body).hexdigest()}"
        if reference.startswith("sha256:") and digest != reference:
            raise DownloadError(
                Reason.CHECKSUM_MISMATCH,
                f"{self._uri}: the registry gave {digest} for {reference}; push the image again",
            )
        return digest, manifests.parsed(page.body, self._uri)

    def _fetch_layer(self, layer: manifests.Layer, target: Path, allowance: Allowance) -> None:
        """Repeats with a new token after a refusal: a token may expire before a large layer is complete."""
        told, path, before = transfer.Told(layer.size, immutable=True), f"blobs/{layer.digest}", self._headers
        try:
            transfer.fetch(self._session, self._remote(path), told, target, allowance)
        except DownloadError as error:
            if error.reason is not Reason.ACCESS_DENIED or (renewed := self._authorized()) == before:
                raise
            self._headers = renewed
            transfer.fetch(self._session, self._remote(path), told, target, allowance)

    def _remote(self, path: str, accept: Sequence[str] = ()) -> transfer.Remote:
        if self._headers is None:
            self._headers = self._authorized()
        headers = {**self._headers, **({"Accept": ", ".join(accept)} if accept else {})}
        return transfer.Remote(f"{self._base}/{self._repository}/{path}", self._uri, ADVICE, headers)

    def _authorized(self) -> dict[str, str]:
        """The registry's authorization header: none, name and password, or a token for them."""
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
    """Name and password for the registry, as an Authorization header; empty: none."""
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
