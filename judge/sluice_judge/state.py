"""The judge's memory between two looks: `ModelRollout.status.state`, compact JSON.

Counts and log-wealths, how far each feed was consumed, the fence, and what was frozen at the first look. Everything
else is in the next answers. Floats are written with `repr`, so that a stored and restored judge continues bit for bit.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sluice_judge.samples import series
from sluice_judge.stats import eprocess, evidence
from sluice_judge.stats.dispersion import Successive
from sluice_judge.stats.swings import Own
from sluice_judge.stats.usual import Usual

FORMAT: Final = 1
LARGEST: Final = 31_000
"""Characters; the API server refuses 32,768."""
MOST_PODS: Final = 500
_A_DAY: Final = 86_400.0
_LEARNT: Final = frozenset({"phi", "own", "b", "bs", "h", "u"})
NO_COUNTS: Final = evidence.Counts(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests of both arms through the gateway."""

    candidate: float = 0.0
    stable: float = 0.0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.candidate + other.candidate, self.stable + other.stable)


@dataclass(frozen=True, slots=True)
class Sent:
    """The candidate's requests between two scrapes."""

    time: float
    """The later scrape, seconds since the epoch."""
    requests: float
    """Answered by then."""
    unanswered: float | None
    """The most of those sent by then, in this step, that are still to be answered; None: unknown."""
    dispersion: float
    """phi of the interval."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Since when counters stand still."""

    moved: float | None
    """Time of the last tick in which any counter moved; None: none did in the hour before the release, nor since."""
    began: float
    """When this step was first looked at."""
    longest: float
    """The longest time without any request in the hour before the release, seconds."""


@dataclass(frozen=True, slots=True)
class ObjectiveState:
    """Accumulators of one objective."""

    dispersion: float = 1.0
    """phi, frozen at the first look."""
    own: Mapping[str, Own] = field(default_factory=dict)
    """The swings of single pods, as far as known, by boundary; empty: the judged one. They only grow during a release."""
    boundary: str | None = None
    """b*, milliseconds, frozen as soon as it is known; latencies only."""
    boundaries: tuple[str, ...] = ()
    """All boundaries of the rollback tests."""
    total: evidence.Counts = NO_COUNTS
    """Counts since the rollout began, fenced intervals included: for people, for the forecast and for the bake's limit."""
    step: evidence.Counts = NO_COUNTS
    """Evidence since the step began."""
    step_start: float | None = None
    """Time of the first tick with evidence since the step began."""
    step_end: float | None = None
    """Time of the last one."""
    before: tuple[float, float] = (0.0, 0.0)
    """(requests, events) of the stable version in the hour, or the day, before the release."""
    bake_limit: float | None = None
    """p* of the bake, fixed when it begins; None before it, and while the bake is off for this objective."""
    asks: bool = False
    """Whether evidence against the candidate in the bake begins a probe; False: it counts for a rollback."""
    usual: Usual = field(default_factory=Usual)
    """What the stable version usually shows, and whether there is an incident."""
    beside: Successive = field(default_factory=Successive)
    """The dispersion of its baseline."""
    processes: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """`EProcess.to_state` by term."""
    mix: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """(candidate's, stable's) requests by kind since the step began, if the versions may get different ones."""
    unlike: float = 0.0
    """What such tables of earlier steps take off the evidence, natural logarithm."""
    pods: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """(requests, events) of each pod of the candidate as evidence, if the series of a Query name pods."""
    bins: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Answers of (candidate, stable) by bin since the rollout began; distributions only."""
    sequence: Mapping[str, object] | None = None
    """`ConfidenceSequence.to_state` for the metric of an A/B test."""
    old: float | None = None
    """The most of the candidate's requests that were sent before its share changed and are still to be answered; None:
    unknown."""
    awaited: tuple["Sent", ...] = ()
    """Its requests in this step that no proof contains yet: some that were sent with them may still hang."""
    hanging: float = 0.0
    """Its requests in flight beyond those of the stable version, at the last scrape."""
    excludes: float | None = None
    """The failure share whose exclusion this step takes for the objective's proof; None: it takes the proofs alone."""
    running: Mapping[str, eprocess.EProcess] = field(default_factory=dict, compare=False, repr=False)
    """`processes` as restored by this look, to avoid doing so twice; never stored."""


