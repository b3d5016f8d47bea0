"""Language models under the chart's policy for streams: whole releases through the shipped judge.

    gateway ── every 5 s ──> requests by code             errors of both versions: 0.5 %
    pods    ── every 5 s ──> times to first tokens, times between tokens, lengths of prompts, streams that broke

A first token comes after 100 ms and 0.5 ms for each token of the prompt, times a lognormal (sigma 0.4); prompts have a
lognormal length (median 300 tokens, sigma 1). The candidate's pods are no longer new, and 10 requests/s arrive. With
conversations (`conversations.py`) pods keep prefixes, and the time to a first token counts only computed tokens.
"""

import dataclasses
import itertools
import math
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import yaml
from scipy import stats

from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_judge import judge
from sluice_judge.gateways import PRESETS
from sluice_judge.model import (
    Answered,
    Arm,
    Exposure,
    GatewayCounters,
    OwnCounters,
    Question,
    Series,
    Servers,
    ServerTimes,
    Trial,
    TrialPolicy,
)
from tests.benchmarks.judge import figures
from tests.benchmarks.judge.conversations import SHORT, Asked, Conversations, Habit
from tests.benchmarks.judge.figures import Figure, Measure
from tests.support.groups import replaced

START: Final = 1_800_000_000
STABLE, CANDIDATE = "chat-aaa", "chat-bbb"
VALUES: Final = Path("charts/sluice/values.yaml")
HOUR: Final = 3600
KEPT: Final = 8
"""Scrapes that the simulated Prometheus still has."""
PHASE: Final = 4
"""Seconds between the scrapes of the candidate's pods, and the stable version's."""
FIRST_LES: Final = (0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, math.inf)
BETWEEN_LES: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, math.inf)
PROMPT_LES: Final = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, math.inf)
LABELS: Final = (128, 512, 2048, math.inf)
COMPUTED_LABELS: Final = (*(2.0**power for power in range(4, 15)), math.inf)
TOKENS: Final = 100
"""Mean tokens of an answer."""


BETWEEN: Final = np.diff(stats.norm.cdf(np.log(np.array(BETWEEN_LES) / 0.03) / 0.3), prepend=0.0)
"""Between two tokens are 30 ms, times a lognormal (sigma 0.3)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """A candidate, and how it is observed."""

    slower: float = 1.0
    """As a multiple of the stable version's time to the first token."""
    longer: float = 1.0
    """As a multiple of the length of its prompts, because of its users."""
    broken: float = 0.001
    """Of the candidate's streams; 0.1 % of the stable version's."""
    labelled: bool = False
    """Whether the histogram distinguishes requests by the length of their prompts; with conversations by what was
    computed."""
    weight: float = 0.1
    pods: int = 1
    """Of the candidate; more than one with conversations only."""
    stable_pods: int = 1
    conversations: bool = False
    """Whether requests belong to conversations, of which pods keep prefixes."""
    habit: Habit = SHORT
    loses_prefix: bool = False
    """Whether the candidate's template makes each prompt begin anew."""
    requests_per_second: float = 10.0
    scrape_seconds: int = 5
    pod_scrape_seconds: int = 5
    seconds: int = 1800
    history_seconds: int = HOUR


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """How a release ended."""

    rolled_back: float = math.inf
    """Seconds from the weight."""
    proven: float = math.inf
    candidate_requests: int = 0
    why: str = ""


def _le(boundary: float) -> str:
    return "+Inf" if math.isinf(boundary) else f"{boundary:g}"


