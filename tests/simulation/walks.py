"""Random walks: users, faults, clocks, manual edits and backups change a model in any order, one after another.

A walk is a list of steps. Each step begins a fault, has a user do something, lets the world run, and ends the fault.
The laws are checked on every reconcile. At its end everything is repaired, and the walk must arrive at the state of a
fresh installation.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Final

from sluice_core import errors
from sluice_core.api.config import RoutingMode
from sluice_core.api.v1alpha1.intent import Action
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice_core.decide import ending
from sluice_core.kernel import differ, naming
from sluice_core.kernel.plan import Plan
from sluice_core.kernel.reasons import Reason
from sluice_core.rollout.routing import weights
from sluice_core.situation import record
from tests.simulation import test_abtest, test_autoscaling, test_baseline, test_by_service, test_strategies
from tests.support.simulated import laws, scenarios
from tests.support.simulated.apiserver import Refused
from tests.support.simulated.cluster import Bake, Cluster, OperatorKilled
from tests.support.simulated.controllers import Behaviour
from tests.support.simulated.scenarios import V1

STEP_SECONDS: Final = (2, 5, 10, 20, 40)
PROMOTED_BETWEEN: Final = 0.4
PROMOTED_SECONDS: Final = 90
AWAY_SECONDS: Final = 15
"""Until another replica has the lease."""
HEALED_SECONDS: Final = 3000
"""In this much calm every release ends, if people confirm what it waits for."""
REST_SECONDS: Final = 150
QUIET_SECONDS: Final = 30
SKEWS: Final = (-600.0, -30.0, 0.0, 30.0, 600.0)
GENERATED: Final = ("EndpointSlice", "HorizontalPodAutoscaler", "Pod")
"""Kinds that Kubernetes creates from other objects."""
HISTORY: Final = ("ModelDeployment", "ModelRollout", "ControllerRevision")
"""Kinds whose number grows with a model's age."""


QUICK: Final[Mapping[str, Any]] = {"canary": {"steps": [{"weight": 50}, {"weight": 100}]}}
"""It has evidence after so few seconds that a release is often over before anything else happens."""


@dataclass(frozen=True)
class Place:
    """A kind of world."""

    models: tuple[str, ...] = ("digits",)
    spec: Mapping[str, Any] = field(default_factory=dict)
    rollouts: tuple[Mapping[str, Any], ...] = (QUICK, QUICK, *test_strategies.STRATEGIES.values())
    settings: Mapping[str, Any] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    runtime: Mapping[str, Any] = field(default_factory=dict)
    drains: bool = False
    """Whether many versions drain, which none of the steps ends at once: no RESETS here."""


TESTS: Final[tuple[Mapping[str, Any], ...]] = (
    {},
    test_abtest.rollout(("b", f"{V1}/arm", 30), seconds=120),
    test_abtest.rollout(("b", f"{V1}/arm", 30), on_winner="Promote", seconds=120),
)
PLACES: Final[Mapping[str, Place]] = {
    "gateway": Place(),
    "positional": Place(settings={"preset": "envoy-gateway"}),
    "service": Place(
        spec={"replicas": 2},
        rollouts=(test_by_service.STEPS, {}, {"strategy": "Recreate"}),
        settings={"routing": RoutingMode.SERVICE},
        policy=test_by_service.QUERY,
    ),
    "autoscaled": Place(spec=test_autoscaling.scaled(), settings={"in_flight": 6}),
    "sleeping": Place(spec=test_autoscaling.scaled(minimum=0), settings={"in_flight": 2}),
    "tests": Place(rollouts=TESTS),
    "long bake": Place(policy={"bakeSeconds": 90}),
    "grpc": Place(runtime={"grpcPort": 8001}),
    "long drain": Place(spec={"drainSeconds": 1200}, rollouts=(QUICK,), drains=True),
    "baseline": Place(spec={"replicas": 10}, policy={"baseline": "FreshPods", "objectives": test_baseline.OBJECTIVES}),
    "one host name": Place(models=("digits", "later"), spec={"routing": {"hostnames": ["models.example.com"]}}),
}


@dataclass
class Wanted:
    """A user's manifest."""

    uri: str
    spec: dict[str, Any]


