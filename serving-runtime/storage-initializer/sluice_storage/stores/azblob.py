"""Azure Blob Storage."""

import base64
import binascii
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import urllib3

from sluice_storage import addresses, failures
from sluice_storage.failures import DownloadError, Reason, Store
from sluice_storage.stores import listing, transfer
from sluice_storage.stores.listing import Item
from sluice_storage.stores.parts import InParts, Part
from sluice_storage.stores.source import Version

ACCOUNT: Final = "AZURE_STORAGE_ACCOUNT"
KEY: Final = "AZURE_STORAGE_KEY"
SAS: Final = "AZURE_STORAGE_SAS_TOKEN"
CONNECTION: Final = "AZURE_STORAGE_CONNECTION_STRING"
ENDPOINT: Final = "AZURE_STORAGE_ENDPOINT"
PROVIDER: Final = "core.windows.net"
API: Final = "2019-07-07"
"""The protocol's version: it has everything needed, and private clouds and emulators know it."""
AT_ONCE_BYTES: Final = 4 << 20
"""How many bytes of each part the client holds."""
FOLDER_MARK: Final = "hdi_isfolder"
"""The metadata that marks a folder in accounts with a hierarchical namespace, and in clients that imitate one."""

_ACCOUNT: Final = re.compile(r"[a-z0-9-]{1,63}")
_CODE: Final = re.compile(r"[A-Za-z0-9]{1,64}")
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
_DENIED: Final = frozenset({400, 401, 403, 407})
_NOT_PUBLIC: Final = "PublicAccessNotPermitted"


@dataclass(frozen=True, slots=True)
class Account:
    """The account in the Secret."""

    name: str
    endpoint: str
    """Without a trailing slash."""
    key: str = ""
    sas: str = ""

    @property
    def store(self) -> Store:
        given = bool(self.key or self.sas)
        return Store(
            self.endpoint,
            keys=f"the keys {ACCOUNT} and {KEY}, {SAS} or {CONNECTION}",
            endpoint_key=f"{ACCOUNT} and {ENDPOINT}",
            given=given,
            hides=not given,
        )


