"""Short hashes of values: the same in every process."""

import hashlib
import json
from typing import Any


def stable_hash(value: Any, length: int = 10) -> str:
    """A short hexadecimal hash of a JSON-able value, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:length]