class _Counted:
    """The counters of one pod."""

    def __init__(self, revision: str, pod: int, labels: tuple[float, ...]) -> None:
        """labels: upper limits of the lengths that the histogram distinguishes."""
        self.own = {"job": "pods", "instance": f"{revision}-{pod}", "pod": f"{revision}-{pod}"}
        self.values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self.labels = labels
        self.samples: deque[tuple[float, dict[tuple[str, tuple[tuple[str, str], ...]], float]]] = deque()

    def add(self, name: str, amount: float, **labels: str) -> None:
        key = name, tuple(sorted(labels.items()))
        self.values[key] = self.values.get(key, 0.0) + amount

    def buckets(self, name: str, found: np.ndarray, les: tuple[float, ...], **labels: str) -> None:
        inside = np.searchsorted(np.sort(found), les, side="right")
        for le, amount in zip(les, inside, strict=True):
            self.add(name, float(amount), le=_le(le), **labels)

    def serve(
        self,
        generator: np.random.Generator,
        prompts: np.ndarray,
        computed: np.ndarray,
        *,
        slower: float,
        broken: float,
    ) -> None:
        """prompts, computed: tokens of each request, and those of them that the pod did not have."""
        requests = len(prompts)
        first = slower * (0.1 + 0.0005 * computed) * generator.lognormal(0, 0.4, requests)
        for low, high in itertools.pairwise((0.0, *self.labels)):
            chosen = (computed > low) & (computed <= high)
            self.buckets("TimeToFirstToken", first[chosen], FIRST_LES, length=f"{high:g}")
        tokens = generator.multinomial(int(generator.poisson(TOKENS * requests)), BETWEEN)
        for le, amount in zip(BETWEEN_LES, np.cumsum(tokens), strict=True):
            self.add("InterTokenLatency", float(amount), le=_le(le))
        self.buckets("prompts", prompts, PROMPT_LES)
        self.buckets("ComputedTokens", computed, PROMPT_LES)
        bad = int(generator.binomial(requests, broken))
        self.add("streams", requests)
        self.add("broken", bad)

    def scrape(self, time: float, kept: int) -> None:
        self.samples.append((time, dict(self.values)))
        while len(self.samples) > kept:
            self.samples.popleft()

    def series(self, name: str) -> tuple[Series, ...]:
        keys = [key for key in (self.samples[-1][1] if self.samples else ()) if key[0] == name]
        return tuple(
            Series(
                {**self.own, **dict(key[1])},
                tuple((time, values[key]) for time, values in self.samples if key in values),
            )
            for key in keys
        )


def _own(setting: Setting) -> OwnCounters:
    label = "length" if setting.labelled else ""
    labels = {"computed_label" if setting.conversations else "prompt_label": label}
    return OwnCounters(
        histograms=(
            ServerTimes("TimeToFirstToken", "TimeToFirstToken", 1000.0, **labels),
            ServerTimes("InterTokenLatency", "InterTokenLatency", 1000.0),
        ),
        prompt_tokens="prompts",
        computed_tokens="computed" if setting.conversations else "",
        streams="streams",
        broken_streams="broken",
        prefix_cache=setting.conversations,
    )


def policy() -> RolloutPolicySpec:
    """The chart's policy."""
    return RolloutPolicySpec.model_validate(yaml.safe_load(VALUES.read_text())["defaultPolicy"]["streamingSpec"])


