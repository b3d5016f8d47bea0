"""Who hears of changes in place of the operator's inbox."""

from collections.abc import Callable

from sluice.core.kernel.snapshot import Object


class Heard:
    """An inbox without an end; `hear` is told at once, in the thread of the watches."""

    def __init__(self, hear: Callable[[str, Object], None] = lambda *_: None) -> None:
        self._hear = hear

    def put(self, event: str, raw: Object, size: int) -> None:
        assert size > 0
        self._hear(event, raw)

    async def room(self) -> None:
        """There is always some."""
