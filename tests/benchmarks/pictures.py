"""Pictures for docs/strategies, each of a real release on the lab: `python -m tests.benchmarks.pictures [NAME…]`.

canary  bluegreen  shadow  recreate  abtest        without a name all of them

The pictures show the answers to users by version, every second, as the load client counted them. Recordings stay in
build/bench/pictures; `--redraw` draws them again.
"""

import argparse
import calendar
import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from demo import cluster as clusters
from demo import setup
from demo.load import LoadClient
from demo.progress import say
from tests.benchmarks import surroundings
from tests.benchmarks.releases import FOLDER
from tests.support.live.scene import Object, Scene, uri, wait_until
from tests.support.simulated.users import OBJECTIVES, Users

RECORDS: Final = FOLDER / "pictures"
PICTURES: Final = clusters.ROOT / "docs" / "pictures"
BEFORE, AFTER = 5, 8
"""Seconds to show before a release begins and after it has ended."""
RATE: Final = 100.0
NEW_USERS: Final = 40.0
STABLE, LOST = "stable", "no answer of a model"
COLOURS: Final = {STABLE: "#4878a8", "candidate": "#5fa55a", "b": "#5fa55a", "c": "#e1a03c", LOST: "#c44e52"}
SMOOTHED: Final = 2
"""Seconds on either side to add up, since a second has few requests."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One release to show."""

    title: str
    rollout: Object
    version: str = "2"
    users: bool = False
    """Whether simulated users come, not single requests."""
    resume_after: int = 0
    """Seconds after which a person resumes a paused step."""
    converts: Mapping[str, float] = field(default_factory=dict)
    """By arm: the share of its users that buy."""


SCENARIOS: Final = {
    "canary": Scenario("Canary: 5, 25, 50, 100 %", {"strategy": "Canary"}),
    "bluegreen": Scenario(
        "Blue-green: preview, a person, one flip",
        {"strategy": "BlueGreen", "blueGreen": {"previewSeconds": 20, "automaticPromotion": False}},
        resume_after=10,
    ),
    "shadow": Scenario(
        "Shadow: copies until proven, then a person",
        {"strategy": "Shadow", "shadow": {"minimumRequests": 2000}},
        resume_after=10,
    ),
    "recreate": Scenario("Recreate: the downtime is as long as the model takes to start", {"strategy": "Recreate"}),
    "abtest": Scenario(
        "A/B test: arm c fails and is taken out, arm b is proven better",
        {
            "strategy": "ABTest",
            "objectives": OBJECTIVES,
            "abTest": {
                "arms": [
                    {"name": "b", "weight": 30, "model": {"uri": uri("2")}},
                    {"name": "c", "weight": 20, "model": {"uri": uri("4")}},
                ],
                "metric": "conversion",
            },
        },
        version="1",
        users=True,
        converts={"b": 0.3},
    ),
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """The recording of one release; times are Unix seconds."""

    labels: dict[str, str]
    """Of the revisions."""
    begin: float
    """When the manifest was applied."""
    samples: list[tuple[float, dict[str, int]]]
    """Answers so far by label."""
    steps: list[tuple[float, str]]
    """The start of each step, from the release's audit trail."""
    end: float
    outcome: str


def record(scene: Scene, name: str, scenario: Scenario) -> Recorded:
    """Serves v1, sends requests to it, and releases."""
    scene.deploy(name, "1", rollout={"policyRef": {"name": surroundings.POLICY}})
    scene.wait_ready(name, seconds=120)
    target = scene.target(name)
    client = Users(target, rate=NEW_USERS) if scenario.users else LoadClient(target, rate=RATE, metrics_port=0)
    with client:
        setup.connect_feedback(scene.cluster, client, scene.namespace)
        wait_until(lambda: client.counts().total.right > 2 * RATE, f"{name} answers", seconds=60)
        wanted = {"policyRef": {"name": surroundings.POLICY}, **scenario.rollout}
        with _sampled(client) as samples:
            surroundings.pause(BEFORE)
            begin = time.time()
            rollout = scene.begun(name, lambda: scene.deploy(name, scenario.version, rollout=wanted), scenario.version)
            labels = _labels(scene.rollout(rollout)["spec"])
            if isinstance(client, Users):
                client.convert({revision: scenario.converts.get(label, 0.2) for revision, label in labels.items()})
            status = _until_ended(scene, name, rollout, scenario)
            surroundings.pause(AFTER)
    steps = [(_unix(entry["time"]), entry["what"]) for entry in status["timeline"]]
    named = [(moment, _by_label(counts, labels)) for moment, counts in samples]
    return Recorded(labels, begin, named, steps, _unix(status["endTime"]), status["outcome"])


def _until_ended(scene: Scene, name: str, rollout: str, scenario: Scenario) -> Object:
    """Follows the release to its end, and acts as the person where one is waited for."""
    paused_since = None
    while True:
        surroundings.pause(1)
        status: Object = scene.rollout(rollout).get("status", {})
        if status.get("outcome"):
            return status
        if status.get("reason") != "PausedAtStep":
            paused_since = None
        elif paused_since is None:
            paused_since = time.monotonic()
        elif time.monotonic() - paused_since > scenario.resume_after:
            scene.plugin("resume", name)


@contextlib.contextmanager
def _sampled(client: Any) -> Iterator[list[tuple[float, dict[str, int]]]]:
    """Answers by revision, every second, independent of everything else."""
    samples: list[tuple[float, dict[str, int]]] = []
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(1):
            counts = client.counts()
            answers = {revision: tally.requests - tally.lost for revision, tally in counts.by_revision.items()}
            samples.append((time.time(), {**answers, "": counts.total.lost}))

    thread = threading.Thread(target=sample, name="samples")
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def _labels(spec: Object) -> dict[str, str]:
    arms = {arm["to"]["revision"]: arm["name"] for arm in spec.get("abTest", {}).get("arms", [])}
    return {spec["to"]["revision"]: "candidate", spec["from"]["revision"]: STABLE, **arms}


def _by_label(counts: Mapping[str, int], labels: Mapping[str, str]) -> dict[str, int]:
    return {labels.get(revision, LOST): count for revision, count in counts.items()}


def _unix(text: str) -> float:
    return float(calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))


