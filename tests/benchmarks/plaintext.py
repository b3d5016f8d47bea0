"""Results in full, as text for any editor: tables in columns, no links."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from tests.benchmarks import markdown

LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]+\)")
GAP: Final = "  "


def document(parts: Iterable[str]) -> str:
    """Parts with an empty line between two of them."""
    return "\n\n".join(part for part in parts if part) + "\n"


def heading(title: str, underline: str = "-") -> str:
    return f"{title}\n{underline * len(title)}"


def paragraph(text: str) -> str:
    return markdown.paragraph(_plain(text))


def items(lines: Iterable[str]) -> str:
    return markdown.items(map(_plain, lines))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [[_plain(cell) for cell in line] for line in (columns, *rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _plain(text: str) -> str:
    return LINK.sub(r"\1", text).replace("**", "")