@dataclass(frozen=True, slots=True)
class State:
    """The judge's whole memory."""

    since: float
    """Time of the first look."""
    step: int
    route_generation: int
    fence: float | None
    """Intervals that began before it are not evidence; None while the route is not programmed."""
    turn: int = 0
    """Whether the candidate's share rose (1) or fell (-1) at its last change; 0: it never changed, or unknown."""
    permille: int | None = None
    """That share; None if it was not recorded."""
    baking: bool = False
    active: float | None = None
    """Time of the last tick in which any counter moved; of the first look while none did. None before that."""
    counted: bool = False
    """Whether the last look found a series of the gateway's requests that is still sampled."""
    silence: Silence = Silence(None, 0.0, 0.0)
    stable_ever: bool = False
    """Whether the stable version ever had a request."""
    requests: Tally = Tally()
    step_requests: Tally = Tally()
    scrapes: int = 0
    """Scrapes of the gateway since the step began with requests of the candidate as evidence."""
    feeds: Mapping[str, series.Feed] = field(default_factory=dict)
    """Empty until the first look that was answered."""
    objectives: Mapping[str, ObjectiveState] = field(default_factory=dict)
    refusals: evidence.Counts = NO_COUNTS
    """Requests through the gateway since the step began, as evidence, and those of them that were refused."""
    refused_before: tuple[float, float] = (0.0, 0.0)
    """(requests, refused) of the stable version before this step."""
    split: Mapping[str, object] | None = None
    """`EProcess.to_state` of the check whether requests go where the route says."""
    split_requests: Tally = Tally()
    """The requests in that check in this step."""
    learnt: float | None = None
    """When the swings of the stable version's pods were last computed."""
    gone: tuple[str, ...] = ()
    """Replaced pods; their series no longer count."""
    least: tuple[float | None, float | None] = (None, None)
    """The least requests in flight since the candidate's share changed, to it and to stable; None: unknown."""
    stable_away: float | None = None
    """The last time at which no pod of the stable version was ready."""
    outage: float | None = None
    """The last time at which no pod of either version was ready."""
    beside_baseline: bool = False
    """Whether objectives that depend on pods compared the candidate with a baseline at the last look."""

    @property
    def rose(self) -> float | None:
        """Since when the candidate has its current share, if the last one was smaller; its first one is."""
        return self.fence if self.turn >= 0 else None

    @property
    def fell(self) -> float | None:
        """Since when, if the last one was larger."""
        return self.fence if self.turn < 0 else None


@dataclass(frozen=True, slots=True)
class Learnt:
    """What the objectives knew of the stable version after the judge's first look."""

    time: float
    """The newest scrape that it is from, seconds since the epoch."""
    objectives: Mapping[str, ObjectiveState]
    ready: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """When each pod became ready, by arm, as far as it is known; only once the release has ended."""


def with_ready(text: str | None, ready: Mapping[str, Sequence[float]]) -> str | None:
    """What was learnt, as JSON, with the pods of a release that ends. Those of very large arms are left out."""
    if load_learnt(text) is None:
        return text
    known = {arm: [round(time) for time in times] for arm, times in ready.items() if len(times) <= MOST_PODS}
    return json.dumps({**json.loads(text or ""), "pods": known}, separators=(",", ":"), sort_keys=True)


def dump_learnt(state: State) -> str:
    """What was learnt, as JSON. state: after the first look."""
    known = {
        name: {key: value for key, value in _dump_objective(objective).items() if key in _LEARNT}
        for name, objective in state.objectives.items()
    }
    time = max(feed.tick for feed in state.feeds.values())
    return json.dumps({"v": FORMAT, "t": time, "obj": known}, separators=(",", ":"), sort_keys=True, allow_nan=False)


def load_learnt(text: str | None) -> Learnt | None:
    """The dumped knowledge; None if there is none, or none that this version can read."""
    try:
        wire = json.loads(text or "{}")
        if wire.get("v") != FORMAT:
            return None
        blank = _dump_objective(ObjectiveState())
        known = {name: _load_objective({**blank, **objective}) for name, objective in wire["obj"].items()}
        ready = {arm: tuple(map(float, times)) for arm, times in wire.get("pods", {}).items()}
        return Learnt(float(wire["t"]), known, ready)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def dump(state: State) -> str:
    """The state as JSON; equal states give equal text."""
    wire = {
        "v": FORMAT,
        "since": state.since,
        "step": state.step,
        "gen": state.route_generation,
        "fence": state.fence,
        "turn": state.turn,
        "w": state.permille,
        "bake": state.baking,
        "active": state.active,
        "seen": state.counted,
        "still": [state.silence.moved, state.silence.began, state.silence.longest],
        "ever": state.stable_ever,
        "n": [state.requests.candidate, state.requests.stable],
        "ns": [state.step_requests.candidate, state.step_requests.stable],
        "k": state.scrapes,
        "feeds": {key: _dump_feed(feed) for key, feed in state.feeds.items()},
        "obj": {name: _dump_objective(objective) for name, objective in state.objectives.items()},
        "ref": _counts(state.refusals),
        "refb": list(state.refused_before),
        "split": state.split,
        "nsplit": [state.split_requests.candidate, state.split_requests.stable],
        **({"learnt": state.learnt} if state.learnt is not None else {}),
        **({"least": list(state.least)} if state.least != (None, None) else {}),
        "gone": list(state.gone),
        "away": state.stable_away,
        "out": state.outage,
        **({"base": True} if state.beside_baseline else {}),
    }
    return json.dumps(wire, separators=(",", ":"), sort_keys=True, allow_nan=False)


