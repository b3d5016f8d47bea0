"""The header of a GGUF file, read without its weights: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.

Only what the checks need. A file is read up to the last tensor's description, and never as a whole.
"""

import struct
from dataclasses import dataclass
from typing import Any

MAGIC = b"GGUF"
VERSIONS = (2, 3)
LONGEST_STRING = 1 << 24
MOST_ENTRIES = 1 << 20
ARRAY = 9
STRING = 8
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Value types of metadata, as struct writes them."""
BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
"""By type of a tensor: values in a block, and bytes of a block."""


class NotGguf(Exception):
    """The file cannot be read as GGUF; the message says why."""


@dataclass(frozen=True, slots=True)
class Tensor:
    shape: tuple[int, ...]
    """The fastest dimension first, as in the file."""
    bytes: int
    """0: of an unknown type."""
    offset: int


@dataclass(frozen=True, slots=True)
class Header:
    """Arrays of the metadata are kept as their lengths, because they are vocabularies."""

    metadata: dict[str, Any]
    tensors: dict[str, Tensor]
    end: int
    """The size that the file must have, in bytes."""

    @property
    def architecture(self):
        return self.metadata.get("general.architecture", "")

    def of_architecture(self, key, default=None):
        """A value whose key begins with the architecture, such as llama.context_length."""
        return self.metadata.get(f"{self.architecture}.{key}", default)


def read(path):
    """Raises NotGguf, and OSError."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        try:
            return _read(_Fields(file, size), size)
        except _Cut as error:
            raise NotGguf(f"its header is cut: the file ends after {size} bytes") from error


def _read(fields, size):
    magic = fields.take(4) if size >= 4 else b""
    if magic != MAGIC:
        raise NotGguf(f"it begins with {magic!r}; a GGUF file begins with {MAGIC!r}")
    version = fields.number("I")
    if version not in VERSIONS:
        raise NotGguf(f"GGUF version {version} is not supported; use {' or '.join(map(str, VERSIONS))}, little-endian")
    tensors, entries = fields.number("Q"), fields.number("Q")
    if max(tensors, entries) > MOST_ENTRIES:
        raise NotGguf(f"{tensors} tensors and {entries} entries of metadata; at most {MOST_ENTRIES} are read")
    metadata = {fields.string(): fields.value(fields.number("I")) for _ in range(entries)}
    described = {fields.string(): _tensor(fields) for _ in range(tensors)}
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise NotGguf(f"general.alignment is {alignment!r}; it must be a positive number")
    begin = -(-fields.position // alignment) * alignment
    return Header(
        metadata, described, begin + max((each.offset + each.bytes for each in described.values()), default=0)
    )


def _tensor(fields):
    dimensions = fields.number("I")
    if dimensions > 8:
        raise NotGguf(f"a tensor has {dimensions} dimensions; at most 8 are possible")
    shape = tuple(fields.number("Q") for _ in range(dimensions))
    values, kind = 1, fields.number("I")
    for length in shape:
        values *= length
    block, block_bytes = BLOCKS.get(kind, (1, 0))
    return Tensor(shape, values // block * block_bytes, fields.number("Q"))


class _Cut(Exception):
    pass


class _Fields:
    """Reads one field after the other; raises _Cut where the file ends."""

    def __init__(self, file, size):
        self._file = file
        self._size = size

    @property
    def position(self):
        return self._file.tell()

    def take(self, count):
        data = self._file.read(count)
        if len(data) < count:
            raise _Cut
        return data

    def number(self, kind):
        return struct.unpack(f"<{kind}", self.take(struct.calcsize(kind)))[0]

    def string(self):
        length = self.number("Q")
        if length > LONGEST_STRING:
            raise NotGguf(f"a string has {length} bytes; at most {LONGEST_STRING} are read")
        return self.take(length).decode(errors="replace")

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            return self._length_of_array()
        return self.number(self._kind(kind))

    def _length_of_array(self):
        kind, count = self.number("I"), self.number("Q")
        if kind == STRING:
            for _ in range(count):
                self.string()
        else:  # an array of arrays is in no model
            self._skip(struct.calcsize(self._kind(kind)) * count)
        return count

    def _skip(self, count):
        self._file.seek(min(count, self._size), 1)
        if self.position > self._size:
            raise _Cut

    def _kind(self, kind):
        if kind not in NUMBERS:
            raise NotGguf(f"a value of metadata has the unknown type {kind}")
        return NUMBERS[kind]
