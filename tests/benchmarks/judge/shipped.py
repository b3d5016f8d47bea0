"""Whole releases through the shipped judge: raw samples in, judgements out, from the first weight to the end of the
bake.

No arithmetic is repeated here: `core.judge.judge` gets Prometheus' answers, keeps the state that the operator would
write, and returns the gates' input. Steps last as long as the setting says, whatever is proven; from the bake on the
engine itself decides (`rollout.stepping.move`), with its probes. The gateway's counters are one target, those of a
Query are one for each version.
"""

import dataclasses
import math
from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np

from sluice_core.api.v1alpha1.modelrollout import ModelRolloutStatus, Outcome
from sluice_core.kernel.snapshot import Paths
from sluice_core.rollout import stepping
from sluice_judge import judge, timestamps
from sluice_judge.gateways import PRESETS
from sluice_judge.judgement import Judgement
from sluice_judge.model import (
    Answered,
    Arm,
    Exposure,
    GatewayCounters,
    OwnCounters,
    Question,
    Series,
    Trial,
    TrialPolicy,
)
from sluice_judge.schema.dispersion import InitialDispersion
from sluice_judge.schema.objectives import Objective, Source
from tests.benchmarks.judge.troubles import DAY, Shares, Trouble
from tests.support.cases import moments
from tests.support.groups import replaced

START: Final = 1_800_000_000.0
STABLE: Final = "digits-aaa"
CANDIDATE: Final = "digits-bbb"
HOUR: Final = 3600
THINNED: Final = 300
BAKE_SECONDS: Final = 600
PROBES_SECONDS: Final = 5400
"""How much longer probes may extend a bake before the simulation stops."""
KEPT: Final = 10
"""Scrapes still stored in the simulated Prometheus; more than any look asks for."""
VISIBLE: Final = 0.6
MINUTE: Final = 60
OWN: Final = OwnCounters(requests="requests_by_pod", failures="failures_by_pod")
ANSWER_SECONDS: Final = 0.1
"""How long a request is in flight without a time-out."""
LIMIT_MILLIS: Final = "50"
"""A latency event is an answer slower than this."""


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """A service, its trouble, and its release."""

    trouble: Trouble
    objective: Objective
    factor: float = 1.0
    """The candidate's events, as a multiple of an equal version's."""
    requests_per_second: float = 50.0
    scrape_seconds: int = 5
    weights: tuple[float, ...] = (0.05, 0.25, 0.5)
    step_seconds: int | None = 1200
    """How long each weight lasts, whatever is proven; None: until its proof."""
    bakes: bool = True
    seconds: int = 3600
    """The longest time before the bake."""
    history_seconds: int = 86_400
    late_seconds: int = 0
    """An event is counted this many seconds after its request: a time-out."""
    late_stable: bool = False
    """Whether the stable version's are, too."""
    skew_seconds: int = 0
    """How much later the candidate's own counters are scraped than the stable version's."""
    alpha: float = 0.01
    answer_seconds: float = 30.0
    """The route's time-out."""
    pods: tuple[int, ...] = ()
    """The candidate's pods at each weight, all of them new; empty: unknown."""
    stable_pods: int = 0
    new_pod_seconds: float = 0.0
    worse_from: int | None = None
    """The candidate has `factor` times the events only from this second on; None: all along."""
    gauge: bool = True
    """Whether the gateway reports requests in flight."""
    asks: bool = True
    """Whether the bake probes the stable version, as where that still has its pods."""

    @property
    def steps(self) -> int:
        return len(self.weights) + self.bakes


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """How a release ended."""

    rolled_back: float = math.inf
    """Seconds from the first weight."""
    in_bake: bool = False
    proven: float = math.inf
    """Seconds from the first weight to the first proof of a step."""
    candidate_requests: int = 0
    why: str = ""
    promoted: float = math.inf
    """Seconds from the first weight."""
    probes: int = 0
    failed: int = 0
    """Events of the candidate since it became worse."""


class _Counters:
    """One series: its last samples."""

    def __init__(self, labels: dict[str, str], value: float = 0.0) -> None:
        self.labels, self.value = labels, value
        self.points: deque[tuple[float, float]] = deque(maxlen=KEPT)
        self.begun = False

    def add(self, amount: float) -> None:
        self.value += amount
        self.begun = self.begun or amount > 0

    def scrape(self, time: float) -> None:
        if self.begun:
            self.points.append((time, self.value))

    def series(self) -> tuple[Series, ...]:
        return (Series(self.labels, tuple(self.points)),) if self.points else ()


