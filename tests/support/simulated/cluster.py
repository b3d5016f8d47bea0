"""A small world with a virtual clock: kubelet, gateway and users beside API server and Prometheus, all deterministic.

It runs the real `observe`, `prepare`, `decide` on a world that their own plans change.
"""

import copy
import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain
from typing import Any, Self

from sluice.shell import clockstep
from sluice_core.adapters import gateways
from sluice_core.api.config import (
    AddressGrant,
    FormatGrant,
    OperatorConfig,
    PriorityGrant,
    RoutingMode,
    VerificationGrant,
    VolumeGrant,
)
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.api.v1alpha1.verification import VerificationMode
from sluice_core.decide import decide, failure, forgetting, passing, prepare
from sluice_core.decide.prepare import Replies
from sluice_core.kernel import naming, writing
from sluice_core.kernel.plan import Apply, Event, Plan, Write
from sluice_core.kernel.snapshot import Snapshot, World
from sluice_core.parsing.worlds import InvalidSpec, parsed
from sluice_core.rollout.routing import weights
from sluice_core.watch import features, minutes, moving, progress, state
from sluice_core.watch import report as watch_report
from sluice_core.watch.model import Watch
from sluice_core.watch.subject import WatchedVersion
from sluice_judge import memo, timestamps
from sluice_judge.model import Answer, Failed, Question
from sluice_judge.samples import joined
from sluice_judge.samples.joined import Joined
from tests.support.simulated import laws, shown
from tests.support.simulated.apiserver import Object
from tests.support.simulated.controllers import Behaviour
from tests.support.simulated.mlflow import Registries
from tests.support.simulated.prometheus import GATEWAY_NAMESPACE, Prometheus, series
from tests.support.simulated.shown import Place, Shown

WATCH_LATE_SECONDS = 20
NEVER = math.inf
"""Milliseconds of an answer that does not end."""
LE_MILLIS = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000)


class OperatorKilled(Exception):
    """The operator died between two writes."""


