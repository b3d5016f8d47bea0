"""Throughput against p95 as a picture: SVG, alone or in a self-contained page."""

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from kubectl_sluice.offline.profile.model import figure
from kubectl_sluice.views.reports.profile import ProfileView, Row

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 44, 96
KEYS, KEY_HEIGHT = 3, 18
"""Legend entries in a line below the picture, and the height of the line."""
COLOURS: Final = ("#2166ac", "#b2182b", "#1b7837", "#e08214", "#762a83", "#35978f", "#8c510a", "#4d4d4d")
TICKS: Final = 5
STEPS: Final = (1, 2, 2.5, 5, 10)
SMALLEST: Final = 0.001
"""The least length of an axis."""
STYLE: Final = (
    "text{font:12px system-ui,sans-serif;fill:#333}.title{font-size:15px;font-weight:600}.grid{stroke:#ddd}"
    ".axis{stroke:#666}.number{font-size:10px;fill:#666}"
)
PAGE_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:.15em .7em;text-align:right;border-bottom:1px solid #ddd}"
    "th:first-child,td:first-child{text-align:left}svg{max-width:100%;height:auto}"
)
HEADINGS: Final = (
    *("setting", "at once", "requests/s", "p50 ms", "p95 ms", "p99 ms"),
    *("queue ms", "compute ms", "other ms", "mean batch", "cores"),
)
TEXT_HEADINGS: Final = (
    *("setting", "at once", "tokens/s", "requests/s", "first p50 ms", "first p95 ms", "token ms", "p95 ms"),
    *("running", "waiting", "KV cache %", "cores"),
)
"""The headings for a language model, whose answers are streams."""


@dataclass(frozen=True, slots=True)
class Scale:
    """From a value to a place on the page."""

    top: float
    """The largest value shown; the smallest is 0."""
    start: float
    end: float

    def at(self, value: float) -> float:
        return round(self.start + (self.end - self.start) * value / self.top, 1)

    @property
    def ticks(self) -> tuple[float, ...]:
        step = _step(self.top / TICKS)
        return tuple(step * number for number in range(int(self.top / step + 1e-9) + 1))


def svg(view: ProfileView) -> str:
    """A line through the points of each setting, from few clients to many, whose numbers are the labels."""
    across = Scale(_upper(row.requests_per_second for row in view.rows), LEFT, WIDTH - RIGHT)
    up = Scale(_upper(row.p95_millis for row in view.rows), HEIGHT - BOTTOM, TOP)
    settings = tuple(dict.fromkeys(row.setting for row in view.rows))
    height = HEIGHT + KEY_HEIGHT * max(0, math.ceil(len(settings) / KEYS) - 2)
    title = f"{view.name}: {view.revision} on {view.server}, {view.cores:g} processors"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        f"<title>{_text(title)}</title><style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text class="title" x="{LEFT}" y="24">{_text(title)}</text>',
        *_axes(across, up),
    ]
    for number, setting in enumerate(settings):
        rows = [row for row in view.rows if row.setting == setting]
        parts += _line(rows, across, up, COLOURS[number % len(COLOURS)])
        parts += _key(setting, number)
    return "\n".join((*parts, "</svg>")) + "\n"


def page(view: ProfileView) -> str:
    """The picture with the table and the sentences, in one HTML file."""
    rows = "\n".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in cells(row))}</tr>" for row in view.rows)
    heads = "".join(f"<th>{heading}</th>" for heading in headings(view))
    notes = "".join(f"<li>{_text(note)}</li>" for note in view.notes)
    advice = "".join(f"<li>{_text(one.sentence)}</li>" for one in view.advice)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(view.name)}: profile</title>'
        f"<style>{PAGE_STYLE}</style></head><body>\n<h1>{_text(view.name)} in {_text(view.namespace)}</h1>\n"
        f"<p><strong>{_text(view.sentence)}</strong></p>\n<ul>{advice}</ul>\n{svg(view)}"
        f"<table><thead><tr>{heads}</tr></thead><tbody>\n{rows}\n</tbody></table>\n<ul>{notes}</ul>\n</body></html>\n"
    )


