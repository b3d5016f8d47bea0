"""People's twelve questions about a release, and their answers.

Elsewhere, `explain` and `release` answer what it does, what it waits for and how strong the evidence is; `history` what
happened; `commands` how to stop it; `proof` whether the verdict was right.
"""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kubectl_sluice.views.releases import arms
from kubectl_sluice.views.releases.objectives import ObjectiveView
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, StepRecord
from sluice_core.kernel import naming, rawobjects
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Object, Pod
from sluice_core.parsing import revisionpods
from sluice_core.rollout import steps
from sluice_core.situation import devices
from sluice_core.views import words
from sluice_judge.schema.policy import OnDeadline

QUESTIONS: Final[Mapping[str, str]] = {
    "doing": "What is it doing, and why?",
    "waits": "What does it wait for, how many requests and how long?",
    "evidence": "How strong is the evidence, against both thresholds?",
    "split": "What split was wanted, and what is real?",
    "harmed": "How many requests have been harmed?",
    "pods": "Which pods are unlike the others?",
    "devices": "What does it cost in devices?",
    "happened": "What happened, who asked for it, when and why?",
    "unattended": "What would happen if nobody acts?",
    "actions": "How do I stop it, skip, go back?",
    "verdict": "Was the last verdict right?",
    "links": "Which dashboards and runbooks belong to it?",
}
"""By the name of each in a page."""
AT_DEADLINE: Final = {
    OnDeadline.HOLD: "it stays as it is and waits for a person",
    OnDeadline.PROMOTE: "it is promoted",
    OnDeadline.ROLL_BACK: "it is rolled back",
}
SLOWER: Final = 2.0
"""A pod is slow if it took this many times as long to load as the median."""


@dataclass(frozen=True, slots=True)
class SplitLine:
    """One version's share of the requests."""

    role: str
    revision: str
    wanted: str
    route: str
    """The route's current weight; a dash where it is not visible."""
    counted: str
    """The requests counted in the newest step."""
    requests: int


@dataclass(frozen=True, slots=True)
class HarmLine:
    """An objective's count against the candidate."""

    objective: str
    counts: str
    counted: int
    requests: int
    expected: float
    """The stable version's count in the same number of requests."""

    @property
    def harmed(self) -> float:
        return max(0.0, self.counted - self.expected)


@dataclass(frozen=True, slots=True)
class PodLine:
    """One pod."""

    name: str
    revision: str
    role: str
    state: str
    restarts: int
    load_seconds: float | None
    unlike: str
    """How it differs from its version's other pods, or empty."""


@dataclass(frozen=True, slots=True)
class DeviceLine:
    """Devices held by the pods of a version."""

    role: str
    revision: str
    pods: int
    resource: str
    """`nvidia.com/gpu`, or empty where they hold no device of that kind."""
    devices: int
    claims: tuple[str, ...] = ()
    """Names of device claims, which cannot be counted."""


def split(rollout: ModelRollout, weights: Mapping[str, int] | None) -> tuple[SplitLine, ...]:
    """The versions of a release. weights: permille by revision as in the route, None where it is not visible."""
    shares = _wanted(rollout)
    last = next(reversed(rollout.status.steps), None)
    whole = sum(weights.values()) if weights else 0
    lines = []
    for role, revision in roles(rollout).items():
        requests = _counted(last, role)
        seen = last.candidate_requests + last.stable_requests if last is not None else 0
        real = (
            "-"
            if weights is None
            else steps.percent(round(1000 * weights.get(revision, 0) / whole))
            if whole
            else "0 %"
        )
        lines.append(
            SplitLine(
                role=role,
                revision=revision,
                wanted=steps.percent(shares.get(revision, 0)),
                route=real,
                counted="-" if rollout.spec.ab_test is not None else words.percentage(requests, seen),
                requests=requests,
            )
        )
    return tuple(lines)


def roles(rollout: ModelRollout) -> dict[str, str]:
    """The revision of each role in a release."""
    source, rules = rollout.spec.source, rollout.spec.ab_test
    stable = {"stable": source.revision} if source is not None else {}
    if rules is not None:
        return stable | {f"arm {arm.name}": arm.end.revision for arm in rules.arms}
    return stable | {"candidate": rollout.spec.target.revision}


def _wanted(rollout: ModelRollout) -> dict[str, int]:
    source, rules = rollout.spec.source, rollout.spec.ab_test
    shares = rules.shares if rules is not None else {rollout.spec.target.revision: rollout.status.permille}
    return shares | ({source.revision: steps.WHOLE - sum(shares.values())} if source is not None else {})


def _counted(last: StepRecord | None, role: str) -> int:
    if last is None:
        return 0
    return last.stable_requests if role == "stable" else last.candidate_requests


