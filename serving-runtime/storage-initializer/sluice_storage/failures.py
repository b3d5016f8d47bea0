"""Failures, as one line with a distinct reason in front: `Reason: what happened; what to do`.

The line becomes the container's termination message, where the operator reads it.
"""

import enum
import errno
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sluice_storage import addresses, console


class Reason(enum.Enum):
    OBJECT_NOT_FOUND = "ObjectNotFound"
    ACCESS_DENIED = "AccessDenied"
    STORE_UNREACHABLE = "StoreUnreachable"
    UNSUPPORTED_MODEL = "UnsupportedModel"
    VOLUME_TOO_SMALL = "VolumeTooSmall"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    VERIFICATION_FAILED = "VerificationFailed"
    DOWNLOAD_INTERRUPTED = "DownloadInterrupted"
    DOWNLOAD_FAILED = "DownloadFailed"


LONGEST: Final = 4000
"""The most characters of a message, any part of which the store may have written."""


class DownloadError(Exception):
    """A failure with a reason that a person can act on. `str()` is the one line `Reason: text`."""

    def __init__(self, reason: Reason, text: str) -> None:
        self.reason = reason
        line = console.plain(" ".join(console.without_secrets(text).split()))
        super().__init__(f"{reason.value}: {line}"[:LONGEST])


@contextmanager
def reworded(explained: Callable[[Exception], DownloadError]) -> Iterator[None]:
    """Replaces any error of a store's client by its explanation; a DownloadError stays as it is."""
    try:
        yield
    except DownloadError:
        raise
    except Exception as error:
        raise explained(error) from error


_NOT_FOUND_CODES: Final = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})
_DENIED_CODES: Final = frozenset(
    {
        "400",
        "401",
        "403",
        "AccessDenied",
        "ExpiredToken",
        "Forbidden",
        "InvalidAccessKeyId",
        "InvalidToken",
        "SignatureDoesNotMatch",
        "XAdminUserNotFound",  # versitygw's InvalidAccessKeyId
    }
)
_DENIED_ERRORS: Final = frozenset(
    {
        "NoCredentialsError",
        "PartialCredentialsError",
        "TokenRetrievalError",
        "DefaultCredentialsError",
        "Forbidden",
        "GatedRepoError",  # also a RepositoryNotFoundError
        "MalformedError",
        "RefreshError",
        "Unauthorized",
    }
)
_NO_CREDENTIALS: Final = frozenset({"NoCredentialsError", "DefaultCredentialsError"})
_NOT_FOUND_ERRORS: Final = frozenset(
    {"NotFound", "EntryNotFoundError", "RepositoryNotFoundError", "RevisionNotFoundError"}
)
_UNREACHABLE_ERRORS: Final = frozenset(
    {
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "ConnectionError",
        "EndpointConnectionError",
        "ProxyConnectionError",
        "ReadTimeoutError",
        "RetryError",
        "SSLError",
        "ServerError",
        "Timeout",
        "TransportError",
    }
)
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

# Clients' errors without a type of their own.
_TEXTS: Final = (
    ("no model found", Reason.OBJECT_NOT_FOUND),
    ("(404)", Reason.OBJECT_NOT_FOUND),
    ("(nosuchkey)", Reason.OBJECT_NOT_FOUND),
    ("(403)", Reason.ACCESS_DENIED),
    ("(accessdenied)", Reason.ACCESS_DENIED),
    ("no space left", Reason.VOLUME_TOO_SMALL),
    ("could not connect", Reason.STORE_UNREACHABLE),
    ("invalid endpoint", Reason.STORE_UNREACHABLE),
    ("connection was closed", Reason.STORE_UNREACHABLE),
    ("check your connection", Reason.STORE_UNREACHABLE),
    ("timeout", Reason.STORE_UNREACHABLE),
)


@dataclass(frozen=True, slots=True)
class Store:
    """Facts about a store for messages."""

    endpoint: str
    """Its address; empty: the provider's own."""
    keys: str
    """The credentials that it takes from the Secret, such as `the key HF_TOKEN`."""
    endpoint_key: str
    """The key of the Secret that names its address."""
    given: bool = True
    """Whether it was asked with credentials, or with the pod's identity at the provider."""
    hides: bool = False
    """Whether it reports as missing what the caller may not see."""


def explained(error: BaseException, *, uri: str, store: Store) -> DownloadError:
    """The failure of fetching `uri` in our words."""
    refused = addresses.refused_in(error)
    if refused is not None:
        return not_allowed(uri, refused)
    return worded(_reason(error), uri=uri, store=store, error=error)