class _Release:
    def __init__(self, setting: Setting, seed: int) -> None:
        self.setting, self.generator = setting, np.random.default_rng(seed)
        many = {"S": setting.stable_pods, "C": setting.pods}
        known = (COMPUTED_LABELS if setting.conversations else LABELS) if setting.labelled else (math.inf,)
        self.pods = {
            arm: [_Counted(name, pod, known) for pod in range(many[arm])]
            for arm, name in (("S", STABLE), ("C", CANDIDATE))
        }
        self.asked: list[Asked] = []
        self.conversations = Conversations(
            self.generator, habit=setting.habit, requests_per_second=setting.requests_per_second, pods=many
        )
        self.gateway: dict[str, deque[tuple[float, float]]] = {}
        self.codes: dict[tuple[str, str], float] = {}
        self.unserved = {"S": 0, "C": 0}
        self.sent = 0
        rules = policy()
        self.trial = Trial(
            now=START,
            namespace="shop",
            name="chat",
            stable=Arm(STABLE, STABLE, 80, pods=setting.stable_pods),
            candidate=Arm(CANDIDATE, CANDIDATE, 80, pods=setting.pods),
            policy=TrialPolicy(
                tuple(rules.objectives),
                0.01,
                0.05,
                HOUR,
                rules.initial_dispersion,
                cache_fill_seconds=rules.cache_fill_seconds,
            ),
            exposure=Exposure(1, round(1000 * setting.weight), route_generation=1, route_programmed=True),
            gateway=GatewayCounters(PRESETS["contour"], setting.scrape_seconds),
            servers=Servers(own=_own(setting), candidate_own=_own(setting)),
        )

    def run(self) -> Told:
        setting = self.setting
        told = Told()
        for second in range(1 - setting.history_seconds, setting.seconds + 1):
            self._serve(second)
            self._scrape(second)
            if second < 0 or second % setting.scrape_seconds:
                continue
            trial = dataclasses.replace(self.trial, now=START + second + 0.6)
            judged = judge.judge(trial, {each.key: self._answer(each) for each in judge.questions(trial)})
            assert not judged.sight.blind, judged.sight.blind
            self.trial = replaced(trial, state=judged.next_state.text)
            if judged.accusation.against is not None:
                return dataclasses.replace(
                    told, rolled_back=second, candidate_requests=self.sent, why=judged.accusation.against[1]
                )
            if judged.proof.complete and told.proven == math.inf:
                told = dataclasses.replace(told, proven=second)
        return dataclasses.replace(told, candidate_requests=self.sent)

    def _serve(self, second: int) -> None:
        setting = self.setting
        share = setting.weight if second > 0 else 0.0
        if setting.conversations:
            asked = self.conversations.second(second, share)
            self.asked += asked
            total, ours = len(asked), sum(each.arm == "C" for each in asked)
        else:
            total = int(self.generator.poisson(setting.requests_per_second))
            ours = int(self.generator.binomial(total, share)) if second > 0 else 0
        self.sent += ours
        for arm, requests in (("S", total - ours), ("C", ours)):
            self.unserved[arm] += requests
            bad = int(self.generator.binomial(requests, 0.005))
            for code, amount in (("200", requests - bad), ("503", bad)):
                self.codes[arm, code] = self.codes.get((arm, code), 0.0) + amount

    def _answered(self, arm: str, pod: int) -> tuple[np.ndarray, np.ndarray]:
        """The prompts that a pod has answered since its last scrape, and their computed tokens."""
        setting = self.setting
        if not setting.conversations:
            longer = setting.longer if arm == "C" else 1.0
            prompts = self.generator.lognormal(math.log(300 * longer), 1.0, self.unserved[arm])
            return prompts, prompts
        answered = [each for each in self.asked if (each.arm, each.pod) == (arm, pod)]
        self.asked = [each for each in self.asked if (each.arm, each.pod) != (arm, pod)]
        return np.array([float(each.prompt) for each in answered]), np.array(
            [float(each.prompt if setting.loses_prefix and arm == "C" else each.computed) for each in answered]
        )

    def _scrape(self, second: int) -> None:
        setting = self.setting
        kept = HOUR if second <= 0 else KEPT
        if second % setting.scrape_seconds == 0:
            for (arm, code), value in self.codes.items():
                if value or arm == "S":
                    self.gateway.setdefault(f"{arm}/{code}", deque(maxlen=HOUR)).append((START + second, value))
            self.gateway.setdefault("up", deque(maxlen=HOUR)).append((START + second, 1.0))
        for arm, phase in (("S", 0), ("C", PHASE)):
            if second % setting.pod_scrape_seconds == phase and (arm == "S" or second > -60):
                own = arm == "C"
                for pod, counted in enumerate(self.pods[arm]):
                    counted.serve(
                        self.generator,
                        *self._answered(arm, pod),
                        slower=setting.slower if own else 1.0,
                        broken=setting.broken if own else 0.001,
                    )
                    counted.scrape(START + second, kept)
                self.unserved[arm] = 0

    def _answer(self, question: Question) -> Answered:
        match question.key.split("/"):
            case ["freshness" | "backend"]:
                return Answered((Series({"job": "envoy", "instance": "gateway"}, self._points("up")),))
            case ["requests"]:
                return Answered(tuple(self._requests()))
            case ["server", "streams", arm, column]:
                return self._of_pods(arm, {"total": "streams", "events": "broken"}[column])
            case ["server", measure, arm]:
                return self._of_pods(arm, measure)
            case ["server", _, arm, "prompt"]:
                return self._of_pods(arm, "ComputedTokens" if self.setting.conversations else "prompts")
            case _:
                return Answered(())

    def _of_pods(self, arm: str, name: str) -> Answered:
        return Answered(tuple(each for pod in self.pods[arm] for each in pod.series(name)))

    def _points(self, key: str) -> tuple[tuple[float, float], ...]:
        points = self.gateway.get(key, ())
        return tuple(points) if not self.trial.last.state else tuple(list(points)[-KEPT:])

    def _requests(self) -> list[Series]:
        return [
            Series(
                {
                    "job": "envoy",
                    "instance": "gateway",
                    "envoy_cluster_name": f"shop_{STABLE if arm == 'S' else CANDIDATE}_80",
                    "envoy_response_code": code,
                },
                self._points(f"{arm}/{code}"),
            )
            for arm, code in self.codes
            if f"{arm}/{code}" in self.gateway
        ]


