"""The part of a reconciler that earlier checkouts do not have."""

from collections.abc import Callable
from importlib import util
from typing import Any


def lane(wake: Callable[[Any], None], monotonic: Callable[[], float]) -> dict[str, Any]:
    """The argument `lane` of a Reconciler; none for an operator without."""
    if util.find_spec("sluice.shell.lane") is None:
        return {}
    from sluice.shell.lane import Lane

    return {"lane": Lane[Any](wake, monotonic=monotonic, share=lambda key: key.namespace)}
