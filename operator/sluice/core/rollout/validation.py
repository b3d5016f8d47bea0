"""Validation: before a candidate gets any request it answers a labelled data set, and the judge counts.

    release begins, weight 0, no pods ──> Job: the candidate ──> Job: the stable version, where it is compared
        ──> counts in the status ──> worse: rolled back
                                     good: passed ──> pods, first step
                                     neither, or a Job that failed: a person decides

One Job runs after the other, and the candidate gets pods of its own only when it has passed. So all of this takes the
devices of one version at a time, a worse model costs no more than that, and Recreate and ShrinkStable leave the stable
version as it is until there is a reason. The price is that the pods start later, by the time that the data set takes.

The stable version's answers stay as they were: its counts are taken from an earlier release, where they are of the same
rows.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

from pydantic import ValidationError

from sluice.api.base import fraction
from sluice.api.v1alpha1.modelrollout import ModelRollout, Score, ShardScore, ValidationStatus, Verdict
from sluice.api.v1alpha1.validation import ValidationBatch
from sluice.core import jobs, naming, podproblems
from sluice.core.analysis import offline
from sluice.core.analysis.offline import Tally
from sluice.core.situation import Situation, validating
from sluice.core.snapshot import Object, Revision

ASIDE: Final = "validation"
SEEN_THROUGH: Final = ("jobs", "pods")
"""Resources without which nobody knows what was scored."""


class State(StrEnum):
    """How far it is; also the reason that is shown."""

    SCORING = "Validating"
    PASSED = "Validated"
    FAILED = "ValidationFailed"
    INCONCLUSIVE = "ValidationInconclusive"
    ERROR = "ValidationError"


STUCK: Final = frozenset({State.INCONCLUSIVE, State.ERROR})
"""States that last until a person does something."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of a release's validation in this pass."""

    status: ValidationStatus
    """With everything that has been counted by now."""
    state: State
    message: str


@dataclass(frozen=True, slots=True)
class Scoring:
    """One version, and what was counted of its answers by now."""

    revision: Revision
    job: str
    """Name of the Job that asks it."""
    score: Score
    who: str
    """Its part in the release, for messages."""


def find(situation: Situation) -> Finding | None:
    """How far the running release's validation is; None where there is none to wait for."""
    active = situation.active
    rules = active.spec.validation if active is not None else None
    if active is None or rules is None or not validating(active):
        return None
    told = active.status.validation or ValidationStatus()
    hidden = [resource for resource in SEEN_THROUGH if resource in situation.snapshot.forbidden]
    if hidden:
        return Finding(
            told, State.ERROR, f"the operator may not list {' and '.join(hidden)}; see docs/runbooks/forbidden.md"
        )
    each = scorings(situation)
    status = told.model_copy(update={"scores": [scoring.score for scoring in each if scoring.score.finished]})
    unfinished = next((scoring for scoring in each if not scoring.score.complete), None)
    if unfinished is not None:
        return Finding(status, *_progress(situation, rules.batch, unfinished))
    return _concluded(active, rules.batch, each, status)


def scorings(situation: Situation) -> tuple[Scoring, ...]:
    """The versions that are asked, in order; the second one joins when the first is through. Empty where none is due."""
    active, candidate, stable = situation.active, situation.candidate, situation.stable
    rules = active.spec.validation if active is not None else None
    if active is None or rules is None or candidate is None or not validating(active):
        return ()
    first = _scoring(situation, active, rules.batch, candidate, "candidate")
    compared = stable is not None and offline.needs_stable(rules.batch.objective.failure_ratio)
    if stable is None or not compared or not first.score.complete:
        return (first,)
    return first, _scoring(situation, active, rules.batch, stable, "stable", rows=first.score.rows)


def retried(status: ValidationStatus) -> ValidationStatus:
    """Everything is asked anew, by other Jobs."""
    return ValidationStatus(attempt=status.attempt + 1)


def data_hash(batch: ValidationBatch) -> str:
    """Of what says which rows there are, and which answers are right."""
    where = batch.input.model_dump(mode="json", include={"uri", "format", "columns"})
    return naming.stable_hash([where, batch.labels])


