"""Evidence of a release over time as a picture: SVG, coloured by a style sheet through classes."""

import html
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from kubectl_sluice.views.releases.proof import ReplayedMoment, ReplayedRelease
from kubectl_sluice.views.reports.profileplot import Scale
from sluice_core.views import words

WIDTH: Final = 760
HEIGHT: Final = 240
LEFT: Final = 44
RIGHT: Final = 12
TOP: Final = 30
BOTTOM: Final = 40
LABEL: Final = 40
"""The least distance between two weights that are labelled."""
ALL: Final = "all objectives"
COLOURS: Final = 8
"""How many colours lines have; the style sheet has as many."""


def against(view: ReplayedRelease) -> str:
    """The evidence that the candidate is worse, for each objective and in total, with the threshold."""
    lines = {ALL: [moment.against for moment in view.moments]}
    lines |= {name: [moment.rollback.get(name, 0.0) for moment in view.moments] for name in _names(view.moments)}
    return _svg("Evidence that it is worse", view.moments, lines, view.rollback_threshold, "rolled back", "bad")


def advance(view: ReplayedRelease) -> str:
    """The evidence for each objective that the candidate is good enough; it starts anew with each step."""
    lines = {name: [moment.advance.get(name, 0.0) for moment in view.moments] for name in _names(view.moments)}
    return _svg("Evidence that it is good enough", view.moments, lines, view.advance_threshold, "proven", "good")


def _names(moments: Sequence[ReplayedMoment]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for moment in moments for name in moment.rollback))


def _svg(
    title: str,
    moments: Sequence[ReplayedMoment],
    lines: dict[str, list[float]],
    threshold: float,
    passed: str,
    tone: str,
) -> str:
    top = max([threshold * 1.25, *(min(max(values, default=0.0), 3 * threshold) for values in lines.values())])
    across = Scale(max(moments[-1].seconds if moments else 0.0, 1.0), LEFT, WIDTH - RIGHT)
    up = Scale(top, HEIGHT - BOTTOM, TOP)

    def height(value: float) -> float:
        return up.at(min(max(value, 0.0), top))

    colours = {name: number % COLOURS for number, name in enumerate((ALL, *_names(moments)))}
    y, floor = height(threshold), HEIGHT - BOTTOM
    told = "; ".join(f"{name} {values[-1]:.2f}" for name, values in lines.items() if values)
    text = f"{title}, as log10, over time. Threshold {threshold:.2f}. At the end: {told or 'nothing'}."
    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{html.escape(text)}</title>',
        f'<text class="title" x="{LEFT}" y="16">{html.escape(title)} (log10)</text>',
        *_steps(moments, across, floor),
        f'<path class="axis" d="M{LEFT},{TOP}V{floor}H{WIDTH - RIGHT}"/>',
        f'<text x="{LEFT - 6}" y="{floor}" class="end">0</text>',
        f'<text x="{LEFT - 6}" y="{y + 4}" class="end">{threshold:.2f}</text>',
        f'<path class="threshold {tone}" d="M{LEFT},{y}H{WIDTH - RIGHT}"/>',
        f'<text class="end threshold {tone}" x="{WIDTH - RIGHT}" y="{y - 5}">{passed}</text>',
    ]
    for name, values in lines.items():
        parts.append(_line(moments, values, across, height, f"o{colours[name]}", name))
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 6}">0s</text>')
    if moments:
        parts.append(f'<text class="end" x="{WIDTH - RIGHT}" y="{HEIGHT - 6}">{words.span(moments[-1].seconds)}</text>')
    return "".join((*parts, "</svg>"))


def _steps(moments: Sequence[ReplayedMoment], across: Scale, floor: float) -> Iterator[str]:
    """The changes of the candidate's weight."""
    before, written = -1.0, -math.inf
    for moment in moments:
        x = across.at(moment.seconds)
        if moment.weight != before:
            yield f'<path class="grid" d="M{x},{TOP}V{floor}"/>'
        if moment.weight != before and x > written + LABEL:
            written = x
            yield f'<text x="{x + 3}" y="{floor + 16}">{moment.weight:g} %</text>'
        before = moment.weight


def _line(
    moments: Sequence[ReplayedMoment],
    values: Sequence[float],
    across: Scale,
    height: Callable[[float], float],
    colour: str,
    name: str,
) -> str:
    points = " ".join(
        f"{across.at(moment.seconds)},{height(value)}" for moment, value in zip(moments, values, strict=True)
    )
    return f'<polyline class="{colour}" points="{points}"><title>{html.escape(name)}</title></polyline>'
