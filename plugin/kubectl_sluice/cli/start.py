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
import types
from collections.abc import Iterator
from importlib import util
from typing import Any, Final

AUTHORITIES: Final = "SSL_CERT_FILE"
"""The variable by which OpenSSL finds what it trusts."""
ZONES: Final = "/usr/share/zoneinfo:/usr/lib/zoneinfo:/usr/share/lib/zoneinfo:/etc/zoneinfo"
"""Where Python looks for time zones on all systems but Windows, unless it was built otherwise."""
DATES: Final = "dateutil.parser"
PLUGINS: Final = "pydantic.plugin._loader"


def main() -> None:
    """Entry point of the script `kubectl-sluice`, which kubectl runs as `kubectl sluice`."""
    _run("app")


def complete() -> None:
    """Entry point of the script `kubectl_complete-sluice`, which kubectl and the shells ask."""
    _run("completion")


def _run(module: str) -> None:
    gc.disable()  # until the command is imported: `quick_imports`
    leave_out_whole_clients()
    # pydantic looks for plugins in the metadata of all installed packages, and parses e-mails for that.
    sys.modules.setdefault(PLUGINS, _module(PLUGINS, get_plugins=tuple))
    if os.name == "posix":
        os.environ.setdefault("PYTHONTZPATH", ZONES)  # otherwise it reads how it was built: a file of a thousand lines
    atexit.register(gc.freeze)  # otherwise the interpreter looks for garbage in all that was imported before it ends
    sys.exit(importlib.import_module(f"kubectl_sluice.cli.{module}").main())


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
    makes a context of his own. The Kubernetes client can parse dates, which it does for who asks it for objects, and
    not for JSON. And what is imported stays, so nothing of it is garbage, now or later.
    """
    chosen = os.environ.get(AUTHORITIES)
    os.environ[AUTHORITIES] = os.devnull
    dates = sys.modules.setdefault(DATES, _module(DATES, parse=None))
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        if dates.__file__ is None:
            del sys.modules[DATES]  # for whoever else imports it later
        del os.environ[AUTHORITIES]
        if chosen is not None:
            os.environ[AUTHORITIES] = chosen


def _module(name: str, **content: Any) -> types.ModuleType:
    """What stands for a module that is not worth its import."""
    module = types.ModuleType(name)
    module.__file__ = None
    vars(module).update(content)
    return module
