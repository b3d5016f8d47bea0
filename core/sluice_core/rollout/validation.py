"""Validation: before a candidate gets any request, it answers a labelled data set, and the judge counts wrong answers.

    release begins, weight 0, no pods ──> Job: the candidate ──> Job: the stable version, where it is compared
        ──> counts in the status ──> worse: rolled back
                                     good: passed ──> pods, first step
                                     neither, or a Job that failed: a person decides

The Jobs run one after the other, and the candidate gets pods of its own only after it has passed. So validation takes
the devices of one version at a time, a worse model costs no more than that, and Recreate and ShrinkStable do not touch
the stable version before. The price is that the pods start later, by the time that the data set takes.

The stable version's answers do not change: its counts come from an earlier release if that used the same rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, assert_never, get_args

from sluice_core.api.v1alpha1.batchinference import BatchOutcome
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.api.v1alpha1.validation import Score, ShardScore, Validation, ValidationBatch, ValidationStatus
from sluice_core.kernel import commands
from sluice_core.kernel.reasons import STALLS, Reason
from sluice_core.kernel.snapshot import Revision, Snapshot
from sluice_core.parsing import jobs
from sluice_core.parsing.runstate import RunState
from sluice_core.render.jobs import batchjob, validationjob
from sluice_core.situation import batchrevisions
from sluice_core.situation.situation import Blocked, Situation, validating
from sluice_judge import hashing, labelled
from sluice_judge.labelled import AnswerCounts
from sluice_judge.schema.model import fraction
from sluice_judge.schema.verdict import Verdict

SEEN_THROUGH: Final = ("jobs", "pods")
"""Resources without which the scores are unknown."""


State: TypeAlias = Literal[
    Reason.VALIDATING,
    Reason.VALIDATED,
    Reason.VALIDATION_FAILED,
    Reason.VALIDATION_INCONCLUSIVE,
    Reason.VALIDATION_ERROR,
]
"""The state of the validation; also the displayed reason."""
STUCK: Final = frozenset(state for state in get_args(State) if STALLS in state.marks)
"""States that last until a person does something."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The state of a release's validation in this reconcile."""

    status: ValidationStatus
    """The status, with everything counted so far."""
    state: State
    message: str


@dataclass(frozen=True, slots=True)
class Scoring:
    """One version, and the counts of its answers so far."""

    who: str
    """Its part in the release and its name, for messages."""
    rules: Validation
    job: str
    """Name of the Job that asks it."""
    asked: Revision | Blocked
    """The revision, with what a Job needs to ask it, or why it cannot be asked."""
    score: Score
    state: RunState
    """The Job's current state."""


def find(situation: Situation) -> Finding | None:
    """The state of the running release's validation; None if there is none to wait for."""
    active = situation.active
    rules = active.spec.validation if active is not None else None
    if active is None or rules is None or not validating(active):
        return None
    recorded = active.status.validation or ValidationStatus()
    hidden = " and ".join(_hidden(situation))
    if hidden:
        return Finding(
            recorded, Reason.VALIDATION_ERROR, f"the operator may not list {hidden}; see docs/runbooks/forbidden.md"
        )
    each = scorings(situation)
    status = recorded.model_copy(update={"scores": [scoring.score for scoring in each if scoring.score.finished]})
    unfinished = next((scoring for scoring in each if not scoring.score.complete), None)
    if unfinished is not None:
        return Finding(status, *_progress(situation, unfinished))
    return _concluded(active, rules.batch, each, status)


def scorings(situation: Situation) -> tuple[Scoring, ...]:
    """The versions to ask, in order; the second one joins when the first has finished. Empty if no validation is due."""
    active, candidate, stable = situation.active, situation.candidate, situation.stable
    rules = active.spec.validation if active is not None else None
    if active is None or rules is None or candidate is None or not validating(active) or _hidden(situation):
        return ()
    first = _scoring(situation, active, rules, candidate, "candidate")
    compared = stable is not None and labelled.needs_stable(rules.batch.objective.failure_ratio)
    if stable is None or not compared or not first.score.complete:
        return (first,)
    return first, _scoring(situation, active, rules, stable, "stable", rows=first.score.rows)


def wanted_job(snapshot: Snapshot, scoring: Scoring) -> dict[str, Any] | None:
    """The Job to create; None if it exists, everything is counted, or the version cannot be asked."""
    asked = scoring.asked
    if ("Job", scoring.job) in snapshot.objects or scoring.score.complete or isinstance(asked, Blocked):
        return None
    return validationjob.desired_job(snapshot.deployment, asked, scoring.rules, scoring.job, snapshot.config)


def _hidden(situation: Situation) -> list[str]:
    return [resource for resource in SEEN_THROUGH if resource in situation.snapshot.forbidden]


def retried(status: ValidationStatus) -> ValidationStatus:
    """The status for a new attempt, with other Jobs."""
    return ValidationStatus(attempt=status.attempt + 1)


def data_hash(batch: ValidationBatch) -> str:
    """The hash of everything that determines the rows and the right answers."""
    where = batch.input.model_dump(mode="json", include={"uri", "format", "columns"})
    return hashing.stable_hash([where, batch.labels])


