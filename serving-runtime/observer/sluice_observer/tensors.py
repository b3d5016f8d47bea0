"""Tensors of the Open Inference Protocol V2: as JSON, and as bytes behind it (the binary data extension)."""

import math
import struct

MOST_DIMENSIONS = 16
MOST_TENSORS = 1024
CODES = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q",
    "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip


class NotATensor(ValueError):
    """A malformed tensor. The message contains no value of the body."""


class Tensor:
    """rows, width: of values row by row. at(i): one of them."""

    __slots__ = ("at", "rows", "width")

    def __init__(self, shape, count, at, *, one_row):
        """one_row: whether a single dimension counts values of one row, not rows."""
        self.at = at
        if len(shape) == 1 and one_row:
            self.rows, self.width = 1, shape[0]
        else:
            self.rows = shape[0] if shape else 1
            self.width = math.prod(shape[1:])
        if self.rows * self.width != count:
            raise NotATensor("the shape is not that of the data")

    def value(self, row, index):
        """None where there is none. A tensor of one row applies to all rows."""
        row = 0 if self.rows == 1 else row
        return self.at(row * self.width + index) if row < self.rows and index < self.width else None


def tensors(listed, binary, indexed):
    """By name. binary: the bytes behind the JSON. indexed: names of tensors whose indexes the reference has."""
    if len(listed) > MOST_TENSORS:
        raise NotATensor(f"more than {MOST_TENSORS} tensors")
    found, start = {}, 0
    for raw in listed:
        name, shape = raw["name"], _shape(raw["shape"])
        size = (raw.get("parameters") or {}).get("binary_data_size")
        one_row = name in indexed
        if size is None:
            values = flat(raw["data"])
            found[name] = Tensor(shape, len(values), values.__getitem__, one_row=one_row)
            continue
        if type(size) is not int or not 0 <= size <= len(binary) - start:
            raise NotATensor("the bytes are fewer than the header says")
        content = binary[start : start + size]
        start += size
        count, at = _decoder(raw["datatype"], content)
        found[name] = Tensor(shape, count, at, one_row=one_row)
    return found


def _shape(raw):
    if len(raw) > MOST_DIMENSIONS or any(type(size) is not int or not 0 <= size < 1 << 31 for size in raw):
        raise NotATensor("the shape is not one of whole numbers")
    return raw


def flat(data):
    """All values of nested lists, in order. Refuses a depth that no tensor has."""
    if not isinstance(data, list):
        return [data]
    for _ in range(MOST_DIMENSIONS):
        if not any(isinstance(each, list) for each in data):
            return data
        data = [value for each in data for value in (each if isinstance(each, list) else (each,))]
    raise NotATensor("lists within lists, deeper than any tensor")


def _decoder(datatype, content):
    """(number of values, function that decodes one of them); only requested values are decoded."""
    if datatype == "BYTES":
        values = list(_texts(content))
        return len(values), values.__getitem__
    if datatype == "BF16":  # the upper half of an FP32
        return len(content) // 2, lambda place: struct.unpack("<f", b"\0\0" + content[2 * place : 2 * place + 2])[0]
    code = CODES.get(datatype) if isinstance(datatype, str) else None
    if code is None:
        raise NotATensor("an unknown datatype")
    reader = struct.Struct(f"<{code}")
    return len(content) // reader.size, lambda place: reader.unpack_from(content, place * reader.size)[0]


def _texts(content):
    at = 0
    while at < len(content):
        if at + 4 > len(content):
            raise NotATensor("a text's length is cut")
        (size,) = struct.unpack_from("<I", content, at)
        at += 4
        if size > len(content) - at:
            raise NotATensor("a text is shorter than its length")
        yield content[at : at + size].decode(errors="replace")
        at += size