def release(setting: Setting, seed: int) -> Told:
    """One release; the same seed gives the same."""
    return _Release(setting, seed).run()


def releases(setting: Setting, many: int, seed: int) -> list[Told]:
    """Side by side."""
    with ProcessPoolExecutor() as pool:
        return list(pool.map(partial(release, setting), range(seed, seed + many), chunksize=4))


def found_after(setting: Setting, at_most: float, many: int, seed: int) -> Figure:
    """Seconds until a worse version is rolled back."""
    seconds = np.array([told.rolled_back for told in releases(setting, many, seed)])
    return Figure(f"{figures.spread(seconds)} s", f"median ≤ {at_most:g} s", figures.median(seconds) <= at_most)


def found_with(setting: Setting, at_most: float, many: int, seed: int) -> Figure:
    """Candidate requests until it is."""
    sent = np.array(
        [told.candidate_requests if told.rolled_back < math.inf else math.inf for told in releases(setting, many, seed)]
    )
    return Figure(f"{figures.spread(sent)} requests", f"median ≤ {at_most:g} requests", figures.median(sent) <= at_most)


def rolled_back(setting: Setting, many: int, seed: int) -> Figure:
    """How many releases of an equal version are."""
    count = sum(told.rolled_back < math.inf for told in releases(setting, many, seed))
    return figures.share(count, many, "releases", at_most=0.01)


SLOW: Final = Setting(slower=3.0, seconds=600)
BROKEN: Final = Setting(broken=0.05)
SAME: Final = Setting()
SHIFTED: Final = Setting(longer=4.0)
CHATS: Final = Setting(conversations=True)
LONG_CHATS: Final = Setting(conversations=True, habit=Habit(20, 40.0))
CELLS: Final = tuple(itertools.product((0.05, 0.1, 0.25, 0.5), (1, 2, 4, 10)))
"""The candidate's share, and the stable version's pods beside its single one."""


def _rollouts(measure: Measure) -> Measure:
    """A release takes a second: fewer of them."""
    return lambda rollouts, seed: measure(max(20, rollouts // 3), seed)


FIGURES: Final[Mapping[str, Measure]] = {
    "x3 time to first token, 10 requests/s at 10 %": _rollouts(partial(found_after, SLOW, 60.0)),
    "x3 time to first token, told apart by prompts": _rollouts(
        partial(found_after, dataclasses.replace(SLOW, labelled=True), 60.0)
    ),
    "x3 time to first token, pods scraped every 30 s": _rollouts(
        partial(found_after, dataclasses.replace(SLOW, pod_scrape_seconds=30), 180.0)
    ),
    "5 % of the streams broken, requests until the roll-back": _rollouts(partial(found_with, BROKEN, 120.0)),
    "same version rolled back": _rollouts(partial(rolled_back, SAME)),
    "same version rolled back, prompts x4, lengths known": _rollouts(partial(rolled_back, SHIFTED)),
    "same version rolled back, prompts x4, told apart": _rollouts(
        partial(rolled_back, dataclasses.replace(SHIFTED, labelled=True))
    ),
    **{
        f"same version rolled back, {of}{told}, {weight:.0%} beside {'one pod' if stable == 1 else f'{stable} pods'}": (
            _rollouts(
                partial(rolled_back, dataclasses.replace(chats, weight=weight, stable_pods=stable, labelled=labelled))
            )
        )
        for of, chats in (("conversations", CHATS), ("long conversations", LONG_CHATS))
        for told, labelled in (("", False), (" told apart", True))
        for weight, stable in CELLS
    },
    "every prefix lost, 50 % beside one pod": _rollouts(
        partial(found_after, dataclasses.replace(CHATS, weight=0.5, loses_prefix=True), 330.0)
    ),
    "x2 time to first token, conversations told apart, 10 % beside one pod": _rollouts(
        partial(found_with, dataclasses.replace(CHATS, slower=2.0, labelled=True), 300.0)
    ),
    "x2 time to first token, conversations, 50 % beside one pod, after caches have filled": _rollouts(
        partial(found_after, dataclasses.replace(CHATS, slower=2.0, weight=0.5), 330.0)
    ),
}
