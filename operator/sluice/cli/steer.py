"""`promote`, `abort`, `pause`, `resume`, `retry`: a person's wish, written to the newest release."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sluice import errors
from sluice.api.v1alpha1.modelrollout import Action, ModelRollout
from sluice.cli import cluster, console, exits
from sluice.cli.console import Failure
from sluice.cli.options import Output, Target
from sluice.views.steering import refusal

ANSWER_SECONDS: Final = 30.0
"""So long we wait for the operator to take notice."""
POLL_SECONDS: Final = 1.0
ATTEMPTS: Final = 5
"""The operator writes at every scrape, so that our read may be outdated when we write."""


async def ask(target: Target, action: Action, *, note: str | None, output: Output) -> int:
    async with cluster.session(target) as session:
        user = await session.cluster.fetch_user()
        rollout, request_time = await _write(session, action, user=user, note=note)
        result = await _result(session, rollout.metadata.name, request_time)
    if result is None:
        raise Failure(
            f"{action} is written to {rollout.metadata.name}, but the operator has not taken notice within "
            f"{ANSWER_SECONDS:.0f} s; check that it runs (kubectl get deployments -A | grep sluice)"
        )
    if output is Output.JSON:
        console.print_json(
            {
                "rollout": rollout.metadata.name,
                "action": str(action),
                "requestedBy": user,
                "requestTime": request_time,
                "result": result,
            }
        )
    else:
        console.stdout().print(f"{rollout.metadata.name}: {result}", soft_wrap=True)
    return exits.FAILED if result.startswith("ignored") else exits.OK


async def _write(session: cluster.Session, action: Action, *, user: str, note: str | None) -> tuple[ModelRollout, str]:
    """Writes the wish, on the state that it was checked against."""
    for _ in range(ATTEMPTS):
        newest = (await session.fetch()).newest
        reason = refusal(action, newest)
        if reason or newest is None:
            raise Failure(f"{action} is not possible: {reason}")
        previous = newest.spec.intent.request_time if newest.spec.intent is not None else None
        request_time = next_request_time(datetime.fromtimestamp(time.time(), UTC), previous)
        intent: dict[str, Any] = {"action": str(action), "requestedBy": user, "requestTime": request_time, "note": note}
        try:
            await session.cluster.patch_intent(newest, intent)
        except errors.Conflict:
            continue
        return newest, request_time
    raise Failure(f"{session.name} kept changing while {action} was written; try again")


async def _result(session: cluster.Session, rollout: str, request_time: str) -> str | None:
    """What the operator made of it, or None when it does not say in time."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        found = next((one for one in (await session.fetch()).rollouts if one.metadata.name == rollout), None)
        if found is None:
            return "the release is gone"
        observed = found.status.observed_intent
        if observed is not None and observed.request_time == request_time:
            return observed.result
        await asyncio.sleep(POLL_SECONDS)
    return None


def next_request_time(now: datetime, previous: str | None) -> str:
    """A moment that no earlier wish has, even when clocks differ: it is what marks a wish as handled."""
    if previous is not None:
        now = max(now, datetime.fromisoformat(previous) + timedelta(milliseconds=1))
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
