"""Why a model is not served, in one line: where, what is wrong, what is possible."""

import contextlib
from pathlib import Path

TERMINATION_LOG = Path("/dev/termination-log")


class NotLoadable(Exception):
    """The line is left where the operator reads it."""

    def __init__(self, text):
        super().__init__(f"ModelNotLoadable: {' '.join(text.split())}")
        with contextlib.suppress(OSError):
            TERMINATION_LOG.write_text(str(self)[:4096])
