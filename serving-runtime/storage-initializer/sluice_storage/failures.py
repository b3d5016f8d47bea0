"""What can go wrong, as one line with a distinct reason in front: `Reason: what happened; what to do`.

The line becomes the container's termination message, where the operator reads it.
"""

import enum
import errno
from collections.abc import Iterator
from typing import Final


class Reason(enum.Enum):
    OBJECT_NOT_FOUND = "ObjectNotFound"
    ACCESS_DENIED = "AccessDenied"
    STORE_UNREACHABLE = "StoreUnreachable"
    UNSUPPORTED_MODEL = "UnsupportedModel"
    VOLUME_TOO_SMALL = "VolumeTooSmall"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    DOWNLOAD_INTERRUPTED = "DownloadInterrupted"
    DOWNLOAD_FAILED = "DownloadFailed"


class DownloadError(Exception):
    """A failure with a reason that a person can act on. `str()` is the one line `Reason: text`."""

    def __init__(self, reason: Reason, text: str) -> None:
        self.reason = reason
        super().__init__(f"{reason.value}: {' '.join(text.split())}")


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
_CREDENTIAL_ERRORS: Final = frozenset({"NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError"})
_UNREACHABLE_ERRORS: Final = frozenset(
    {
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "EndpointConnectionError",
        "ProxyConnectionError",
        "ReadTimeoutError",
        "SSLError",
    }
)
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

# What kserve-storage says itself, without a cause, and how it quotes errors of its worker processes.
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
    ("timeout", Reason.STORE_UNREACHABLE),
)


def explained(error: BaseException, *, uri: str, endpoint: str) -> DownloadError:
    """The failure of fetching `uri` from `endpoint` (empty: the provider's own) in our words."""
    reason = _reason(error)
    store = endpoint or "the provider's default endpoint"
    match reason:
        case Reason.OBJECT_NOT_FOUND:
            text = f"{uri} does not exist in {store}; check spec.model.uri (bucket, path, spelling)"
        case Reason.ACCESS_DENIED:
            text = (
                f"{store} refused the credentials for {uri}; check the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
                "of the secret that spec.model.credentialsSecretRef names, and the user's right to list and read"
            )
        case Reason.STORE_UNREACHABLE:
            text = (
                f"no connection to {store} for {uri} ({error}); check AWS_ENDPOINT_URL in the secret, and the network"
            )
        case Reason.VOLUME_TOO_SMALL:
            return no_space(uri)
        case _:
            text = f"{uri}: {type(error).__name__}: {error}"
    return DownloadError(reason, text)


def of_the_volume(error: OSError, uri: str) -> DownloadError:
    """What went wrong while files were written."""
    if error.errno in _NO_SPACE:
        return no_space(uri)
    return DownloadError(Reason.DOWNLOAD_FAILED, f"{uri}: {type(error).__name__}: {error}")


def no_space(uri: str, detail: str = "") -> DownloadError:
    return DownloadError(
        Reason.VOLUME_TOO_SMALL,
        f"no space left for {uri}{detail}; give the nodes more ephemeral storage, or raise the pod's limit of it",
    )


def _reason(error: BaseException) -> Reason:
    for link in _chain(error):
        reason = _reason_of_type(link)
        if reason is not None:
            return reason
    lowered = str(error).lower()
    return next((reason for text, reason in _TEXTS if text in lowered), Reason.DOWNLOAD_FAILED)


def _reason_of_type(error: BaseException) -> Reason | None:
    """By class name, because what raises (botocore) is imported only where a download runs."""
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return Reason.VOLUME_TOO_SMALL
    names = {cls.__name__ for cls in type(error).__mro__}
    if names & _CREDENTIAL_ERRORS:
        return Reason.ACCESS_DENIED
    if names & _UNREACHABLE_ERRORS:
        return Reason.STORE_UNREACHABLE
    code = str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
    if code in _NOT_FOUND_CODES:
        return Reason.OBJECT_NOT_FOUND
    return Reason.ACCESS_DENIED if code in _DENIED_CODES else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__
