"""One reconcile of a ModelDeployment or a BatchInference: gather, ask, decide, apply. All decisions are in `core`.

store ──> World ──> Snapshot ──> Prepared ──> replies ──> Plan ──> writes, in order ──> store
"""

import logging
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from sluice.shell.cache.keys import BATCH, MODEL, Key
from sluice.shell.cache.store import Store
from sluice.shell.leadership.term import Lead, LeaseLost
from sluice.shell.order.lane import Rank
from sluice.shell.order.workqueue import Done, Result, Retry, Why
from sluice.shell.questions.asking import Asker
from sluice.shell.questions.stablewatch import Watching
from sluice.shell.reconciler import failing
from sluice.shell.reconciler.memory import Allowance, Memory
from sluice.shell.reconciler.waiting import BUSY_CONFIRM_SECONDS, SAMPLES_SECONDS, KeptReplies, Waiters, WaitingPlan
from sluice.shell.reconciler.writer import Writer
from sluice.shell.registries import Following
from sluice.shell.reporting.news import AGAIN_SECONDS, Announcer
from sluice.shell.reporting.telemetry import Telemetry
from sluice_core import errors
from sluice_core.batch import decide as batch_decide
from sluice_core.batch import failure as batch_failure
from sluice_core.decide import decide, ending, failure, forgetting, passing, prepare
from sluice_core.decide.prepare import Findings, Inquiry, Remembered, Replies
from sluice_core.kernel import rawobjects
from sluice_core.kernel.plan import ApplyStatus, Plan, Write, summary, target_of
from sluice_core.parsing import batchsnapshot, ownkinds, worlds
from sluice_core.ports import Accelerators, BatchProgress, Clock

LOG: Final = logging.getLogger(__name__)

FAILED_SECONDS: Final = 300.0
"""A refused write is not tried again before something changes; this is the fallback."""
UNEXPECTED_SECONDS: Final = 300.0
CONFIRM_SECONDS: Final = 0.05
SLOWEST_CONFIRM_SECONDS: Final = 10.0
QUIET_RECONCILES: Final = 6
"""How many reconciles in a row may write; a plan that never comes to rest is then slowed down."""

NEEDED: Final = frozenset({"modeldeployments", "modelrollouts", "controllerrevisions", "deployments"})
"""Plurals without which the operator cannot know that a model is gone, and what it has left behind."""
WAITS: Final = "waits"
"""The outcome of a reconcile that has not written yet."""


class Waits(NamedTuple):
    """The reconcile ended without its writes: it had no slot, or needs samples first."""

    look_after: float | None
    """Seconds until the next look, which may find something else; the slot wakes the key in any case."""


