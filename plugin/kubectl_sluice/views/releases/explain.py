"""Explains why a release waits or was rolled back: sentences with the deciding numbers and thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kubectl_sluice.views import live
from kubectl_sluice.views.releases import reasons
from kubectl_sluice.views.releases.arms import ArmOfTest
from kubectl_sluice.views.releases.objectives import EvidenceView, ObjectiveView
from kubectl_sluice.views.releases.release import RolloutView, release_view
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice_core.kernel import commands
from sluice_core.views import words
from sluice_core.views.conditions import of_model
from sluice_judge.schema.verdict import Verdict

ENDINGS: Final = {
    Outcome.PROMOTED: "was promoted",
    Outcome.ROLLED_BACK: "was rolled back",
    Outcome.ABORTED: "was aborted",
    Outcome.SUPERSEDED: "was superseded",
    Outcome.INCONCLUSIVE: "ended without a decision",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """Paragraphs of sentences."""

    release: str
    """The explained release, or empty where there is none."""
    answer: tuple[str, ...]
    """The state, and its reason."""
    evidence: tuple[str, ...]
    """One or two sentences for each objective: counts, evidence and thresholds."""
    problems: tuple[str, ...]
    """Conditions that are not as wanted."""
    next: tuple[str, ...]
    """What happens by itself, and what a person can do."""


def explain(
    deployment: ModelDeployment, rollouts: Sequence[ModelRollout], chosen: ModelRollout | None, *, now: float
) -> Explanation:
    """The explanation of one release, or of a ModelDeployment without any. now: seconds since the epoch."""
    name = deployment.metadata.name
    behind = live.unseen_since(deployment, live.NOTHING_LIVE, now=now)
    unseen = (f"{behind[0].upper()}{behind[1:]}.",) if behind else ()
    if chosen is None:
        problems = _problems(deployment, None, now=now)
        doctor = commands.sluice("doctor", name, namespace=deployment.metadata.namespace)
        answer = (f"{name} has had no release yet.", *unseen)
        return Explanation("", answer, (), problems, (f"Gateway and operator: {doctor}",))
    view = release_view(deployment, [chosen], now=now).rollout
    assert view is not None
    newest = chosen.metadata.name in {r.metadata.name for r in rollouts[:1]}
    meaning = reasons.meaning(
        chosen.status.reason, name, deployment.metadata.namespace, of_test=view.ab_test is not None
    )
    return Explanation(
        release=chosen.metadata.name,
        answer=(*(unseen if newest else ()), *_answer(chosen, view), *([meaning.means] if meaning.means else ())),
        evidence=tuple(_evidence(chosen, view)),
        problems=_problems(deployment, chosen, now=now) if newest else (),
        next=meaning.then if newest else (),
    )


def _answer(rollout: ModelRollout, view: RolloutView) -> tuple[str, ...]:
    source = rollout.spec.source
    beside = f" beside {source.uri}" if source is not None else ""
    what = f"{view.name} releases {rollout.spec.target.uri}{beside} ({view.way})."
    if view.ab_test is not None:
        arms = words.listed(
            [f"{arm.name} ({arm.uri}, {arm.weight_percent} % of the users)" for arm in view.ab_test.arms]
        )
        what = f"{view.name} compares {arms} with {rollout.spec.target.uri} on {view.ab_test.metric} (A/B test)."
    if view.running:
        return (what, _stands(view), f"{_verb(view)}: {view.waits_for or 'it has not been judged yet'}.")
    why = rollout.status.message or rollout.status.reason
    ending = ENDINGS[rollout.status.outcome] if rollout.status.outcome is not None else "ended"
    where = f" in step {view.step} of {len(view.steps)}" if view.step and view.steps else ""
    return (
        what,
        f"It {ending}{where}, {words.span(view.age_seconds)} after it began and {_requests(view)}: {why}.",
    )


def _requests(view: RolloutView) -> str:
    if view.ab_test is not None:
        return words.plural(sum(arm.requests for arm in view.ab_test.arms), "request") + " to its arms"
    return words.plural(sum(step.candidate_requests or 0 for step in view.steps), "candidate request")


def _stands(view: RolloutView) -> str:
    if view.ab_test is not None and view.ab_test.winner is None:
        return f"It has run for {words.span(view.age_seconds)}, with {_requests(view)}; {view.ab_test.ends}."
    current = view.current_step
    if current is None:
        return f"It has run for {words.span(view.age_seconds)} and has no requests yet."
    lasted = f" for {words.span(current.seconds)}" if current.seconds is not None else ""
    came = (
        f", with {words.plural(current.candidate_requests, 'candidate request')}" if current.candidate_requests else ""
    )
    return f"It is in step {view.step} of {len(view.steps)} ({current.gets}){lasted}{came}."


def _verb(view: RolloutView) -> str:
    match view.verdict:
        case Verdict.BLIND:
            return "It is blind"
        case Verdict.ADVANCE:
            return "It continues"
        case Verdict.PROBE:
            return "It asks the stable version"
        case _:
            return "It waits"


def _evidence(rollout: ModelRollout, view: RolloutView) -> list[str]:
    spec, validated = rollout.spec, rollout.status.validation
    sentences = [f"Validation on {validated.message}."] if validated is not None and validated.message else []
    sentences += [_objective(each) for each in view.objectives]
    if view.ab_test is not None:
        sentences += [_arm(arm, view.ab_test.metric) for arm in view.ab_test.arms]
    elif any(each.roll_back for each in view.objectives):
        sentences.append(
            f"Thresholds: a version that is as good as the stable one is rolled back with a chance of at most "
            f"{spec.false_rollback_probability} in the whole release, and one at the edge of what is tolerated passes a "
            f"step with at most {spec.false_advance_probability}, however often the counters are checked."
        )
    return sentences


def _objective(view: ObjectiveView) -> str:
    parts = [
        f"{view.name}: {view.counts}: {words.count(view.candidate.counted)} of {words.count(view.candidate.requests)} "
        f"({view.candidate.ratio}) for the candidate, {words.count(view.stable.counted)} of "
        f"{words.count(view.stable.requests)} ({view.stable.ratio}) for stable"
    ]
    if view.comparison != "-":
        parts.append(f"ratio {view.comparison}")
    if view.roll_back is not None:
        parts.append(f"evidence that it is worse {_against(view.roll_back)}")
    if view.advance is not None:
        parts.append(f"evidence that it is good enough {_against(view.advance)}: {view.state}")
    return "; ".join(parts) + "."


def _arm(arm: ArmOfTest, metric: str) -> str:
    found = arm.unseen or f"{metric} not counted yet; {arm.state}"
    if arm.ratio is not None:
        found = f"{metric} {arm.comparison} of stable's; {arm.state}"
    note = f": {arm.message}" if arm.message else ""
    return f"{arm.name} ({arm.uri}, {arm.weight_percent} % of the users): {found}{note}."


def _against(evidence: EvidenceView) -> str:
    passed = "passed" if evidence.enough else "not reached"
    return f"10^{evidence.shown} against 10^{evidence.threshold_log10:.2f} ({passed})"


def _problems(deployment: ModelDeployment, newest: ModelRollout | None, *, now: float) -> tuple[str, ...]:
    found = of_model(deployment, newest, now=now)
    return tuple(f"{c.state}, {c.reason}: {c.message}" + (f"; do: {c.remedy}" if c.remedy else "") for c in found)
