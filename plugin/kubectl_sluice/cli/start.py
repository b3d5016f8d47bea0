"""How the plugin's processes start: what is arranged before anything else is imported.

Nine tenths of the processor time of most commands are imports. So this module imports little itself, and nothing of other
people's.
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
"""The variable by which OpenSSL finds what it trusts."""
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
        os.environ.setdefault("PYTHONTZPATH", ZONES)  # otherwise it reads how it was built: a file of a thousand lines
    atexit.register(gc.freeze)  # otherwise the interpreter looks for garbage in all that was imported before it ends
    sys.exit(importlib.import_module(f"kubectl_sluice.cli.{module}").main())


def import_lazily(package: str) -> None:
    """Imports the modules of a package when somebody asks for them, and not all of them with it.

    `kubernetes` has two clients, of one of which a command uses a part: the whole takes twice as long as the command.
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
