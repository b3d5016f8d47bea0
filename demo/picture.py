"""The picture of the demo: weight, what each version answered, and the evidence, over one time axis.

`python -m demo.picture` draws it anew from build/demo/observations.json and build/demo/requests.jsonl.
"""

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from demo.release import Objective, Observation

FOLDER: Final = Path("build/demo")
OBSERVATIONS: Final = FOLDER / "observations.json"
REQUESTS: Final = FOLDER / "requests.jsonl"
PICTURE: Final = FOLDER / "rollout.png"
SMOOTHING_SECONDS: Final = 5
EVIDENCE_FLOOR: Final = -3.0  # log10; what is below says no more than "none"
OBJECTIVE_STYLES: Final = ("-", "--", ":", "-.")


def save_observations(observations: Sequence[Observation], path: Path = OBSERVATIONS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(seen) for seen in observations]) + "\n")


def load_observations(path: Path = OBSERVATIONS) -> list[Observation]:
    return [_observation(row) for row in json.loads(path.read_text())]


MODEL_COLOURS: Final = {
    "first version": "tab:blue",
    "v2": "tab:green",
    "v3": "tab:orange",
    "v4": "tab:red",
    "v5": "tab:purple",
    "v6": "tab:olive",
}


def _observation(row: dict[str, Any]) -> Observation:
    return Observation(**(row | {"objectives": tuple(_objective(entry) for entry in row["objectives"])}))


def _objective(entry: dict[str, Any]) -> Objective:
    return Objective(**(entry | {arm: tuple(entry[arm]) for arm in ("stable", "candidate")}))


def draw(observations: Sequence[Observation], requests: Path = REQUESTS, picture: Path = PICTURE) -> Path:
    """Draw into a PNG file and return its path."""
    rows = [json.loads(line) for line in requests.read_text().splitlines()]
    origin = observations[0].time
    figure, (weight, rates, harm, evidence) = plt.subplots(4, 1, figsize=(14, 11), sharex=True, layout="constrained")
    _draw_weight(weight, observations, origin)
    _draw_rates(rates, rows, _names(observations), origin)
    _draw_harm(harm, rows, _names(observations), origin)
    _draw_evidence(evidence, observations, origin)
    evidence.set_xlabel("seconds since the first release began")
    evidence.set_xlim(-10, observations[-1].time - origin + 5)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    plt.close(figure)
    return picture


def _names(observations: Sequence[Observation]) -> dict[str, str]:
    """Revision -> the model's short name."""
    return {seen.revision: seen.model for seen in observations}


def _by_release(observations: Sequence[Observation]) -> dict[str, list[Observation]]:
    groups: defaultdict[str, list[Observation]] = defaultdict(list)
    for seen in observations:
        groups[seen.model].append(seen)
    return dict(groups)


def _draw_weight(axes: Axes, observations: Sequence[Observation], origin: float) -> None:
    for number, (model, seen) in enumerate(_by_release(observations).items()):
        times, weights = [entry.time - origin for entry in seen], [entry.weight for entry in seen]
        axes.step(times, weights, where="post", linewidth=2, color=_colour(model))
        place = (times[0], 106 + 14 * (number % 2))  # short releases stand close together
        axes.annotate(f"{model}: {seen[-1].outcome or 'running'}", place, color=_colour(model), annotation_clip=False)
    axes.set_ylabel("candidate's weight, %")
    axes.set_ylim(-3, 134)
    axes.set_yticks(range(0, 101, 20))


def _colour(model: str) -> str:
    """The same in every panel."""
    return MODEL_COLOURS.get(model, "tab:gray")


def _draw_rates(axes: Axes, rows: Sequence[dict[str, Any]], names: dict[str, str], origin: float) -> None:
    for revision, series in _per_revision(rows, ("requests",)).items():
        times, values = _smoothed(series)
        label = names.get(revision, "first version") if revision else "no revision"
        shifted, counts = [moment - origin for moment in times], [requests for (requests,) in values]
        axes.plot(shifted, counts, label=label, color=_colour(label))
    axes.set_ylabel("answers a second")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def _draw_harm(axes: Axes, rows: Sequence[dict[str, Any]], names: dict[str, str], origin: float) -> None:
    for revision, series in _per_revision(rows, ("requests", "wrong", "failed", "over50Millis")).items():
        times, values = _smoothed(series)
        shifted = [moment - origin for moment in times]
        label = names.get(revision, "first version") if revision else "no revision"
        bad = [100 * (wrong + failed) / total if total else math.nan for total, wrong, failed, _ in values]
        slow = [100 * late / total if total else math.nan for total, _, _, late in values]
        axes.plot(shifted, bad, color=_colour(label))
        axes.plot(shifted, slow, color=_colour(label), linestyle=":", linewidth=1.5)
    axes.set_ylabel("wrong or failed, %\n(dotted: over 50 ms)")
    axes.set_ylim(-3, 103)


def _draw_evidence(axes: Axes, observations: Sequence[Observation], origin: float) -> None:
    names = sorted({objective.name for seen in observations for objective in seen.objectives})
    for (name, style), kind, colour in (
        (pair, kind, colour)
        for pair in zip(names, OBJECTIVE_STYLES, strict=False)
        for kind, colour in (("rollback", "tab:red"), ("advance", "tab:green"))
    ):
        for number, seen in enumerate(_by_release(observations).values()):
            times, values = _evidence_series(seen, name, kind, origin)
            axes.plot(times, values, style, color=colour, label=f"{name}: {kind}" if number == 0 else None)
    for kind, colour in (("rollback_threshold", "tab:red"), ("advance_threshold", "tab:green")):
        levels = {getattr(objective, kind) for seen in observations for objective in seen.objectives} - {None}
        for level in levels:
            axes.axhline(level, color=colour, linewidth=0.8, alpha=0.5)
    axes.set_ylabel("evidence, log10\n(lines: thresholds)")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")


def _evidence_series(
    observations: Sequence[Observation], name: str, kind: str, origin: float
) -> tuple[list[float], list[float]]:
    pairs = [
        (seen.time - origin, max(EVIDENCE_FLOOR, getattr(objective, kind)))
        for seen in observations
        for objective in seen.objectives
        if objective.name == name and getattr(objective, kind) is not None
    ]
    return [moment for moment, _ in pairs], [value for _, value in pairs]


def _per_revision(rows: Sequence[dict[str, Any]], fields: tuple[str, ...]) -> dict[str, dict[int, tuple[int, ...]]]:
    series: defaultdict[str, dict[int, tuple[int, ...]]] = defaultdict(dict)
    for row in rows:
        series[row["revision"]][row["time"]] = tuple(row[field] for field in fields)
    return dict(series)


def _smoothed(series: dict[int, tuple[int, ...]]) -> tuple[list[int], list[tuple[float, ...]]]:
    """Means over windows of some seconds, from the first to the last second that has a row; no row means zero."""
    width = len(next(iter(series.values())))
    edges = list(range(min(series), max(series) + SMOOTHING_SECONDS + 1, SMOOTHING_SECONDS))
    means = [
        tuple(
            sum(series.get(second, (0,) * width)[column] for second in range(start, end)) / SMOOTHING_SECONDS
            for column in range(width)
        )
        for start, end in pairwise(edges)
    ]
    return edges[:-1], means


if __name__ == "__main__":
    print(draw(load_observations()))
