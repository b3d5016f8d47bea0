"""What the judge is given of a file at one of its times: the trial of a replayed release."""

import bisect
import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence, Set
from typing import Final

from sluice_judge.model import Arm, Exposure, GatewayCounters, OwnCounters, ReleasePlan, Servers, Trial, TrialPolicy
from sluice_judge.presets import GatewayPreset
from sluice_judge.replay.course import Course
from sluice_judge.replay.lines import CountsFile, Line, WeightLine
from sluice_judge.samples import inflight
from sluice_judge.schema.model import fraction
from sluice_judge.schema.policy import JudgedPolicy, Stepping
from sluice_judge.stats import planning

LATELY: Final = 20
"""Scrapes whose gauges are read again."""
WHOLE: Final = 1000
_RECORDED: Final = GatewayPreset("recorded", "recorded", "", "", 1.0, "", "", 0.0)
"""The file replaces the gateway: its lines are all requests."""


def excludes(policy: JudgedPolicy, recorded: Sequence[Line]) -> Mapping[int, float]:
    """What the recorded shares exclude, if they are those that follow from the first one: a model may have had its own."""
    shares = sorted({round(line.weight * 10) for line in recorded if 0 < line.weight * 10 < planning.PROVING})
    if policy.stepping is Stepping.FIXED or not shares:
        return {}
    rising = planning.rising_shares(shares[0])
    return rising if list(rising)[: len(shares)] == shares else {}


def gauges(file: CountsFile, time: float) -> inflight.Gauges:
    """The last scrapes until then: what was least since the share changed is in the state."""
    end = bisect.bisect_right(file.in_flight, time, key=lambda line: line.time)
    known = file.in_flight[max(0, end - LATELY) : end]
    if not known:
        return (), ()
    return ({line.time: line.candidate for line in known},), ({line.time: line.stable for line in known},)


def at(
    policy: JudgedPolicy, course: Course, file: CountsFile, planned: Mapping[int, tuple[int, int]], time: float
) -> Trial:
    """The trial at a time of the file. planned: `ReleasePlan.planned_pods`; time: seconds, as in the file."""
    stable = candidate = Arm("recorded", "recorded", 0)
    fill_seconds = file.pods.cache_fill_seconds if file.pods is not None else None
    own = OwnCounters(prefix_cache=fill_seconds is not None)
    if file.pods is not None:
        stable, candidate = (_with_pods(stable, ready, time) for ready in (file.pods.stable, file.pods.candidate))
    return Trial(
        now=time,
        namespace="",
        name="recorded",
        stable=stable,
        candidate=candidate,
        policy=TrialPolicy(
            objectives=tuple(policy.objectives),
            alpha=fraction(policy.false_rollback_probability),
            beta=fraction(policy.false_advance_probability),
            idle_seconds=policy.idle_seconds,
            initial_dispersion=policy.initial_dispersion,
            new_pod_seconds=file.pods.new_seconds if file.pods is not None else 0.0,
            cache_fill_seconds=fill_seconds or 0.0,
        ),
        exposure=Exposure(
            step=course.step,
            permille=course.permille,
            route_generation=course.step,
            route_programmed=True,
            load_permille=course.permille if course.probe is None else WHOLE,
            baking=course.weight >= 100,
            probing=course.probe is not None,
            excludes=course.excludes.get(course.permille),
        ),
        gateway=GatewayCounters(_RECORDED, _interval(policy, course, time), file.limit_seconds),
        servers=Servers(own=own, candidate_own=own),
        plan=ReleasePlan(planned_pods=planned),
    )


def beside(trial: Trial, file: CountsFile, with_baseline: Set[int]) -> Trial:
    """The trial with the baseline that serves. with_baseline: the permille at which it does."""
    baseline = Arm("baseline", "baseline", 0)
    if file.pods is not None:  # it is started with the candidate, and soon removed
        baseline = _with_pods(baseline, file.pods.baseline or file.pods.candidate, trial.now)
    return dataclasses.replace(
        trial,
        baseline=baseline,
        exposure=dataclasses.replace(trial.exposure, stable_permille=WHOLE - 2 * trial.exposure.permille),
        plan=dataclasses.replace(trial.plan, with_baseline=with_baseline),
    )


def planned_pods(file: CountsFile, ordered: Sequence[Line]) -> Mapping[int, tuple[int, int]]:
    """`ReleasePlan.planned_pods`: a step has all pods that were ready before the next one."""
    if file.pods is None:
        return {}
    found, following = {}, math.inf
    for weight, group in itertools.groupby(reversed(ordered), key=lambda line: line.weight):
        ready = sum(moment <= following for moment in file.pods.candidate)
        found[round(weight * 10)] = (ready, len(file.pods.stable))
        *_, first = group
        following = first.time
    return found


def changed(course: Course, weights: Sequence[WeightLine], weight: float, time: float) -> float:
    """When the gateway had a new weight: as the file says, or else at the first line with it."""
    last = max((line.time for line in course.previous.values()), default=-math.inf)
    since = (each.time for each in weights if each.time > last and math.isclose(each.weight, weight))
    return next(since, time)


def _interval(policy: JudgedPolicy, course: Course, time: float) -> float:
    """The time since the last scrape, if that is shorter than the policy's interval."""
    last = max((line.time for line in course.previous.values() if line.time < time), default=-math.inf)
    return min(policy.scrape_interval_seconds, time - last)


def _with_pods(arm: Arm, ready: Sequence[float], time: float) -> Arm:
    now = tuple(moment for moment in ready if moment <= time)
    return dataclasses.replace(arm, pods=len(now), ready=now)