@functools.lru_cache(maxsize=16)
def load(text: str | None) -> State | None:
    """The dumped state; None if there is none, or none that this version can read: then the judge starts anew."""
    if not text:
        return None
    try:
        wire = json.loads(text)
        if wire["v"] != FORMAT:
            return None
        return State(
            since=float(wire["since"]),
            step=int(wire["step"]),
            route_generation=int(wire["gen"]),
            fence=wire["fence"],
            turn=int(wire.get("turn", 0)),
            permille=wire.get("w"),
            baking=bool(wire["bake"]),
            active=wire["active"],
            counted=bool(wire.get("seen", False)),
            # Older operators believed any silence: until a counter moves, theirs is doubted.
            silence=Silence(*wire.get("still", (wire["active"], wire["active"], _A_DAY))),
            stable_ever=bool(wire["ever"]),
            requests=Tally(*wire["n"]),
            step_requests=Tally(*wire["ns"]),
            scrapes=int(wire["k"]),
            feeds={key: series.Feed(*feed) for key, feed in wire["feeds"].items()},
            objectives={name: _load_objective(objective) for name, objective in wire["obj"].items()},
            refusals=evidence.Counts(*wire.get("ref", (0.0, 0.0, 0.0, 0.0))),
            refused_before=tuple(wire.get("refb", (0.0, 0.0))),
            split=wire.get("split"),
            split_requests=Tally(*wire.get("nsplit", (0.0, 0.0))),
            learnt=wire.get("learnt"),
            least=tuple(wire.get("least", (None, None))),
            gone=tuple(wire.get("gone", ())),
            stable_away=wire.get("away"),
            outage=wire.get("out"),
            beside_baseline=bool(wire.get("base", False)),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _dump_feed(feed: series.Feed) -> list[object]:
    known = [feed.pace, feed.tick, dict(feed.last)]
    if feed.every:
        return [*known, feed.floor, feed.every]
    return known if feed.floor is None else [*known, feed.floor]


def _dump_objective(objective: ObjectiveState) -> dict[str, Any]:
    return {
        "phi": objective.dispersion,
        **({"own": {key: _dump_own(own) for key, own in objective.own.items()}} if objective.own else {}),
        "b": objective.boundary,
        "bs": list(objective.boundaries),
        "n": _counts(objective.total),
        "ns": _counts(objective.step),
        "from": objective.step_start,
        "to": objective.step_end,
        "h": list(objective.before),
        "p": objective.bake_limit,
        **({"q": 1} if objective.asks else {}),
        "u": [objective.usual.requests, objective.usual.events, objective.usual.alarm, objective.usual.time],
        **({"bd": _dump_beside(objective.beside)} if objective.beside != Successive() else {}),
        "e": dict(objective.processes),
        **({"mx": {kind: list(cell) for kind, cell in objective.mix.items()}} if objective.mix else {}),
        **({"un": objective.unlike} if objective.unlike else {}),
        **({"pods": {pod: list(counted) for pod, counted in objective.pods.items()}} if objective.pods else {}),
        **({"bins": {name: list(counted) for name, counted in objective.bins.items()}} if objective.bins else {}),
        **({"old": objective.old} if objective.old is not None else {}),
        **({"wait": [_dump_sent(sent) for sent in objective.awaited]} if objective.awaited else {}),
        **({"hang": objective.hanging} if objective.hanging else {}),
        **({"x": objective.excludes} if objective.excludes is not None else {}),
        **({"cs": objective.sequence} if objective.sequence is not None else {}),
    }


def _dump_own(own: Own) -> list[float]:
    return [own.bursts, own.seconds, own.share]


def _dump_beside(beside: Successive) -> list[float]:
    return [beside.requests, beside.events, beside.summed, beside.pairs]


def _dump_sent(sent: Sent) -> list[float | None]:
    return [sent.time, sent.requests, sent.unanswered, sent.dispersion]


def _load_objective(wire: Mapping[str, Any]) -> ObjectiveState:
    total = evidence.Counts(*wire["n"])
    return ObjectiveState(
        dispersion=float(wire["phi"]),
        own={key: Own(*known) for key, known in wire.get("own", {}).items()},
        boundary=wire["b"],
        boundaries=tuple(wire["bs"]),
        total=total,
        step=evidence.Counts(*wire["ns"]),
        step_start=wire["from"],
        step_end=wire["to"],
        before=tuple(wire.get("h", (0.0, 0.0))),
        bake_limit=wire["p"],
        asks=bool(wire.get("q")),  # if an older operator began the release, the bake has its share of alpha
        usual=Usual(*wire.get("u", (total.stable_requests, total.stable_events))),  # older operators did not know
        beside=Successive(*wire.get("bd", ())),
        processes=wire["e"],
        mix={kind: (cell[0], cell[1]) for kind, cell in wire.get("mx", {}).items()},
        unlike=float(wire.get("un", 0.0)),
        pods={pod: (counted[0], counted[1]) for pod, counted in wire.get("pods", {}).items()},
        bins={name: (counted[0], counted[1]) for name, counted in wire.get("bins", {}).items()},
        old=wire.get("old"),
        awaited=tuple(Sent(*sent) for sent in wire.get("wait", ())),
        hanging=float(wire.get("hang", 0.0)),
        excludes=wire.get("x"),
        sequence=wire.get("cs"),
    )


def _counts(counts: evidence.Counts) -> list[float]:
    return [counts.candidate_requests, counts.candidate_events, counts.stable_requests, counts.stable_events]
