"""After the last promotion: nobody releases anything, and the world changes. Is it noticed, and named?

incident ──other requests──> gateway ──> stable version ──fails──> watch     condition Healthy, with the moment
                                └─copy─> observer ──counts by bins──> drift  the feature that has moved
"""

import calendar
import json
import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from demo import cluster as clusters
from demo import digits, setup
from demo.cluster import Cluster
from demo.load import Asker, LoadClient, Target
from demo.program import Tools
from demo.progress import say, step
from kubectl_sluice.offline import reference
from kubectl_sluice.offline.reference import Reference
from sluice_judge.stats import bins

REFERENCE: Final = f"{setup.NAME}-reference"
MAXIMUM: Final = "5%"
"""The largest share of errors: a limit that need not be learnt first."""
MUCH: Final = 0.25
"""The population stability index from which a feature has moved, by convention."""
CHANCE: Final = 3.0
"""It must also have moved this many times as far as by chance alone."""
WINDOW_SECONDS: Final = 60
POLL_SECONDS: Final = 2.0
DEADLINE_SECONDS: Final = 240.0
ONSET_SECONDS: Final = 120.0
"""An alarm that says when it began may be off by a minute, which is what it counts by, and by the one before."""
READY_SECONDS: Final = 180


@dataclass(frozen=True, slots=True)
class Alarm:
    """What says that something is wrong. names: an objective, or a feature; since: seconds since the epoch."""

    names: str
    since: float
    message: str


@dataclass(frozen=True, slots=True)
class Incident:
    """What happens to a version that serves.

    asker: what users send from then on; expected: what the alarm must name; look: the alarm, once there is one.
    """

    name: str
    story: str
    asker: Callable[[Target], Asker]
    expected: str
    look: Callable[[Cluster], Alarm | None]


@dataclass(frozen=True, slots=True)
class Noticed:
    """One incident as the summary tells it. seconds, requests: from its beginning until the alarm."""

    name: str
    story: str
    expected: str
    began: float
    seconds: float
    requests: int
    lost_requests: int
    alarm: Alarm | None

    @property
    def as_expected(self) -> bool:
        return (
            self.alarm is not None
            and self.alarm.names == self.expected
            and abs(self.alarm.since - self.began) <= ONSET_SECONDS
            and self.lost_requests == 0
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "incident": self.name,
            "expected": self.expected,
            "named": self.alarm.names if self.alarm else None,
            "asExpected": self.as_expected,
            "seconds": round(self.seconds, 1),
            "requests": self.requests,
            "lostRequests": self.lost_requests,
            "sinceSeconds": round(self.alarm.since - self.began, 1) if self.alarm else None,
            "message": self.alarm.message if self.alarm else None,
        }


def keep_watch(cluster: Cluster) -> None:
    """A watch over the errors, and an observer with a reference made of the training data."""
    tools = cluster.tools
    with step("build the observer's image"):
        clusters.build_further(cluster.kind, "observer", cluster.registry)
    with step("kubectl sluice reference: bins of the training data"):
        tools.kubectl("apply", "--filename=-", f"--namespace={setup.NAMESPACE}", text=made_reference(tools))
    with step("watch the stable version, and have its requests observed"):
        tools.apply(yaml.safe_dump(watched_policy()))
        patch = json.dumps({"spec": {"observer": {"reference": {"name": REFERENCE}, "percent": 100}}})
        name = f"{setup.DEPLOYMENTS}/{setup.NAME}"
        where = f"--namespace={setup.NAMESPACE}"
        tools.kubectl("patch", name, where, "--type=merge", f"--patch={patch}")
        tools.kubectl("wait", name, where, "--for=condition=Observed", f"--timeout={READY_SECONDS}s")


def made_reference(tools: Tools) -> str:
    """The manifest of its ConfigMap."""
    train, _ = digits.split()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "train.jsonl"
        data.write_text("".join(json.dumps({"image": image.tolist()}) + "\n" for image in train.images))
        return tools.plugin("reference", f"--data={data}", f"--name={REFERENCE}", "--output=yaml")