class _Counted:
    """The counts of one version: all its requests, and its events."""

    def __init__(self, objective: Objective, revision: str) -> None:
        self.latency = objective.latency is not None
        ratio = objective.failure_ratio
        self.query = ratio is not None and ratio.source is Source.QUERY
        envoy = {"job": "envoy", "instance": "gateway", "envoy_cluster_name": f"shop_{revision}_80"}
        own = {"job": "users", "instance": revision, "namespace": "shop", "revision": revision}
        self.good = _Counters({**envoy, "envoy_response_code": "200"})
        self.bad = _Counters({**envoy, "envoy_response_code": "503"})
        self.fast = _Counters({**envoy, "le": LIMIT_MILLIS})
        self.all = _Counters({**envoy, "le": "+Inf"})
        self.total = _Counters(own)
        self.events = _Counters(own)

    def add(self, requests: float, events: float) -> None:
        elsewhere = self.latency or self.query
        self.good.add(requests if elsewhere else requests - events)
        self.bad.add(0 if elsewhere else events)
        self.fast.add(requests - events)
        self.all.add(requests)
        self.total.add(requests)
        self.events.add(events)

    def scrape(self, time: float) -> None:
        for counters in (self.good, self.bad, self.fast, self.all):
            counters.scrape(time)

    def scrape_own(self, time: float) -> None:
        self.total.scrape(time)
        self.events.scrape(time)


def _gauge() -> _Counters:
    """The candidate's unanswered requests."""
    return _Counters(
        {
            "__name__": "envoy_cluster_upstream_rq_active",
            "job": "envoy",
            "instance": "gateway",
            "envoy_cluster_name": f"shop_{CANDIDATE}_80",
        }
    )