def _scoring(
    situation: Situation, active: ModelRollout, batch: ValidationBatch, revision: Revision, who: str, rows: int = 0
) -> Scoring:
    """rows: of the candidate, where the revision is the stable one, whose counts of as many rows are used again."""
    snapshot, told = situation.snapshot, active.status.validation or ValidationStatus()
    job = f"{snapshot.name}-s{naming.stable_hash([active.metadata.name, revision.name, told.attempt])}"
    data = data_hash(batch)
    counted = (score for score in told.scores if score.revision == revision.name)
    kept = (score for score in _kept(situation, revision, data) if score.rows == rows)
    score = next(counted, None) or next(kept, None) or Score(revision=revision.name, data=data, shards=batch.shards)
    if not score.complete:
        found = {part.shard: part for part in _reports(snapshot.objects.values(), job) if part.shard < score.shards}
        found |= {part.shard: part for part in score.finished}
        score = score.model_copy(update={"finished": [found[shard] for shard in sorted(found)]})
    return Scoring(revision, job, score, who)


def _kept(situation: Situation, revision: Revision, data: str) -> Iterator[Score]:
    """What earlier releases have counted of the revision's answers to the same rows, newest first."""
    for rollout in reversed(situation.snapshot.rollouts):
        if rollout.status.validation is not None:
            for score in rollout.status.validation.scores:
                if (score.revision, score.data) == (revision.name, data) and score.complete:
                    yield score


def _reports(objects: Iterable[Object], job: str) -> Iterator[ShardScore]:
    """What the pods of a Job said at their end, as the runner writes it."""
    for report in jobs.reports(jobs.pods_of(objects, job)):
        try:
            part = ShardScore.model_validate(json.loads(report))
        except (ValueError, ValidationError):
            continue
        if min(part.shard, part.failed, part.wrong) >= 0 and part.failed + part.wrong <= part.read:
            yield part


def _progress(situation: Situation, batch: ValidationBatch, scoring: Scoring) -> tuple[State, str]:
    snapshot = situation.snapshot
    end = jobs.end_of(snapshot.objects.get(("Job", scoring.job), {}))
    pods = jobs.pods_of(snapshot.objects.values(), scoring.job)
    who = f"{scoring.who} {scoring.revision.name}"
    again = f"then: kubectl sluice retry {snapshot.name}"
    if end.get("type") == jobs.FAILED:
        return State.ERROR, f"{who} could not be scored: {_why(situation, end, pods)}; correct it, {again}"
    if end and not jobs.running(pods):
        missing = sorted(set(range(scoring.score.shards)) - {part.shard for part in scoring.score.finished})
        shown = ", ".join(map(str, missing))
        return State.ERROR, f"{who}: the counts of shard {shown} are gone with its pod; score it {again[4:]}"
    problem = next((found for pod in pods if (found := podproblems.job_problem(pod, snapshot.now))), None)
    done = f"{len(scoring.score.finished)} of {scoring.score.shards} shards of {batch.input.uri} are scored"
    return State.SCORING, f"{who}: {done} by Job {scoring.job}" + (f"; {problem.message}" if problem else "")


def _why(situation: Situation, end: Object, pods: list[Object]) -> str:
    active = situation.active
    if end.get("reason") == "DeadlineExceeded" and active is not None and active.spec.validation is not None:
        return f"it took longer than validation.deadlineSeconds, {active.spec.validation.deadline_seconds} s"
    said = next(jobs.last_words(pods), "") or podproblems.quoted(end.get("message"))
    return said or "its Job failed"


def _concluded(
    active: ModelRollout, batch: ValidationBatch, each: tuple[Scoring, ...], status: ValidationStatus
) -> Finding:
    """All answers are in: one look at all of them."""
    candidate, *others = (Tally(scoring.score.rows, scoring.score.bad) for scoring in each)
    stable = others[0] if others else None
    name, uri = active.spec.model_deployment, batch.input.uri
    if stable is not None and stable.rows != candidate.rows:
        return Finding(
            status,
            State.ERROR,
            f"{uri} changed while it was scored: {candidate.rows} rows, then {stable.rows}; when it stays as it is: "
            f"kubectl sluice retry {name}",
        )
    concluded = offline.conclude(
        batch.objective.failure_ratio,
        candidate,
        stable,
        alpha=fraction(active.spec.false_rollback_probability),
        beta=fraction(active.spec.false_advance_probability),
    )
    message = f"{uri}: {concluded.message}"
    status = status.model_copy(update={"message": message})
    match concluded.verdict:
        case Verdict.ADVANCE:
            return Finding(status, State.PASSED, message)
        case Verdict.ROLL_BACK:
            return Finding(status, State.FAILED, message)
        case Verdict.WAIT | Verdict.BLIND:
            remedy = (
                f"add rows and run kubectl sluice retry {name}, or decide by hand: kubectl sluice skip {name}, or abort"
            )
            return Finding(status, State.INCONCLUSIVE, f"{message}; {remedy}")
        case _ as unreachable:
            assert_never(unreachable)
