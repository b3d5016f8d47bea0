"""JSON of any depth: what is nested too deeply for Python's reader is cut off, so that the rest can be read.

One object of a list or a stream may be nested thousands of levels deep: the API server stores up to 10,000. Python's
reader gives up at about a thousand, and the rest of the answer would be lost, too.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

DEEPEST: Final = 200
"""Levels that are kept when something must be cut off; far more than any object in use has."""
CUT: Final = b'"(nested too deeply)"'
TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def loads(content: bytes | str) -> Any:
    """Parses like `json.loads`, but cuts off what is nested too deeply. Raises `ValueError`."""
    try:
        return json.loads(content)
    except RecursionError:
        encoded = content.encode() if isinstance(content, str) else content
    try:
        return json.loads(b"".join(_kept(encoded)))
    except RecursionError as error:  # not in UTF-8: quotes and brackets are elsewhere
        raise ValueError("nested too deeply") from error


def _kept(content: bytes) -> Iterator[bytes]:
    depth, begin = 0, 0
    for token in TOKEN.finditer(content):
        match token.group():
            case b"{" | b"[":
                depth += 1
                if depth == DEEPEST + 1:
                    yield content[begin : token.start()]
                    yield CUT
            case b"}" | b"]":
                depth -= 1
                if depth == DEEPEST:
                    begin = token.end()
    if depth <= DEEPEST:
        yield content[begin:]