def headings(view: ProfileView) -> tuple[str, ...]:
    return TEXT_HEADINGS if any(row.tokens_per_second is not None for row in view.rows) else HEADINGS


def cells(row: Row) -> tuple[str, ...]:
    """A row as text, in the order of its headings."""
    if row.tokens_per_second is not None:
        return _text_cells(row)
    return (
        row.setting,
        str(row.concurrency),
        *(figure(each) for each in (row.requests_per_second, row.p50_millis, row.p95_millis, row.p99_millis)),
        *(known(each) for each in (row.queue_millis, row.compute_millis, _other(row))),
        "-" if row.mean_batch is None else f"{row.mean_batch:.1f}",
        "-" if row.cores is None else f"{row.cores:.1f}",
    )


def _text_cells(row: Row) -> tuple[str, ...]:
    speed = (row.tokens_per_second, row.requests_per_second, row.first_p50_millis, row.first_p95_millis)
    return (
        row.setting,
        str(row.concurrency),
        *(known(each) for each in (*speed, row.token_millis, row.p95_millis)),
        *("-" if each is None else f"{each:g}" for each in (row.running, row.waiting, row.kv_cache_percent)),
        "-" if row.cores is None else f"{row.cores:.1f}",
    )


def known(value: float | None) -> str:
    """A figure, or a dash where it is unknown."""
    return "-" if value is None else figure(value)


def _other(row: Row) -> float | None:
    """The time outside queue and model: bodies in and out of the server, and everything around it."""
    parts = (row.input_millis, row.output_millis, row.outside_millis)
    told = [part for part in parts if part is not None]
    return sum(told) if len(told) == len(parts) else None


def _axes(across: Scale, up: Scale) -> list[str]:
    floor, middle = HEIGHT - BOTTOM, (TOP + HEIGHT - BOTTOM) / 2
    parts = []
    for tick in up.ticks:
        y = up.at(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{tick:g}</text>')
    for tick in across.ticks:
        x = across.at(tick)
        parts.append(f'<line class="grid" y1="{TOP}" y2="{floor}" x1="{x}" x2="{x}"/>')
        parts.append(f'<text x="{x}" y="{floor + 16}" text-anchor="middle">{tick:g}</text>')
    return [
        *parts,
        f'<path class="axis" fill="none" d="M{LEFT},{TOP}V{floor}H{WIDTH - RIGHT}"/>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{floor + 34}" text-anchor="middle">'
        "requests/s (next to each point: clients at once)</text>",
        f'<text transform="translate(16,{middle}) rotate(-90)" text-anchor="middle">p95, ms</text>',
    ]


def _line(rows: Sequence[Row], across: Scale, up: Scale, colour: str) -> list[str]:
    places = [(across.at(row.requests_per_second), up.at(row.p95_millis), row) for row in rows]
    path = " ".join(f"{x},{y}" for x, y, _ in places)
    marks = [
        f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}"><title>{_text(row.setting)}, {row.concurrency} at once: '
        f"{figure(row.requests_per_second)} requests/s, p95 {figure(row.p95_millis)} ms</title></circle>"
        f'<text class="number" x="{x + 5}" y="{y - 5}">{row.concurrency}</text>'
        for x, y, row in places
    ]
    return [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>', *marks]


def _key(setting: str, number: int) -> list[str]:
    x = LEFT + (number % KEYS) * (WIDTH - LEFT - RIGHT) / KEYS
    y = HEIGHT - BOTTOM + 56 + KEY_HEIGHT * (number // KEYS)
    colour = COLOURS[number % len(COLOURS)]
    return [
        f'<line x1="{x}" x2="{x + 18}" y1="{y - 4}" y2="{y - 4}" stroke="{colour}" stroke-width="3"/>',
        f'<text x="{x + 24}" y="{y}">{_text(setting)}</text>',
    ]


def _upper(values: Iterable[float]) -> float:
    """A round number above all values."""
    largest = max(SMALLEST, *values)
    step = _step(largest / TICKS)
    return math.ceil(largest / step + 1e-9) * step


def _step(size: float) -> float:
    """The next larger of 1, 2, 2.5 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(size))
    return next(step * power for step in STEPS if step * power >= size * (1 - 1e-9))


def _text(text: str) -> str:
    return html.escape(text)
