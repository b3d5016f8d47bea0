"""One release: looks, decisions, weights and pods, all of them by the shipped modules.

every scrape   traffic ──> gateway ──> judge.judge ──> stepping.move ──> weight and pods of the next interval
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from kubectl_sluice.offline import recording
from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, ModelRolloutStatus, Outcome
from sluice_core.kernel.snapshot import Paths
from sluice_core.rollout import comparing, stepping, steps
from sluice_core.rollout.capacity import needs, shares
from sluice_core.rollout.moment import Moment
from sluice_judge import judge, timestamps
from sluice_judge.comparing import fairness, forecast
from sluice_judge.gateways import PRESETS
from sluice_judge.judgement import Judgement
from sluice_judge.model import (
    Answered,
    Arm,
    Exposure,
    GatewayCounters,
    ReleasePlan,
    Series,
    Trial,
    TrialPolicy,
)
from sluice_judge.replay import beside
from sluice_judge.schema.dispersion import InitialDispersion
from sluice_judge.state import State
from sluice_judge.stats import planning
from tests.benchmarks.judge.loop.gateway import BASELINE, CANDIDATE, KEPT, STABLE, Gateway
from tests.benchmarks.judge.loop.traffic import Answers, Traffic
from tests.benchmarks.judge.loop.world import HOUR, Ended, World
from tests.support.cases import moments
from tests.support.groups import replaced

START: Final = 1_800_000_000.0
VISIBLE: Final = 0.6
"""Seconds from a scrape to the look that sees it."""
DAY: Final = 86_400
THINNED: Final = 300
PROBES_SECONDS: Final = 5400
"""How much longer probes may extend a bake before the simulation stops."""
MANY_PODS: Final = 4
"""Where nothing depends on pods."""


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """What was decided at a scrape, and what was known then."""

    verdict: str
    reason: str
    state: State


class _Release:
    def __init__(
        self,
        world: World,
        generator: np.random.Generator,
        *,
        kept: int | None = KEPT,
        looks: list[Look] | None = None,
    ) -> None:
        self._world = world
        self._looks = looks
        horizon = world.deadline_seconds + (0 if world.stops_at_bake else world.bake_seconds + PROBES_SECONDS)
        self._end = horizon - horizon % world.scrape_seconds
        self._traffic = Traffic(world, generator, self._end)
        self._gateway = Gateway(world.boundaries, gauge=world.gauge, queries=world.queries, kept=kept)
        self._first = int(generator.integers(world.scrape_seconds))
        self._ready: list[float] = []
        """When each of the candidate's pods became ready, seconds since the first weight."""
        self._requests = self._failed = self._probes = 0
        self._over = self._planned = 0.0
        self._trial = self._new_trial()
        history = self.history = self._history()
        self._moment = self._new_moment(history)
        judged = judge.judge(self._trial, history)
        if judged.sight.blind:
            raise AssertionError(judged.sight.blind)
        self._trial = replaced(self._trial, state=judged.next_state.text)
        learnt = self._status.model_copy(update={"learnt": judged.next_state.learnt})
        self._moment = self._moment.with_status(learnt)
        self._gateway.scrape(START, {})

    def run(self) -> Ended:
        world, every = self._world, self._world.scrape_seconds
        ended = Ended(planned=self._planned)
        before = self._status.permille / 1000
        proven: list[float] = []
        for end in range(every, self._end + 1, every):
            begin, after = end - every, self._status.permille / 1000
            changes = self._first if begin == 0 else 1
            seconds = np.where(np.arange(every) < changes, 0.0 if begin == 0 else before, after)
            self._serve(begin, end, seconds)
            before = after
            step, baking = self._status.step, self._moment.baking
            for later in (0.0, 1.0):  # a reconcile that has written is followed by another one
                mismatch = self._look(end, later)
                ended = dataclasses.replace(ended, mismatches=ended.mismatches + bool(mismatch))
                if self._status.permille == self._trial.exposure.permille or self._status.outcome is not None:
                    break
            ended = dataclasses.replace(
                ended, requests=self._requests, failed=self._failed, failed_over=self._over, steps=tuple(proven)
            )
            if self._status.step > step:
                proven.append(float(end))
            if self._moment.baking and not baking and self._traffic.baking is None:
                self._traffic.baking = float(end)
                ended = dataclasses.replace(ended, baking=float(end), steps=tuple(proven))
                if world.stops_at_bake:
                    return ended
            outcome = self._status.outcome
            if outcome is Outcome.PROMOTED:
                return dataclasses.replace(ended, promoted=float(end), probes=self._probes)
            if outcome is not None:
                in_bake = self._traffic.baking is not None
                return dataclasses.replace(
                    ended, rolled_back=float(end), in_bake=in_bake, why=self._status.message, probes=self._probes
                )
        return dataclasses.replace(ended, why=self._status.message, probes=self._probes)

    def recorded(self) -> list[str]:
        """What `kubectl sluice record` prints of the release, from an hour before it."""
        rollout = self._moment.rollout
        wanted = recording.of_release(rollout, now=START + self._end)
        before, since = self.history, self._gateway.answers()
        answers = {
            key: Answered(_joined(before[key].series if key in before else (), since[key].series)) for key in since
        }
        trial = dataclasses.replace(self._trial, now=wanted.moment(START + self._end), baseline=None)
        if self._world.baseline:
            trial = dataclasses.replace(trial, baseline=Arm(BASELINE, BASELINE, 80, ready=trial.candidate.ready))
            answers |= {beside.KEY + key: answer for key, answer in answers.items()}
        if self._world.replicas:
            old = (START - DAY,) * self._world.replicas
            trial = replaced(trial, stable=dataclasses.replace(trial.stable, ready=old))
        return list(recording.lines(trial, answers, wanted))

    @property
    def rollout(self) -> ModelRollout:
        return self._moment.rollout

    @property
    def _status(self) -> ModelRolloutStatus:
        return self._moment.rollout.status

    def _new_trial(self) -> Trial:
        world = self._world
        pods = world.replicas or None
        return Trial(
            now=START + VISIBLE,
            namespace="shop",
            name="digits",
            stable=Arm(STABLE, STABLE, 80, pods=pods),
            candidate=Arm(CANDIDATE, CANDIDATE, 80, pods=pods),
            policy=TrialPolicy(
                objectives=world.objectives,
                alpha=world.alpha,
                beta=world.beta,
                idle_seconds=HOUR,
                initial_dispersion=InitialDispersion(),
                new_pod_seconds=world.new_pod_seconds if world.replicas else 0.0,
                asks=world.asks,
            ),
            exposure=Exposure(0, 0, route_generation=1, route_programmed=True),
            gateway=GatewayCounters(PRESETS["contour"], world.scrape_seconds, world.limit_seconds),
        )

    def _new_moment(self, history: dict[str, Answered]) -> Moment:
        """The release at its first weight, with its lead step."""
        world = self._world
        weights = (planning.PROVING // 10,) if world.auto else world.weights
        permille = [10 * weight for weight in weights]
        planned = forecast.forecast(
            replaced(
                self._trial,
                steps=(*permille, steps.WHOLE),
                by_risk=world.auto,
                deadline_seconds=float(world.deadline_seconds),
                maximum_requests_at_risk=world.requests_at_risk,
            ),
            history,
        )
        self._planned = sum(math.inf if step.seconds is None else step.seconds for step in planned.steps)
        first = planned.lead_permille or permille[0]
        time = timestamps.rfc3339(START)
        moment = moments.make_moment(
            {
                "replicas": world.replicas or MANY_PODS,
                "spec": {
                    "objectives": [objective.to_wire() for objective in world.objectives],
                    "steps": [
                        *({"weight": weight, "minimumSeconds": world.minimum_seconds} for weight in weights),
                        {"weight": 100},
                    ],
                    "stepping": "Auto" if world.auto else "Fixed",
                    "bakeSeconds": world.bake_seconds,
                    "progressDeadlineSeconds": min(604_800, world.deadline_seconds + PROBES_SECONDS),
                    "baseReplicas": world.replicas or MANY_PODS,
                },
                "status": {
                    "startTime": time,
                    "deadlineTime": timestamps.rfc3339(START + world.deadline_seconds),
                    "readyTime": time,
                    "step": 1,
                    "leadPermille": planned.lead_permille,
                    "permille": first,
                    "weight": steps.rounded_percent(first),
                    "steps": [{"permille": first, "startTime": time}],
                },
            }
        )
        needed = shares.pods_for(first, moment.replicas)
        self._ready = [0.0] * needed  # released to users once they were ready
        self._trial = self._followed(moment, self._trial)
        return moment

    def _serve(self, begin: int, end: int, weights: np.ndarray) -> None:
        world, in_flight = self._world, {}
        baseline = self._trial.baseline is not None
        for revision, requests in self._traffic.sent(begin, end, weights, baseline=baseline).items():
            slower = () if world.slow is None else (world.slow[revision == CANDIDATE],)
            if world.queue is not None:
                pods = max(1, world.replicas if revision == STABLE else self._pods(begin))
                slowdown = world.slowdown if revision == CANDIDATE else 1.0
                queue = dataclasses.replace(world.queue, service_millis=slowdown * world.queue.service_millis)
                rate = float(requests.mean()) / pods
                slower = tuple(queue.slower(millis, rate, pods) for millis in world.boundaries)
            found = self._traffic.answered(revision, begin, requests, slower)
            self._gateway.versions[revision].add(found.answered, found.failed, found.faster, found.wrong)
            in_flight[revision] = found.in_flight
            if revision == CANDIDATE:
                self._note(begin, end, requests, found)
        self._gateway.scrape(START + end, in_flight)

    def _note(self, begin: int, end: int, requests: np.ndarray, found: Answers) -> None:
        self._requests += found.requests
        self._failed += found.events
        usual = float((requests * self._traffic.shares(STABLE, begin, end)).sum())
        self._over += found.events - usual

    def _pods(self, now: float) -> int:
        """Ready pods of the candidate."""
        if not self._world.replicas:
            return MANY_PODS
        return sum(ready <= now for ready in self._ready)

    def _created(self, now: float) -> None:
        """The pods for this step and the next one, as the engine's capacity says."""
        if not self._world.replicas:
            return
        wanted = needs.evenly_ahead(self._moment.rollout, self._moment.replicas, by_service=False)
        self._ready += [now + self._world.loading_seconds] * (wanted - len(self._ready))

    def _look(self, end: int, later: float) -> str:
        """One reconcile; how the split differs from the route, or empty."""
        now = START + end + VISIBLE + later
        self._created(end)
        self._trial = replaced(self._followed(self._moment, self._trial), now=now)
        judged = judge.judge(self._trial, self._gateway.answers())
        if judged.sight.blind:
            raise AssertionError(judged.sight.blind)
        text = judged.next_state.text
        if judged.next_state.counts_only:
            self._trial = replaced(self._trial, counted=judged.next_state.counted)
        else:
            self._trial = replaced(self._trial, state=text, counted=None)
        self._moment = self._moved(judged, now)
        if self._looks is not None and not later:
            counted, status = judged.next_state.counted, self._status
            assert counted is not None
            self._looks.append(Look(str(status.verdict), status.reason, counted.state))
        return judged.split_mismatch

    def _moved(self, judged: Judgement, now: float) -> Moment:
        pods = self._pods(now - START)
        route = moments.make_route(self._status.permille)
        candidate = dataclasses.replace(
            self._moment.candidate, replicas=max(pods, len(self._ready)), ready_replicas=pods, ready_endpoints=pods
        )
        wanted = max(pods, len(self._ready))
        capacity = dataclasses.replace(self._moment.capacity, candidate_replicas=wanted)
        moment = dataclasses.replace(
            self._moment,
            capacity=capacity,
            now=now,
            judgement=judged,
            route=route,
            paths=Paths(route.weights),
            candidate=candidate,
        )
        if moment.stable is not None:
            whole = moment.replicas
            stable = dataclasses.replace(moment.stable, replicas=whole, ready_replicas=whole, ready_endpoints=whole)
            moment = dataclasses.replace(moment, stable=stable)
        moved = dataclasses.replace(moment, rollout=stepping.move(moment).rollout)
        self._probes += not self._moment.probing and moved.probing
        return moved

    def _followed(self, moment: Moment, trial: Trial) -> Trial:
        """The trial of the status, as `rollout.trial` makes it."""
        status, world = moment.rollout.status, self._world
        step = steps.current(moment.rollout)
        load = steps.WHOLE if status.probe is not None or step is None else step.load_permille
        moves = status.permille != trial.exposure.permille
        every = steps.steps(moment.rollout)
        exposure = Exposure(
            step=len(status.steps),
            permille=status.permille,
            route_generation=trial.exposure.route_generation + moves,
            route_programmed=True,
            share_checked=0 < status.permille < steps.WHOLE,
            load_permille=load,
            baking=status.permille >= steps.WHOLE,
            probing=status.probe is not None,
            excludes=step.excludes if step is not None else None,
        )
        planned = comparing.planned_pods(every, CapacityMode.SURGE, moment.replicas)
        plan = ReleasePlan(
            steps=tuple(one.permille for one in every),
            deadline_seconds=float(world.deadline_seconds),
            maximum_requests_at_risk=world.requests_at_risk,
            by_risk=world.auto,
            excludes={one.permille: one.excludes for one in every if one.excludes is not None},
            planned_pods=planned,
            with_baseline=comparing.with_baseline(every, planned) if self._has_baseline(trial) else frozenset(),
        )
        candidate, stable = trial.candidate, trial.stable
        if world.replicas:
            since = trial.now - START
            ready = tuple(START + moment for moment in self._ready if moment <= since)
            candidate = dataclasses.replace(candidate, pods=len(ready), ready=ready)
        trial = dataclasses.replace(
            trial, exposure=exposure, plan=plan, candidate=candidate, stable=stable, baseline=None
        )
        if load not in plan.with_baseline:
            return trial
        # Its pods were started with the candidate's.
        baseline = dataclasses.replace(candidate, revision=BASELINE, service=BASELINE)
        return replaced(trial, baseline=baseline, stable_permille=steps.WHOLE - 2 * status.permille)

    def _has_baseline(self, trial: Trial) -> bool:
        """Whether the candidate has too few pods to be compared with stable's."""
        few = not fairness.fair(self._pods(trial.now - START), self._world.replicas)
        return self._world.baseline and few

    def _history(self) -> dict[str, Answered]:
        """The stable version alone: the last hour in full, and the day thinned."""
        world, every = self._world, self._world.scrape_seconds
        past = world.history_seconds
        generator = np.random.default_rng(past)
        total = generator.poisson(world.requests_per_second, past)
        shares = self._traffic.before
        events = generator.binomial(total, shares)
        day = self._recorded(total, events, min(DAY, past), THINNED)
        hour = self._recorded(total, events, min(HOUR, past), every)  # its last values are the release's first
        stable = self._gateway.versions[STABLE]
        for counter, value in zip(stable.counters, self._last, strict=True):
            counter.add(value)
        return hour | {f"day/{key}": answer for key, answer in day.items()}

    def _recorded(self, total: np.ndarray, events: np.ndarray, seconds: int, step: int) -> dict[str, Answered]:
        world, past = self._world, len(total)
        gateway = Gateway(world.boundaries, gauge=world.gauge, queries=world.queries, kept=None)
        counted = gateway.versions[STABLE]
        sums = [np.concatenate([[0], np.cumsum(amounts)]) for amounts in (total, events)]
        slower = () if world.slow is None else world.slow[:1]
        if world.queue is not None:
            rate = world.requests_per_second / world.replicas
            slower = tuple(world.queue.slower(millis, rate, world.replicas) for millis in world.boundaries)
        before = (0, 0)
        for moment in range(past - seconds + step, past + 1, step):
            now = int(sums[0][moment]), int(sums[1][moment])
            requests, failed = now[0] - before[0], now[1] - before[1]
            before = now
            if slower:
                faster = tuple(round(requests * (1 - share)) for share in slower)
            else:
                faster = (requests - failed,) if world.judges_latency else ()
            failed = 0 if world.judges_latency else failed
            counted.add(requests, failed, faster, round((requests - failed) * world.wrong[0]))
            counted.scrape(START + moment - past, 0.0)
            gateway.up.gauge(START + moment - past, 1.0)
        self._last = [counter.value for counter in counted.counters]
        return gateway.answers()


def _joined(before: Sequence[Series], since: Sequence[Series]) -> tuple[Series, ...]:
    """One after the other, by their labels."""
    later = {tuple(sorted(one.labels.items())): one.points for one in since}
    found = {tuple(sorted(one.labels.items())): one.points for one in before}
    return tuple(Series(dict(labels), (*found.get(labels, ()), *later.get(labels, ()))) for labels in found | later)


def recorded(world: World, seed: int, looks: list[Look] | None = None) -> tuple[Ended, ModelRollout, list[str]]:
    """One release, what became of it, and its recording. looks: is given those at the scrapes."""
    run = _Release(world, np.random.default_rng(seed), kept=None, looks=looks)
    return run.run(), run.rollout, run.recorded()


def release(world: World, seed: int) -> Ended:
    """One release; the same seed gives the same."""
    return _Release(world, np.random.default_rng(seed)).run()
