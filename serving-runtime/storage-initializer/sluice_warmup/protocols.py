"""What a warm-up request looks like in each inference protocol: names in, paths and bodies out, nothing sent."""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

INFER_PATHS: Final[Mapping[str, str]] = {
    "V2": "/v2/models/{model}/infer",
}
METADATA_PATHS: Final[Mapping[str, str]] = {
    "V2": "/v2/models/{model}",
}
"""Where a model tells its inputs; a protocol without one needs a payload by the user."""

LARGEST: Final = 16_000_000
"""Elements of an input that is made up; the zeros of more would fill the memory."""
FILLERS: Final[Mapping[str, Any]] = {"BOOL": False, "BYTES": ""}
"""What stands for a value of a datatype; of every other one 0."""


class NoPayload(Exception):
    """The metadata do not say enough to make up a request; the message says what is missing."""


def body_of(metadata: Mapping[str, Any]) -> bytes:
    """A V2 inference request of zeros, with one row where the model leaves the number open."""
    inputs = metadata.get("inputs")
    if not inputs:
        raise NoPayload("the model's metadata name no inputs")
    return json.dumps({"inputs": [_input(entry) for entry in inputs]}).encode()


def _input(entry: Mapping[str, Any]) -> dict[str, Any]:
    shape = [max(1, int(size)) for size in entry.get("shape", ())]
    count = math.prod(shape)
    if count > LARGEST:
        raise NoPayload(f"input {entry.get('name')} of shape {shape} is too large to make up")
    datatype = str(entry.get("datatype", ""))
    filler = FILLERS.get(datatype, 0)
    return {"name": entry.get("name"), "shape": shape, "datatype": datatype, "data": [filler] * count}