@dataclass(slots=True)
class Reconciler:
    """Makes the world what the decision says."""

    store: Store
    writer: Writer
    metrics: Asker
    accelerators: Accelerators
    progress: BatchProgress
    news: Announcer
    clock: Clock
    lead: Lead
    waiting: Waiters
    watching: Watching
    following: Following
    telemetry: Telemetry
    memories: dict[Key, Memory] = field(default_factory=dict)
    allowances: dict[Key, Allowance] = field(default_factory=dict)
    remembered: dict[Key, Remembered] = field(default_factory=dict)
    doubted: set[Key] = field(default_factory=set)
    """Keys whose last look found evidence against a version that has users: they are looked at first."""
    passing: dict[Key, float] = field(default_factory=dict)
    """Since when a status that may be over in a moment has not been written."""

    async def reconcile(self, key: Key, why: Why = Why.NEWS) -> Result:
        """One reconcile; never raises but for cancellation."""
        began = self.clock.monotonic()
        outcome = "cancelled"
        self.waiting.lane.begin(key)
        try:
            outcome, result = await self._guarded(key, why)
            result = await self._told(key, result)
            if isinstance(result, Done):
                result = replace(result, doubt=key in self.doubted)
        finally:
            if outcome != WAITS:
                self.waiting.over(key)
            self.telemetry.reconcile_seconds.labels(outcome).observe(self.clock.monotonic() - began)
        return result

    async def _guarded(self, key: Key, why: Why) -> tuple[str, Result]:
        try:
            result = await self._gather_and_apply(key, why)
            return ("ok", result) if not isinstance(result, Waits) else (WAITS, Done(result.look_after))
        except LeaseLost:
            return "not_leader", Retry()
        except errors.ApiError as error:
            if self._is_news(key, error):
                LOG.warning("%s; retrying with growing pauses", error, extra={"model": str(key)})
            return type(error).__name__.lower(), Retry()
        except Exception as error:  # a defect in one model must not stop the others
            if self._is_news(key, error):
                LOG.exception("unexpected error; retrying with growing pauses", extra={"model": str(key)})
            await self._report_defect(key, error)
            return "error", Retry(UNEXPECTED_SECONDS)

    async def _gather_and_apply(self, key: Key, why: Why) -> Result | Waits:
        about = self.store.get(key.kind, key.namespace, key.name)
        if not self.lead.may_write():
            self._rests(key)
            return Done()
        if about is not None and rawobjects.is_going(about):
            return Done()
        known, is_ending = self.store.state(key), self.store.is_ending(key.namespace)
        decided = self.waiting.plan(key, known, self.clock.now())
        if decided is not None and not is_ending:
            return await self._carried_out(key, decided)
        if about is None:
            plan: Plan | None = self._forgetting_plan(key)
        elif why.is_by_time and self._asks_again(key):
            plan = None
        elif is_ending:
            plan = ending.plan(self.store.owned(key))
        elif why is not Why.INTENT and key not in self.waiting.compared and self.waiting.lane.waits(key):
            return Waits(None)  # all changes are decided on once it has a slot
        elif why.is_by_time and self.waiting.lane.waits(key):
            seen = await self._goes_on(key)
            if isinstance(seen, Waits):
                return seen
            plan = await self._model_plan(key, seen)
        else:
            plan = await (self._batch_plan(key) if key.kind == BATCH else self._model_plan(key))
        if plan is None:
            return Waits(self.waiting.lacks(key))
        self.waiting.has_samples(key)
        plan = self._with_what_lasts(key, plan)
        if plan.writes and not self.waiting.lane.enter(key, rank := Rank.of(plan)):
            if rank is not Rank.BEGINS:
                self.waiting.decide(key, WaitingPlan(plan, known, self.clock.now()))
            return Waits(self.waiting.look_after(key, plan.requeue_after))
        return await self._carried_out(key, plan)

    async def _carried_out(self, key: Key, plan: Plan) -> Result:
        try:
            return await self._carry_out(key, plan)
        except (errors.Refused, errors.Denied, errors.Missing, errors.Occupied) as error:
            return await self._report_failure(key, error)

    def _asks_again(self, key: Key) -> bool:
        """Whether samples were requested without a reconcile: it is due by time alone, and the last one changed
        nothing."""
        return key not in self.memories and not self.waiting.lane.holds(key) and self.metrics.again(key)

    async def _goes_on(self, key: Key) -> Waits | KeptReplies:
        """A look at a decided plan that waits to be written while only time has passed: only the judge reads the
        samples. Where they speak against a version, a whole reconcile decides."""
        now, remembered = self.clock.now(), self.remembered.get(key, prepare.NOTHING)
        compared = self.waiting.compared[key].later(now, remembered)
        inquiry = compared.inquiry()
        replies = await self._replies(key, inquiry)
        if replies is None or replies.pending:
            return Waits(self.waiting.lacks(key))
        findings = compared.read(replies)
        self._remember(key, findings)
        if findings.accuse:
            return KeptReplies(inquiry, replies, now)
        self.waiting.has_samples(key)
        return Waits(self.waiting.look_after(key, SAMPLES_SECONDS))

    def _with_what_lasts(self, key: Key, plan: Plan) -> Plan:
        """The plan, with statuses that could have been over in a moment but have lasted."""
        busy = self.waiting.lane.is_busy()
        plan, since = passing.due(plan, self.passing.pop(key, None), self.clock.monotonic(), busy=busy)
        if since is not None:
            self.passing[key] = since
        return plan

    def _rests(self, key: Key) -> None:
        """Drops all state of a key at rest."""
        self.passing.pop(key, None)
        self.memories.pop(key, None)
        self.allowances.pop(key, None)
        self.remembered.pop(key, None)
        self.doubted.discard(key)
        self.waiting.has_samples(key)
        self.watching.note(key, None)
        self.following.note(key, ())
        self.metrics.look(key, ())

    def _forgetting_plan(self, key: Key) -> Plan:
        """The plan for a deleted object that may have left something behind."""
        blind = self.store.access.unseen(key.namespace) & NEEDED or self.store.is_ending(key.namespace)
        left = () if blind or key.kind != MODEL else self.store.known_of(key)
        plan = forgetting.plan(left, self.clock.now())
        if not plan.writes:
            self._rests(key)
        return plan

    async def _model_plan(self, key: Key, known: KeptReplies | None = None) -> Plan | None:
        """known: answers that were just received.

        None where samples were requested: once they are there, another reconcile decides, on what is then in the store.
        A reconcile that comes earlier, because of an event or because the samples take long, decides what does not need
        them.
        """
        world = self.store.world(key, self.clock.now())
        if world is None:
            return Plan()
        seen = worlds.parsed(world)
        if isinstance(seen, ownkinds.InvalidSpec):
            return failure.invalid_spec_plan(world, seen)
        prepared = prepare.prepare(self.following.heard(key, seen), self.remembered.get(key, prepare.NOTHING))
        self.waiting.judges(key, prepared)
        replies = known.answers(prepared.inquiry, seen.now) if known is not None else None
        if replies is None:
            replies = await self._replies(key, prepared.inquiry)
        if replies is None or (replies.pending and prepare.waits_for_samples(prepared)):
            return None
        findings = prepare.read(prepared, replies, self.watching.note(key, prepared.watched))
        self._remember(key, findings)
        return decide.decide(prepared, findings)

    def why_looked(self, key: Key) -> Why:
        """Why a key is due whose samples have come."""
        return Why.DOUBT if key in self.doubted else Why.LOOK

    def _remember(self, key: Key, findings: Findings) -> None:
        """Keeps what is not written; nothing of a model without a release."""
        (self.doubted.add if findings.doubt else self.doubted.discard)(key)
        if remembered := findings.remembered:
            self.remembered[key] = remembered
        else:
            self.remembered.pop(key, None)

    async def _batch_plan(self, key: Key) -> Plan:
        world = self.store.batch_world(key, self.clock.now())
        if world is None:
            return Plan()
        seen = batchsnapshot.observed(world)
        if isinstance(seen, ownkinds.InvalidSpec):
            return batch_failure.invalid_spec_plan(world, seen)
        asked = batch_decide.questions(seen)
        return batch_decide.decide(seen, await self.progress.progress(asked) if asked else {})

    async def _replies(self, key: Key, inquiry: Inquiry) -> Replies | None:
        """The answers of Prometheus and the cluster, or None where Prometheus was asked just now; nothing is asked at
        rest."""
        now = self.clock.now()
        if (before := self.waiting.known(key, inquiry, now)) is not None:
            return before
        look, devices = self.metrics.look(key, inquiry.metrics), inquiry.devices
        if look is None:
            return None
        replies = Replies(
            metrics=look.answers,
            moment=look.moment,
            pending=look.pending,
            devices=await self.accelerators.devices(devices) if devices is not None else None,
        )
        self.waiting.keep(key, inquiry, replies, now)
        return replies

    async def _carry_out(self, key: Key, plan: Plan) -> Result:
        pause = self._pause(key, plan)
        if pause > 0:
            return Done(pause)
        changed, left = False, list(plan.writes)
        try:
            while left:
                changed = await self._perform(key, plan, left[0]) or changed
                del left[0]
        finally:
            self.news.hear(key, plan, frozenset((kind, name) for kind, _, name in map(target_of, left)))
        if plan.writes:
            LOG.info("%s", plan.because or "applied", extra={"model": str(key), "writes": summary(plan.writes)})
        return Done(self._next_look(key, plan, changed))

    async def _perform(self, key: Key, plan: Plan, write: Write) -> bool:
        """Performs one write of a plan, like `Writer.write`. Where the record of a release is refused, its rollback
        happens all the same."""
        try:
            return await self.writer.write(key, write)
        except (errors.Refused, errors.Denied) as error:
            if not failure.is_record(write):
                raise
            if await self._is_written_reduced(key, write):
                LOG.warning("recorded without its figures: %s", error, extra={"model": str(key)})
                return False
            if plan.rollback is None:
                raise
            for each in plan.rollback:
                await self.writer.write(key, each)
            raise failure.gone_back(error) from error

    async def _is_written_reduced(self, key: Key, record: Write) -> bool:
        """Whether the API server accepts the record reduced to what is essential."""
        reduced = failure.reduced(record)
        try:
            if reduced is not None:
                await self.writer.write(key, reduced)
        except (errors.Refused, errors.Denied):
            return False
        return reduced is not None

    async def _told(self, key: Key, result: Result) -> Result:
        """Sends the news of a reconcile, even of one that failed after its record was written; its result."""
        about = self.store.get(key.kind, key.namespace, key.name)
        if about is None or not self.lead.may_write():
            self.news.forget(key)
        elif not await self.news.tell(key, about) and isinstance(result, Done):
            return Done(AGAIN_SECONDS if result.after is None else min(result.after, AGAIN_SECONDS))
        return result

    def _pause(self, key: Key, plan: Plan) -> float:
        """Seconds that a plan that changes objects must wait because so many did; 0: none."""
        if all(isinstance(write, ApplyStatus) for write in plan.writes):
            return 0.0
        now = self.clock.monotonic()
        allowance = self.allowances.setdefault(key, Allowance(now))
        pause = allowance.wait_seconds(now)
        if pause == 0:
            allowance.left -= 1.0
        elif not allowance.complained:
            allowance.complained = True
            LOG.warning(
                "somebody else keeps changing the same objects; they are now put back more slowly",
                extra={"model": str(key)},
            )
        return pause

    def _next_look(self, key: Key, plan: Plan, changed: bool) -> float | None:
        """Seconds until the next look. A reconcile that wrote is followed by one that confirms, as our own writes wake
        no key."""
        if not changed:
            self.memories.pop(key, None)
            return plan.requeue_after
        memory = self.memories.setdefault(key, Memory())
        memory.complained = ""
        memory.writing_reconciles += 1
        if memory.writing_reconciles == QUIET_RECONCILES + 1:
            LOG.warning(
                "every reconcile writes; somebody else may be changing the same fields", extra={"model": str(key)}
            )
        excess = max(0, memory.writing_reconciles - QUIET_RECONCILES)
        waits = plan.rollback is None and self.waiting.lane.is_busy()
        soon = BUSY_CONFIRM_SECONDS if waits else CONFIRM_SECONDS
        confirm = min(SLOWEST_CONFIRM_SECONDS, soon * 2.0 ** min(excess, 16))
        return confirm if plan.requeue_after is None else min(confirm, plan.requeue_after)

    async def _report_failure(self, key: Key, error: errors.ApiError) -> Result:
        """Writes a condition that names what was refused; the user or the administrator must remove the cause."""
        if self._is_news(key, error):
            LOG.warning("%s", error, extra={"model": str(key)})
        plan = failing.failed_plan(self.store, key, error, self.clock.now())
        if plan is None:
            return Done(FAILED_SECONDS)
        try:
            for write in plan.writes:
                await self.writer.write(key, write)
        except errors.Missing:
            return Retry()  # the model itself is gone; the event is in flight
        except errors.ApiError as second:
            LOG.warning("cannot report it in the status either: %s", second, extra={"model": str(key)})
        self.news.hear(key, plan)
        return Done(plan.requeue_after or FAILED_SECONDS)

    async def _report_defect(self, key: Key, error: Exception) -> None:
        """Writes a condition that names the operator's defect; where even that fails, only the log has it."""
        try:
            plan = failing.defect_plan(self.store, key, error, self.clock.now())
            if plan is None:
                return
            for write in plan.writes:
                await self.writer.write(key, write)
            self.news.hear(key, plan)
        except Exception as second:  # noqa: BLE001 - whatever it is, the first error is what matters
            LOG.warning("cannot report it in the status either: %s", second, extra={"model": str(key)})

    def _is_news(self, key: Key, error: Exception) -> bool:
        """Whether the error differs from that of the last reconcile."""
        memory = self.memories.setdefault(key, Memory())
        text = f"{type(error).__name__}: {error}"
        news, memory.complained = memory.complained != text, text
        return news
