"""The program's output: one JSON object a line."""

import json
from typing import Any


class LoadFailed(Exception):
    """Ends the run: (reason, what happened)."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def emit(event: str, **facts: Any) -> None:
    print(json.dumps({"event": event, **facts}), flush=True)