def worded(reason: Reason, *, uri: str, store: Store, error: BaseException | None = None) -> DownloadError:
    place = store.endpoint or "the provider's default endpoint"
    lacks = not store.given or type(error).__name__ in _NO_CREDENTIALS
    lend = f"put {store.keys} into a Secret, and name it in spec.model.credentialsSecretRef"
    match reason:
        case Reason.OBJECT_NOT_FOUND if store.hides:
            keys = f"{lend} if it is private" if lacks else f"check {store.keys} of the secret"
            text = (
                f"{uri} does not exist in {place}, or is not visible; {keys}, and check spec.model.uri (spelling, path)"
            )
        case Reason.OBJECT_NOT_FOUND:
            text = f"{uri} does not exist in {place}; check spec.model.uri (spelling, path)"
        case Reason.ACCESS_DENIED if lacks:
            text = f"{place} does not let everybody read {uri}, and there are no credentials; {lend}"
        case Reason.ACCESS_DENIED:
            text = (
                f"{place} refused the credentials for {uri}; check {store.keys} of the secret that "
                "spec.model.credentialsSecretRef names, and the user's permission to list and read"
            )
        case Reason.STORE_UNREACHABLE:
            text = f"no connection to {place} for {uri} ({error}); check {store.endpoint_key} in the secret, and the network"
        case Reason.VOLUME_TOO_SMALL:
            return no_space(uri)
        case _:
            text = f"{uri}: {type(error).__name__}: {error}"
    return DownloadError(reason, text)


def unforeseen(error: Exception, uri: str) -> DownloadError:
    """A client's error about a malformed answer. Its text may quote secrets that were sent."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return DownloadError(
        Reason.DOWNLOAD_FAILED,
        f"{uri}: {type(error).__name__}{where}; check spec.model.uri, its Secret, and what the store answers",
    )


def of_the_volume(error: OSError, uri: str) -> DownloadError:
    """A failure to write files."""
    if error.errno in _NO_SPACE:
        return no_space(uri)
    return DownloadError(Reason.DOWNLOAD_FAILED, f"{uri}: {type(error).__name__}: {error}")


def no_space(uri: str, detail: str = "") -> DownloadError:
    return DownloadError(
        Reason.VOLUME_TOO_SMALL,
        f"no space left for {uri}{detail}; add ephemeral storage to the nodes, or raise the pod's limit for it",
    )


def not_allowed(uri: str, refused: OSError) -> DownloadError:
    return DownloadError(
        Reason.STORE_UNREACHABLE,
        f"{uri}: its address is not allowed: {refused.strerror}; use another one, or add it to "
        "config.storageInitializer.allowedAddresses (Helm)",
    )


def too_large(uri: str, most_bytes: int) -> DownloadError:
    return DownloadError(
        Reason.VOLUME_TOO_SMALL,
        f"{uri} needs more than {most_bytes / 2**30:.3g} GiB, packed and unpacked together; raise "
        "config.storageInitializer.maximumModelSize (Helm) if that is right",
    )


def _reason(error: BaseException) -> Reason:
    for link in _chain(error):
        reason = _reason_of_type(link)
        if reason is not None:
            return reason
    lowered = str(error).lower()
    return next((reason for text, reason in _TEXTS if text in lowered), Reason.DOWNLOAD_FAILED)


def _reason_of_type(error: BaseException) -> Reason | None:
    """The reason by class name, because the raising library (botocore) is imported only where a download runs."""
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return Reason.VOLUME_TOO_SMALL
    names = {cls.__name__ for cls in type(error).__mro__}
    if (
        "LocalEntryNotFoundError" in names
    ):  # the hub's client has no copy of its own either; the cause is why it needs one
        return None
    if names & _UNREACHABLE_ERRORS:
        return Reason.STORE_UNREACHABLE
    if names & _DENIED_ERRORS:
        return Reason.ACCESS_DENIED
    if names & _NOT_FOUND_ERRORS:
        return Reason.OBJECT_NOT_FOUND
    code = _code(error)
    if code in _NOT_FOUND_CODES:
        return Reason.OBJECT_NOT_FOUND
    return Reason.ACCESS_DENIED if code in _DENIED_CODES else None


def _code(error: BaseException) -> str:
    """The code of botocore's errors, whose response is a dictionary, or of an HTTP response."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code", ""))
    return str(getattr(response, "status_code", ""))


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__