class Walk:
    """One world, and the actions on it."""

    def __init__(self, place: Place, seed: int, wanted: dict[str, Wanted] | None = None) -> None:
        self.place, self.random = place, random.Random(seed)
        self.cluster = scenarios.empty_cluster(
            policy_changes={"bakeSeconds": 10, **self.place.policy},
            runtime_changes=self.place.runtime,
            requests_per_second=100,
            seed=seed,
            **self.place.settings,
        )
        self.wanted = wanted or {
            name: Wanted(V1, {"rollout": dict(place.rollouts[0]), **place.spec}) for name in place.models
        }
        self.versions = 0
        self.present = True
        """Whether the operator runs."""
        self.after: list[Callable[[], None]] = []
        """Functions that end the faults of this step."""
        self.done: list[str] = []
        self.serving: dict[str, tuple[str, int]] = {}
        """The stable version of each model, and the release that promoted it."""
        for name in self.wanted:
            self.apply(name)
            self.cluster.now += 1.0  # creation times are in whole seconds
        self.run(20)
        for _ in range(15 if place.drains else 0):
            ACTIONS["release"](self, place.models[0])
            self.run(8)
        self.backup = self._saved()

    # --- steps ----------------------------------------------------------------------------------------------------

    def step(self, action: str, fault: str) -> None:
        name, seconds = self.random.choice(self.place.models), self.random.choice(STEP_SECONDS)
        if self.random.random() < PROMOTED_BETWEEN:
            self.promotes(name)
        self.done.append(f"{action} of {name}, {fault}, {seconds} s")
        if self.random.random() < 0.1:
            self.backup = self._saved()
        FAULTS[fault](self, name)
        ACTIONS[action](self, name)
        self.run(seconds)
        while self.after:
            self.after.pop()()

    def promotes(self, name: str) -> None:
        """A good release in calm, mostly over before the step."""
        ACTIONS["release"](self, name)
        self.run(2)
        end = self.cluster.now + PROMOTED_SECONDS
        while self.running(name) and self.cluster.now < end:
            self.run(5)

    def apply(self, name: str) -> None:
        wanted = self.wanted[name]
        self.cluster.user_applies(scenarios.manifest(wanted.uri, name=name, **wanted.spec))

    def version(self, behaviour: Behaviour) -> str:
        self.versions += 1
        uri = f"s3://models/walk/{self.versions}"
        self.cluster.behaviours[uri] = behaviour
        return uri

    def run(self, seconds: float) -> None:
        end = self.cluster.now + seconds
        while self.cluster.now < end:
            self.cluster.tick()
            if self.present:
                self.passes()

    def passes(self) -> None:
        for name in self.place.models:
            if not self.cluster.is_due(name):
                continue
            ended = self._ended(name)
            try:
                if ("ModelDeployment", name) not in self.cluster.objects:
                    self.cluster.reconcile(name)
                    continue
                self.cluster.reconcile(name, laws.Laws(self.cluster).check)
                self._says_what_it_waits_for(name)
                self._serves_what_was_promoted_last(name)
            except OperatorKilled:
                self._notes_what_is_recorded(name, before=ended)
                for _ in range(AWAY_SECONDS):
                    self.cluster.tick()

    def _says_what_it_waits_for(self, name: str) -> None:
        status = self.cluster.status(name)
        silent = [each["type"] for each in status.get("conditions", ()) if not each["reason"]]
        assert not silent, f"no reason: {silent}"
        summary = status.get("rollout") or {}
        if self.running(name) and self.cluster.condition("Stalled", name)["status"] != "True":
            assert summary.get("reason"), f"does not say what it waits for: {status}"
            assert summary.get("message"), f"does not say what it waits for: {status}"

    def _ended(self, name: str) -> set[str]:
        return {each.metadata.name for each in self.cluster.rollouts_of(name) if each.status.outcome is not None}

    def _notes_what_is_recorded(self, name: str, *, before: set[str]) -> None:
        """A promotion whose reconcile was killed before it reported what serves: its record may be deleted before the
        next.

        before: the releases that had ended before the reconcile.
        """
        for each in self.cluster.rollouts_of(name):
            promoted = each.status.outcome is Outcome.PROMOTED and each.status.reason != Reason.RESTORED
            if promoted and each.metadata.name not in before:
                self.serving[name] = (record.promoted_revision(each), each.spec.sequence)

    def _serves_what_was_promoted_last(self, name: str) -> None:
        stable = self.stable_of(name)
        if stable is None:
            return
        promoted = self._promoted(name, stable)
        since = max((rollout.spec.sequence for rollout in promoted), default=0)
        before, sequence = self.serving.get(name, (stable, 0))
        first = any(each.spec.source is None for each in promoted if each.spec.sequence == since > sequence)
        # Sequences begin again if the only record of a first version is deleted.
        follows = any(each.spec.source is not None and each.spec.source.revision == before for each in promoted)
        promotion = since > sequence or follows or self._nothing_tells_of(name, before, stable)
        assert stable == before or promotion, f"{stable} serves instead of {before}, and nothing promoted it"
        known = ("ControllerRevision", before) in self.cluster.objects
        assert stable == before or not first or not known, f"{stable} is a first version, and {before} was stable"
        self.serving[name] = stable, max(since, sequence)

    def _nothing_tells_of(self, name: str, before: str, stable: str) -> bool:
        """Whether so many objects of a version were deleted by hand, one after the other, that it cannot be known.

        Either it no longer answers or, without its pinning object, the newest remaining release came from another one,
        or none names it.
        """
        kinds = [kind for kind in ("ControllerRevision", "Deployment") if (kind, before) in self.cluster.objects]
        left = self.cluster.rollouts_of(name)
        came_from = [each.spec.source.revision for each in left[-1:] if each.spec.source is not None]
        named = any(
            before in (each.spec.target.revision, each.spec.source and each.spec.source.revision) for each in left
        )
        return not kinds or ("ControllerRevision" not in kinds and (came_from == [stable] or not named))

    def _promoted(self, name: str, revision: str) -> list[ModelRollout]:
        return [
            rollout
            for rollout in self.cluster.rollouts_of(name)
            if rollout.status.outcome is Outcome.PROMOTED and record.promoted_revision(rollout) == revision
        ]

    # --- looking --------------------------------------------------------------------------------------------------

    def running(self, name: str) -> list[ModelRollout]:
        return [rollout for rollout in self.cluster.rollouts_of(name) if rollout.status.outcome is None]

    def lost(self, name: str) -> bool:
        """Whether it waits because a user has deleted what pins the stable version."""
        running = self.running(name)
        if running:
            return running[-1].status.reason == Reason.STABLE_VERSION_LOST
        said = self.cluster.status(name).get("conditions", ())  # none, until a look after a loss of statuses
        return any(each["type"] == "Current" and each["reason"] == Reason.STABLE_VERSION_LOST for each in said)

    def stable_of(self, name: str) -> str | None:
        stable = self.cluster.status(name).get("stable")
        return stable["revision"] if stable else None

    def candidate_of(self, name: str) -> str | None:
        running = self.running(name)
        return running[-1].spec.target.revision if running else None

    def marked(self, name: str) -> set[str]:
        """The versions that are known to have been stable when there was another one."""
        return {
            one["metadata"]["name"]
            for one in self.cluster.owned(name)
            if naming.ANNOTATION_STABLE_SINCE in one["metadata"].get("annotations", {})
        }

    def owned(self, name: str) -> list[tuple[str, str]]:
        return [
            key
            for key, one in sorted(self.cluster.objects.items())
            if one["metadata"].get("labels", {}).get(naming.LABEL_OWNER) == name and key[0] not in GENERATED
        ]

    def _saved(self) -> tuple[dict[tuple[str, str], dict[str, Any]], dict[str, Bake]]:
        """All objects, and what had been seen of versions with all requests: their statuses contain it, too."""
        return deepcopy((self.cluster.objects, self.cluster.bakes))

    # --- the end --------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Repairs everything, and users confirm whatever waits for them."""
        self.cluster.heals()
        for uri, behaviour in self.cluster.behaviours.items():
            self.cluster.behaviours[uri] = replace(behaviour, ready=True)
        for name in self.place.models:
            if ("ModelDeployment", name) not in self.cluster.objects:
                self.apply(name)
        end = self.cluster.now + HEALED_SECONDS
        while self.cluster.now < end and any(self.running(name) or self.lost(name) for name in self.place.models):
            self.run(60)
            for name in self.place.models:
                self.answer(name)
        self._ends_what_takes_longer()
        for name in self.place.models:
            assert not self.running(name), f"does not end: {self.running(name)[-1].status}"
            assert not self.lost(name), f"its stable version stays lost: {self.cluster.status(name)}"

    def _ends_what_takes_longer(self) -> None:
        """A release that forecasts its proof may take hours, after a history as wild as a walk's."""
        late = [name for name in self.place.models if self.running(name)]
        late = [name for name in late if self.running(name)[-1].status.estimated_completion_time is not None]
        for name in late:
            self.cluster.asks("Promote", name=name)
        if late:
            self.run(HEALED_SECONDS / 5)

    def answer(self, name: str) -> None:
        """Users do what a model says that it waits for."""
        if self.running(name) and self.running(name)[-1].status.reason in WAITS_FOR_PEOPLE:
            self.cluster.asks(self.random.choice(("Promote", "Abort")), name=name)
        if self.cluster.condition("RoutesProgrammed", name)["reason"] == Reason.HOSTNAME_TAKEN:
            self.wanted[name].spec["routing"] = {"hostnames": [f"{name}.example.com"]}
            self.apply(name)
        if self.lost(name):
            self._finds_the_lost(name)

    def _finds_the_lost(self, name: str) -> None:
        """A user requests the version that serves again or, if its model is unknown or superfluous, deletes it."""
        lost, ends = self.stable_of(name), [end for each in self.cluster.rollouts_of(name) for end in each.spec.ends]
        models = [end.uri for end in ends if end.revision == lost]
        if models and self.random.random() < 0.7:
            self.wanted[name].uri = models[-1]
            self.apply(name)
        elif not self.running(name):
            if ("Deployment", lost) in self.cluster.objects:
                self.cluster.user_deletes("Deployment", lost or "")
            self.serving.pop(name, None)

    def comes_to_rest(self) -> None:
        """The version that serves has the same objects as in a fresh installation, and nothing is written."""
        self.heal()
        for name, wanted in self.wanted.items():
            routing = {key: value for key, value in wanted.spec.items() if key == "routing"}
            spec = {"rollout": dict(self.place.rollouts[0]), **self.place.spec, **routing}
            self.wanted[name] = Wanted(self.version(Behaviour(wrong=0.02)), spec)
            self.apply(name)
        self.run(30)
        self.heal()
        self.run(REST_SECONDS + self.place.spec.get("drainSeconds", 0))
        writes = len(self.cluster.writes)
        self.run(QUIET_SECONDS)
        assert self.cluster.writes[writes:] == [], "writes at rest"
        fresh = Walk(replace(self.place, drains=False), seed=0, wanted=self.wanted)
        fresh.run(REST_SECONDS)
        for name in self.place.models:
            mine, new = _shape(self.cluster, name), _shape(fresh.cluster, name)
            more, less = mine.keys() - new.keys(), new.keys() - mine.keys()
            more -= {("PodDisruptionBudget", name)}  # made with a second pod, and kept
            assert not more | less, f"left behind: {sorted(more)}; missing: {sorted(less)}"
            for key, shape in new.items():
                assert mine[key] == shape, f"{key}: {mine[key]} instead of {shape}"
            current = fresh.cluster.condition("Ready", name)
            assert self.cluster.condition("Ready", name)["reason"] == current["reason"]

    def namespace_goes(self) -> None:
        """Objects that hold a terminating namespace are deleted first, and nothing is written after that."""
        for name in self.place.models:
            for expected in (True, False):
                plan = ending.plan([self.cluster.objects[key] for key in self.owned(name)])
                assert expected or plan.writes == ()
                for write in plan.writes:
                    self.cluster.apply(write)


