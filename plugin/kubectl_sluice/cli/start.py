"""Starts the plugin's processes: what must be arranged before any other import.

Nine tenths of the processor time of most commands are imports. So this module imports little, and no third-party
package.
"""

import atexit
import contextlib
import gc
import importlib
import os
import sys
import types
from collections.abc import Iterator
from importlib import util
from typing import Final

AUTHORITIES: Final = "SSL_CERT_FILE"
"""The variable that tells OpenSSL what to trust."""
ZONES: Final = "/usr/share/zoneinfo:/usr/lib/zoneinfo:/usr/share/lib/zoneinfo:/etc/zoneinfo"
"""Where Python looks for time zones on all systems but Windows, unless it was built otherwise."""


def main() -> None:
    """Entry point of the script `kubectl-sluice`, which kubectl runs as `kubectl sluice`."""
    _run("app")


def complete() -> None:
    """Entry point of the script `kubectl_complete-sluice`, which kubectl and the shells ask."""
    _run("completion")


def _run(module: str) -> None:
    gc.disable()  # until the command is imported: `quick_imports`
    for package in ("kubernetes", "kubernetes.aio"):
        import_lazily(package)
    if os.name == "posix":
        os.environ.setdefault(
            "PYTHONTZPATH", ZONES
        )  # otherwise Python reads its build settings: a file of a thousand lines
    atexit.register(gc.freeze)  # otherwise the interpreter collects garbage among all imports before it exits
    sys.exit(importlib.import_module(f"kubectl_sluice.cli.{module}").main())


def import_lazily(package: str) -> None:
    """Imports the modules of a package on demand.

    `kubernetes` has two clients, and a command uses a part of one: importing everything takes twice as long as the
    command.
    """
    spec = util.find_spec(package)
    if spec is None or package in sys.modules:
        return
    module = sys.modules[package] = util.module_from_spec(spec)

    def imported(name: str) -> types.ModuleType:
        try:
            return importlib.import_module(f"{package}.{name}")
        except ModuleNotFoundError as error:
            raise AttributeError(f"module {package!r} has no attribute {name!r}") from error

    vars(module)["__getattr__"] = imported


@contextlib.contextmanager
def quick_imports() -> Iterator[None]:
    """Skips work at import that a short-lived program does not need.

    aiohttp reads all authorities of the machine twice, which takes longer than its other imports; our connections make
    their own context. And imported objects stay, so none of them is garbage.
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
