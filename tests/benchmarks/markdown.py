"""Prose of the pages that benchmarks write: wrapped as in all documents."""

import textwrap
from collections.abc import Iterable
from typing import Final

WIDTH: Final = 118


def paragraph(text: str) -> str:
    return _filled(text)


def items(lines: Iterable[str]) -> str:
    return "\n".join(_filled(f"- {line}", indent="  ") for line in lines)


def _filled(text: str, indent: str = "") -> str:
    return textwrap.fill(
        " ".join(text.split()), WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
