"""The lines in the pod's log."""

import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

INTERVAL_SECONDS: Final = 5.0
_SECRET: Final = re.compile(r"(\bhttps?://)(?:[^\s/?#@\"']*@)?([^\s?#\"']+)(?:[?#][^\s\"']*)?")
_UNPRINTED: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line ends and non-characters: they would write their own lines, or steer a terminal."""
_BLOCK: Final = 512  # the unit of st_blocks, whatever the file system's own is


def say(text: str) -> None:
    print(plain(without_secrets(text)), flush=True)


def plain(text: str) -> str:
    """One line that can be printed anywhere, whatever its source."""
    return _UNPRINTED.sub(lambda found: ascii(found[0])[1:-1], text)


def without_secrets(text: str) -> str:
    """Its addresses without password and query: signatures and keys."""
    return _SECRET.sub(r"\1\2", text)


class _WithoutSecrets(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return "\n  ".join(map(plain, without_secrets(super().format(record)).split("\n")))


def show_logs_of_libraries() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_WithoutSecrets("%(asctime)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


@contextmanager
def progress(folder: Path, total: int | None, interval_seconds: float = INTERVAL_SECONDS) -> Iterator[None]:
    """Reports every few seconds how many bytes `folder` holds, whatever writes there. total: bytes, None where
    unknown."""
    over = threading.Event()
    thread = threading.Thread(target=_report, args=(folder, total, interval_seconds, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def free(folder: Path) -> int:
    """Bytes that can be written to the volume of `folder`."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def written(folder: Path) -> int:
    """Bytes on the disk below `folder`; holes do not count, since libraries write the parts of a file in any order."""
    total = 0
    for root, _, names in os.walk(folder):  # skips files that vanish in between
        for name in names:
            with suppress(FileNotFoundError):
                status = Path(root, name).lstat()
                total += min(status.st_size, status.st_blocks * _BLOCK)
    return total


def _report(folder: Path, total: int | None, interval_seconds: float, over: threading.Event) -> None:
    before, then = written(folder), time.monotonic()
    while not over.wait(interval_seconds):
        have, now = written(folder), time.monotonic()
        rate = max(0.0, (have - before) / (now - then))
        say(f"  {_share(have, total)}, {rate / 1e6:.1f} MB/s")
        before, then = have, now


def _share(have: int, total: int | None) -> str:
    if not total:
        return megabytes(have)
    known = min(have, total)
    return f"{100 * known // total} %, {known / 1e6:.1f} of {megabytes(total)}"
