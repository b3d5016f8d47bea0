"""The body of a request: made from the model's metadata, or the user's, packed for transfer."""

import base64
import json
import math
import zlib
from collections.abc import Mapping
from typing import Any, Final

LARGEST: Final = 16_000_000
"""The most elements of a generated input; more zeros would fill the memory."""
FILLERS: Final[Mapping[str, Any]] = {"BOOL": False, "BYTES": ""}


def body_of(metadata: Mapping[str, Any]) -> bytes:
    """A V2 inference request of zeros, one row where the model leaves the number open.

    The rule of the warm-up (`sluice_warmup.protocols`), repeated because this program is sent alone; a test compares
    both. Raises ValueError.
    """
    inputs = metadata.get("inputs")
    if not inputs:
        raise ValueError("the model's metadata do not name any inputs")
    return json.dumps({"inputs": [_input(entry) for entry in inputs]}).encode()


def _input(entry: Mapping[str, Any]) -> dict[str, Any]:
    shape = [max(1, int(size)) for size in entry.get("shape", ())]
    count = math.prod(shape)
    if count > LARGEST:
        raise ValueError(f"input {entry.get('name')} of shape {shape} is too large to generate")
    datatype = str(entry.get("datatype", ""))
    filler = FILLERS.get(datatype, 0)
    return {"name": entry.get("name"), "shape": shape, "datatype": datatype, "data": [filler] * count}


def packed(body: bytes) -> str:
    """A body as text that fits an environment variable."""
    return base64.b64encode(zlib.compress(body, 9)).decode()


def unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))