class _Own:
    """The stable version's pods' own counts, a sample a minute."""

    def __init__(self, pods: int) -> None:
        self.pods = pods
        self._counters = np.zeros((2, pods))
        self._samples: deque[tuple[float, np.ndarray]] = deque(maxlen=DAY // MINUTE + 1)

    def add(self, begin: int, requests: np.ndarray, events: np.ndarray) -> None:
        """Second by second from then on; a row for each pod."""
        seconds = requests.shape[1]
        sums = self._counters[:, :, None] + np.cumsum((requests, events), axis=2)
        for second in range(MINUTE - 1 - begin % MINUTE, seconds, MINUTE):
            self._samples.append((START + begin + second + 1, sums[:, :, second]))
        self._counters = sums[:, :, -1]

    def answers(self, questions: Sequence[Question], now: float) -> dict[str, Answered]:
        return {
            question.key: Answered(tuple(self._series(question, now, pod) for pod in range(self.pods)))
            for question in questions
            if question.key.startswith("own/")
        }

    def _series(self, question: Question, now: float, pod: int) -> Series:
        step = question.step_seconds or MINUTE
        row = 0 if question.selector == OWN.requests else 1
        points = tuple(
            (time, float(sums[row, pod]))
            for time, sums in self._samples
            if time > now - question.window_seconds and time % step == 0
        )
        return Series({"job": "pods", "instance": f"pod{pod}", "pod": f"{STABLE}-pod{pod}"}, points)


def _spread(generator: np.random.Generator, requests: np.ndarray, shares: Shares) -> tuple[np.ndarray, np.ndarray]:
    """Requests and events of each pod, second by second."""
    pods = shares.shape[0]
    by_pod = generator.multinomial(requests, [1 / pods] * pods).T
    return by_pod, generator.binomial(by_pod, shares)


class _Release:
    def __init__(self, setting: Setting, generator: np.random.Generator) -> None:
        self._setting, self._generator = setting, generator
        every = setting.scrape_seconds
        future = setting.seconds + BAKE_SECONDS + PROBES_SECONDS * setting.bakes + 4 * every
        future += -future % every
        stable, candidate = setting.trouble(generator, setting.history_seconds, future)
        self._stable = stable[..., setting.history_seconds :]
        worse = np.arange(future) >= (setting.worse_from or 0)
        factors = np.where(worse, setting.factor, 1.0)
        self._candidate = np.minimum(1.0, factors * candidate[..., setting.history_seconds :])
        self._own = _Own(stable.shape[0]) if stable.ndim > 1 else None
        self._arms = {revision: _Counted(setting.objective, revision) for revision in (STABLE, CANDIDATE)}
        self._up = _Counters({"job": "envoy", "instance": "gateway"})
        self._up.add(1)
        self._unanswered = _gauge()
        self._late: dict[str, np.ndarray] = {
            revision: np.zeros(future + setting.late_seconds + every) for revision in self._arms
        }
        self._trial = Trial(
            now=START + VISIBLE,
            namespace="shop",
            name="digits",
            stable=Arm(STABLE, STABLE, 80),
            candidate=Arm(CANDIDATE, CANDIDATE, 80),
            policy=TrialPolicy(
                objectives=(setting.objective,),
                alpha=setting.alpha,
                beta=0.05,
                idle_seconds=HOUR,
                initial_dispersion=InitialDispersion(),
                new_pod_seconds=setting.new_pod_seconds,
                asks=setting.asks,
            ),
            exposure=Exposure(1, 0, route_generation=1, route_programmed=True),
            gateway=GatewayCounters(PRESETS["contour"], every, setting.answer_seconds),
        )
        self._harmed = 0
        if self._own is not None:
            self._trial = replaced(
                self._trial,
                own=OWN,
                stable=dataclasses.replace(self._trial.stable, pods=self._own.pods),
                candidate=dataclasses.replace(self._trial.candidate, pods=self._own.pods),
            )
        self._history(stable[..., : setting.history_seconds])

    def run(self) -> Told:
        setting, every = self._setting, self._setting.scrape_seconds
        step, begun, sent, proven = 0, 0, 0, math.inf
        self._set_weight(step, 0)
        bake: _Bake | None = None
        first = int(self._generator.integers(every))
        weight = 0.0
        for end in range(every, self._stable.shape[-1] + 1, every):
            lasts = first if end == every else every
            sent += self._serve(end - every, end, weight, self._trial.exposure.permille / 1000, lasts)
            weight = self._trial.exposure.permille / 1000
            self._scrape(end)
            judged = self._look(end)
            if bake is not None:
                bake.look(judged, self._trial.now)
                told = Told(end, True, proven, sent, bake.status.message, math.inf, bake.probes, self._harmed)
                if bake.status.outcome is Outcome.PROMOTED:
                    return dataclasses.replace(told, rolled_back=math.inf, promoted=end)
                if bake.status.outcome is not None:
                    return told
                if (
                    bake.status.permille != self._trial.exposure.permille
                ):  # a reconcile that has written is followed by another one
                    self._follow(bake.status)
                    bake.look(self._look(end, later=1), self._trial.now)
                self._follow(bake.status)
                continue
            if judged.accusation.against is not None:
                return Told(end, False, proven, sent, judged.accusation.against[1])
            if judged.proof.complete and judged.requests.scrapes >= 2:
                proven = min(proven, float(end))
                if setting.step_seconds is None:
                    step, begun = step + 1, end
            if setting.step_seconds is not None and end - begun >= setting.step_seconds:
                step, begun = step + 1, end
            if step == setting.steps or (end >= setting.seconds and step < len(setting.weights)):
                break
            if begun == end and step == len(setting.weights):
                bake = _Bake(setting, self._trial.now)
                self._trial = self._with_pods(self._trial, step, end)
                self._follow(bake.status)
            elif begun == end:
                self._set_weight(step, end)
        return Told(proven=proven, candidate_requests=sent, probes=bake.probes if bake is not None else 0)

    def _set_weight(self, step: int, now: int) -> None:
        changed = replaced(
            self._trial,
            step=step + 1,
            permille=round(1000 * self._setting.weights[step]),
            route_generation=self._trial.exposure.route_generation + 1,
        )
        self._trial = self._with_pods(changed, step, now)

    def _with_pods(self, trial: Trial, step: int, now: int) -> Trial:
        """The trial with both versions' pods from this step on."""
        setting = self._setting
        if not setting.pods:
            return trial
        ours = setting.pods[min(step, len(setting.pods) - 1)]
        return dataclasses.replace(
            trial,
            stable=dataclasses.replace(trial.stable, pods=setting.stable_pods),
            candidate=dataclasses.replace(trial.candidate, pods=ours, ready=(START + now,)),
        )

    def _follow(self, status: ModelRolloutStatus) -> None:
        """The result of `rollout.trial` for a status."""
        moves = status.permille != self._trial.exposure.permille
        self._trial = replaced(
            self._trial,
            step=len(status.steps),
            permille=status.permille,
            baking=status.permille >= 1000,
            probing=status.probe is not None,
            route_generation=self._trial.exposure.route_generation + moves,
        )

    def _serve(self, begin: int, end: int, before: float, after: float, lasts: int) -> int:
        """Requests of the seconds between two scrapes; the weight changed this many seconds before the end."""
        setting, generator = self._setting, self._generator
        total = generator.poisson(setting.requests_per_second, end - begin)
        weights = np.where(np.arange(begin, end) < end - lasts, before, after) if before != after else after
        to_candidate = generator.binomial(total, weights)
        for revision, requests, shares in (
            (CANDIDATE, to_candidate, self._candidate),
            (STABLE, total - to_candidate, self._stable),
        ):
            events = self._failed(revision, begin, requests, shares[..., begin:end])
            if revision == CANDIDATE and begin >= (setting.worse_from or math.inf):
                self._harmed += int(events.sum())
            self._count(revision, begin, end, requests, events)
        return int(to_candidate.sum())

    def _failed(self, revision: str, begin: int, requests: np.ndarray, shares: Shares) -> np.ndarray:
        """Events second by second; where pods are distinguished, each has an equal chance of a request."""
        if self._own is None:
            return self._generator.binomial(requests, shares)
        by_pod, failed = _spread(self._generator, requests, shares)
        if revision == STABLE:
            self._own.add(begin, by_pod, failed)
        return failed.sum(axis=0)

    def _count(self, revision: str, begin: int, end: int, requests: np.ndarray, events: np.ndarray) -> None:
        setting, counted, late = self._setting, self._arms[revision], self._late[revision]
        if setting.late_seconds and (revision == CANDIDATE or setting.late_stable):
            late[begin + setting.late_seconds : end + setting.late_seconds] += events
            requests, events = requests - events + late[begin:end], late[begin:end]
        split = setting.skew_seconds if revision == CANDIDATE else 0
        if split:
            counted.add(int(requests[:split].sum()), int(events[:split].sum()))
            counted.scrape_own(START + begin + split)
            counted.add(int(requests[split:].sum()), int(events[split:].sum()))
        else:
            counted.add(int(requests.sum()), int(events.sum()))

    def _scrape(self, end: int) -> None:
        for revision, counted in self._arms.items():
            counted.scrape(START + end)
            if not (self._setting.skew_seconds and revision == CANDIDATE):
                counted.scrape_own(START + end)
        hanging = int(self._late[CANDIDATE][end:].sum())
        mean = self._setting.requests_per_second * self._trial.exposure.permille / 1000 * ANSWER_SECONDS
        self._unanswered.points.append((START + end, float(hanging + self._generator.poisson(mean))))
        self._up.points.append((START + end, 1.0))

    def _look(self, end: int, later: int = 0) -> Judgement:
        trial = dataclasses.replace(self._trial, now=START + end + VISIBLE + later)
        judged = judge.judge(trial, self._answers())
        if judged.sight.blind:
            raise AssertionError(judged.sight.blind)
        if judged.next_state.counts_only:
            self._trial = replaced(trial, counted=judged.next_state.counted)
        else:
            self._trial = replaced(trial, state=judged.next_state.text, counted=None)
        return judged

    def _answers(self) -> dict[str, Answered]:
        stable, candidate = self._arms[STABLE], self._arms[CANDIDATE]
        found = {
            "requests": Answered(
                (*stable.good.series(), *stable.bad.series(), *candidate.good.series(), *candidate.bad.series())
            ),
            "requests/broken": Answered(()),
            "freshness": Answered(self._up.series()),
            "backend": Answered(self._up.series()),
        }
        if self._setting.gauge:
            found["unanswered"] = Answered(self._unanswered.series())
        if self._own is not None:
            found |= self._own.answers(judge.questions(self._trial), self._trial.now)
        if stable.latency:
            found["latency"] = Answered(
                (*stable.fast.series(), *stable.all.series(), *candidate.fast.series(), *candidate.all.series())
            )
        if stable.query:
            name = self._setting.objective.name
            for arm, counted in (("S", stable), ("C", candidate)):
                found[f"query/{name}/{arm}/total"] = Answered(counted.total.series())
                found[f"query/{name}/{arm}/events"] = Answered(counted.events.series())
        return found

    def _history(self, shares: Shares) -> None:
        """The first look, at second 0: the stable version alone, the last hour in full and the day thinned."""
        setting, every = self._setting, self._setting.scrape_seconds
        total = self._generator.poisson(setting.requests_per_second, shares.shape[-1])
        events = self._failed(STABLE, -shares.shape[-1], total, shares)
        counted = self._arms[STABLE]
        sums = [np.concatenate([[0], np.cumsum(amounts)]) for amounts in (total, events)]
        hour, day = [], []
        for sampled, seconds, step in ((hour, HOUR, every), (day, DAY, THINNED)):
            moments = range(shares.shape[-1] - min(seconds, shares.shape[-1]) + step, shares.shape[-1] + 1, step)
            sampled.extend((moment, int(sums[0][moment]), int(sums[1][moment])) for moment in moments)
        answers = self._recorded(hour, shares.shape[-1]) | {
            f"day/{key}": answer for key, answer in self._recorded(day, shares.shape[-1]).items()
        }
        if self._own is not None:
            answers |= self._own.answers(judge.questions(self._trial), self._trial.now)
        judged = judge.judge(self._trial, answers)
        if judged.sight.blind:
            raise AssertionError(judged.sight.blind)
        self._trial = replaced(self._trial, state=judged.next_state.text)
        counted.add(int(sums[0][-1]), int(sums[1][-1]))
        self._scrape(0)

    def _recorded(self, samples: Sequence[tuple[int, int, int]], until: int) -> dict[str, Answered]:
        scratch = _Release.__new__(_Release)
        scratch._setting = self._setting
        scratch._arms = {revision: _Counted(self._setting.objective, revision) for revision in self._arms}
        scratch._up = _Counters(self._up.labels)
        scratch._unanswered = _gauge()
        scratch._own = None
        scratch._up.begun = True
        stable = scratch._arms[STABLE]
        every = (stable.good, stable.bad, stable.fast, stable.all, stable.total, stable.events, scratch._up)
        for counters in every:
            counters.points = deque()
        before = (0, 0)
        for moment, requests, events in samples:
            stable.add(requests - before[0], events - before[1])
            before = (requests, events)
            stable.scrape(START + moment - until)
            stable.scrape_own(START + moment - until)
            scratch._up.points.append((START + moment - until, 1.0))
        return scratch._answers()


class _Bake:
    """The engine, from weight 100 on: pods are ready, and the gateway programs a route as soon as it is written."""

    def __init__(self, setting: Setting, now: float) -> None:
        time = timestamps.rfc3339(now)
        shares = [round(1000 * weight) for weight in setting.weights] + [1000]
        self._moment = moments.make_moment(
            {
                "spec": {
                    "steps": [{"weight": max(1, permille // 10)} for permille in shares],
                    "bakeSeconds": BAKE_SECONDS,
                    "progressDeadlineSeconds": 604_800,
                },
                "status": {
                    "startTime": time,
                    "deadlineTime": timestamps.rfc3339(now + 604_800),
                    "step": len(shares),
                    "permille": 1000,
                    "weight": 100,
                    "steps": [{"permille": permille, "startTime": time} for permille in shares],
                },
            }
        )
        self.probes = 0

    @property
    def status(self) -> ModelRolloutStatus:
        return self._moment.rollout.status

    def look(self, judged: Judgement, now: float) -> None:
        route = moments.make_route(self.status.permille)
        moment = dataclasses.replace(self._moment, now=now, judgement=judged, route=route, paths=Paths(route.weights))
        before = self.status.probe
        self._moment = dataclasses.replace(moment, rollout=stepping.move(moment).rollout)
        self.probes += before is None and self.status.probe is not None


def release(setting: Setting, seed: int) -> Told:
    """One release; the same seed gives the same."""
    return _Release(setting, np.random.default_rng(seed)).run()
