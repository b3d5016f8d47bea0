"""Folders and files in S3, in Google Cloud Storage and on mounted volumes, through Arrow's file systems.

A written file appears complete or not at all: an upload to an object store is invisible until it is complete, and on a
file system the file is renamed from a temporary name. See `__main__` for why the process ends at once on SIGTERM.
"""

import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import pyarrow
from pyarrow import fs

from sluice_batch import failures
from sluice_batch.failures import BatchError, FailureReason

INPUT: Final = "INPUT_"
OUTPUT: Final = "OUTPUT_"
"""Prefixes of the variables with the credentials of the data's locations."""
CONNECT_SECONDS: Final = 5
REQUEST_SECONDS: Final = 30
ATTEMPTS: Final = 3
GS_PATIENCE: Final = timedelta(seconds=20)
COPY_BYTES: Final = 8 << 20
TEMPORARY: Final = ".sluice-"
"""Prefix of unfinished files on file systems."""

_ABANDONED: Final[list[Any]] = []
"""Streams that failed. When the last reference to a stream goes, Arrow completes its upload."""


@dataclass(frozen=True, slots=True)
class File:
    """One file below a place. mtime: nanoseconds, in whole seconds where the store has no finer clock."""

    name: str
    size: int
    mtime: int


@dataclass(frozen=True, slots=True)
class Place:
    """A folder, or one file. prefix: of the variables that its credentials come from, for messages."""

    uri: str
    path: str
    system: Any
    prefix: str

    def below(self, name: str) -> str:
        return f"{self.path}/{name}" if name else self.path

    def within(self, name: str) -> "Place":
        return Place(f"{self.uri}/{name}" if name else self.uri, self.below(name), self.system, self.prefix)

    def files(self) -> list[File]:
        """The files of the folder and its subfolders, sorted by name; a single file has the name ''."""
        with self.explained():
            info = self.system.get_file_info(self.path)
            if info.type is fs.FileType.File:
                return [_file("", info)]
            selector = fs.FileSelector(self.path, recursive=True, allow_not_found=True)
            found = [info for info in self.system.get_file_info(selector) if info.type is fs.FileType.File]
        start = len(self.path) + 1
        return sorted((_file(info.path[start:], info) for info in found), key=lambda file: file.name)

    def file(self, name: str) -> File | None:
        with self.explained():
            info = self.system.get_file_info(self.below(name))
        return _file(name, info) if info.type is fs.FileType.File else None

    def open(self, name: str) -> Any:
        """An Arrow file with random access. Raises OSError."""
        return self.system.open_input_file(self.below(name))

    def read_json(self, name: str) -> Any | None:
        """None where there is no such file."""
        with self.explained():
            try:
                with self.open(name) as file:
                    return json.loads(file.read())
            except FileNotFoundError:
                return None

    def write(self, name: str, body: bytes) -> None:
        with self.explained():
            if self._is_local:
                with _renamed_to(Path(self.below(name))) as temporary:
                    temporary.write_bytes(body)
            else:
                _fill(self.system.open_output_stream(self.below(name)), [body])

    def upload(self, source: Path, name: str) -> None:
        with self.explained():
            if self._is_local:
                with _renamed_to(Path(self.below(name))) as temporary:
                    shutil.copyfile(source, temporary)
            else:
                with source.open("rb") as file:
                    _fill(self.system.open_output_stream(self.below(name)), iter(lambda: file.read(COPY_BYTES), b""))

    def delete(self, name: str) -> None:
        """A file that another pod deleted before is not a failure."""
        with self.explained(), suppress(FileNotFoundError):
            self.system.delete_file(self.below(name))

    @contextmanager
    def explained(self, otherwise: FailureReason = FailureReason.BATCH_FAILED) -> Iterator[None]:
        """Turns errors of this store into BatchError; `otherwise` where the cause is unknown."""
        try:
            yield
        except (OSError, pyarrow.ArrowException) as error:
            reason = (failures.reason_of(error) if isinstance(error, OSError) else None) or otherwise
            raise BatchError(reason, self._told(reason, error)) from error

    @property
    def _is_local(self) -> bool:
        return isinstance(self.system, fs.LocalFileSystem)

    def _told(self, reason: FailureReason, error: Exception) -> str:
        side = self.prefix.lower().rstrip("_")
        field = f"spec.{side}.uri" if side else "uri="
        keys = (
            f"the secret of spec.{side}.credentialsSecretRef"
            if side
            else "the environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL and the like)"
        )
        match reason:
            case FailureReason.OBJECT_NOT_FOUND:
                return f"{self.uri} does not exist; check {field} ({error})"
            case FailureReason.ACCESS_DENIED:
                return (
                    f"{self.uri} is not accessible; check the keys in {keys}, and the permission to list, read and "
                    f"write ({error})"
                )
            case FailureReason.STORE_UNREACHABLE:
                return (
                    f"no connection to the store of {self.uri}; check its address in {keys}, and the network ({error})"
                )
            case FailureReason.VOLUME_TOO_SMALL:
                return f"no space left for {self.uri}; make the volume larger ({error})"
            case _:
                return f"{self.uri}: {type(error).__name__}: {error}"


