"""Prose of the pages that benchmarks write, wrapped as in all documents."""

import re
import textwrap
from collections.abc import Iterable
from typing import Final

WIDTH: Final = 118
CODE: Final = re.compile(r"`[^`]+`")
JOINED: Final = "\0"
"""A space inside code, where no line breaks."""


def paragraph(text: str) -> str:
    return _filled(text)


def items(lines: Iterable[str]) -> str:
    return "\n".join(_filled(f"- {line}", indent="  ") for line in lines)


def _filled(text: str, indent: str = "") -> str:
    joined = CODE.sub(lambda code: code[0].replace(" ", JOINED), " ".join(text.split()))
    filled = textwrap.fill(joined, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return filled.replace(JOINED, " ")
