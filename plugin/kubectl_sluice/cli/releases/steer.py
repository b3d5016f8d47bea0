"""`promote`, `skip`, `abort`, `pause`, `resume`, `retry`, `rollback`: a person's intent, written to the newest
release."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeAlias

import typer

from kubectl_sluice.cli import console, exits
from kubectl_sluice.cli.console import Failure
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.cli.options import Command, ModelTarget, OutputFormat
from kubectl_sluice.views.releases import revisions, steering
from kubectl_sluice.views.releases.revisions import Divergence
from kubectl_sluice.views.wire import to_wire
from sluice_core import errors
from sluice_core.api.v1alpha1.intent import Action
from sluice_core.api.v1alpha1.modelrollout import ModelRollout

ANSWER_SECONDS: Final = 30.0
"""How long to wait until the operator has noticed."""
POLL_SECONDS: Final = 1.0
ATTEMPTS: Final = 5
"""The operator writes at every scrape, so our read may be outdated when we write."""
BEGINS: Final = (Action.RETRY, Action.ROLL_BACK)
"""Actions that begin another release, with a name of its own."""
UNHEARD: Final = ("ignored", "refused")
"""How the operator's answer begins if it did not do what was asked."""

Note: TypeAlias = Annotated[str | None, typer.Option("--note", help="The reason; kept in the release's audit trail.")]
To: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="REVISION",
        help="The revision to go back to, as x-model-revision and history name it.",
        show_default="the one that served before",
    ),
]


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asks for."""

    action: Action
    user: str
    note: str | None
    to_revision: str | None = None

    def intent(self, request_time: str) -> dict[str, Any]:
        """The intent to write; absent fields are removed from an older intent."""
        return {
            "action": str(self.action),
            "requestedBy": self.user,
            "requestTime": request_time,
            "note": self.note,
            "toRevision": self.to_revision,
        }


def command(action: Action) -> Command:
    """The command for an action."""

    async def steer(target: ModelTarget, output: OutputFormat, *, note: Note = None) -> int:
        return await ask(target, output, action, note=note, to=None)

    async def rollback(target: ModelTarget, output: OutputFormat, *, to: To = None, note: Note = None) -> int:
        return await ask(target, output, action, note=note, to=to)

    return rollback if action is Action.ROLL_BACK else steer


promote = command(Action.PROMOTE)
skip = command(Action.SKIP_STEP)
abort = command(Action.ABORT)
pause = command(Action.PAUSE)
resume = command(Action.RESUME)
retry = command(Action.RETRY)
rollback = command(Action.ROLL_BACK)


async def ask(target: ModelTarget, output: OutputFormat, action: Action, *, note: str | None, to: str | None) -> int:
    """Writes the request and waits for the operator's answer."""
    async with cluster.session(target) as session:
        request = Request(action, await session.cluster.fetch_user(), note, to)
        diverged = await _checked_rollback(session, to) if action is Action.ROLL_BACK else None
        rollout, request_time = await write(session, request)
        with console.progress("waiting for the operator's response"):
            answer = await _result(session, rollout.metadata.name, request_time, begins=action in BEGINS)
    if answer is None:
        raise Failure(
            f"{action} is written to {rollout.metadata.name}, but the operator has not responded within "
            f"{ANSWER_SECONDS:.0f} s; check that it runs: {session.command('doctor')}"
        )
    result, newest = answer
    heard = not result.startswith(UNHEARD)
    document = {
        "rollout": newest,
        "action": str(action),
        "requestedBy": request.user,
        "requestTime": request_time,
        "result": result,
    }
    if diverged is not None and heard:
        document["divergence"] = to_wire(diverged)
    console.show(output, document, f"{newest}: {result}")
    if diverged is not None and heard and output is OutputFormat.TEXT:
        console.say(diverged.message)
    return exits.OK if heard else exits.FAILED


async def write(session: cluster.Session, request: Request) -> tuple[ModelRollout, str]:
    """Writes the request against the state that it was checked with; returns the release and the time of the
    request."""
    for _ in range(ATTEMPTS):
        newest = (await session.fetch()).newest
        reason = steering.refusal(request.action, newest)
        if reason or newest is None:
            raise Failure(f"{request.action} is not possible: {reason}")
        previous = newest.spec.intent.request_time if newest.spec.intent is not None else None
        request_time = next_request_time(datetime.fromtimestamp(time.time(), UTC), previous)
        try:
            await session.cluster.patch_intent(newest, request.intent(request_time))
        except errors.Conflict:
            continue
        return newest, request_time
    raise Failure(f"{session.name} kept changing while {request.action} was being written; try again")


async def _checked_rollback(session: cluster.Session, to: str | None) -> Divergence | None:
    """Refuses a missing revision; returns how the manifest differs from the given one."""
    release = await session.fetch()
    kept = await session.fetch_known_revisions(release)
    running = release.newest is not None and release.newest.status.outcome is None
    before = revisions.served_before(release.rollouts, release.deployment)
    refused = steering.rollback_refusal(to, kept, before=before, running=running)
    if refused:
        raise Failure(f"Rollback is not possible: {refused}")
    source = release.newest.spec.source if running and release.newest is not None else None
    name = to or (source.revision if source is not None else before)
    serving = next((each for each in kept if each.name == name), None)
    return revisions.divergence(release.deployment, serving) if serving is not None else None


async def _result(session: cluster.Session, rollout: str, request_time: str, *, begins: bool) -> tuple[str, str] | None:
    """The operator's answer, and its release: a new one has a name of its own. None without an answer in time."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        every = (await session.fetch()).rollouts
        current = next((one for one in every if one.metadata.name == rollout), None)
        if current is None:
            return "the release is gone", rollout
        observed = current.status.observed_intent
        if observed is not None and observed.request_time == request_time:
            heard = not observed.result.startswith(UNHEARD)
            return observed.result, every[0].metadata.name if heard and begins else rollout
        await asyncio.sleep(POLL_SECONDS)
    return None


def next_request_time(now: datetime, previous: str | None) -> str:
    """A moment later than any earlier request's, even when clocks differ: it marks a request as handled."""
    if previous is not None:
        now = max(now, datetime.fromisoformat(previous) + timedelta(milliseconds=1))
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