WAITS_FOR_PEOPLE: Final = (Reason.PAUSED, Reason.PAUSED_AT_STEP, Reason.DEADLINE_EXCEEDED)


def _shape(cluster: Cluster, name: str) -> dict[tuple[str, str], Any]:
    """A model's objects without their history."""
    return {
        (kind, one["metadata"]["name"]): {
            "labels": one["metadata"].get("labels"),
            "annotations": {
                key: value
                for key, value in one["metadata"].get("annotations", {}).items()
                if key != differ.ANNOTATION_APPLIED
            },
            **{part: content for part, content in one.items() if part not in ("metadata", "status")},
            **({"spec": _shares(one["spec"])} if kind.endswith("Route") else {}),
        }
        for (kind, _), one in cluster.objects.items()
        if one["metadata"].get("labels", {}).get(naming.LABEL_OWNER) == name and kind not in (*GENERATED, *HISTORY)
    }


def _shares(route: Mapping[str, Any]) -> dict[str, Any]:
    """A route's spec by shares: where a gateway counts by position, a version may appear twice."""
    rules = [
        {**rule, "backendRefs": weights.added((each["name"], each.get("weight", 1)) for each in rule["backendRefs"])}
        for rule in route["rules"]
    ]
    return {**route, "rules": rules}


NOTHING: Final = "nothing"
DELETED: Final = "delete and apply"
RESTORED: Final = "etcd restored"
RESETS: Final = frozenset({DELETED, RESTORED})


