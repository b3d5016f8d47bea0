"""Rows of requests and answers, and the values of features in them.

    V2       {"inputs": [{"name", "shape", "datatype", "data"}]}, or bytes behind the JSON     answers: outputs
    V1       {"instances": [[…], {…}, …]}                                                      predictions
    OpenAI   {"messages": […]} or {"prompt": …}: figures about them, never the text            choices, usage
    others   a JSON object whose fields are features

A sender may be malicious: a body's size is bounded before it arrives here, and no content causes work that grows faster
than that. An unreadable body raises NotReadable, which reveals nothing of its content.
"""

import json
import zlib

from sluice_observer import tensors

MOST_ROWS = 256
"""The most rows of one body; from more, this many are taken at equal distances."""
LARGEST = 4 << 20
"""The most bytes of a decompressed body."""
JSON_BYTES = "inference-header-content-length"
"""The header that says how many bytes of a V2 body are JSON; the rest is binary."""


class NotReadable(ValueError):
    pass


def request(body, headers, features):
    """Rows of a request. headers: by names in lower case."""
    return _read(_decompressed(body, headers), headers, features, ("inputs", "instances"), _openai_request)


def answer(body, headers, features):
    """Rows of an answer."""
    if headers.get("content-type", "").startswith("text/event-stream"):
        return OneRow(_streamed(body))
    return _read(_decompressed(body, headers), headers, features, ("outputs", "predictions"), _openai_answer)


class Tensors:
    """V2. The largest tensor determines the rows."""

    def __init__(self, found):
        self._found = found
        self.rows = max((tensor.rows for tensor in found.values()), default=0)

    def value(self, feature, row):
        tensor = self._found.get(feature.input)
        return None if tensor is None else tensor.value(row, feature.index or 0)


class Instances:
    """V1. Each is a list, an object, or one value."""

    def __init__(self, instances):
        self._instances = instances
        self._last = None, ()
        self.rows = len(instances)

    def value(self, feature, row):
        found = self._instances[row]
        place = feature.place if feature.index is None else feature.index
        if isinstance(found, dict):
            if feature.index is None or feature.name in found:
                return found.get(feature.name, found.get(feature.input))
            found = found.get(feature.input, [])
        elif not isinstance(found, list):
            return found if place == 0 else None
        key = row, id(found)
        if self._last[0] != key:  # consecutive features ask for the same row
            self._last = key, tensors.flat(found)
        values = self._last[1]
        return values[place] if place < len(values) else None


class OneRow:
    """Fields by name."""

    rows = 1

    def __init__(self, fields):
        self._fields = fields

    def value(self, feature, _row):
        found = self._fields.get(feature.name, self._fields.get(feature.input))
        if feature.index is None or not isinstance(found, list):
            return found
        values = tensors.flat(found)
        return values[feature.index] if feature.index < len(values) else None


def counted(rows, features, counts):
    """Adds each row to counts[feature][bin]; False where no feature has a value in any row: it is something else.

    Raises NotReadable, and then nothing was added.
    """
    step = max(1, -(-rows.rows // MOST_ROWS))
    try:
        found = [
            [feature.bin(_scalar(rows.value(feature, row))) for feature in features]
            for row in range(0, rows.rows, step)
        ]
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError) as error:
        raise NotReadable(type(error).__name__) from None
    missing = [len(feature.names) - 1 for feature in features]
    if all(bins == missing for bins in found):
        return False
    for bins in found:
        for mine, place in zip(counts, bins, strict=True):
            mine[place] += 1
    return True


def _scalar(value):
    """The only value of a list in place of a value."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, (str, int, float, type(None))) else str(type(value))


def _read(body, headers, features, keys, openai):
    tensors_key, instances_key = keys
    header = headers.get(JSON_BYTES, "")
    try:
        size = int(header) if header else len(body)
        if not 0 <= size <= len(body):
            raise NotReadable("header")
        document = json.loads(body[:size])
        if not isinstance(document, dict):
            raise NotReadable("not an object")
        listed, instances = document.get(tensors_key), document.get(instances_key)
        if isinstance(listed, list):
            indexed = {feature.input for feature in features if feature.index is not None}
            return Tensors(tensors.tensors(listed, body[size:], indexed))
        if isinstance(instances, list):
            return Instances(instances)
        found = openai(document)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, MemoryError) as error:
        raise NotReadable(type(error).__name__) from None
    return OneRow(document if found is None else {**document, **found})


def _openai_request(document):
    """Figures about a prompt: its length, and the number of its messages; texts may be parts of a list."""
    messages, prompt = document.get("messages"), document.get("prompt", document.get("input"))
    if isinstance(messages, list):
        texts = [message.get("content") for message in messages]
    elif prompt is not None:
        texts = [prompt]
    else:
        return None
    return {
        "messages": len(texts),
        "prompt_characters": sum(map(_characters, texts)),
        "tools": len(document.get("tools") or ()),
    }


def _characters(content):
    if isinstance(content, str):
        return len(content)
    if not isinstance(content, list):
        return 0
    parts = (each.get("text") if isinstance(each, dict) else each for each in content)
    return sum(len(part) for part in parts if isinstance(part, str))


def _openai_answer(document):
    choices = document.get("choices")
    if not isinstance(choices, list):
        return None
    usage = document.get("usage") or {}
    reasons = [each.get("finish_reason") for each in choices if each.get("finish_reason")]
    return {
        "finish_reason": reasons[0] if reasons else None,
        "completion_tokens": usage.get("completion_tokens"),
        "prompt_tokens": usage.get("prompt_tokens"),
    }


def _streamed(body):
    """The combined content of a stream's events."""
    found = {}
    try:
        for line in body.splitlines():
            if line.startswith(b"data:") and line[5:].strip() != b"[DONE]":
                said = _openai_answer(json.loads(line[5:])) or {}
                found |= {name: value for name, value in said.items() if value is not None}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NotReadable(type(error).__name__) from None
    return found


def _decompressed(body, headers):
    """At most LARGEST, whatever the compressed size."""
    coding = headers.get("content-encoding", "identity")
    if coding == "identity":
        return body
    if coding not in ("gzip", "deflate"):
        raise NotReadable("coding")
    try:
        unpacker = zlib.decompressobj(47)  # gzip or zlib, detected
        found = unpacker.decompress(body, LARGEST)
    except zlib.error:
        raise NotReadable("coding") from None
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise NotReadable("too large")
    return found