def harm(objectives: Iterable[ObjectiveView]) -> tuple[HarmLine, ...]:
    """By objective: several may count the same request."""
    return tuple(
        HarmLine(
            objective=each.name,
            counts=each.counts,
            counted=each.candidate.counted,
            requests=each.candidate.requests,
            expected=each.candidate.requests * each.stable.counted / each.stable.requests
            if each.stable.requests
            else 0.0,
        )
        for each in objectives
    )


def pods(rollout: ModelRollout, raw: Sequence[Object], *, now: float) -> tuple[PodLine, ...]:
    """The pods of a release's versions, deviating ones first. raw: those of the model."""
    replaced = rollout.status.replaced_pod
    lines = [
        _pod_line(pod, revision, role, _unlike(pod, others, replaced))
        for role, revision in roles(rollout).items()
        if (others := revisionpods.observed_pods(raw, revision, now))
        for pod in others
    ]
    return tuple(sorted(lines, key=lambda line: not line.unlike))


def _pod_line(pod: Pod, revision: str, role: str, unlike: str) -> PodLine:
    if pod.problem is not None:
        state = f"{pod.problem.reason}: {pod.problem.message}"
    else:
        state = "ends" if pod.terminating else "ready" if pod.ready else "not ready"
    return PodLine(pod.name, revision, role, state, pod.restarts, pod.load_seconds, unlike)


def _unlike(pod: Pod, others: Sequence[Pod], replaced: str | None) -> str:
    rest = [other for other in others if other is not pod and not other.terminating]
    found = []
    if pod.name == replaced:
        found.append("its evidence alone spoke against the version, so it was replaced")
    if not pod.ready and not pod.terminating and any(other.ready for other in rest):
        found.append("not ready, while others are")
    if rest and pod.restarts > max(other.restarts for other in rest):
        found.append(f"restarted {pod.restarts} times, others at most {max(other.restarts for other in rest)}")
    loads = [other.load_seconds for other in rest if other.load_seconds is not None]
    if loads and pod.load_seconds is not None and pod.load_seconds > SLOWER * max(1.0, statistics.median(loads)):
        found.append(f"took {words.span(pod.load_seconds)} to load, others {words.span(statistics.median(loads))}")
    return "; ".join(found)


def held(rollout: ModelRollout, raw: Sequence[Object]) -> tuple[DeviceLine, ...]:
    """Devices held by the pods of a release's versions. raw: those of the model."""
    lines = []
    for role, revision in roles(rollout).items():
        own = [pod for pod in raw if rawobjects.labels(pod).get(naming.LABEL_REVISION) == revision]
        alive = [pod for pod in own if not rawobjects.is_over(pod)]
        found = [one for pod in alive if (one := devices.extended_resource(pod)) is not None]
        resource = found[0][0] if found else ""
        claims = tuple(sorted({name for pod in alive for name in devices.claimed(pod)}))
        lines.append(DeviceLine(role, revision, len(alive), resource, sum(count for _, count in found), claims))
    return tuple(lines)


def unattended(rollout: ModelRollout, *, now: float) -> tuple[str, ...]:
    """What happens by itself, in order of time."""
    status, spec = rollout.status, rollout.spec
    if status.outcome is not None:
        return ("Nothing: the release has ended.",)
    if (test := arms.ab_test_view(rollout)) is not None and test.winner is None:
        return (f"{test.ends[0].upper()}{test.ends[1:]}.",)
    return tuple(_ahead(rollout, now)) or (
        f"It goes on by its steps as evidence allows; {AT_DEADLINE[spec.on_deadline]} "
        f"{words.span(spec.progress_deadline_seconds)} after it began, if nothing is decided.",
    )


def _ahead(rollout: ModelRollout, now: float) -> Iterator[str]:
    status = rollout.status
    if status.paused or Reason.of(status.reason) in (Reason.PAUSED, Reason.PAUSED_AT_STEP):
        yield "It stays at this step until a person says more; evidence against it still rolls it back."
    elif status.estimated_completion_time is not None:
        left = words.seconds_of(status.estimated_completion_time) - now
        yield f"At today's rate of requests the next decision comes in about {words.span(left)}."
    if status.bake_end_time is not None:
        left = words.seconds_of(status.bake_end_time) - now
        yield f"It is promoted when the bake ends, in {words.span(left)}, unless evidence against it appears."
    elif status.deadline_time is not None:
        left = words.seconds_of(status.deadline_time) - now
        what = AT_DEADLINE[rollout.spec.on_deadline]
        yield f"If nothing is decided by {status.deadline_time} (in {words.span(left)}), {what}."


def route_weights(route: Object) -> dict[str, int]:
    """The weights of each revision in the main rule of an HTTPRoute of ours."""
    rules: Sequence[Object] = route.get("spec", {}).get("rules") or ({},)
    return {str(each["name"]): int(each.get("weight", 1)) for each in rules[0].get("backendRefs") or ()}
