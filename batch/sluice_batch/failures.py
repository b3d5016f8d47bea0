"""Failures, as one line with a distinct reason in front: `Reason: what happened; what to do`.

The line becomes the container's termination message, where the operator reads it.
"""

import enum
import errno
import re
from typing import Final

DONE: Final = 0
TRY_AGAIN: Final = 1
NEVER_AGAIN: Final = 42
"""The exit code that fails the whole Job: any other attempt would end the same."""
LONGEST: Final = 4096
"""How many characters of a termination message the kubelet keeps."""


class FailureReason(enum.Enum):
    INVALID_OPTION = "InvalidOption"
    OBJECT_NOT_FOUND = "ObjectNotFound"
    ACCESS_DENIED = "AccessDenied"
    EMPTY_INPUT = "EmptyInput"
    CORRUPT_INPUT = "CorruptInput"
    UNSUPPORTED_INPUT = "UnsupportedInput"
    INPUT_CHANGED = "InputChanged"
    BAD_COLUMNS = "BadColumns"
    OUTPUT_EXISTS = "OutputExists"
    UNSUPPORTED_MODEL = "UnsupportedModel"
    TOO_MANY_FAILED_ROWS = "TooManyFailedRows"
    STORE_UNREACHABLE = "StoreUnreachable"
    SERVER_UNREACHABLE = "ServerUnreachable"
    VOLUME_TOO_SMALL = "VolumeTooSmall"
    PLAN_MISSING = "PlanMissing"
    PLAN_REPLACED = "PlanReplaced"
    BATCH_FAILED = "BatchFailed"


PASSING: Final = frozenset(
    {
        FailureReason.STORE_UNREACHABLE,
        FailureReason.SERVER_UNREACHABLE,
        FailureReason.VOLUME_TOO_SMALL,  # another node may have more room
        FailureReason.PLAN_MISSING,
        FailureReason.PLAN_REPLACED,
        FailureReason.BATCH_FAILED,
    }
)
"""Failures that another attempt may not meet again."""


class BatchError(Exception):
    """A failure with a reason that a person can act on. `str()` is the one line `Reason: text`."""

    def __init__(self, reason: FailureReason, text: str) -> None:
        self.reason = reason
        super().__init__(f"{reason.value}: {one_line(text)}")

    @property
    def exit_code(self) -> int:
        return TRY_AGAIN if self.reason in PASSING else NEVER_AGAIN


def one_line(text: str) -> str:
    return " ".join(text.split())


_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED: Final = re.compile(
    "ACCESS_DENIED|SIGNATURE_DOES_NOT_MATCH|INVALID_ACCESS_KEY_ID|INVALID_CLIENT_TOKEN_ID|UNRECOGNIZED_CLIENT"
    "|EXPIRED_TOKEN|ExpiredToken|InvalidToken|XAdminUserNotFound|PERMISSION_DENIED|UNAUTHENTICATED|HTTP status 40[13]"
)
_AWAY: Final = re.compile(
    "NETWORK_CONNECTION|SERVICE_UNAVAILABLE|SLOW_DOWN|THROTTLING|REQUEST_TIMEOUT|INTERNAL_FAILURE|curlCode"
    "|HTTP status 5|UNAVAILABLE|DEADLINE_EXCEEDED|Retry policy exhausted"
)
_MISSING: Final = re.compile("NO_SUCH_BUCKET|NO_SUCH_KEY|NOT_FOUND|RESOURCE_NOT_FOUND")


def reason_of(error: OSError) -> FailureReason | None:
    """Why a store or a volume failed; None where that is unknown.

    Arrow's file systems give POSIX errors a class or errno; others differ only in their text.
    """
    text = str(error)
    if error.errno in _NO_SPACE:
        return FailureReason.VOLUME_TOO_SMALL
    if isinstance(error, PermissionError) or error.errno == errno.EROFS or _DENIED.search(text):
        return FailureReason.ACCESS_DENIED
    if isinstance(error, FileNotFoundError) or _MISSING.search(text):
        return FailureReason.OBJECT_NOT_FOUND
    return FailureReason.STORE_UNREACHABLE if _AWAY.search(text) else None