# --- what users do ------------------------------------------------------------------------------------------------


def _release(behaviour: Behaviour) -> Callable[[Walk, str], None]:
    def act(walk: Walk, name: str) -> None:
        walk.wanted[name].uri = walk.version(behaviour)
        walk.apply(name)

    return act


def _back(walk: Walk, name: str) -> None:
    pinned = walk.cluster.objects.get(("ControllerRevision", walk.stable_of(name) or ""))
    if pinned is not None:
        walk.wanted[name].uri = pinned["data"]["uri"]
        walk.apply(name)


def _scale(walk: Walk, name: str) -> None:
    if "autoscaling" not in walk.wanted[name].spec:
        walk.wanted[name].spec["replicas"] = walk.random.randint(1, 3)
        walk.apply(name)


def _other_strategy(walk: Walk, name: str) -> None:
    walk.wanted[name].spec["rollout"] = dict(walk.random.choice(walk.place.rollouts))
    walk.apply(name)


def _delete_and_apply(walk: Walk, name: str) -> None:
    if ("ModelDeployment", name) in walk.cluster.objects:
        known = walk.stable_of(name) in walk.marked(name)
        walk.cluster.user_deletes("ModelDeployment", name)
        assert walk.marked(name) or not known, "nothing is left that tells which version was stable"
    if ("ControllerRevision", walk.serving.get(name, ("", 0))[0]) not in walk.cluster.objects:
        walk.serving.pop(name, None)  # it was the only one, or promoted by an operator that is away since
    walk.run(walk.random.choice((0, 3)))
    walk.apply(name)


