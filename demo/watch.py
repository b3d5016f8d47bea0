"""Follow one release: read its ModelRollout every two seconds until it has an outcome, and keep what was seen."""

import calendar
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from demo import release
from demo.counting import Tally
from demo.load import LoadClient
from demo.program import Tools
from demo.release import Observation, Plan

POLL_SECONDS: Final = 2.0
DEADLINE_SECONDS: Final = 480.0


@dataclass(frozen=True, slots=True)
class Baseline:
    """The client's counts of each revision when the release began: the candidate may be known from an earlier try."""

    began: float
    by_revision: dict[str, Tally]

    def of(self, revision: str) -> Tally:
        return self.by_revision.get(revision, Tally())


def follow(
    tools: Tools, client: LoadClient, plan: Plan, *, name: str, namespace: str, since: Baseline
) -> Iterator[Observation]:
    """Yield what is seen, about every two seconds, until there is an outcome or the deadline has passed."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    known = {entry["metadata"]["name"] for entry in _rollouts(tools, namespace) if _ended_before(entry, since.began)}
    while time.monotonic() < deadline:
        found = _newest(_rollouts(tools, namespace), name, plan.uri, known)
        if found is not None:
            seen = _observed(found, client, plan, since)
            yield seen
            if seen.outcome:
                return
        time.sleep(POLL_SECONDS)


def _rollouts(tools: Tools, namespace: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = tools.get("modelrollouts.sluice.dev", f"--namespace={namespace}")["items"]
    return items


def _ended_before(rollout: dict[str, Any], moment: float) -> bool:
    """Whether it is from an earlier run of the demo; a new one cannot have ended when the patch was made."""
    return (
        bool(rollout.get("status", {}).get("outcome")) and _unix(rollout["metadata"]["creationTimestamp"]) < moment - 1
    )


def _unix(text: str) -> float:
    return float(calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")))


def _newest(rollouts: list[dict[str, Any]], name: str, uri: str, known: set[str]) -> dict[str, Any] | None:
    ours = [
        rollout
        for rollout in rollouts
        if rollout["spec"]["modelDeployment"] == name
        and rollout["spec"]["to"]["uri"] == uri
        and rollout["metadata"]["name"] not in known
    ]
    return max(
        ours, key=lambda rollout: (rollout["spec"].get("sequence", 0), rollout["spec"].get("attempt", 0)), default=None
    )


def _observed(rollout: dict[str, Any], client: LoadClient, plan: Plan, since: Baseline) -> Observation:
    status, revision = rollout.get("status", {}), rollout["spec"]["to"]["revision"]
    now, before = client.counts().of(revision), since.of(revision)
    return Observation(
        time=time.time(),
        model=plan.model,
        weight=status.get("weight", 0),
        step=status.get("step", 0),
        verdict=status.get("verdict") or "",
        outcome=status.get("outcome") or "",
        reason=status.get("reason") or "",
        message=status.get("message") or "",
        revision=revision,
        candidate_requests=now.requests - before.requests,
        harmed_requests=now.wrong + now.failed - before.wrong - before.failed,
        objectives=release.objectives_of(status),
    )
