"""The values that go into the judge and come out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from sluice_judge.grounds import Ground
from sluice_judge.presets import GatewayPreset, RouteRule
from sluice_judge.schema.dispersion import InitialDispersion
from sluice_judge.schema.objectives import Objective
from sluice_judge.schema.verdict import ObjectiveStatus
from sluice_judge.state import State


@dataclass(frozen=True, slots=True)
class Arm:
    """One side of the comparison."""

    revision: str
    service: str
    """The Service whose counters are this arm's: the revision's own, or that of mirrored or preview traffic."""
    port: int
    grpc_port: int | None = None
    """Port of the Service for gRPC; None where the server speaks none."""
    position: int = 0
    """Index of its backend in the route's main rule, for gateways that name series by position."""
    route: str = ""
    """The route whose rules lead to it; empty: the model's own, named as the model is."""
    own_rule: int | None = None
    """Index of a further rule that leads to it alone, as sticky users of an A/B test have it."""
    rules: tuple[RouteRule, ...] | None = None
    """The rules of the model's routes, for gateways whose names of series can be confused. None: whoever only looks
    back does not know them, and takes the names as they are."""
    mirrored: bool = False
    """Whether it only gets copies of requests."""
    pods: int | None = None
    """How many of its pods are ready; None: nobody knows."""
    ready: tuple[float, ...] = ()
    """When each of them became ready, seconds since the epoch, as far as that is known."""


@dataclass(frozen=True, slots=True)
class ServerTimes:
    """A histogram of a model server, for the pods of one version."""

    name: str
    bucket: str
    """The selector of its buckets."""
    unit_millis: float = 1000.0
    """Milliseconds in one unit of its `le`."""
    prompt_label: str = ""
    """The label that tells prompts apart by their length; empty: none does."""


@dataclass(frozen=True, slots=True)
class OwnCounters:
    """What a version's server counts itself, pod by pod: selectors, as its ServingRuntime names them; empty: not."""

    requests: str = ""
    failures: str = ""
    latency_bucket: str = ""
    latency_unit_millis: float = 1.0
    """Milliseconds in one unit of its `le`, where there is one."""
    lacks: str = ""
    """Who would have to name them, in words for a person."""
    where: str = field(default="its ServingRuntime", compare=False)
    """What names them, in words for a person."""
    histograms: tuple[ServerTimes, ...] = ()
    prompt_tokens: str = ""
    """Buckets of a histogram of the prompts' lengths."""
    streams: str = ""
    broken_streams: str = ""
    prefix_cache: bool = False
    """Whether its pods reuse what they computed of a prompt for later prompts that begin alike."""

    def histogram(self, name: str) -> ServerTimes | None:
        """The one of this name; None where the server has none."""
        return next((found for found in self.histograms if found.name == name), None)


@dataclass(frozen=True, slots=True)
class Counted:
    """What looks have counted that are not written, or not yet. Whoever forgets it reads the same samples again."""

    candidate: str
    """The revision that is judged."""
    since: str
    """The ModelRollout.status.state, or that of an arm, that they go on from: any other one is newer or older."""
    tick: float
    """The last sample that is counted there, seconds since the epoch."""
    state: State


