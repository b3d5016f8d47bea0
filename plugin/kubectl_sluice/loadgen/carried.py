"""Runs this package from its text alone: `sources` become modules without writing a file.

The pod's image has Python and nothing of ours, and its file system is read-only. The text consists of this file
followed by a call of `run` with the sources of the others.
"""

import importlib.abc
import importlib.util
import runpy
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec


class CarriedModules(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds and loads modules from texts."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources
        """By full name; a module that contains others is a package."""

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self) if fullname in self._sources else None

    def get_source(self, fullname: str) -> str:
        return self._sources[fullname]

    def is_package(self, fullname: str) -> bool:
        return any(name.startswith(f"{fullname}.") for name in self._sources)


def run(package: str, sources: Mapping[str, str]) -> None:
    """Runs like `python -m PACKAGE`."""
    sys.meta_path.insert(0, CarriedModules(sources))
    runpy.run_module(package, run_name="__main__", alter_sys=True)