def _scoring(
    situation: Situation,
    active: ModelRollout,
    rules: Validation,
    revision: Revision,
    part: str,
    rows: int | None = None,
) -> Scoring:
    """rows: the candidate's, for the stable revision, whose counts of as many rows are reused."""
    snapshot, recorded = situation.snapshot, active.status.validation or ValidationStatus()
    name = f"{snapshot.name}-s{hashing.stable_hash([active.metadata.name, revision.name, recorded.attempt])}"
    state = jobs.of_job(snapshot.objects, name, shards=rules.batch.shards, now=snapshot.now)
    return Scoring(
        who=f"{part} {revision.name}",
        rules=rules,
        job=name,
        asked=_asked(snapshot, revision),
        score=_score(situation, recorded, rules.batch, revision, state, rows),
        state=state,
    )


def _asked(snapshot: Snapshot, revision: Revision) -> Revision | Blocked:
    known = batchrevisions.with_served(revision, snapshot.deployment, snapshot.runtimes)
    if isinstance(known, Blocked):
        return known
    try:
        batchjob.require_protocol(known)
    except batchjob.ProtocolNotSupported as error:
        return Blocked(Reason.PROTOCOL_NOT_SUPPORTED, str(error))
    return known


def _score(
    situation: Situation,
    recorded: ValidationStatus,
    batch: ValidationBatch,
    revision: Revision,
    state: RunState,
    rows: int | None,
) -> Score:
    """The recorded score, or an earlier release's; with the results that pods have reported since."""
    data = data_hash(batch)
    counted = (score for score in recorded.scores if score.revision == revision.name)
    kept = (score for score in _kept(situation, revision, data) if score.rows == rows)
    score = next(counted, None) or next(kept, None) or Score(revision=revision.name, data=data, shards=batch.shards)
    if score.complete:
        return score
    found = {part.shard: part for part in (*_reported(state, score.shards), *score.finished)}
    return score.model_copy(update={"finished": [found[shard] for shard in sorted(found)]})


def _kept(situation: Situation, revision: Revision, data: str) -> Iterator[Score]:
    """Counts from earlier releases of the revision's answers to the same rows, newest first."""
    for rollout in reversed(situation.snapshot.rollouts):
        if rollout.status.validation is not None:
            for score in rollout.status.validation.scores:
                if (score.revision, score.data) == (revision.name, data) and score.complete:
                    yield score


def _reported(state: RunState, shards: int) -> Iterator[ShardScore]:
    """The results of finished shards; a report without counts is ignored."""
    for shard, result in state.finished.items():
        if shard < shards and result.wrong is not None and _possible(result.read, result.failed, result.wrong):
            yield ShardScore(shard=shard, read=result.read, failed=result.failed, wrong=result.wrong)


def _possible(read: int, failed: int, wrong: int) -> bool:
    return min(failed, wrong) >= 0 and failed + wrong <= read


def _progress(situation: Situation, scoring: Scoring) -> tuple[State, str]:
    snapshot = situation.snapshot
    retry = commands.sluice("retry", snapshot.name, namespace=snapshot.namespace)
    state, score, end = scoring.state, scoring.score, scoring.state.end
    if isinstance(scoring.asked, Blocked):
        return Reason.VALIDATION_ERROR, f"{scoring.who} could not be scored: {scoring.asked.message}"
    if end is not None and end.reason is Reason.DEADLINE_EXCEEDED:
        late = f"the Job took longer than validation.deadlineSeconds, {scoring.rules.deadline_seconds} s"
        return Reason.VALIDATION_ERROR, f"{scoring.who} could not be scored: {late}; raise the limit, then: {retry}"
    if end is not None and end.outcome is not BatchOutcome.COMPLETE:
        return (
            Reason.VALIDATION_ERROR,
            f"{scoring.who} could not be scored: {end.message or end.reason}; correct this, then: {retry}",
        )
    if end is not None:
        missing = ", ".join(str(n) for n in sorted(set(range(score.shards)) - {part.shard for part in score.finished}))
        return (
            Reason.VALIDATION_ERROR,
            f"{scoring.who}: shard {missing} left no counts of right and wrong answers; to score again: {retry}",
        )
    done = f"{len(score.finished)} of {score.shards} shards of {scoring.rules.batch.input.uri} are scored by Job {scoring.job}"
    hindrance = state.problem.message if state.problem is not None else state.setback
    return Reason.VALIDATING, f"{scoring.who}: {done}" + (f"; {hindrance}" if hindrance else "")


def _concluded(
    active: ModelRollout, batch: ValidationBatch, each: tuple[Scoring, ...], status: ValidationStatus
) -> Finding:
    """All answers are in: one look at all of them."""
    candidate, *others = (AnswerCounts(scoring.score.rows, scoring.score.bad) for scoring in each)
    stable = others[0] if others else None
    retry, uri = commands.for_release(active, "retry"), batch.input.uri
    if stable is not None and stable.rows != candidate.rows:
        return Finding(
            status,
            Reason.VALIDATION_ERROR,
            f"{uri} changed while it was scored: {candidate.rows} rows, then {stable.rows}; when it no longer changes: "
            f"{retry}",
        )
    concluded = labelled.conclude(
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
            return Finding(status, Reason.VALIDATED, message)
        case Verdict.ROLL_BACK:
            return Finding(status, Reason.VALIDATION_FAILED, message)
        case Verdict.WAIT | Verdict.BLIND | Verdict.PROBE:
            skip = commands.for_release(active, "skip")
            remedy = f"add rows and run {retry}, or decide by hand: {skip}, or abort in place of skip"
            return Finding(status, Reason.VALIDATION_INCONCLUSIVE, f"{message}; {remedy}")
        case _ as unreachable:
            assert_never(unreachable)