@dataclass(frozen=True, slots=True)
class Trial:
    """What the judge knows of a running rollout."""

    now: float
    namespace: str
    name: str
    stable: Arm
    candidate: Arm
    objectives: tuple[Objective, ...]
    alpha: float
    """False rollback probability of the whole rollout."""
    beta: float
    """False advance probability of a step."""
    step: int
    """The current step from 1; when it differs from the one in `state`, advance evidence starts anew."""
    permille: int
    """The candidate's share of the users' requests, as the route has it; 0 while it only sees mirrored or preview
    requests."""
    share_checked: bool
    """Whether the requests (with `metric`: the users) must split as `permille` says; False where cookies, headers or
    mirrors steer them, and where pods make the shares."""
    baking: bool
    """Whether the candidate has all requests."""
    scrape_interval_seconds: float
    idle_seconds: float
    initial_dispersion: InitialDispersion
    route_generation: int
    """When it differs from the one in `state`, the interval is discarded."""
    route_programmed: bool
    preset: GatewayPreset
    state: str | None
    """ModelRollout.status.state."""
    counted: Counted | None = None
    """What the looks since then have counted that were not written, as far as the operator remembers it."""
    metric: str | None = None
    """In an A/B test: the objective that separates the arms, whose unit is a user."""
    arms: int = 1
    """How many arms share the error budget of the test."""
    stable_permille: int | None = None
    """In an A/B test: the stable version's share; None: all that the candidate does not get."""
    asks: bool = False
    """Whether an accusation in the bake sends requests back to the stable version, to compare; from the first look on.
    False: it ends the release."""
    probing: bool = False
    """Whether they are compared so."""
    mirrored: bool = False
    """Only server failures and latency are judged on copies."""
    steps: tuple[int, ...] = ()
    """Permille of all steps, for planning."""
    deadline_seconds: float = 0.0
    """How long the whole release may take, for planning."""
    maximum_requests_at_risk: int = 0
    answer_seconds: float = 0.0
    """The route's time-out: how long after its request an error may be counted. Infinite: there is none."""
    stable_ready: bool = True
    """Whether any pod of the stable version is ready: while none is, everything is better than it."""
    outage: bool = False
    """Whether neither version has a ready pod, though both should: then nothing that is counted is evidence."""
    blind: str = ""
    """Why nothing could be seen at the last look, or empty."""
    wished: bool = False
    """Whether a person's wish is to be answered that waits for no samples: then nothing is asked."""
    pending: bool = False
    """Whether its samples are on their way, and something else must not wait for them."""
    moment: float | None = None
    """Seconds since the epoch at which all samples were asked for; None: now."""
    namespace_label: str = "namespace"
    """The label that names a series' namespace, to which users' queries are bound; empty: to none."""
    own: OwnCounters = OwnCounters()
    """What the stable version's server counts: objectives of it, and how the swings of single pods can be seen."""
    candidate_own: OwnCounters = OwnCounters()
    """What the candidate's server counts, for objectives of it."""
    new_pod_seconds: float = 0.0
    """How long a new pod may be slow."""
    planned_pods: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """The pods that the candidate has at least, and those of the stable version, by permille of the steps."""
    load_permille: int = 0
    """The share that the candidate's pods of this step are made for."""
    downtimes: tuple[tuple[float, float], ...] = ()
    """(begin, end) in seconds since the epoch: when a release had taken the stable version down to make room. What was
    counted of it then says nothing about it."""

    @property
    def asked(self) -> float:
        """The time of the answers, seconds since the epoch: younger samples may be missing in some of them."""
        return self.now if self.moment is None else min(self.now, self.moment)


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """What a step is expected to need in all."""

    permille: int
    requests_needed: int | None
    """Candidate requests; None where evidence cannot decide it."""
    seconds: float | None
    """Seconds at the rate that was seen; None where there was none."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is known before the first weight, from the stable version's last 24 hours."""

    rate: float
    """Requests per second of the stable version."""
    steps: tuple[PlannedStep, ...]
    """The lead step first, where there is one."""
    lead_permille: int | None
    """A smaller first weight, so that one scrape risks no more than it may."""
    smallest_permille: int | None
    """The smallest first weight that can decide before the deadline, where the first one cannot."""
    message: str
    """In words for a person: requests and time of each step, and what to change where it cannot work."""
    silent: bool = False
    """Whether nobody has used the stable version in that time."""


@dataclass(frozen=True, slots=True)
class Separation:
    """What an arm's business metric says, against the stable version."""

    verdict: str
    """Better, Worse, or empty while the confidence sequence contains 1."""
    ratio: float | None
    low: float | None
    """Confidence sequence of the ratio of the two rates; None while it has no end on this side."""
    high: float | None
    users: int
    """Users counted on the arm."""
    stable_users: int


@dataclass(frozen=True, slots=True)
class Question:
    """Raw samples wanted from Prometheus: `selector[window]`."""

    key: str
    """Names the answer in `Answers`."""
    selector: str
    window_seconds: int
    step_seconds: int | None = None
    """Thinned out to one sample in so many seconds, for long windows; None: every sample."""
    preset: bool = False
    """Whether the gateway's preset words it, so that it may be asked together with others' (`joined`); else a user."""
    told_by: tuple[str, ...] = ()
    """Labels by whose values what a user has worded is asked together with others' of the same wording."""
    summed_by: tuple[str, ...] | None = None
    """In place of raw samples: the growth of the counters in the window, summed by these labels; `__name__` may be one
    of them. No evidence of a release, see docs/decisions/watch.md."""
    newest: bool = False
    """With `summed_by`: instead of their growth, what they show now: the largest of those alike in these labels."""
    most_series: int | None = None
    """With `summed_by`: whatever has more series, as its first two labels tell, is left out of the answer."""


