"""The cost of the watch over a thousand models for the operator: questions, sizes of answers, and processor time."""

import asyncio
import dataclasses
import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from demo.progress import step
from sluice.shell.cache.keys import Key
from sluice.shell.questions.halving import PAUSE_SECONDS
from sluice.shell.questions.stablewatch import Watching
from sluice_core.adapters import prometheus
from sluice_core.watch import binsources
from sluice_core.watch.subject import WatchedVersion
from sluice_judge.kind import Kind
from sluice_judge.kinds import kind_of
from sluice_judge.model import Answer, Answers, Question
from sluice_judge.schema.objectives import Objective
from tests.benchmarks import report
from tests.benchmarks.report import Figure, Section, Table
from tests.support.simulated import virtualloop
from tests.support.simulated.virtualloop import LoopClock
from tests.support.simulated.watches import ERRORS, make_version

KEY: Final = "watch-cost"
MODELS: Final = 1000
MINUTES: Final = 10
PERCENT_TO_REACH: Final = 5.0
QUESTIONS_TO_REACH: Final = 1.0
NAMES: Final = re.compile(r"shop_m\d+-aaa_80")
BUCKETS: Final = (
    "0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000", "30000", "60000", "300000",
    "600000", "1800000", "3600000", "+Inf",
)  # fmt: skip
"""Milliseconds: those of Envoy."""
LATENCY: Final = kind_of(
    Objective.model_validate({"name": "latency", "latency": {"percentile": 95, "maximumMillis": 50}})
)
FEATURES: Final = 10
BINS: Final = 12
CLASSES: Final = 5


@dataclass(frozen=True, slots=True)
class Watched:
    """The watched parts of each model."""

    kinds: tuple[Kind, ...]
    observed: tuple[str, ...] = ()
    """Numbers of `features`, `answers` and `classes` that an objective counts."""


BOTH: Final = (ERRORS, LATENCY)
SETTINGS: Final = {
    "errors": Watched((ERRORS,)),
    "errors and latency": Watched(BOTH),
    "… and ten features": Watched(BOTH, ("features",)),
    "… and answers": Watched(BOTH, ("features", "answers")),
    "errors and a distribution": Watched((ERRORS,), ("classes",)),
}
METHOD: Final = f"""\
{MODELS:,} models behind Contour are watched for {MINUTES} minutes by `shell/questions/stablewatch.py`, in virtual time. Prometheus is
imitated: its answers are JSON, which is made beforehand and read by the operator's own client. Not in it: the network, TLS, and
the reconciles that write what was seen, one an hour and model. Features have {BINS} bins, answers {CLASSES}."""


@dataclass(frozen=True, slots=True)
class Cost:
    """questions, bytes, passes: a minute; percent: of a core."""

    questions: float
    bytes: float
    passes: float
    percent: float


@dataclass
class Imitation:
    """Answers like Prometheus, by the question."""

    known: dict[Question, bytes] = field(default_factory=dict)
    asked: list[float] = field(default_factory=list)
    """When, by the loop's clock."""
    bytes: int = 0
    making_seconds: float = 0.0
    """The imitation's own processor time."""

    async def answer(self, questions: Sequence[Question], moment: float | None = None) -> Answers:
        self.asked.append(asyncio.get_running_loop().time())
        return {question.key: self._answer(question) for question in questions}

    def _answer(self, question: Question) -> Answer:
        text = self.known.get(question)
        if text is None:
            began = time.process_time()
            text = self.known[question] = json.dumps({"data": {"result": list(_result(question))}}).encode()
            self.making_seconds += time.process_time() - began
        self.bytes += len(text)
        return prometheus.answered(json.loads(text)["data"]["result"])


def _result(question: Question) -> Iterator[dict[str, Any]]:
    by = question.summed_by or ()
    if by[-1:] == ("bin",):
        yield from _bins(question, by)
        return
    if not by:
        yield {"metric": {}, "value": [0, "0"]}
    if "le" in by:
        values = [({"le": bound}, 40 * number) for number, bound in enumerate(BUCKETS)]
    else:
        values = [({"envoy_response_code": code}, count) for code, count in (("200", 3710), ("400", 3), ("503", 12))]
    if by and "__name__" not in by:  # no answer is truncated
        for name in NAMES.findall(question.selector):
            for labels, value in values:
                yield {"metric": {"envoy_cluster_name": name, **labels}, "value": [0, str(value)]}


