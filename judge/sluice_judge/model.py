"""The values that go into the judge."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from sluice_judge.presets import GatewayPreset, RouteRule
from sluice_judge.schema.dispersion import InitialDispersion
from sluice_judge.schema.objectives import Objective
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
class TrialPolicy:
    """What has to be shown, and how surely."""

    objectives: tuple[Objective, ...]
    alpha: float
    """False rollback probability of the whole rollout."""
    beta: float
    """False advance probability of a step."""
    idle_seconds: float
    initial_dispersion: InitialDispersion
    new_pod_seconds: float = 0.0
    """How long a new pod may be slow."""
    metric: str | None = None
    """In an A/B test: the objective that separates the arms, whose unit is a user."""
    arms: int = 1
    """How many arms share the error budget of the test."""
    asks: bool = False
    """Whether an accusation in the bake sends requests back to the stable version, to compare; from the first look on.
    False: it ends the release."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the candidate gets of the requests, and whether the route says so."""

    step: int
    """The current step from 1; when it differs from the one in `LastLook.state`, advance evidence starts anew."""
    permille: int
    """The candidate's share of the users' requests, as the route has it; 0 while it only sees mirrored or preview
    requests."""
    route_generation: int
    """When it differs from the one in `LastLook.state`, the interval is discarded."""
    route_programmed: bool
    share_checked: bool = False
    """Whether the requests (with `TrialPolicy.metric`: the users) must split as `permille` says; False where cookies,
    headers or mirrors steer them, and where pods make the shares."""
    stable_permille: int | None = None
    """In an A/B test: the stable version's share; None: all that the candidate does not get."""
    load_permille: int = 0
    """The share that the candidate's pods of this step are made for."""
    mirrored: bool = False
    """Only server failures and latency are judged on copies."""
    baking: bool = False
    """Whether the candidate has all requests."""
    probing: bool = False
    """Whether some of them go back to the stable version, to compare (`TrialPolicy.asks`)."""


@dataclass(frozen=True, slots=True)
class GatewayCounters:
    """Who counts requests on the way, and how it is scraped."""

    preset: GatewayPreset
    scrape_interval_seconds: float
    answer_seconds: float = 0.0
    """The route's time-out: how long after its request an error may be counted. Infinite: there is none."""
    namespace_label: str = "namespace"
    """The label that names a series' namespace, to which users' queries are bound; empty: to none."""


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """What is to come, for planning."""

    steps: tuple[int, ...] = ()
    """Permille of all steps."""
    deadline_seconds: float = 0.0
    """How long the whole release may take."""
    maximum_requests_at_risk: int = 0
    planned_pods: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """The pods that the candidate has at least, and those of the stable version, by permille of the steps."""


@dataclass(frozen=True, slots=True)
class Servers:
    """The versions' servers: whether they answer, and what they count themselves."""

    stable_ready: bool = True
    """Whether any pod of the stable version is ready: while none is, everything is better than it."""
    outage: bool = False
    """Whether neither version has a ready pod, though both should: then nothing that is counted is evidence."""
    downtimes: tuple[tuple[float, float], ...] = ()
    """(begin, end) in seconds since the epoch: when a release had taken the stable version down to make room. What was
    counted of it then says nothing about it."""
    own: OwnCounters = OwnCounters()
    """What the stable version's server counts: objectives of it, and how the swings of single pods can be seen."""
    candidate_own: OwnCounters = OwnCounters()
    """What the candidate's server counts, for objectives of it."""


@dataclass(frozen=True, slots=True)
class LastLook:
    """What the looks before this one have left."""

    state: str | None = None
    """ModelRollout.status.state."""
    counted: Counted | None = None
    """What the looks since then have counted that were not written, as far as the operator remembers it."""
    blind: str = ""
    """Why nothing could be seen at the last look, or empty."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What the judge knows of a running rollout."""

    now: float
    namespace: str
    name: str
    stable: Arm
    candidate: Arm
    policy: TrialPolicy
    exposure: Exposure
    gateway: GatewayCounters
    plan: ReleasePlan = ReleasePlan()
    servers: Servers = Servers()
    last: LastLook = LastLook()
    moment: float | None = None
    """Seconds since the epoch at which all samples were asked for; None: now."""
    intent_waits: bool = False
    """Whether a person's intent is to be answered that waits for no samples: then nothing is asked."""
    pending: bool = False
    """Whether its samples are on their way, and something else must not wait for them."""

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