@dataclass(frozen=True, slots=True)
class Series:
    """Raw samples of one series."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]
    """(seconds since the epoch, value), oldest first."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What Prometheus has; no series is an answer, too."""

    series: tuple[Series, ...]
    unreadable: tuple[Mapping[str, str], ...] = ()
    """The labels of series that are there, and of which every value is NaN: what they count is not 0, but unknown."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Prometheus could not be asked, or does not answer this."""

    message: str
    refused: bool = False
    """Whether the question itself is refused, as one that selects too many samples: others may be answered."""
    too_large: bool = False
    """Whether its answer is refused for its size: that over a shorter window may be small enough."""


Answer: TypeAlias = Answered | Failed
Answers: TypeAlias = Mapping[str, Answer]


@dataclass(frozen=True, slots=True)
class Accusation:
    """What speaks against the candidate."""

    rollback_log: float
    """Combined rollback evidence, natural logarithm."""
    threshold_log: float
    """ln(1/alpha): what rolls back."""
    bake_log: float
    """What speaks against the candidate in the bake alone (for superseding in it), natural logarithm; 0 before it."""
    ground: Ground
    """What the decisive objective says of it: that it is worse, or over a limit that the stable version keeps."""
    decisive: str
    """Name of the objective with the most rollback evidence, with its counts, in words for a person."""
    doubt: str = ""
    """What speaks against the candidate, in words for a person, while it may be an accident yet; or empty."""
    asks: str = ""
    """What speaks against a candidate that has all requests, in words for a person, where the stable version is to be
    asked whether it does better; or empty."""
    refuses: str = ""
    """That the candidate, unlike the stable version, refuses nearly every request, in words for a person; or empty."""
    bad_pod: str = ""
    """The pod without which the candidate would be fine: to be replaced once instead of rolling back."""

    @property
    def against(self) -> tuple[Ground, str] | None:
        """Why the candidate has to go, with words for a person; None while what speaks against it is not enough."""
        if self.rollback_log >= self.threshold_log:
            return self.ground, self.decisive
        return (Ground.REFUSES_REQUESTS, self.refuses) if self.refuses else None

    @property
    def clean(self) -> bool:
        """Whether next to nothing speaks against the candidate in the bake."""
        return self.against is None and self.bake_log < self.threshold_log / 2


@dataclass(frozen=True, slots=True)
class Proof:
    """What speaks for the candidate, and what it needs yet."""

    complete: bool
    """Every required objective has its proof for this step."""
    missing: str
    """What is still missing for the proof, in words for a person; empty when all is proven."""
    requests_needed: int | None
    eta_seconds: float | None
    ahead: tuple[PlannedStep, ...] = ()
    """What the steps after this one need, by what is seen in it; empty where that cannot be told anew."""
    baked: bool = False
    """Whether the bake has shown that its version is good, and sees on: every required objective that it watches has its
    proof, and it watches one."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Whether anything can be seen, and whether there is anything to see."""

    blind: str = ""
    """Why nothing can be seen (Prometheus away, target not sampled, series missing), or empty."""
    blind_for_seconds: float = 0.0
    idle_since: float | None = None
    """Time since which no counter has moved, the gateway's or an objective's, if that is as long as the trial's
    idle_seconds; None otherwise."""
    looked: bool = True
    """Whether Prometheus was asked; otherwise it is what was seen at the last look."""

    @property
    def idle(self) -> bool:
        """Whether nobody asks for the model at all."""
        return self.idle_since is not None


@dataclass(frozen=True, slots=True)
class CountedRequests:
    """Requests since the rollout began, and in its step."""

    candidate: int
    stable: int
    step_candidate: int
    step_stable: int
    scrapes: int
    """Informative scrapes since the step began."""


@dataclass(frozen=True, slots=True)
class NextState:
    """What the next look goes on from."""

    text: str
    """Goes to ModelRollout.status.state; equal to the old one when nothing new was seen."""
    counts_only: bool = False
    """Whether nothing has happened since what is written but that counters went on, for less than
    `judge.COUNTED_SECONDS`, and hardly anything speaks against the candidate: the next look can count it again from
    there."""
    counted: Counted | None = None
    """What the next look goes on with until `text` is written, so that it does not have to count it again; None where
    nothing was counted."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the counters say; the gates make a verdict of it."""

    objectives: tuple[ObjectiveStatus, ...]
    accusation: Accusation
    proof: Proof
    sight: Sight
    requests: CountedRequests
    next_state: NextState
    next_look_seconds: float
    """When a new sample is due."""
    split_mismatch: str = ""
    """How the requests are split against how they should be, when the evidence says that these differ; or empty."""
    separation: Separation | None = None
    """In an A/B test: what its metric says."""

    @property
    def passes_on(self) -> bool:
        """Whether a bake that is superseded makes its version the stable one."""
        return self.proof.baked and not self.sight.blind and self.accusation.clean