def _bins(question: Question, by: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    names = question.selector.rpartition('=~"')[2].rstrip('"}').split("|")
    features, bins = ([f"x{each}" for each in range(FEATURES)], BINS) if by[1] == "model" else (["class"], CLASSES)
    for name in names:
        for feature in features if "feature" in by else [""]:
            labels = {"namespace": "shop", by[1]: name, **({"feature": feature} if feature else {})}
            for number in range(bins):
                yield {"metric": {**labels, "bin": f"{number} to {number + 1}"}, "value": [0, str(20 + number)]}


def _version(name: str, watched: Watched) -> WatchedVersion:
    plain = make_version(name, kinds=watched.kinds)
    settings: dict[str, Any] = {"tolerance": 0.025, "label": "namespace"}
    sources = {
        "features": binsources.of_features("shop", name, **settings),
        "answers": binsources.of_answers("shop", name, plain.revision, **settings),
        "classes": binsources.of_objective(
            "classes", 'predictions_total{revision="{{revision}}"}', "bin", plain.place, plain.revision, **settings
        ),
    }
    return dataclasses.replace(plain, bins=tuple(sources[each] for each in watched.observed))


def measure() -> Section:
    machine = report.host()
    found = {}
    for name, watched in SETTINGS.items():
        with step(f"watch-cost: {name}"):
            found[name] = cost(watched)
    return section(found, machine)


def section(found: dict[str, Cost], machine: tuple[str, ...]) -> Section:
    most = max(found.values(), key=lambda one: one.percent)
    busiest = max(one.questions for one in found.values()) / 60
    rows = [
        (name, f"{one.questions:.0f}", f"{one.bytes / 1e6:.1f} MB", f"{one.passes:.0f}", f"{one.percent:.1f} %")
        for name, one in found.items()
    ]
    return Section(
        key=KEY,
        title=f"The watch over {MODELS:,} models",
        method=METHOD,
        figures=(
            Figure(
                f"processor time, {MODELS:,} models",
                f"{most.percent:.1f} % of a core",
                f"≤ {PERCENT_TO_REACH:.0f} %",
                most.percent <= PERCENT_TO_REACH,
            ),
            Figure(
                "questions a second",
                f"{busiest:.2f}, never two within {PAUSE_SECONDS:.0f} s",
                f"≤ {QUESTIONS_TO_REACH:.0f}",
                busiest <= QUESTIONS_TO_REACH,
            ),
        ),
        tables=(Table(("watched", "questions a minute", "answers a minute", "passes a minute", "of a core"), rows),),
        machine=machine,
    )


def cost(watched: Watched) -> Cost:
    """For a minute, after one in which everything is read for the first time."""
    imitation, woken = Imitation(), list[Key]()
    spent = [0.0, 0.0]

    async def whole() -> None:
        watch = Watching(imitation, wake=woken.append, clock=LoopClock())
        for number in range(MODELS):
            watch.note(Key("shop", f"m{number}"), _version(f"m{number}", watched))
        task = asyncio.create_task(watch.run())
        await asyncio.sleep(120)
        imitation.asked.clear()
        woken.clear()
        imitation.bytes, imitation.making_seconds = 0, 0.0
        spent[0] = time.process_time()
        await asyncio.sleep(60 * MINUTES)
        spent[1] = time.process_time()
        task.cancel()

    virtualloop.run(whole())
    gaps = [later - earlier for earlier, later in zip(imitation.asked, imitation.asked[1:], strict=False)]
    if min(gaps) < PAUSE_SECONDS:
        raise AssertionError(f"two questions within {min(gaps):.2f} s")
    seconds = spent[1] - spent[0] - imitation.making_seconds
    return Cost(
        questions=len(imitation.asked) / MINUTES,
        bytes=imitation.bytes / MINUTES,
        passes=len(woken) / MINUTES,
        percent=100 * seconds / (60 * MINUTES),
    )
