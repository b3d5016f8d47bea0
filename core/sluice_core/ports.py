"""The ports that the shell passes in: how a decision reaches the world, or learns of it."""

from collections.abc import Sequence
from typing import Protocol

from sluice_core.decide.notify import Delivery
from sluice_core.kernel.plan import Event, Notice, Ref, Write
from sluice_core.kernel.resolutions import OutcomeReport, Reported, Resolution, ResolverPod
from sluice_core.kernel.snapshot import Object
from sluice_core.parsing.runstate import Answers, Asked
from sluice_core.situation.devices import Devices, DevicesQuestion
from sluice_judge import model as analysis


class Cluster(Protocol):
    """Writes to the Kubernetes API."""

    async def write(self, write: Write) -> Object | None:
        """Performs one write and returns the object as stored; None if it no longer exists.

        Raises `Refused`, `Conflict`, `Denied`, `Missing` or `Unavailable` of `sluice_core.errors`. `Conflict` if an
        unexpected object exists, or the expected one does not.
        """

    async def read(self, ref: Ref) -> Object | None:
        """The object of this name, whoever owns it; None if there is none. Raises like `write`."""

    async def emit(self, about: Ref, event: Event) -> None:
        """Creates a Kubernetes event; a repeated name does nothing. Raises like `write`."""


class Metrics(Protocol):
    """Reads raw samples."""

    async def answer(self, questions: Sequence[analysis.Question], moment: float | None = None) -> analysis.Answers:
        """Answers every question at a moment, seconds since the epoch, by default now; a failure becomes a `Failed`
        answer, never an exception."""
        ...


class BatchProgress(Protocol):
    """Asks running pods of batch inference for their progress."""

    async def progress(self, asked: Sequence[Asked]) -> Answers:
        """Their answers, within seconds; a pod that did not answer is left out, never an exception."""
        ...


class Resolvers(Protocol):
    """Asks the resolver of a namespace which versions registries name."""

    async def resolve(self, pod: ResolverPod, uris: Sequence[str]) -> tuple[Resolution, ...] | None:
        """Its answer, within seconds; None: no answer, or a malformed one. Never an exception."""
        ...

    async def report(self, pod: ResolverPod, report: OutcomeReport) -> Reported | None:
        """Makes it write the outcome of a release into the registry; repeating it changes nothing. Likewise."""
        ...


class Accelerators(Protocol):
    """Counts free devices."""

    async def devices(self, question: DevicesQuestion) -> Devices | None:
        """The free devices; `unknown` without permission; None while the API server does not answer: nothing is created
        unseen.
        """
        ...


class Notifier(Protocol):
    """Notifies people and systems outside the cluster."""

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
