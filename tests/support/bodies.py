"""Large bodies of V2 requests to the digits models, as text: what a client sends on purpose, or by a mistake."""

import json
from collections.abc import Iterator
from typing import Final

PIXELS: Final = 64


def infer(rows: int, *, padding: int = 0) -> str:
    """Black images; padding: so many characters that no model reads."""
    tensor = {"name": "image", "shape": [rows, PIXELS], "datatype": "FP32", "data": [0] * (rows * PIXELS)}
    outputs = [{"name": "label"}]
    return json.dumps({"parameters": {"note": "x" * padding}, "inputs": [tensor], "outputs": outputs})


def nested(levels: int) -> str:
    """Arrays in arrays where the inputs should be: two bytes a level."""
    return '{"inputs":' + "[" * levels + "]" * levels + "}"


def in_chunks(text: str, count: int, size: int) -> Iterator[bytes]:
    """The text, and so many chunks of so many spaces after it: still JSON."""
    yield text.encode()
    for _ in range(count):
        yield b" " * size