def opened(uri: str, prefix: str, environment: Mapping[str, str] = os.environ) -> Place:
    """The place of `s3://bucket/path`, `gs://bucket/path` or `file:///path`.

    prefix: of the variables with the credentials, such as INPUT_ for INPUT_AWS_ACCESS_KEY_ID.
    """
    parts = urlsplit(uri)
    path = unquote(f"{parts.netloc}{parts.path}").rstrip("/")
    keys = {name.removeprefix(prefix): value for name, value in environment.items() if name.startswith(prefix)}
    place = Place(uri, path, None, prefix)
    with place.explained():
        match parts.scheme:
            case "s3" if "/" in path:
                return replace(place, system=_s3(parts.netloc, keys))
            case "gs" if "/" in path:
                return replace(place, system=_gs(keys))
            case "file" if path and not parts.netloc:
                return replace(place, system=fs.LocalFileSystem())
    raise BatchError(
        FailureReason.INVALID_OPTION,
        f"{uri!r} does not name data; use s3://bucket/path, gs://bucket/path or file:///path",
    )


def _s3(bucket: str, keys: Mapping[str, str]) -> Any:
    """S3's file system. Without keys of its own, it uses the pod's (a service account's, or AWS_… without prefix)."""
    endpoint = keys.get("AWS_ENDPOINT_URL") or None
    region = keys.get("AWS_DEFAULT_REGION") or keys.get("AWS_REGION")
    if not region and not endpoint:
        region = fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(
        access_key=keys.get("AWS_ACCESS_KEY_ID") or None,
        secret_key=keys.get("AWS_SECRET_ACCESS_KEY") or None,
        session_token=keys.get("AWS_SESSION_TOKEN") or None,
        region=region,
        endpoint_override=endpoint,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        allow_delayed_open=True,  # a small object is one request
    )


def _gs(keys: Mapping[str, str]) -> Any:
    """The file system of gs://. Without a key of its own, it uses what Google's libraries find in the pod."""
    emulator = keys.get("STORAGE_EMULATOR_HOST", "")
    if emulator:
        address = urlsplit(emulator if "://" in emulator else f"http://{emulator}")
        return fs.GcsFileSystem(
            anonymous=True, endpoint_override=address.netloc, scheme=address.scheme, retry_time_limit=GS_PATIENCE
        )
    with _lent_key(keys.get("GOOGLE_APPLICATION_CREDENTIALS_JSON", "")):
        return fs.GcsFileSystem(retry_time_limit=GS_PATIENCE)


@contextmanager
def _lent_key(key: str) -> Iterator[None]:
    """Google's client reads the key once, at its creation, from a file named by a variable. The file is in memory."""
    if not key:
        yield
        return
    variable = "GOOGLE_APPLICATION_CREDENTIALS"
    before = os.environ.get(variable)
    file = os.memfd_create("key")
    os.write(file, key.encode())
    os.environ[variable] = f"/proc/self/fd/{file}"
    try:
        yield
    finally:
        os.close(file)
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


def _fill(stream: Any, blocks: Iterable[bytes]) -> None:
    try:
        for block in blocks:
            stream.write(block)
    except BaseException:
        _ABANDONED.append(stream)
        raise
    stream.close()


@contextmanager
def _renamed_to(target: Path) -> Iterator[Path]:
    """A name beside the target, renamed to it once everything is written and on disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _file(name: str, info: Any) -> File:
    return File(name, info.size, info.mtime_ns or 0)
