"""What is so now, beside what the operator has written of it: the operator may be behind."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel import commands, naming, rawobjects
from sluice_core.kernel.pods import Pod
from sluice_core.kernel.rawobjects import Object
from sluice_core.observe import ownkinds, revisionpods
from sluice_core.views import words

BEHIND_SECONDS: Final = 30.0
"""A change that the operator has not looked at for this long."""


class PodCount(NamedTuple):
    """The pods of a revision, without those that are ending."""

    ready: int
    total: int


class AddressState(StrEnum):
    ANSWERS = "answers"
    REFUSES = "refuses"
    """Somebody answers, but not a version that serves."""
    UNREACHABLE = "unreachable"
    """Perhaps only from here."""
    UNKNOWN = "unknown"
    """Nobody was asked."""


class AddressView(NamedTuple):
    """What came of asking at the model's address."""

    state: AddressState
    words: str


class Live(NamedTuple):
    """What is known without the operator; None where it is not."""

    changed: float | None = None
    """When the spec was changed last, in seconds since the epoch, as `written`."""
    written: float | None = None
    """When the operator wrote the status last."""
    pods: Mapping[str, PodCount] | None = None
    """By revision; without those that have none."""
    address: AddressView | None = None

    def pods_of(self, revision: str) -> PodCount | None:
        return None if self.pods is None else self.pods.get(revision, PodCount(0, 0))


NOTHING_LIVE: Final = Live()


def live(
    deployment: Object, *, pods: Sequence[Object] | None = None, address: AddressView | None = None, now: float
) -> Live:
    """From raw objects; pods: those of the ModelDeployment, None where they were not looked at."""
    return Live(
        changed=ownkinds.asked_time(deployment),
        written=ownkinds.written_time(deployment),
        pods=None if pods is None else _counts(pods, now),
        address=address,
    )


def _counts(pods: Sequence[Object], now: float) -> dict[str, PodCount]:
    revisions = {rawobjects.labels(pod).get(naming.LABEL_REVISION, "") for pod in pods}
    return {revision: counted(revisionpods.observed_pods(pods, revision, now)) for revision in sorted(revisions)}


def counted(pods: Iterable[Pod]) -> PodCount:
    """The one count of pods that `status` and `tree` show. One that could not be created has no name, and is none."""
    there = [pod for pod in pods if pod.name and not pod.terminating]
    return PodCount(sum(pod.ready for pod in there), len(there))


def answered(status: int, revision: str) -> AddressView:
    """By the status of the answer to a GET, and who says that he gave it, or empty: not every server knows the path."""
    if revision and status < 500:
        return AddressView(AddressState.ANSWERS, f"answered by {revision}")
    if status < 400:
        return AddressView(AddressState.ANSWERS, "answers")
    who = revision or "the gateway itself, or a server that does not speak V2,"
    return AddressView(AddressState.REFUSES, f"{who} answers {status}")


def is_seen(deployment: ModelDeployment) -> bool:
    """Whether the operator has looked at the spec as it is."""
    return deployment.status.observed_generation >= deployment.metadata.generation


def unseen(deployment: ModelDeployment) -> str:
    """That the operator has not looked at the spec as it is; empty where it has."""
    if is_seen(deployment):
        return ""
    what = f"generation {deployment.metadata.generation}" if deployment.status.observed_generation else "it"
    return f"the operator has not looked at {what} yet"


def unseen_since(deployment: ModelDeployment, live: Live, *, now: float) -> str:
    """The same with how long that is so, how old what is shown is, and what to do where it lasts."""
    sentence = unseen(deployment)
    if not sentence:
        return ""
    waits = None if live.changed is None else max(now - live.changed, 0.0)
    parts = [sentence if waits is None else f"{sentence} ({words.span(waits)} since the change)"]
    if live.written is not None:
        parts.append(f"what is shown was written {words.span(now - live.written)} ago")
    if waits is None or waits > BEHIND_SECONDS:
        doctor = commands.sluice("doctor", deployment.metadata.name, namespace=deployment.metadata.namespace)
        parts.append(f"see {doctor} and docs/runbooks/operator-behind.md")
    return "; ".join(parts)


def ago(live: Live, *, now: float) -> str:
    """When the operator wrote what it says."""
    return "" if live.written is None else f" {words.span(now - live.written)} ago"
