"""Large bodies of V2 requests to the digits models, as a client may send them on purpose or by mistake."""

import json
from collections.abc import Iterator, Sequence
from typing import Final

PIXELS: Final = 64
PIXEL_BYTES: Final = 4


def infer(rows: int, *, padding: int = 0, outputs: Sequence[str] = ("label",)) -> str:
    """Black images as JSON; padding: characters that no model reads."""
    tensor = {"name": "image", "shape": [rows, PIXELS], "datatype": "FP32", "data": [0] * (rows * PIXELS)}
    wanted = [{"name": name} for name in outputs]
    return json.dumps({"parameters": {"note": "x" * padding}, "inputs": [tensor], "outputs": wanted})


def binary(rows: int) -> tuple[dict[str, str], bytes]:
    """The same by the extension for binary tensors: (headers, body)."""
    size = rows * PIXELS * PIXEL_BYTES
    tensor = {
        "name": "image",
        "shape": [rows, PIXELS],
        "datatype": "FP32",
        "parameters": {"binary_data_size": size},
    }
    header = json.dumps({"inputs": [tensor], "outputs": [{"name": "label"}]}).encode()
    return {"Inference-Header-Content-Length": str(len(header))}, header + bytes(size)


def nested(levels: int) -> str:
    """Arrays in arrays where the inputs should be: two bytes a level."""
    return '{"inputs":' + "[" * levels + "]" * levels + "}"


def in_chunks(text: str, count: int, size: int) -> Iterator[bytes]:
    """The text, followed by this many chunks of this many spaces: still JSON."""
    yield text.encode()
    for _ in range(count):
        yield b" " * size
