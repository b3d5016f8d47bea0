"""The operator's dependencies where none answers, and a reconciler on them."""

from collections.abc import Callable, Sequence
from typing import Any

from sluice.shell.cache.keys import Key, Woken
from sluice.shell.cache.store import Store
from sluice.shell.leadership.term import Lead
from sluice.shell.order.lane import Lane
from sluice.shell.questions.asking import Look
from sluice.shell.questions.stablewatch import Watching
from sluice.shell.reconciler.reconcile import Reconciler
from sluice.shell.reconciler.waiting import Waiters
from sluice.shell.reconciler.writer import Writer
from sluice.shell.registries import Following
from sluice.shell.reporting.news import Announcer
from sluice.shell.reporting.telemetry import Telemetry
from sluice_core.kernel.resolutions import OutcomeReport, Reported, Resolution, ResolverPod
from sluice_core.parsing import runstate as batch
from sluice_core.parsing.runstate import Asked
from sluice_core.ports import Clock, Cluster
from sluice_core.situation.devices import Devices, DevicesQuestion
from sluice_judge.model import Answers, Failed, Question


class NoMetrics:
    """A Prometheus that is away, and fails at once."""

    def look(self, key: Key, questions: Sequence[Question]) -> Look:
        return Look({question.key: Failed("away") for question in questions})


class NoPrometheus:
    """The same without a reconcile."""

    async def answer(self, questions: Sequence[Question], moment: float | None = None) -> Answers:
        return {question.key: Failed("away") for question in questions}


class NoProgress:
    """Pods of batch inference that do not answer."""

    async def progress(self, asked: Sequence[Asked]) -> batch.Answers:
        return {}


class NoResolvers:
    """Resolvers that do not answer."""

    async def resolve(self, pod: ResolverPod, uris: Sequence[str]) -> tuple[Resolution, ...] | None:
        return None

    async def report(self, pod: ResolverPod, report: OutcomeReport) -> Reported | None:
        return None


class NoAccelerators:
    """A cluster whose devices may not be counted."""

    async def devices(self, question: DevicesQuestion) -> Devices | None:
        return Devices(unknown="not allowed")


def make_reconciler(
    store: Store, cluster: Cluster, clock: Clock, *, wake: Callable[[Woken], None] = lambda _: None, **parts: Any
) -> Reconciler:
    """A reconciler that leads, never waits for a slot to write, and sends no news; `parts` replaces any of that."""
    usual: dict[str, Any] = {
        "metrics": NoMetrics(),
        "accelerators": NoAccelerators(),
        "progress": NoProgress(),
        "news": Announcer(cluster, lambda _: None, clock),
        "lead": Lead(may_write=lambda: True, seconds_left=lambda: 60.0),
        "waiting": Waiters(Lane(lambda _: None, monotonic=clock.monotonic)),
        "watching": Watching(NoPrometheus(), wake=lambda _: None, clock=clock),
        "following": Following(NoResolvers(), find=store.resolver, wake=lambda _: None, clock=clock),
        "telemetry": Telemetry(),
    }
    made = usual | parts
    writer = Writer(store, cluster, wake, made["lead"], made["telemetry"])
    return Reconciler(store=store, writer=writer, clock=clock, **made)
