"""How the plugin's processes start: what is arranged before anything else is imported.

Nine tenths of the processor time of most commands are imports, and a good part of those is work whose result no command
uses. So this module imports little itself, and nothing of other people's.
"""

import atexit
import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Iterator
from importlib import util
from typing import Final

AUTHORITIES: Final = "SSL_CERT_FILE"
"""The variable by which OpenSSL finds what it trusts."""


def main() -> None:
    """Entry point of the script `kubectl-sluice`, which kubectl runs as `kubectl sluice`."""
    _run("app")


def complete() -> None:
    """Entry point of the script `kubectl_complete-sluice`, which kubectl and the shells ask."""
    _run("completion")


def _run(module: str) -> None:
    gc.disable()  # until the command is imported: `quick_imports`
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # it looks for them in all installed packages
    leave_out_whole_clients()
    atexit.register(gc.freeze)  # otherwise the interpreter looks for garbage in all that was imported before it ends
    sys.exit(importlib.import_module(f"sluice.cli.{module}").main())


def leave_out_whole_clients() -> None:
    """Makes of `kubernetes` and `kubernetes.aio` packages whose own code is not run.

    It would import the whole synchronous client, and parts of the other one of which nothing is used here; which takes
    longer than a command.
    """
    for package in ("kubernetes", "kubernetes.aio"):
        spec = util.find_spec(package)
        if spec is not None and package not in sys.modules:
            sys.modules[package] = util.module_from_spec(spec)


@contextlib.contextmanager
def quick_imports() -> Iterator[None]:
    """Leaves out what a program that soon ends need not do while it imports.

    aiohttp reads all authorities of the machine twice, which takes longer than the rest of it; whoever connects from here
    makes a context of his own. And what is imported stays, so nothing of it is garbage, now or later.
    """
    chosen = os.environ.get(AUTHORITIES)
    os.environ[AUTHORITIES] = os.devnull
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        del os.environ[AUTHORITIES]
        if chosen is not None:
            os.environ[AUTHORITIES] = chosen