def _intent(action: Action) -> Callable[[Walk, str], None]:
    def act(walk: Walk, name: str) -> None:
        if walk.cluster.rollouts_of(name):
            walk.cluster.asks(action.value, name=name)

    return act


def _nothing(_walk: Walk, _name: str) -> None:
    """Time passes."""


ACTIONS: Final[Mapping[str, Callable[[Walk, str], None]]] = {
    NOTHING: _nothing,
    "release": _release(Behaviour(wrong=0.02)),
    "release that fails": _release(Behaviour(error=0.5)),
    "release that is wrong": _release(Behaviour(wrong=0.6)),
    "release that never starts": _release(Behaviour(ready=False)),
    "rollback by spec.model": _back,
    "replicas": _scale,
    "strategy": _other_strategy,
    DELETED: _delete_and_apply,
    **{action.value: _intent(action) for action in Action},
}


# --- faults -------------------------------------------------------------------------------------------------------


def _no_prometheus(walk: Walk, _name: str) -> None:
    walk.cluster.prometheus_up = False
    walk.after.append(lambda: setattr(walk.cluster, "prometheus_up", True))


def _killed(walk: Walk, _name: str) -> None:
    walk.cluster.kill_after = walk.random.randint(0, 5)


def _away(walk: Walk, _name: str) -> None:
    walk.present = False
    walk.after.append(lambda: setattr(walk, "present", True))


def _crash(choose: Callable[[Walk, str], str | None]) -> Callable[[Walk, str], None]:
    def act(walk: Walk, name: str) -> None:
        revision = choose(walk, name)
        if revision is not None and ("Deployment", revision) in walk.cluster.objects:
            walk.cluster.crash(revision)
            walk.after.append(lambda: walk.cluster.recovers(revision))

    return act


def _turns_bad(walk: Walk, name: str) -> None:
    """The requested version fails for a while, even if it was proven good and has all requests."""
    uri = walk.wanted[name].uri
    usual = walk.cluster.behaviours.get(uri, Behaviour())
    walk.cluster.behaviours[uri] = replace(usual, error=0.5)
    walk.after.append(lambda: walk.cluster.behaviours.update({uri: usual}))


def _clock(walk: Walk, _name: str) -> None:
    walk.cluster.clock_ahead_seconds = walk.random.choice(SKEWS)


def _hand_deletes(*kinds: str) -> Callable[[Walk, str], None]:
    def act(walk: Walk, name: str) -> None:
        there = [key for key in walk.owned(name) if key[0] in kinds]
        if there:
            walk.cluster.user_deletes(*walk.random.choice(there))

    return act


def _record_deleted(walk: Walk, name: str) -> None:
    """Mostly one that records the stable version, or pins it."""
    promoted = [each for each in walk.cluster.rollouts_of(name) if each.status.outcome is Outcome.PROMOTED]
    stable, chance = walk.stable_of(name), walk.random.random()
    if promoted and chance < 0.4:
        walk.cluster.user_deletes("ModelRollout", promoted[-1].metadata.name)
    elif ("ControllerRevision", stable) in walk.cluster.objects and chance < 0.7:
        walk.cluster.user_deletes("ControllerRevision", stable or "")
    else:
        _hand_deletes("ModelRollout", "ControllerRevision")(walk, name)


