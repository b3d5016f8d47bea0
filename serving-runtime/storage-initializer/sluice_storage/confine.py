"""Restricts this process's writes to some folders until its end: Landlock, where the kernel has it (5.19 and newer).

Unpacking an archive creates only folders and files below its own folder (`tree`). Should that fail, the cache, which
all pods of a node share, is still out of reach.
"""

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

CREATE_RULESET: Final = 444
ADD_RULE: Final = 445
RESTRICT_SELF: Final = 446
VERSION: Final = 1
PATH_BENEATH: Final = 1
NO_NEW_PRIVILEGES: Final = 38
FIRST_WITH_RENAMES: Final = 2
FIRST_WITH_TRUNCATE: Final = 3
WRITE_FILE: Final = 1 << 1
TRUNCATE: Final = 1 << 14
WRITES: Final = WRITE_FILE | sum(1 << bit for bit in range(4, 14))
"""Writing to files; removing, creating and renaming anything in a folder."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("handled_access_fs", ctypes.c_uint64),)


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def writes_to(places: Iterable[Path]) -> bool:
    """Whether it worked: from now on, this thread writes only in and below `places`."""
    kernel = ctypes.CDLL(None, use_errno=True)
    abi = kernel.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), VERSION)
    if abi < FIRST_WITH_RENAMES:  # also -1; the first version forbids all renames between folders
        return False
    handled = WRITES | (TRUNCATE if abi >= FIRST_WITH_TRUNCATE else 0)
    rules = _Ruleset(handled)
    ruleset = kernel.syscall(CREATE_RULESET, ctypes.byref(rules), ctypes.sizeof(rules), 0)
    if ruleset < 0:
        return False
    try:
        for place in places:
            _allow(kernel, ruleset, place, handled if place.is_dir() else handled & (WRITE_FILE | TRUNCATE))
        kernel.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        return bool(kernel.syscall(RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(kernel: ctypes.CDLL, ruleset: int, place: Path, access: int) -> None:
    try:
        file = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        rule = _Beneath(access, file)
        kernel.syscall(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(file)
