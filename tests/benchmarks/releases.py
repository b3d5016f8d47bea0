"""One measured release: its candidate's answers by the client's own count, and how long it got traffic."""

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from demo import cluster as clusters
from demo import release as rollouts
from demo.load import LoadClient
from demo.program import DemoError
from demo.progress import say
from tests.benchmarks import report, surroundings
from tests.support.live.scene import Scene, wait_until

FOLDER: Final = clusters.ROOT / "build" / "bench"
SLOW_MILLIS: Final = 50
"""The latency limit of the demo's policy."""
RESOURCES: Final = {"requests": {"cpu": "100m", "memory": "128Mi"}}
"""So low that a few rates fit on one node side by side, with old and new version each."""
OUTCOME_SECONDS: Final = 420.0
UNDECIDED: Final = "none in time"
SETTLE_SECONDS: Final = 2.0
"""After the outcome, so that answers in flight and the last second of the client's log are included."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One release of `model` at `rate` requests/s. Requests are the client's count, lost ones over the whole release."""

    model: str
    rate: int
    outcome: str
    reason: str
    objective: str
    seconds: float
    """From the patch to the outcome."""
    exposed_seconds: int
    """From the candidate's first answer to its last, in whole seconds: until weight 0 has arrived."""
    candidate_requests: int
    harmed_requests: int
    """Wrong answers, failures, and answers after more than the policy's 50 ms, of the candidate."""
    lost_requests: int

    @property
    def said(self) -> str:
        return (
            f"{self.model} at {self.rate}/s: {self.outcome} ({self.reason}; {self.objective or '-'}) after "
            f"{self.seconds:.0f} s; {self.candidate_requests} candidate requests in {self.exposed_seconds} s, "
            f"{self.harmed_requests} harmed, {self.lost_requests} lost"
        )


@dataclass(frozen=True, slots=True)
class Recorded:
    """Releases of one or more runs of a benchmark, and the commands that measured them."""

    commands: tuple[str, ...]
    trials: tuple[Trial, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """A remark where the figures come from more than one command."""
        listed = ", ".join(f"`{command}`" for command in self.commands)
        return (f"Measured by {len(self.commands)} commands: {listed}.",) if len(self.commands) > 1 else ()


def recorded(key: str, trials: Sequence[Trial], *, add: bool) -> Recorded:
    """Keeps trials in build/bench, in addition to those of earlier commands or replacing them; returns all that are
    kept."""
    file = FOLDER / f"{key}.json"
    before = json.loads(file.read_text()) if add and file.exists() else {"commands": [], "trials": []}
    commands = (*before["commands"], report.command())
    kept = Recorded(commands, (*(Trial(**row) for row in before["trials"]), *trials))
    file.write_text(json.dumps(asdict(kept), indent=2) + "\n")
    return kept


@dataclass(frozen=True, slots=True)
class Lane:
    """A ModelDeployment that serves v1 under its own traffic, for one release after another."""

    scene: Scene
    name: str
    rate: int
    client: LoadClient
    log: Path

    def run(self, model: str, version: str) -> Trial:
        """Requests a new version and follows it to its outcome, or aborts it where there is none."""
        self._wait_for_rest()
        before, began = self.client.counts().total, time.monotonic()
        rollout = self.scene.release(self.name, version)
        try:
            status = self.scene.wait_outcome(rollout, OUTCOME_SECONDS)
        except AssertionError:
            self.scene.plugin("abort", self.name, "--note=undecided")
            status = {"outcome": UNDECIDED, "reason": str(self.scene.rollout(rollout)["status"].get("reason"))}
        seconds = time.monotonic() - began
        surroundings.pause(SETTLE_SECONDS)
        counts = self.client.counts()
        revision = self.scene.rollout(rollout)["spec"]["to"]["revision"]
        candidate = counts.of(revision)
        slow = candidate.slower_than(SLOW_MILLIS) if model == "v5" else 0
        return Trial(
            model=model,
            rate=self.rate,
            outcome=status["outcome"],
            reason=status["reason"],
            objective=_objective(status),
            seconds=seconds,
            exposed_seconds=self._exposed_seconds(revision),
            candidate_requests=candidate.requests,
            # An answer can be wrong and slow; at most all of them are harmed.
            harmed_requests=min(candidate.requests, candidate.wrong + candidate.failed + slow),
            lost_requests=counts.total.lost - before.lost,
        )

    def run_all(self, plan: Sequence[tuple[str, str]]) -> Iterator[Trial]:
        """One release for each (model, version). Results from before a failure of the surroundings are kept."""
        for number, (model, version) in enumerate(plan, start=1):
            try:
                trial = self.run(model, version)
            except (AssertionError, DemoError) as error:
                say(f"{number} of {len(plan)}, {model} at {self.rate}/s: {error}; no more of these releases")
                return
            say(f"{number} of {len(plan)}, {trial.said}")
            yield trial

    def _wait_for_rest(self) -> None:
        """Waits until no release runs and the last candidate's pods are gone: they would take processor time."""
        wait_until(lambda: not self._candidate(), f"{self.name} is at rest", seconds=90)

    def _candidate(self) -> Any:
        return self.scene.deployment(self.name)["status"].get("candidate")

    def _exposed_seconds(self, revision: str) -> int:
        rows = [json.loads(line) for line in self.log.read_text().splitlines()]
        answered = [row["time"] for row in rows if row["revision"] == revision]
        return max(answered) - min(answered) + 1 if answered else 0


@contextlib.contextmanager
def lane(scene: Scene, name: str, rate: int, log: Path) -> Iterator[Lane]:
    """Serves v1, sends requests to it, and lets Prometheus read the client's counters."""
    scene.deploy(name, "1", rollout={"policyRef": {"name": surroundings.POLICY}}, resources=RESOURCES)
    scene.wait_ready(name, seconds=120)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    with LoadClient(scene.target(name), rate=rate, metrics_port=0, log=log) as client:
        scene.serving(name, client)
        wait_until(lambda: client.counts().total.right > 2 * rate, f"{name} answers", seconds=60)
        yield Lane(scene, name, rate, client, log)


def _objective(status: dict[str, Any]) -> str:
    """The objective that a rollback's message names first."""
    names = {objective.name for objective in rollouts.objectives_of(status)}
    head = str(status.get("message", "")).partition(":")[0]
    return head if head in names else ""
