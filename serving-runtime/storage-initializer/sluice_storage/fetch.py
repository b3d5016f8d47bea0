"""Fetch a model with the kserve-storage library, and say clearly why where that fails."""

import os
from pathlib import Path
from typing import Final

from sluice_storage import failures
from sluice_storage.failures import DownloadError, Reason

SCHEMES: Final = ("s3",)
# A URI that ends so names one object; any other names a folder.
OBJECT_SUFFIXES: Final = (".onnx", ".zip", ".tar", ".tgz", ".tar.gz")

# A store that is away shall be reported within a minute; kserve-storage reads these.
IMPATIENCE: Final = {"S3_CONNECT_TIMEOUT": "5", "S3_READ_TIMEOUT": "30", "S3_MAX_ATTEMPTS": "3"}


def source_uri(uri: str) -> str:
    """`uri`, checked, and with a slash at the end of a folder: as a bare prefix `models/1` would match `models/10` too."""
    scheme, separator, path = uri.partition("://")
    if not separator or scheme not in SCHEMES:
        schemes = ", ".join(f"{known}://" for known in SCHEMES)
        raise DownloadError(
            Reason.UNSUPPORTED_MODEL, f"spec.model.uri {uri!r}: the scheme is not supported; use one of {schemes}"
        )
    if not path.strip("/"):
        raise DownloadError(Reason.UNSUPPORTED_MODEL, f"spec.model.uri {uri!r} names no bucket")
    return uri if path.lower().endswith(OBJECT_SUFFIXES) else uri.rstrip("/") + "/"


def fetch(uri: str, folder: Path) -> list[str]:
    """Download `uri` into `folder` and return the relative paths of its files, sorted. Never returns an empty list."""
    source = source_uri(uri)
    for name, value in IMPATIENCE.items():
        os.environ.setdefault(name, value)
    from kserve_storage import Storage  # here, because it is slow to import and only a download needs it

    try:
        Storage.download(source, str(folder))
    except Exception as error:  # the library raises bare Exception, RuntimeError and botocore's own
        raise failures.explained(
            _with_code(error, source), uri=uri, endpoint=os.environ.get("AWS_ENDPOINT_URL", "")
        ) from error
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    if not files:
        raise DownloadError(Reason.OBJECT_NOT_FOUND, f"{uri} holds no files; check spec.model.uri")
    return files


def _with_code(error: Exception, source: str) -> Exception:
    """`error`, or a better one: the library asks for the bucket with HEAD, whose answer has no body and so no error code.

    Some stores answer 404 for an unknown access key, too. Listing the bucket tells the two apart.
    """
    if getattr(error.__cause__, "operation_name", "") != "HeadBucket":
        return error
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        boto3.client("s3").list_objects_v2(Bucket=source.split("/")[2], MaxKeys=1)
    except (BotoCoreError, ClientError) as listing_error:
        better: Exception = listing_error
        return better
    return error
