"""What the shell passes in: the ways in which a decision reaches the world, or learns of it."""

from collections.abc import Sequence
from typing import Protocol

from sluice_core.decide.notify import Delivery
from sluice_core.kernel.plan import Event, Notice, Ref, Write
from sluice_core.kernel.resolutions import OutcomeReport, Reported, Resolution, ResolverPod
from sluice_core.kernel.snapshot import Object
from sluice_core.observe.runstate import Answers, Asked
from sluice_core.situation.devices import Devices, DevicesQuestion
from sluice_judge import model as analysis


class Cluster(Protocol):
    """Writes to the Kubernetes API."""

    async def write(self, write: Write) -> Object | None:
        """Performs one write and returns the object as it is stored now; None when it does not exist any more.

        Raises `Refused`, `Conflict`, `Denied`, `Missing` or `Unavailable` of `sluice_core.errors`. `Conflict` if there is an
        object that was not expected, or not the one that was.
        """

    async def read(self, ref: Ref) -> Object | None:
        """The object that has this name now, whosever it is; None where there is none. Raises as `write` does."""

    async def emit(self, about: Ref, event: Event) -> None:
        """Creates a Kubernetes event; of the same name again it does nothing. Raises as `write` does."""


class Metrics(Protocol):
    """Reads raw samples."""

    async def answer(self, questions: Sequence[analysis.Question], moment: float | None = None) -> analysis.Answers:
        """Answers every question as of a moment, seconds since the epoch, or of now; a failure becomes a `Failed` answer,
        never an exception."""
        ...


class BatchProgress(Protocol):
    """Asks running pods of batch inference how far they are."""

    async def progress(self, asked: Sequence[Asked]) -> Answers:
        """What they answered within seconds; a pod that did not is left out, never an exception."""
        ...


class Resolvers(Protocol):
    """Asks the resolver of a namespace which versions registries name."""

    async def resolve(self, pod: ResolverPod, uris: Sequence[str]) -> tuple[Resolution, ...] | None:
        """What it says within seconds; None: it does not answer, or what it says has no meaning. Never an exception."""
        ...

    async def report(self, pod: ResolverPod, report: OutcomeReport) -> Reported | None:
        """Has it write how a release ended into the registry; the same again changes nothing. Likewise."""
        ...


class Accelerators(Protocol):
    """Counts free devices."""

    async def devices(self, question: DevicesQuestion) -> Devices | None:
        """`unknown` without permission; None while the API server does not answer: nothing is created unseen."""
        ...


class Notifier(Protocol):
    """Tells people and systems outside of the cluster."""

    async def send(self, notice: Notice) -> Delivery:
        """One attempt, within seconds; a failure is a value, never an exception, and never names the URL."""
        ...


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Seconds since the epoch; may jump when the machine's clock is corrected."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...
