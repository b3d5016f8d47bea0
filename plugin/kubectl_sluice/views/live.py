"""The live state, beside what the operator has written: the operator may be behind."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel import commands, naming, rawobjects
from sluice_core.kernel.pods import Pod
from sluice_core.kernel.rawobjects import Object
from sluice_core.parsing import ownkinds, revisionpods
from sluice_core.views import words

BEHIND_SECONDS: Final = 30.0
"""The operator should have seen a change after this long."""


class PodCount(NamedTuple):
    """The pods of a revision, without those that are terminating."""

    ready: int
    total: int


class AddressState(StrEnum):
    ANSWERS = "answers"
    REFUSES = "refuses"
    """Something answers, but not a version that serves."""
    UNREACHABLE = "unreachable"
    """Perhaps only from here."""
    UNKNOWN = "unknown"
    """Nobody was asked."""


class AddressView(NamedTuple):
    """The result of a request to the model's address."""

    state: AddressState
    words: str


class Live(NamedTuple):
    """What is known without the operator; None where it is unknown."""

    changed: float | None = None
    """When the spec last changed, in seconds since the epoch, as `written`."""
    written: float | None = None
    """When the operator last wrote the status."""
    pods: Mapping[str, PodCount] | None = None
    """By revision; without those that have no pods."""
    address: AddressView | None = None

    def pods_of(self, revision: str) -> PodCount | None:
        return None if self.pods is None else self.pods.get(revision, PodCount(0, 0))


NOTHING_LIVE: Final = Live()


def live(
    deployment: Object, *, pods: Sequence[Object] | None = None, address: AddressView | None = None, now: float
) -> Live:
    """From raw objects; pods: those of the ModelDeployment, None where they were not read."""
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
    """The pod counts that `status` and `tree` share. A pod that could not be created has no name, and does not
    count."""
    there = [pod for pod in pods if pod.name and not pod.terminating]
    return PodCount(sum(pod.ready for pod in there), len(there))


def answered(status: int, revision: str) -> AddressView:
    """The state by a GET's status and the revision that claims the answer, or empty: not every server knows the
    path."""
    if revision and status < 500:
        return AddressView(AddressState.ANSWERS, f"answered by {revision}")
    if status < 400:
        return AddressView(AddressState.ANSWERS, "answers")
    who = revision or "the gateway itself, or a server that does not speak V2,"
    return AddressView(AddressState.REFUSES, f"{who} answers {status}")


def is_seen(deployment: ModelDeployment) -> bool:
    """Whether the operator has observed the current spec."""
    return deployment.status.observed_generation >= deployment.metadata.generation


def unseen(deployment: ModelDeployment) -> str:
    """States that the operator has not observed the current spec; empty where it has."""
    if is_seen(deployment):
        return ""
    what = f"generation {deployment.metadata.generation}" if deployment.status.observed_generation else "it"
    return f"the operator has not looked at {what} yet"


def unseen_since(deployment: ModelDeployment, live: Live, *, now: float) -> str:
    """The same with the time since, the age of what is shown, and a remedy where it lasts."""
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
    """When the operator wrote what is shown."""
    return "" if live.written is None else f" {words.span(now - live.written)} ago"
