"""Whoever has to know each object that the store keeps, such as metrics of objects."""

from typing import Protocol

from sluice.shell.cache.stubs import Identity
from sluice_core.kernel.snapshot import Object


class Audience(Protocol):
    """Is called when an object is kept, again when it changes, and when it is kept no more."""

    def see(self, identity: Identity, kept: Object) -> None: ...

    def forget(self, identity: Identity) -> None: ...
