"""Programs that tests need beside Python packages: a missing one fails them with the command that installs it."""

import ctypes.util
import importlib
import shutil
from typing import Any

import pytest

INSTALL = "make programs"


def needed(program: str, *, install: str = INSTALL) -> str:
    """Its path."""
    found = shutil.which(program)
    if found is None:
        pytest.fail(f"{program} is missing; install it: {install}", pytrace=False)
    return found


def library(name: str, *, install: str = INSTALL) -> None:
    if ctypes.util.find_library(name) is None:
        pytest.fail(f"lib{name} is missing; install it: {install}", pytrace=False)


def module(name: str, *, install: str = INSTALL) -> Any:
    """A package that is not in the environment of `make setup`."""
    try:
        return importlib.import_module(name)
    except ImportError:
        pytest.fail(f"{name} is missing; install it: {install}", pytrace=False)
