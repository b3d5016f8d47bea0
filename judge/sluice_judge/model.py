"""The judge's input."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
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
    """The Service whose counters are this arm's: the revision's own, or that for mirrored or preview traffic."""
    port: int
    grpc_port: int | None = None
    """Port of the Service for gRPC; None if the server does not speak it."""
    position: int = 0
    """Index of its backend in the route's main rule, for gateways that name series by position."""
    route: str = ""
    """The route whose rules lead to it; empty: the model's own, with the model's name."""
    own_rule: int | None = None
    """Index of a further rule that leads to it alone, as for sticky users of an A/B test."""
    rules: tuple[RouteRule, ...] | None = None
    """The rules of the model's routes, for gateways with ambiguous names of series. None: unknown when looking back;
    the names are then taken as they are."""
    mirrored: bool = False
    """Whether it only gets copies of requests."""
    pods: int | None = None
    """How many of its pods are ready; None: unknown."""
    ready: tuple[float, ...] = ()
    """When each of them became ready, seconds since the epoch, as far as known."""


@dataclass(frozen=True, slots=True)
class ServerTimes:
    """A histogram of a model server, for the pods of one version."""

    name: str
    bucket: str
    """The selector of its buckets."""
    unit_millis: float = 1000.0
    """Milliseconds in one unit of its `le`."""
    prompt_label: str = ""
    """The label with the prompt length of requests; empty: there is none."""
    computed_label: str = ""
    """The label with the prompt tokens that were not in the prefix cache; empty: there is none."""


@dataclass(frozen=True, slots=True)
class OwnCounters:
    """Counters of a version's server, pod by pod: selectors from its ServingRuntime; empty: not counted."""

    requests: str = ""
    failures: str = ""
    latency_bucket: str = ""
    latency_unit_millis: float = 1.0
    """Milliseconds in one unit of its `le`, if there is one."""
    lacks: str = ""
    """Where they would have to be named, in words for a person."""
    where: str = field(default="its ServingRuntime", compare=False)
    """Where they are named, in words for a person."""
    histograms: tuple[ServerTimes, ...] = ()
    prompt_tokens: str = ""
    """Buckets of a histogram of the prompts' lengths."""
    computed_tokens: str = ""
    """Buckets of a histogram of the prompts' tokens that were not in the prefix cache."""
    streams: str = ""
    broken_streams: str = ""
    prefix_cache: bool = False
    """Whether its pods reuse what they computed of a prompt for later prompts with the same beginning."""

    def histogram(self, name: str) -> ServerTimes | None:
        """The histogram of this name; None if the server has none."""
        return next((found for found in self.histograms if found.name == name), None)


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts of looks that are not written, or not yet. If they are lost, the same samples are read again."""

    candidate: str
    """The revision that is judged."""
    since: str
    """The ModelRollout.status.state, or an arm's, that they continue from: any other one is newer or older."""
    tick: float
    """The last counted sample, seconds since the epoch."""
    state: State


@dataclass(frozen=True, slots=True)
class TrialPolicy:
    """What must be proven, and how certainly."""

    objectives: tuple[Objective, ...]
    alpha: float
    """False rollback probability of the whole rollout."""
    beta: float
    """False advance probability of a step."""
    idle_seconds: float
    initial_dispersion: InitialDispersion
    new_pod_seconds: float = 0.0
    """How long a new pod may be slow."""
    cache_fill_seconds: float = 0.0
    """How long prefix caches take to fill, of a new pod or after a larger share."""
    metric: str | None = None
    """In an A/B test: the objective that separates the arms, whose unit is a user."""
    arms: int = 1
    """How many arms share the error budget of the test."""
    asks: bool = False
    """Whether an accusation in the bake sends requests back to the stable version, to compare, from the first look on.
    False: it ends the release."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """The candidate's share of the requests, and whether the route has it."""

    step: int
    """The current step from 1; if it differs from the one in `LastLook.state`, advance evidence starts anew."""
    permille: int
    """The candidate's share of the users' requests, as the route has it; 0 while it only gets mirrored or preview
    requests."""
    route_generation: int
    """If it differs from the one in `LastLook.state`, the interval is discarded."""
    route_programmed: bool
    share_checked: bool = False
    """Whether the requests (with `TrialPolicy.metric`: the users) must split as `permille` says; False if cookies,
    headers or mirrors direct them, or pods determine the shares."""
    stable_permille: int | None = None
    """In an A/B test: the stable version's share; None: all that the candidate does not get."""
    load_permille: int = 0
    """The share that the candidate's pods of this step are created for."""
    mirrored: bool = False
    """Whether the candidate gets copies; only server failures and latency are judged on them."""
    baking: bool = False
    """Whether the candidate has all requests."""
    probing: bool = False
    """Whether some of them go back to the stable version, to compare (`TrialPolicy.asks`)."""
    excludes: float | None = None
    """The failure share, 0..1, whose exclusion this step takes for a proof; None: it takes the proofs alone."""


