"""A feature in the reference and now as a picture: bars by bin, in SVG, coloured by a style sheet through classes."""

import html
from collections.abc import Iterator
from typing import Final

from kubectl_sluice.views.reports.drift import BinView, MovedView
from kubectl_sluice.views.reports.profileplot import Scale

WIDTH: Final = 760
LEFT: Final = 150
"""The names of the bins are to its left."""
RIGHT: Final = 60
TOP: Final = 30
ROW: Final = 26
BAR: Final = 9
LONGEST_NAME: Final = 22
"""How many letters fit there."""


def svg(view: MovedView) -> str:
    """Two bars for each bin; the whole picture in words, too."""
    height = TOP + ROW * len(view.bins) + 8
    highest = max([1.0, *(max(each.reference_percent, each.now_percent) for each in view.bins)])
    across = Scale(highest, LEFT, WIDTH - RIGHT)
    told = "; ".join(
        f"{each.name}: {each.reference_percent:g} % before, {each.now_percent:g} % now" for each in view.bins
    )
    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {height}" role="img"><title>{html.escape(f"{view.words}. {told}")}</title>',
        f'<text class="title" x="{LEFT}" y="16">{html.escape(view.name)}</text>',
        *(part for number, each in enumerate(view.bins) for part in _bars(each, TOP + ROW * number, across)),
        f'<path class="axis" d="M{LEFT},{TOP - 4}V{height - 4}"/>',
    ]
    return "".join((*parts, "</svg>"))


def _bars(one: BinView, top: int, across: Scale) -> Iterator[str]:
    name = one.name if len(one.name) <= LONGEST_NAME else f"{one.name[: LONGEST_NAME - 1]}…"
    yield f'<text class="end" x="{LEFT - 6}" y="{top + 13}">{html.escape(name)}</text>'
    for number, (kind, percent) in enumerate((("reference", one.reference_percent), ("now", one.now_percent))):
        y, end = top + number * (BAR + 1), across.at(percent)
        yield f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{round(end - LEFT, 1)}" height="{BAR}"/>'
        yield f'<text x="{end + 4}" y="{y + 8}">{percent:g} %</text>'