def _hand_on_weights(walk: Walk, name: str) -> None:
    route = walk.cluster.objects.get(("HTTPRoute", name))
    if route is not None:
        walk.random.choice(route["spec"]["rules"][0]["backendRefs"])["weight"] = walk.random.choice((0, 7, 500))
        route["metadata"]["generation"] += 1


def _route_is_not_programmed(walk: Walk, _name: str) -> None:
    usual, walk.cluster.programmed_seconds = walk.cluster.programmed_seconds, float("inf")

    def end() -> None:
        walk.cluster.programmed_seconds = usual
        walk.cluster.recovers()

    walk.after.append(end)


def _statuses_lost(walk: Walk, _name: str) -> None:
    for kind in ("ModelDeployment", "ModelRollout"):
        for one in walk.cluster.of_kind(kind):
            one["status"] = {}


def _restored(walk: Walk, _name: str) -> None:
    """A snapshot of etcd: every object as it was; pods follow."""
    objects, walk.cluster.bakes = deepcopy(walk.backup)
    walk.cluster.restored(objects)
    walk.serving.clear()
    for name in walk.place.models:
        walk.apply(name)


def _late_write(walk: Walk, name: str) -> None:
    """The last write of a leader that has lost its lease arrives after the first reconcile of the next one."""
    if not walk.present or ("ModelDeployment", name) not in walk.cluster.objects:
        return
    plan: Plan = walk.cluster.plan(name)
    walk.run(1)
    dies, walk.cluster.kill_after = walk.cluster.kill_after, None  # the next one, not this one
    for write in plan.writes[:1]:
        try:
            walk.cluster.apply(write)
        except (Refused, errors.Conflict):  # such as one that creates an existing object
            walk.cluster.writes.pop()
    walk.cluster.kill_after = dies


FAULTS: Final[Mapping[str, Callable[[Walk, str], None]]] = {
    NOTHING: _nothing,
    "no Prometheus": _no_prometheus,
    "operator killed": _killed,
    "operator away": _away,
    "candidate crashes": _crash(Walk.candidate_of),
    "stable crashes": _crash(Walk.stable_of),
    "version turns bad": _turns_bad,
    "clock steps": _clock,
    "record deleted": _record_deleted,
    "object deleted": _hand_deletes("Deployment", "Service", "HTTPRoute", "GRPCRoute", "ScaledObject"),
    "hand on the weights": _hand_on_weights,
    "route not programmed": _route_is_not_programmed,
    "statuses lost": _statuses_lost,
    RESTORED: _restored,
    "late write": _late_write,
}


def pairs(times: int, seed: int) -> list[tuple[str, str]]:
    """Every action with every fault, this often, in any order."""
    steps = list(product(ACTIONS, FAULTS)) * times
    random.Random(seed).shuffle(steps)
    return steps


def place_of(number: int) -> str:
    """The place of the walk with this number."""
    return list(PLACES)[number % len(PLACES)]


def shared_out(steps: Sequence[tuple[str, str]], count: int) -> list[list[tuple[str, str]]]:
    """The steps of each of this many walks: no resets where they would undo the place, elsewhere the shortest walk
    first."""
    found: list[list[tuple[str, str]]] = [[] for _ in range(count)]
    resets = [step for step in steps if RESETS.intersection(step)]
    for step in [*resets, *(step for step in steps if not RESETS.intersection(step))]:
        suited = (n for n in range(count) if step not in resets or not PLACES[place_of(n)].drains)
        found[min(suited, key=lambda n: len(found[n]))].append(step)
    for number, each in enumerate(found):
        random.Random(number).shuffle(each)
    return found


def walked(place: str, seed: int, steps: Sequence[tuple[str, str]]) -> Walk:
    """A whole walk. Raises AssertionError with all its actions."""
    walk = Walk(PLACES[place], seed)
    try:
        for action, fault in steps:
            walk.step(action, fault)
        walk.comes_to_rest()
        walk.namespace_goes()
    except AssertionError as error:
        raise AssertionError(
            f"{place}, seed {seed}, step {len(walk.done)}: {error}\n" + "\n".join(walk.done[-12:])
        ) from error
    return walk