class AzBlob(InParts):
    """A Source. Lost parts are repeated."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self._container, _, path = uri.removeprefix("azblob://").partition("/")
        self._path = path.strip("/")
        if not self._container or not self._path:
            raise DownloadError(
                Reason.UNSUPPORTED_MODEL,
                f"spec.model.uri {uri!r} does not name a container and a path; use azblob://container/path",
            )
        self._account = account()
        self._client: Any = None

    def version(self) -> Version:
        with failures.reworded(self._explained):
            addresses.require_allowed(urlsplit(self._account.endpoint).hostname or "")
            self._client = _connected(self._account, self._container)
            entries = listing.bounded(self._listed(f"{self._path}/"), self._uri)
            exact = next(self._listed(self._path), None)  # longer names with this prefix come after it
        self._items = listing.below(entries, self._path) or listing.exactly(filter(None, [exact]), self._path)
        if not any(not item.is_folder for item in self._items):
            raise DownloadError(Reason.OBJECT_NOT_FOUND, f"{self._uri} does not exist; check spec.model.uri")
        self._version = listing.version(self._items)
        return Version(self._version, sum(item.size for item in self._items))

    def _fetch_part(self, part: Part, file: int) -> None:
        part.store(file, self._get(part.item, part.start, part.end - part.start).chunks(), self._uri)

    def _touch(self, item: Item) -> None:
        if item.size:
            self._get(item, 0, 1)
        else:
            self._client.get_blob_client(item.key).get_blob_properties(**_unchanged(item))

    def _get(self, item: Item, start: int, length: int) -> Any:
        blob = self._client.get_blob_client(item.key)
        # Not decompressed in transfer: the stored bytes are the model.
        return blob.download_blob(offset=start, length=length, decompress=False, **_unchanged(item))

    def _listed(self, prefix: str) -> Iterator[Item]:
        pages = self._client.list_blobs(name_starts_with=prefix, include=["metadata"]).by_page()
        for blob in listing.of_pages(pages, self._uri):
            entry = listing.item(blob.name, blob.size, blob.etag)
            is_folder = str((blob.metadata or {}).get(FOLDER_MARK)).lower() == "true" and not entry.size
            yield Item(f"{entry.key.rstrip('/')}/", 0, entry.tag) if is_folder else entry

    def _explained(self, error: Exception) -> DownloadError:
        return explained(error, self._uri, self._account.store)


def account() -> Account:
    """Raises DownloadError where the Secret lacks something, or holds something invalid."""
    own = {name: os.environ.get(name, "").strip() for name in (ACCOUNT, KEY, SAS, CONNECTION, ENDPOINT)}
    if not own[ACCOUNT]:
        raise _of_the_secret(f"azblob:// needs the key {ACCOUNT}; add it")
    given = [name for name in (KEY, SAS, CONNECTION) if own[name]]
    if len(given) > 1:
        raise _of_the_secret(f"it has {' and '.join(given)}; keep one of them")
    fields = dict(field.partition("=")[::2] for field in own[CONNECTION].split(";") if "=" in field)
    name = fields.get("AccountName", own[ACCOUNT])
    if not _ACCOUNT.fullmatch(name) or name != own[ACCOUNT]:
        raise _of_the_secret(f"{ACCOUNT} is not the name of an account, or not the one of {CONNECTION}; correct it")
    key, sas = own[KEY] or fields.get("AccountKey", ""), own[SAS] or fields.get("SharedAccessSignature", "")
    if own[CONNECTION] and not key and not sas:
        raise _of_the_secret(f"{CONNECTION} has no AccountKey and no SharedAccessSignature; correct it")
    protocol, suffix = fields.get("DefaultEndpointsProtocol", "https"), fields.get("EndpointSuffix", PROVIDER)
    endpoint = own[ENDPOINT] or fields.get("BlobEndpoint") or f"{protocol}://{name}.blob.{suffix}"
    return Account(name, _address(endpoint), _key(key), _sas(sas))


def place() -> str:
    """The part of the Secret that leads a URI to another store; empty: none."""
    if not os.environ.get(ACCOUNT):
        return ""
    own = account()
    return f"{own.name} {own.endpoint}"


def explained(error: Exception, uri: str, store: Store) -> DownloadError:
    """An error of Azure's client in our words; its own quote URLs and the store's text."""
    cause = _innermost(error)
    refused = addresses.refused_in(cause)
    if refused is not None:
        return failures.not_allowed(uri, refused)
    if isinstance(cause, OSError) and cause.errno and not isinstance(cause, requests.RequestException):
        return failures.of_the_volume(cause, uri)
    status, code = getattr(error, "status_code", None), _code(error)
    told = f"HTTP {status} {code}".strip()
    if status in _DENIED or code == _NOT_PUBLIC:
        return failures.worded(Reason.ACCESS_DENIED, uri=uri, store=store)
    if status == 404:
        return failures.worded(Reason.OBJECT_NOT_FOUND, uri=uri, store=store)
    if status == 412:
        return DownloadError(
            Reason.DOWNLOAD_INTERRUPTED, f"{uri} changed while it was fetched; the next attempt fetches it anew"
        )
    if status in _PASSING:
        return failures.worded(Reason.STORE_UNREACHABLE, uri=uri, store=store, error=OSError(told))
    if status is not None:
        return DownloadError(Reason.DOWNLOAD_FAILED, f"{uri}: the store answered {told}; see its log")
    if isinstance(cause, (requests.RequestException, urllib3.exceptions.HTTPError)):
        said = OSError(transfer.cause(cause))
        return failures.worded(Reason.STORE_UNREACHABLE, uri=uri, store=store, error=said)
    return DownloadError(
        Reason.DOWNLOAD_FAILED,
        f"{uri}: the store's answer has no meaning ({type(cause).__name__}); is it a store of this kind?",
    )


def _connected(own: Account, container: str) -> Any:
    from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
    from azure.storage.blob import ContainerClient

    logging.getLogger("azure").setLevel(logging.ERROR)  # a line for each header of each request
    credential = AzureNamedKeyCredential(own.name, own.key) if own.key else None
    return ContainerClient(
        own.endpoint,
        container,
        credential=AzureSasCredential(own.sas) if own.sas else credential,
        api_version=API,
        session=_session(),
        permit_redirects=False,
        # An unreachable store must be reported within a minute.
        connection_timeout=5,
        read_timeout=30,
        retry_total=2,
        initial_backoff=1,
        increment_base=2,
        random_jitter_range=1,
        max_single_get_size=AT_ONCE_BYTES,
        max_chunk_get_size=AT_ONCE_BYTES,
    )


def _session() -> requests.Session:
    session = transfer.new_session()
    session.headers["Accept-Encoding"] = "identity"
    session.hooks["response"].append(_bounded)
    return session


def _bounded(response: requests.Response, **_: Any) -> None:
    """Bounds the answers that the client reads into memory."""
    span = response.request.headers.get("x-ms-range", "")
    if span and response.status_code in (200, 206):
        start, _, end = span.removeprefix("bytes=").partition("-")
        right = response.headers.get("Content-Range", "").startswith(f"bytes {start}-{end}/")
        if not right or response.headers.get("Content-Length") != str(int(end) - int(start) + 1):
            response.close()
            raise DownloadError(
                Reason.DOWNLOAD_FAILED,
                f"{(response.url or '').partition('?')[0]}: the store gives no parts of objects, or other ones",
            )
        return
    if response._content is False:  # type: ignore[attr-defined]
        response._content, response._content_consumed = transfer.whole(response), True  # type: ignore[attr-defined]


def _unchanged(item: Item) -> dict[str, Any]:
    """Lists have the tag without quotes, and the condition needs them."""
    from azure.core import MatchConditions

    if not item.tag:
        return {}
    return {"etag": f'"{item.tag.strip(chr(34))}"', "match_condition": MatchConditions.IfNotModified}


def _innermost(error: BaseException) -> BaseException:
    """The client keeps the cause of its errors in its own attribute."""
    while isinstance(inner := getattr(error, "inner_exception", None), BaseException) and inner is not error:
        error = inner
    return error


def _code(error: Exception) -> str:
    code = getattr(error, "error_code", None)
    text = str(getattr(code, "value", code) or "")
    return text if _CODE.fullmatch(text) else ""


def _address(endpoint: str) -> str:
    try:
        address = urlsplit(endpoint)
        good = address.scheme in ("https", "http") and bool(address.hostname) and address.port != 0
    except ValueError:
        good = False
    if not good or re.search(r"[?#@\s]", endpoint):
        raise _of_the_secret(f"{ENDPOINT} is not an address, or has more than one; use https://host[:port][/account]")
    return endpoint.rstrip("/")


def _key(key: str) -> str:
    try:
        base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raise _of_the_secret(f"{KEY} is not in base64; copy it again") from None
    return key


def _sas(token: str) -> str:
    token = token.removeprefix("?")
    if token and (not token.isascii() or not token.isprintable() or " " in token or "sig=" not in token):
        raise _of_the_secret(f"{SAS} is not a shared access signature (sv=…&sig=…); copy it again")
    return token


def _of_the_secret(what: str) -> DownloadError:
    return DownloadError(
        Reason.ACCESS_DENIED, f"the secret that spec.model.credentialsSecretRef names cannot be used: {what}"
    )