@dataclass(frozen=True, slots=True)
class GatewayCounters:
    """The gateway that counts requests on the way, and how it is scraped."""

    preset: GatewayPreset
    scrape_interval_seconds: float
    answer_seconds: float = 0.0
    """The route's timeout: how long after its request an error may be counted. Infinite: there is none."""
    namespace_label: str = "namespace"
    """The label with a series' namespace, to which users' queries are bound; empty: to none."""


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """The rest of the release, for planning."""

    steps: tuple[int, ...] = ()
    """Permille of all steps."""
    deadline_seconds: float = 0.0
    """How long the whole release may take."""
    maximum_requests_at_risk: int = 0
    by_risk: bool = False
    """Whether the shares before the first of `steps` are chosen by what is at risk (`planning.rising_shares`)."""
    lead: int | None = None
    """The forecast's: the smaller first share, permille."""
    excludes: Mapping[int, float] = field(default_factory=dict)
    """`Exposure.excludes` by permille of the steps that have one."""
    planned_pods: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """The minimum pods of the candidate, and those of the stable version, by permille of the steps."""
    with_baseline: Set[int] = frozenset()
    """The permille of `planned_pods` at which a baseline has as many pods and requests as the candidate."""

    def pods_at(self, permille: int) -> tuple[int, int]:
        """`planned_pods` at a share; one that is not among the steps is a smaller one before the first."""
        return (
            self.planned_pods.get(permille) or self.planned_pods[min(self.planned_pods)]
            if self.planned_pods
            else (1, 1)
        )

    def has_baseline(self, permille: int) -> bool:
        """Whether a baseline is planned at a share, likewise."""
        known = permille if permille in self.planned_pods else min(self.planned_pods, default=permille)
        return known in self.with_baseline


@dataclass(frozen=True, slots=True)
class Servers:
    """The versions' servers: whether they answer, and their own counters."""

    stable_ready: bool = True
    """Whether any pod of the stable version is ready: while none is, everything is better than it."""
    outage: bool = False
    """Whether neither version has a ready pod, though both should: then no counts are evidence."""
    downtimes: tuple[tuple[float, float], ...] = ()
    """(begin, end) in seconds since the epoch: when releases had taken the stable version down to make room. Its counts
    from then say nothing about it."""
    own: OwnCounters = OwnCounters()
    """The stable version's server's counters: for objectives on them, and for the swings of single pods."""
    candidate_own: OwnCounters = OwnCounters()
    """The candidate's server's counters, for objectives on them."""
    baseline_own: OwnCounters = OwnCounters()
    """The baseline's, likewise."""


@dataclass(frozen=True, slots=True)
class LastLook:
    """The results of earlier looks."""

    state: str | None = None
    """ModelRollout.status.state."""
    counted: Counted | None = None
    """Unwritten counts of later looks, as far as the operator remembers them."""
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
    baseline: Arm | None = None
    """Pods of the stable version that were started for the release, as many as the candidate's and with the same share:
    while they serve, response times are compared with theirs."""
    moment: float | None = None
    """Seconds since the epoch at which all samples were queried; None: now."""
    intent_waits: bool = False
    """Whether a person's intent is to be answered that does not wait for samples: then nothing is queried."""
    pending: bool = False
    """Whether its samples are in flight, and something else must not wait for them."""

    @property
    def asked(self) -> float:
        """The time of the answers, seconds since the epoch: younger samples may be missing in some of them."""
        return self.now if self.moment is None else min(self.now, self.moment)

    @property
    def beside_baseline(self) -> "Trial":
        """The trial with the baseline in the stable version's place; without one, the trial itself."""
        if self.baseline is None:
            return self
        return replace(
            self,
            stable=self.baseline,
            exposure=replace(self.exposure, stable_permille=self.exposure.permille),
            servers=replace(self.servers, own=self.servers.baseline_own),
        )


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """What a step is expected to need in all."""

    permille: int
    requests_needed: int | None
    """Candidate requests; None where evidence cannot decide it."""
    seconds: float | None
    """Seconds at the observed rate; None if there was none."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is known before the first weight, from the stable version's last 24 hours."""

    rate: float
    """Requests per second of the stable version."""
    steps: tuple[PlannedStep, ...]
    """The lead step first, if there is one."""
    lead_permille: int | None
    """A smaller first weight, so that one scrape risks no more than allowed."""
    smallest_permille: int | None
    """The smallest first weight that can decide before the deadline, if the first one cannot."""
    message: str
    """In words for a person: requests and time of each step, and what to change if it cannot work."""
    silent: bool = False
    """Whether the stable version had no request in that time."""


@dataclass(frozen=True, slots=True)
class Question:
    """Raw samples to query from Prometheus: `selector[window]`."""

    key: str
    """Names the answer in `Answers`."""
    selector: str
    window_seconds: int
    step_seconds: int | None = None
    """Thinned out to one sample in this many seconds, for long windows; None: every sample."""
    preset: bool = False
    """Whether it comes from the gateway's preset, so that it may be joined with others' (`joined`); otherwise from a
    user.
    """
    told_by: tuple[str, ...] = ()
    """Labels by whose values a user's question is joined with others' of the same wording."""
    summed_by: tuple[str, ...] | None = None
    """In place of raw samples: the growth of the counters in the window, summed by these labels; `__name__` may be one
    of them. Not for evidence of a release, see docs/decisions/watch.md."""
    newest: bool = False
    """With `summed_by`: instead of their growth, their current values: the largest of those with equal labels."""
    most_series: int | None = None
    """With `summed_by`: groups of the first two labels with more series are left out of the answer."""


@dataclass(frozen=True, slots=True)
class Series:
    """Raw samples of one series."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]
    """(seconds since the epoch, value), oldest first."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Prometheus' answer, maybe without series."""

    series: tuple[Series, ...]
    unreadable: tuple[Mapping[str, str], ...] = ()
    """The labels of series whose values are all NaN: their counts are not 0, but unknown."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Prometheus could not be queried, or does not answer this question."""

    message: str
    refused: bool = False
    """Whether the question itself is refused, for example for selecting too many samples: others may be answered."""
    too_large: bool = False
    """Whether its answer is refused for its size: one over a shorter window may be small enough."""


Answer: TypeAlias = Answered | Failed
Answers: TypeAlias = Mapping[str, Answer]