def draw(recorded: Recorded, title: str, path: Path) -> None:
    """Each version's share of the users' requests, over time."""
    origin = recorded.begin
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "sluice", "font.size": 9})
    figure, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
    times, shares = _shares(recorded.samples)
    labels = [label for label in COLOURS if any(share.get(label) for share in shares)]
    axes.stackplot(
        [moment - origin for moment in times],
        [[share.get(label, 0.0) for share in shares] for label in labels],
        labels=labels,
        colors=[COLOURS[label] for label in labels],
        linewidth=0,
    )
    _mark(axes, recorded, origin)
    axes.set_title(title, loc="left", y=1.25)
    axes.set_xlabel("seconds since the manifest was applied")
    axes.set_ylabel("answers to users, %")
    axes.set_ylim(0, 100)
    axes.set_xlim(times[0] - origin, times[-1] - origin)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _shares(samples: Sequence[tuple[float, dict[str, int]]]) -> tuple[list[float], list[dict[str, float]]]:
    """Percent by label between the samples, summed over several of them."""
    times, shares = [], []
    for index in range(1, len(samples)):
        first, last = samples[max(0, index - SMOOTHED - 1)][1], samples[min(len(samples) - 1, index + SMOOTHED)][1]
        answered = {label: count - first.get(label, 0) for label, count in last.items()}
        total = sum(answered.values()) or 1
        times.append(samples[index][0])
        shares.append({label: 100 * count / total for label, count in answered.items()})
    return times, shares


def _mark(axes: Axes, recorded: Recorded, origin: float) -> None:
    """The audit trail's words above their moments, on two lines where they are close together."""
    marks = [*recorded.steps]
    closeness = (recorded.samples[-1][0] - recorded.samples[0][0]) / 7
    heights = [0]
    for (before, _), (moment, _) in pairwise(marks):
        heights.append((heights[-1] + 1) % 3 if moment - before < closeness else 0)
    for (moment, words), height in zip(marks, heights, strict=True):
        axes.axvline(moment - origin, color="black", linewidth=0.7)
        axes.annotate(words, (moment - origin, 102 + 8 * height), annotation_clip=False, fontsize=8)


def _recorded(names: Sequence[str], *, install: bool) -> Iterator[tuple[str, Recorded]]:
    with surroundings.lab(install=install) as cluster:
        models = setup.prepared_models()
        surroundings.upload(cluster, {version: models[version] for version in ("v2", "v4")})
        for name in names:
            say(f"[bold]{name}[/bold]")
            with surroundings.scene(cluster, f"pictures-{name}") as scene:
                yield name, record(scene, name, SCENARIOS[name])


def _read(names: Sequence[str]) -> Iterator[tuple[str, Recorded]]:
    for name in names:
        yield name, Recorded(**json.loads((RECORDS / f"{name}.json").read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.pictures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", choices=[*SCENARIOS, []], help="default: all")
    parser.add_argument("--no-install", dest="install", action="store_false", help="show the Sluice that runs there")
    parser.add_argument("--redraw", action="store_true", help="draw what was recorded before")
    given = parser.parse_args()
    names = given.names or list(SCENARIOS)
    for name, recorded in _read(names) if given.redraw else _recorded(names, install=given.install):
        RECORDS.mkdir(parents=True, exist_ok=True)
        (RECORDS / f"{name}.json").write_text(json.dumps(asdict(recorded)) + "\n")
        draw(recorded, SCENARIOS[name].title, PICTURES / f"{name}.svg")
        say(f"{PICTURES / name}.svg: {recorded.outcome}")


if __name__ == "__main__":
    main()