@dataclass
class Cluster(Registries):
    """State of the simulated world; `tick` moves it by a second."""

    requests_per_second: float = 100.0
    scrape_seconds: float = 5.0
    seed: int = 1
    shared: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    admitted: dict[tuple[str, str], str | None] = field(default_factory=dict)
    """The operator's memory of applied manifests and their answers."""
    told: set[str] = field(default_factory=set)
    """Names of sent events: a plan lists recent ones again."""
    remembered: dict[str, prepare.Remembered] = field(default_factory=dict)
    """By model: the operator's memory of looks that it has not written."""
    passing: dict[str, float] = field(default_factory=dict)
    """By model: since when a status that may be over in a moment has not been written."""
    watched: dict[str, tuple[WatchedVersion, Watch]] = field(default_factory=dict)
    """By model: what the watch looks at every minute, and what it saw."""
    watch_asked: int = 0
    """Questions asked by the watch over all models."""
    kill_after: int | None = None
    """The operator dies after this many more writes."""
    sent: dict[str, int] = field(default_factory=dict)
    """Users' requests by revision; copies, previews and testers' do not count."""
    bakes: dict[str, "Bake"] = field(default_factory=dict)
    """By revision: answers since it has had all requests."""
    baked: set[str] = field(default_factory=set)
    """Revisions whose requests Prometheus has seen while they had all."""
    lost: int = 0
    clock_ahead_seconds: float = 0.0
    """How far the operator's clock is ahead of all others; reduced when it is set back."""
    preview_per_second: float = 0.0
    """Requests to the preview host name."""
    preset: str = "contour"
    routing: RoutingMode = RoutingMode.GATEWAY
    """Service: users' requests go to the ready pods behind the model's own Service, each to any of them."""
    foreign_hosts: tuple[str, ...] = ("*",)
    """Permissions of every namespace, with any Gateway of namespace `gateway`; empty: only their own."""
    formats: tuple[str, ...] = ("*",)
    """Model formats that the platform permits to every namespace."""
    granted: tuple[str, ...] = ()
    """Priority classes and node folders that pods may use."""
    signers: tuple[str, ...] = ()
    """Keys that every model must be signed with; empty: none."""
    mirrored: dict[str, int] = field(default_factory=dict)
    """Copies of requests by revision."""
    previewed: dict[str, int] = field(default_factory=dict)
    asked: int = 0
    """Questions to Prometheus so far."""
    _rests: dict[str, "Rest"] = field(default_factory=dict)
    """By model: since when the operator has nothing to do."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.prometheus = Prometheus()
        self._shown, self._shown_shared = Shown(), Shown()
        self._worlds: dict[str, tuple[object, World]] = {}
        """By model: the sources of its world, and the world."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copies the world; both share what is never changed in place."""
        frozen = (self.writes, self.events, *(each.values() for each in (self.remembered, self.watched, self._rests)))
        memo |= {id(one): one for one in (*chain(*frozen), *self._worlds.values(), *self.behaviours.values())}
        memo[id(self)] = twin = copy.copy(self)
        vars(twin).update({name: copy.deepcopy(value, memo) for name, value in vars(self).items()})
        return twin

    # --- the API server -------------------------------------------------------------------------------------------

    def apply(self, write: Write) -> None:
        """One write, unless the operator dies before it."""
        if self.kill_after is not None:
            if self.kill_after == 0:
                self.kill_after = None
                self.remembered.clear()
                self.passing.clear()
                self.watched.clear()
                self.heard.clear()
                self.came.clear()
                self._rests.clear()
                raise OperatorKilled
            self.kill_after -= 1
        super().apply(write)
        if isinstance(write, Apply):
            place = write.manifest["kind"], write.manifest["metadata"]["name"]
            self.admitted[place] = writing.admitted(write.manifest, self.objects[place])

    def asks(self, action: str, by: str = "alice", name: str | None = None, **more: str) -> None:
        """Writes spec.intent of the newest ModelRollout, of all models or of one, as the CLI does."""
        rollouts = self.rollouts() if name is None else self.rollouts_of(name)
        newest = self.objects["ModelRollout", rollouts[-1].metadata.name]
        asked = {"action": action, "requestedBy": by, "requestTime": timestamps.rfc3339(self.now), **more}
        newest["spec"]["intent"] = asked

    # --- users and the gateway -------------------------------------------------------------------------------------

    def tick(self, seconds: float = 1.0) -> None:
        """Moves the world."""
        self.now += seconds
        self.run_controllers()
        self._note_bakes()
        self._send_requests(seconds)
        if self.now % self.scrape_seconds < seconds:
            self._scrape()

    def _note_bakes(self) -> None:
        whole = {name for address in laws.addresses(self) for name, permille in address.items() if permille == 1000}
        kept = {name for name in self.bakes if self._still_bakes(name)}
        self.bakes = {name: self.bakes.get(name) or Bake() for name in whole | kept}

    def _still_bakes(self, revision: str) -> bool:
        """Whether its bake continues, even while others briefly answer, such as without its Service."""
        newest = self.rollouts_of(revision.rpartition("-")[0])[-1:]
        return any(
            each.status.outcome is None and each.status.permille == 1000 and each.spec.target.revision == revision
            for each in newest
        )

    def _send_requests(self, seconds: float) -> None:
        if self.routing is RoutingMode.SERVICE:
            self._send_to_pods(seconds)
        for route in self.of_kind("HTTPRoute"):
            rule = route["spec"]["rules"][0]
            preview = route["metadata"]["name"] != route["metadata"]["labels"][naming.LABEL_OWNER]
            rate = self.preview_per_second if preview else self.requests_per_second
            total = sum(b.get("weight", 1) for b in rule["backendRefs"])
            for place, backend in enumerate(rule["backendRefs"]):
                mean = rate * seconds * backend.get("weight", 1) / total if total else 0.0
                self._answer(self._drawn(mean), backend["name"], route, place, users=not preview)

    def _send_to_pods(self, seconds: float) -> None:
        for service in self.of_kind("Service"):
            name = service["metadata"]["name"]
            if name != service["metadata"]["labels"][naming.LABEL_OWNER]:
                continue
            behind = self.objects.get(("EndpointSlice", name), {}).get("endpoints", [])
            pods = [endpoint["addresses"][0] for endpoint in behind]
            for _ in range(self._drawn(self.requests_per_second * seconds)):
                if not pods:
                    self.lost += 1
                    continue
                revision = self.random.choice(pods).rpartition("-")[0]
                self.sent[revision] = self.sent.get(revision, 0) + 1
                failed = self.random.random() < self.behaviour(revision).error
                self._note_answers(revision, 1, failed=failed)
                self.count("served_total", ("revision", revision), ("failed", str(failed).lower()), job="servers")

    def _drawn(self, mean: float) -> int:
        return int(mean) + (self.random.random() < mean % 1)

    def _answer(self, requests: int, service: str, route: Mapping[str, Any], place: int, *, users: bool) -> None:
        """Requests to a route's backend, and to the Services that get copies of them."""
        if not requests:
            return
        tally, name = self.sent if users else self.previewed, f"httproute/default/{route['metadata']['name']}/rule/0"
        server = self._server(service, f"{name}/backend/{place}", tally, counts=users)
        mirrors = (filter_.get("requestMirror") for filter_ in route["spec"]["rules"][0].get("filters", ()))
        copies = [
            (
                mirror.get("percent", 100) / 100,
                self._server(mirror["backendRef"]["name"], f"{name}-mirror-0", self.mirrored, counts=False),
            )
            for mirror in mirrors
            if mirror and mirror["backendRef"]["name"] not in self._observers()
        ]
        for _ in range(requests):
            server.answer(self.random)
            for share, copied in copies:
                if self.random.random() < share:
                    copied.answer(self.random)
        for one in (server, *(copied for _, copied in copies)):
            self._count_answers(one)

    def _observers(self) -> set[str]:
        """Services that get copies, and answer no questions."""
        models = (model["metadata"]["name"] for model in self.of_kind("ModelDeployment"))
        return {naming.observer_name(name) for name in models}

    def _server(self, service: str, place: str, tally: dict[str, int], *, counts: bool) -> "Server":
        there = self.objects.get(("Service", service))
        revision = there["spec"]["selector"][naming.LABEL_REVISION] if there else service
        return Server(
            self._backend(place, service), revision, self.behaviour(revision), tally, counts, self.has_endpoint(service)
        )

    def _count_answers(self, server: "Server") -> None:
        cluster = ("envoy_cluster_name", server.backend)
        self.count("envoy_cluster_upstream_rq_timeout", cluster, times=server.broken)
        for (code, millis, correct), number in server.answers.items():
            server.tally[server.revision] = server.tally.get(server.revision, 0) + number
            if server.counts:
                self._note_answers(server.revision, number, failed=code >= "500")
            self.lost += number * (server.counts and not server.up)
            self.count("envoy_cluster_upstream_rq", cluster, ("envoy_response_code", code), times=number)
            for le in LE_MILLIS:
                if millis <= le:
                    self.count("envoy_cluster_upstream_rq_time_bucket", cluster, ("le", f"{le:g}"), times=number)
            if millis < NEVER:
                self.count("envoy_cluster_upstream_rq_time_bucket", cluster, ("le", "+Inf"), times=number)
            if correct is not None:
                labels = ("revision", server.revision), ("correct", str(correct).lower())
                self.count("feedback_total", *labels, job="users", times=number)

    def _note_answers(self, revision: str, number: int, *, failed: bool) -> None:
        if revision in self.bakes:
            self.bakes[revision].answers += number
            self.bakes[revision].failures += number * failed

    # --- Prometheus -----------------------------------------------------------------------------------------------

    def count(self, name: str, *labels: tuple[str, str], job: str = "envoy", times: int = 1) -> None:
        """Adds to the counts, as the gateway's or the users' own counters show them."""
        target, namespace = f"{job}-0", GATEWAY_NAMESPACE if job == "envoy" else "default"
        key = series(target, name, (("job", job), ("namespace", namespace), *labels))
        self.prometheus.add(target, key, times)

    def _scrape(self) -> None:
        if self.prometheus_up:
            for bake in self.bakes.values():
                bake.scraped = bake.answers, bake.failures
            self.baked |= {name for name, bake in self.bakes.items() if bake.answers}
            self.prometheus.backends = tuple(self.backend_names())
            self.prometheus.scrape(
                self.now, gateways=("envoy-0",), others=self.prometheus.counters.keys() - {"envoy-0"}
            )

    def backend_names(self) -> list[str]:
        """Envoy's names of the routes' backends."""
        places = (
            (f"httproute/default/{route['metadata']['name']}/rule/{number}/backend/{place}", backend["name"])
            for route in self.of_kind("HTTPRoute")
            for number, rule in enumerate(route["spec"]["rules"])
            for place, backend in enumerate(rule["backendRefs"])
        )
        return [self._backend(place, service) for place, service in places]

    def _backend(self, place: str, service: str) -> str:
        return place if _preset_of(self.config).positional else f"default_{service}_{naming.SERVICE_PORT}"

    def answer(self, questions: tuple[Question, ...]) -> Mapping[str, Answer]:
        """Prometheus' answers."""
        self.asked += len(questions)
        if not self.prometheus_up:
            return {q.key: Failed("prometheus is down") for q in questions}
        return self.prometheus.answer(questions, self.now + self.clock_ahead_seconds)

    def heals(self) -> None:
        """Repairs everything around the operator, and corrects its clock."""
        self.prometheus_up, self.kill_after, self.clock_ahead_seconds = True, None, 0.0
        self.recovers()

    @property
    def config(self) -> OperatorConfig:
        return _config(self.preset, self.routing, self.foreign_hosts, self.formats, self.granted, self.signers)

    # --- the operator ---------------------------------------------------------------------------------------------

    def owned(self, name: str) -> tuple[dict[str, Any], ...]:
        """The objects that belong to a model by the store's rule, whether it exists or not."""
        return shown.owned(self.objects, name)

    def world(self, name: str) -> World:
        """The operator's view of a model; later changes do not affect it."""
        return replace(self._world(name), now=self.now + self.clock_ahead_seconds)

    def _world(self, name: str) -> World:
        """The same without the time: the same object until something changes."""
        objects, shared = self._shown.all(self.objects), self._shown_shared.all(self.shared)
        admitted = frozenset(filter(None, self.admitted.values()))
        seen = tuple(objects.values()), tuple(shared.values()), self.config, self.keda, admitted
        kept = self._worlds.get(name)
        if kept is None or kept[0] != seen:
            kept = self._worlds[name] = seen, self._made_world(name, objects, shared, admitted)
        return kept[1]

    def _made_world(
        self, name: str, objects: Mapping[Place, Object], shared: Mapping[Place, Object], admitted: frozenset[str]
    ) -> World:
        rivals = tuple(o for (kind, other), o in objects.items() if kind == "ModelDeployment" and other != name)
        names = {rival["metadata"]["name"] for rival in rivals}
        return World(
            now=0.0,
            deployment=objects["ModelDeployment", name],
            owned=shown.owned(objects, name),
            runtimes=tuple(o for (kind, _), o in shared.items() if kind == "ServingRuntime"),
            policies=tuple(o for (kind, _), o in shared.items() if kind == "RolloutPolicy"),
            gateways=tuple(o for (kind, _), o in shared.items() if kind == "Gateway"),
            rivals=rivals,
            rival_routes=tuple(o for (kind, route), o in objects.items() if kind == "HTTPRoute" and route in names),
            config=self.config,
            preset=_preset_of(self.config),
            keda_api=self.keda,
            admitted=admitted,
            keeps_resolver=self.first_follower() == name,
        )

    def snapshot(self, name: str = "digits") -> Snapshot | InvalidSpec:
        return parsed(self.world(name))

    def plan(self, name: str = "digits") -> Plan:
        """One decision on the current world."""
        if ("ModelDeployment", name) not in self.objects:
            self.remembered.pop(name, None)
            return forgetting.plan(self._left(name), self.now + self.clock_ahead_seconds)
        world = self.world(name)
        snapshot = parsed(world)
        if isinstance(snapshot, InvalidSpec):
            return failure.invalid_spec_plan(world, snapshot)
        prepared = prepare.prepare(self.resolutions(snapshot), self.remembered.get(name, prepare.NOTHING))
        watch = self._noted(name, prepared.watched)
        findings = prepare.read(prepared, Replies(metrics=self.answer(prepared.inquiry.metrics)), watch)
        self.remembered[name] = findings.remembered
        plan, since = passing.due(decide.decide(prepared, findings), self.passing.pop(name, None), self.now)
        if since is not None:
            self.passing[name] = since
        laws.nobody_is_raised_in_vain(self, plan)
        laws.nobody_carries_too_much(self, plan)
        laws.nobody_is_passed_on_unseen(self, plan)
        return plan

    def reconcile(self, name: str = "digits", check: Callable[[Plan], None] | None = None) -> int:
        """Decides and applies until nothing is left to do; the number of writes. More than a few reconciles are a
        bug."""
        count = 0
        self._rests.pop(name, None)
        for _ in range(8):
            plan = self.plan(name)
            if check is not None:
                check(plan)
            for write in plan.writes:
                self.apply(write)
                count += 1
            self.events.extend(each for each in plan.events if each.id not in self.told and not each.in_status)
            self.told.update(event.id for event in plan.events)
            if not plan.writes:
                after = math.inf if plan.requeue_after is None else plan.requeue_after
                self._rests[name] = Rest(self.now + after, self.clock_ahead_seconds, self._seen(name))
                return count
        raise AssertionError(f"no fixpoint after 8 reconciles; last plan: {plan.because} {plan.writes}")

    def is_due(self, name: str = "digits") -> bool:
        """Whether the model is due in the operator's queue: something has changed, or it asked for another look."""
        rest = self._rests.get(name)
        return (
            rest is None
            or self.now >= rest.until
            or self.clock_ahead_seconds < rest.ahead - clockstep.STEP_SECONDS
            or self._seen(name) != rest.seen
        )

    def _seen(self, name: str) -> World | tuple[dict[str, Any], ...]:
        if ("ModelDeployment", name) not in self.objects:
            return self._left(name)
        return self._world(name)

    def _left(self, name: str) -> tuple[Object, ...]:
        """The remaining objects of a deleted model."""
        return shown.owned(self._shown.all(self.objects), name)

    def run(
        self,
        seconds: float,
        name: str = "digits",
        check: Callable[[Plan], None] | None = None,
        until: Callable[[], bool] | None = None,
    ) -> float:
        """Lets time pass for the world and the operator; returns the seconds that passed."""
        start = self.now
        while self.now - start < seconds:
            self.tick()
            self._watch(self.now - 1)
            if self.poll(self.now - 1):
                self._rests.clear()
            if self.is_due(name):
                self.reconcile(name, check)
            if until is not None and until():
                break
        return self.now - start

    def _noted(self, name: str, version: WatchedVersion | None) -> Watch | None:
        """Like `shell/questions/stablewatch.py`."""
        _, watch = self.watched.pop(name, (None, None))
        if version is None:
            return None
        watch = state.resumed(watch, version, self.now + self.clock_ahead_seconds)
        self.watched[name] = version, watch
        return watch

    def _watch(self, before: float) -> None:
        """Once a minute of the operator's clock, which Prometheus shares."""
        ahead = self.clock_ahead_seconds
        times = (time + ahead - WATCH_LATE_SECONDS for time in (self.now, before))
        end, seen = (minutes.MINUTE * (time // minutes.MINUTE) for time in times)
        versions = [version for version, _ in self.watched.values() if not version.resting]
        if end == seen or not versions:
            return
        asked = minutes.inquest(versions, {v.place for v, watch in self.watched.values() if watch.silent})
        for (_, name), minute in asked.read(self._watch_answers(asked.questions, end - ahead)).items():
            version, watch = self.watched[name]
            self._keeps(name, progress.after(watch, version, minute, end - minutes.MINUTE))
        observed = features.inquest(versions, {v.place: watch for v, watch in self.watched.values()}, end)
        counts = observed.read(self._watch_answers(observed.questions, end - ahead))
        for asked, counted in counts.items():
            (_, name), _ = asked
            version, watch = self.watched[name]
            self._keeps(name, moving.after(observed.sources[asked], watch, version, counted, end - minutes.MINUTE))

    def _watch_answers(self, questions: Iterable[Joined], end: float) -> dict[Question, Answer]:
        answers: dict[Question, Answer] = {}
        for whole in questions:
            self.watch_asked += 1
            found = self.prometheus.answer((whole.question,), end)[""]
            answers.update(joined.parted(whole, found if self.prometheus_up else Failed("prometheus is down")))
        return answers

    def _keeps(self, name: str, after: Watch) -> None:
        version, watch = self.watched[name]
        self.watched[name] = version, after
        if watch_report.wants_reconcile(version, watch, after):
            self._rests.pop(name, None)

    # --- looking --------------------------------------------------------------------------------------------------

    def rollouts(self) -> list[ModelRollout]:
        found = (place for place in self.objects if place[0] == ModelRollout.kind)
        parsed = [shown.rollout(self._shown.one(place, self.objects[place])) for place in found]
        return sorted(parsed, key=lambda r: r.spec.sequence)

    def rollouts_of(self, name: str) -> list[ModelRollout]:
        """The rollouts of one model where there are several."""
        return [rollout for rollout in self.rollouts() if rollout.spec.model_deployment == name]

    def newest(self) -> ModelRollout:
        return self.rollouts()[-1]

    def newest_rollout_object(self) -> dict[str, Any]:
        return self.objects["ModelRollout", self.newest().metadata.name]

    def weights(self, name: str = "digits") -> dict[str, int]:
        route = self.objects[("HTTPRoute", name)]
        return weights.added((b["name"], b["weight"]) for b in route["spec"]["rules"][0]["backendRefs"])

    def status(self, name: str = "digits") -> dict[str, Any]:
        return self.objects["ModelDeployment", name].get("status", {})

    def condition(self, type_: str, name: str = "digits") -> dict[str, Any]:
        return next(c for c in self.status(name)["conditions"] if c["type"] == type_)


@dataclass(slots=True)
class Bake:
    """A version that has all requests."""

    answers: int = 0
    failures: int = 0
    scraped: tuple[int, int] = (0, 0)
    """Those of them that Prometheus has seen."""


@dataclass(frozen=True, slots=True)
class Rest:
    """A model's state when nothing was left to do."""

    until: float
    ahead: float
    """How far the operator's clock was ahead; it looks again when that was set back."""
    seen: World | tuple[dict[str, Any], ...]
    """What remains of a deleted model."""


@dataclass(slots=True)
class Server:
    """The pods behind a Service in one turn of the world."""

    backend: str
    """The gateway's name for it."""
    revision: str
    behaviour: Behaviour
    tally: dict[str, int]
    """The counter of its requests, by revision."""
    counts: bool
    """Whether users wait for its answers."""
    up: bool
    broken: int = 0
    """Cut answers: the gateway already has their code, and no time."""
    answers: dict[tuple[str, float, bool | None], int] = field(default_factory=dict)
    """By status code, milliseconds, and whether the answer was correct, if that is reported."""

    def answer(self, random_: random.Random) -> None:
        failed = self.up and random_.random() < self.behaviour.error
        code = "503" if not self.up else "500" if failed else "200"
        if code == "200" and self.behaviour.rejects and random_.random() < self.behaviour.rejects:
            code = "400"
        millis = 120.0 if random_.random() < self.behaviour.slow else 3.0
        correct = None
        if code == "200" and self.behaviour.breaks and random_.random() < self.behaviour.breaks:
            self.broken += 1
            millis = NEVER
        elif self.counts and code != "400":
            correct = code == "200" and random_.random() >= self.behaviour.wrong
        key = code, millis, correct
        self.answers[key] = self.answers.get(key, 0) + 1


@cache
def _config(
    preset: str,
    routing: RoutingMode,
    foreign_hosts: tuple[str, ...],
    formats: tuple[str, ...],
    granted: tuple[str, ...],
    signers: tuple[str, ...],
) -> OperatorConfig:
    grant = AddressGrant(
        namespaces=["*"], hostnames=list(foreign_hosts), gateways=["gateway/*"] if foreign_hosts else []
    )
    return OperatorConfig(
        gateway_preset=preset,
        routing=routing,
        allowed_addresses=[grant],
        allowed_formats=[FormatGrant(namespaces=["*"], formats=list(formats))],
        allowed_priority_classes=[
            PriorityGrant(namespaces=["*"], classes=[name]) for name in granted if not name.startswith("/")
        ],
        allowed_volumes=[VolumeGrant(namespaces=["*"], host_paths=[name for name in granted if name.startswith("/")])],
        verification=[
            VerificationGrant(namespaces=["*"], mode=VerificationMode.ENFORCE, public_keys=list(signers))
            for _ in signers[:1]
        ],
    )


_preset_of = memo.by_identity(64)(gateways.preset_of)
