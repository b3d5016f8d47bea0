"""The releases of a calibration as a picture: evidence against each, over time, in SVG."""

import html
import textwrap
from typing import Final

from kubectl_sluice.views.reports.calibration import HIGHEST, CalibratedRelease, CalibrationView
from kubectl_sluice.views.reports.profileplot import COLOURS, STYLE
from sluice_core.views import words

WIDTH: Final = 760
PLOT: Final = 216
"""Height between the axes."""
LEFT: Final = 56
RIGHT: Final = 20
TOP: Final = 52
"""The height above the plot; each line of the sentence adds one of text."""
BOTTOM: Final = 44
SPARE: Final = 0.1
"""The margin above the highest dot and below the lowest, as log10 of evidence."""
LINE: Final = 105
"""How many letters fit between left and right."""
FINE, BACK = COLOURS[0], COLOURS[1]


def svg(view: CalibrationView) -> str:
    """A dot for each release, and the rollback threshold as a line."""
    shown = [min(release.evidence, HIGHEST * view.threshold) for release in view.releases]
    highest, lowest = max(view.threshold * 1.2, 0.1, *shown) + SPARE, min(0.0, 0.0, *shown) - SPARE
    said = textwrap.wrap(view.sentence, LINE)
    top = TOP + 14 * len(said)
    floor = top + PLOT
    height = floor + BOTTOM
    times = [words.seconds_of(release.time) for release in view.releases]
    first, last = min(times, default=0.0), max(times, default=1.0)

    def across(time: float) -> float:
        return round(LEFT + 8 + (WIDTH - RIGHT - LEFT - 16) * (time - first) / max(last - first, 1.0), 1)

    def up(evidence: float) -> float:
        return round(floor - PLOT * (evidence - lowest) / (highest - lowest), 1)

    title = f"{view.name} under {view.policy}: the version against itself, {view.span}"
    y = up(view.threshold)
    levels = range(int(lowest) - 1, int(highest) + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        f"<title>{html.escape(title)}</title><style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text class="title" x="{LEFT}" y="24">{html.escape(title)}</text>',
        *(f'<text x="{LEFT}" y="{42 + 14 * number}">{html.escape(line)}</text>' for number, line in enumerate(said)),
        *(_level(level, up(level)) for level in levels if lowest <= level <= highest),
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="{BACK}" stroke-dasharray="5 4"/>',
        f'<text x="{WIDTH - RIGHT}" y="{y - 6}" text-anchor="end" style="fill:{BACK}">rolled back</text>',
        f'<path class="axis" fill="none" d="M{LEFT},{top}V{floor}H{WIDTH - RIGHT}"/>',
        *(
            _dot(release, across(time), up(evidence))
            for release, time, evidence in zip(view.releases, times, shown, strict=True)
        ),
        *_ends(view, floor),
        f'<text transform="translate(16,{(top + floor) / 2}) rotate(-90)" text-anchor="middle">evidence, log10</text>',
    ]
    return "\n".join((*parts, "</svg>")) + "\n"


def _level(level: int, y: float) -> str:
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
        f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{level}</text>'
    )


def _dot(release: CalibratedRelease, x: float, y: float) -> str:
    said = f"{release.reason}: {release.message}" if release.rolled_back else "not rolled back"
    asked = f"; its bake asked {words.plural(release.probes, 'time')}" if release.probes else ""
    colour = BACK if release.rolled_back else FINE
    inside = f'fill="white" stroke="{colour}" stroke-width="2"' if release.probes else f'fill="{colour}"'
    tip = html.escape(f"{release.time}: {said}{asked}")
    return f'<circle cx="{x}" cy="{y}" r="4" {inside}><title>{tip}</title></circle>'


def _ends(view: CalibrationView, floor: int) -> list[str]:
    if not view.releases:
        return []
    first, last = (view.releases[index].time.replace("T", " ")[:16] for index in (0, -1))
    return [
        f'<text x="{LEFT}" y="{floor + 18}">{first}</text>',
        f'<text x="{WIDTH - RIGHT}" y="{floor + 18}" text-anchor="end">{last}</text>',
        *([_asked(WIDTH // 2 - 90, floor + 18)] if view.probes else []),
    ]


def _asked(x: int, y: int) -> str:
    """The meaning of a hollow dot."""
    return (
        f'<circle cx="{x}" cy="{y - 4}" r="4" fill="white" stroke="{FINE}" stroke-width="2" class="key"/>'
        f'<text x="{x + 10}" y="{y}">its bake asked the stable version</text>'
    )
