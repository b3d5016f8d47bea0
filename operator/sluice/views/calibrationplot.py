"""The releases of a calibration as a picture: evidence against each, over time, in SVG."""

import html
import textwrap
from typing import Final

from sluice.views import words
from sluice.views.calibration import HIGHEST, CalibratedRelease, CalibrationView
from sluice.views.profileplot import COLOURS, STYLE

WIDTH: Final = 760
HEIGHT: Final = 340
LEFT: Final = 56
RIGHT: Final = 20
TOP: Final = 80
BOTTOM: Final = 44
LINE: Final = 105
"""Letters that fit between left and right."""
FINE, BACK = COLOURS[0], COLOURS[1]


def svg(view: CalibrationView) -> str:
    """A dot for each release, and the line at which it is rolled back."""
    shown = [min(release.evidence, HIGHEST * view.threshold) for release in view.releases]
    highest, lowest = max(view.threshold * 1.2, 0.1, *shown), min(0.0, 0.0, *shown)
    times = [words.seconds_of(release.time) for release in view.releases]
    first, last = min(times, default=0.0), max(times, default=1.0)

    def across(time: float) -> float:
        return round(LEFT + 8 + (WIDTH - RIGHT - LEFT - 16) * (time - first) / max(last - first, 1.0), 1)

    def up(evidence: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (evidence - lowest) / (highest - lowest), 1)

    title = f"{view.name} under {view.policy}: the version against itself, {view.span}"
    y, floor = up(view.threshold), HEIGHT - BOTTOM
    levels = range(int(lowest) - 1, int(highest) + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">',
        f"<title>{html.escape(title)}</title><style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text class="title" x="{LEFT}" y="24">{html.escape(title)}</text>',
        *(
            f'<text x="{LEFT}" y="{42 + 14 * number}">{html.escape(line)}</text>'
            for number, line in enumerate(textwrap.wrap(view.sentence, LINE))
        ),
        *(_level(level, up(level)) for level in levels if lowest <= level <= highest),
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="{BACK}" stroke-dasharray="5 4"/>',
        f'<text x="{WIDTH - RIGHT}" y="{y - 6}" text-anchor="end" fill="{BACK}">rolled back</text>',
        f'<path class="axis" fill="none" d="M{LEFT},{TOP}V{floor}H{WIDTH - RIGHT}"/>',
        *(
            _dot(release, across(time), up(evidence))
            for release, time, evidence in zip(view.releases, times, shown, strict=True)
        ),
        *_ends(view, floor),
        f'<text transform="translate(16,{(TOP + floor) / 2}) rotate(-90)" text-anchor="middle">evidence, log10</text>',
    ]
    return "\n".join((*parts, "</svg>")) + "\n"


def _level(level: int, y: float) -> str:
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
        f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{level}</text>'
    )


def _dot(release: CalibratedRelease, x: float, y: float) -> str:
    said = f"{release.reason}: {release.message}" if release.rolled_back else "not rolled back"
    tip = html.escape(f"{release.time}: {said}")
    return (
        f'<circle cx="{x}" cy="{y}" r="4" fill="{BACK if release.rolled_back else FINE}"><title>{tip}</title></circle>'
    )


def _ends(view: CalibrationView, floor: int) -> list[str]:
    if not view.releases:
        return []
    first, last = (view.releases[index].time.replace("T", " ")[:16] for index in (0, -1))
    return [
        f'<text x="{LEFT}" y="{floor + 18}">{first}</text>',
        f'<text x="{WIDTH - RIGHT}" y="{floor + 18}" text-anchor="end">{last}</text>',
    ]