def watched_policy() -> dict[str, Any]:
    """The demo's policy with a watch over its errors, and a maximum for them: there are no weeks to learn from."""
    policy: dict[str, Any] = yaml.safe_load((setup.EXAMPLES / f"{setup.NAME}-policy.yaml").read_text())
    [errors] = (each for each in policy["spec"]["objectives"] if each["name"] == "errors")
    errors["failureRatio"]["maximum"] = MAXIMUM
    policy["spec"]["watch"] = {"objectives": ["errors"]}
    return policy


def worsening(cluster: Cluster) -> Alarm | None:
    """What the watch says."""
    status = cluster.tools.get(setup.DEPLOYMENTS, setup.NAME, f"--namespace={setup.NAMESPACE}")["status"]
    healthy: dict[str, Any] = next((each for each in status["conditions"] if each["type"] == "Healthy"), {})
    alarm = status.get("watch", {}).get("alarm")
    if healthy.get("status") != "False" or alarm is None:
        return None
    return Alarm(alarm["objective"], _unix(alarm["since"]), healthy["message"])


def moved_feature(cluster: Cluster) -> Alarm | None:
    """The feature that is farthest from the reference by what the observer has counted in the last minute, if it is far."""
    tools = cluster.tools
    stored = tools.get("configmap", REFERENCE, f"--namespace={setup.NAMESPACE}")
    farthest = max(moves(reference.parsed(stored["data"][reference.KEY]), observed(cluster)), default=None)
    if farthest is None or farthest[0] <= MUCH:
        return None
    index, name, rows = farthest
    since = time.time() - WINDOW_SECONDS
    return Alarm(name, since, f"{name}: population stability index {index:.2f} over {rows:.0f} requests of a minute")


def moves(known: Reference, observed: dict[str, dict[str, float]]) -> Iterator[tuple[float, str, float]]:
    """(index, feature, rows) of each that is farther away than by chance. observed: counts by feature and bin."""
    for feature in known.features:
        now = [observed.get(feature.name, {}).get(name, 0.0) for name in feature.counts]
        before, rows = list(feature.counts.values()), math.fsum(now)
        index = bins.stability_index(before, now)
        if rows and index > CHANCE * bins.index_by_chance(len(before), sum(before), rows):
            yield index, feature.name, rows


def observed(cluster: Cluster, namespace: str = setup.NAMESPACE) -> dict[str, dict[str, float]]:
    """What the observer of `digits` has counted in the last minute, by feature and bin."""
    selector = f'sluice_observed_total{{model="{setup.NAME}",namespace="{namespace}"}}'
    series = asked(cluster, f"sum by (feature, bin) (increase({selector}[{WINDOW_SECONDS}s]))")
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for one in series:
        found[one["metric"]["feature"]][one["metric"]["bin"]] = float(one["value"][1])
    return dict(found)


def asked(cluster: Cluster, query: str) -> list[dict[str, Any]]:
    """What Prometheus answers."""
    answer = httpx.get(f"{cluster.prometheus}/api/v1/query", params={"query": query}, timeout=10)
    series: list[dict[str, Any]] = answer.raise_for_status().json()["data"]["result"]
    return series


def follow(cluster: Cluster, client: LoadClient, incident: Incident) -> Noticed:
    """Let it happen, and wait until it is noticed or the deadline has passed. One that is there already is none."""
    say(f"[bold]{incident.name}[/bold]: {incident.story}; expected: an alarm that names {incident.expected}")
    early = incident.look(cluster)
    before, began = client.counts().total, time.time()
    client.ask(incident.asker(client.target))
    alarm = early
    while alarm is None and time.time() - began < DEADLINE_SECONDS:
        time.sleep(POLL_SECONDS)
        alarm = incident.look(cluster)
    after = client.counts().total
    say(alarm.message if alarm else f"[red]not noticed within {DEADLINE_SECONDS:.0f} s[/red]")
    return Noticed(
        incident.name,
        incident.story,
        incident.expected if early is None else f"{incident.expected}, and not before it happened",
        began,
        time.time() - began,
        after.requests - before.requests,
        after.lost - before.lost,
        alarm,
    )


def _unix(text: str) -> float:
    return float(calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")))
