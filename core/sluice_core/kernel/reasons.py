"""Every reason that Sluice gives, in one table, and a type for those of others.

    Reason          our own: of conditions, decisions, events, verdicts, timeline entries
    Numbered        our own with a number at the end: Weight25, Mirror100
    ForeignReason   of pods, their containers and their controllers; PodReason are those known by name

A reason is a plain string on the wire, and read back by `Reason.of`. What follows from one is a property here, so that
no code compares reasons; its explanation for people is in `views/releases/reasons.py`.
"""

import functools
import re
from contextlib import suppress
from enum import Flag, ReprEnum, StrEnum, auto
from typing import Final, Self, TypeAlias


class Mark(Flag):
    """What is special about a reason; without a mark it is worth a warning."""

    CALM = auto()
    """All is well, or no action is needed: no warning."""
    STALLS = auto()
    """Waiting does not cure it: the user, or the platform team, must change something."""
    QUIET = auto()
    """It is temporary: no event, and no entry in the timeline."""
    BY_RELEASE = auto()
    """The timeline of the release reports it: a condition that has it adds no event."""
    BY_CONDITION = auto()
    """The condition reports it if it lasts: its entry in the timeline adds no event."""
    AT_REST = auto()
    """A condition is Unknown because no one needs to know."""
    VALIDATES = auto()
    """The candidate answers labelled data before it has a pod."""


CALM, STALLS, QUIET, BY_RELEASE, BY_CONDITION, AT_REST, VALIDATES = Mark
UNMARKED: Final = Mark(0)


class Reason(StrEnum):
    """Each with the page of its row in docs/runbooks/README.md, if it has one, and its marks."""

    runbook: str
    marks: Mark

    def __new__(cls, word: str, runbook: str = "", marks: Mark = UNMARKED) -> Self:
        member = str.__new__(cls, word)
        member._value_ = word
        member.runbook = runbook
        member.marks = marks
        return member

    # A release is rolled back, or has ended
    WORSE_THAN_STABLE = "WorseThanStable", "rolled-back.md"
    OVER_LIMIT = "OverLimit", "rolled-back.md"
    REFUSES_REQUESTS = "RefusesRequests", "rolled-back.md"
    CANDIDATE_DOWN = "CandidateDown", "rolled-back.md"
    RESTARTING = "Restarting", "rolled-back.md"
    ROLLED_BACK = "RolledBack", "rolled-back.md", BY_RELEASE | STALLS
    ABORTED = "Aborted", "rolled-back.md", BY_RELEASE | STALLS
    EVERY_ARM_ENDED = "EveryArmEnded", "rolled-back.md"
    REVISION_LOST = "RevisionLost"
    FIRST_VERSION = "FirstVersion", "", CALM
    PROMOTED = "Promoted", "", CALM
    SUPERSEDED = "Superseded", "", CALM
    SUPERSEDED_IN_BAKE = "SupersededInBake", "", CALM
    RESTORED = "Restored", "restore.md", CALM
    REMEMBERED = "Remembered", "../gitops.md#delete-and-create-again", CALM
    NO_SEPARATION = "NoSeparation", "", CALM
    INCONCLUSIVE = "Inconclusive", "", CALM

    # It waits
    GATHERING_EVIDENCE = "GatheringEvidence", "waiting.md", QUIET
    MINIMUM_TIME = "MinimumTime", "waiting.md#held-by-people-and-rules", QUIET
    MINIMUM_REQUESTS = "MinimumRequests", "waiting.md#held-by-people-and-rules", QUIET
    ROUTE_CHANGING = "RouteChanging", "waiting.md", QUIET
    CANDIDATE_NOT_READY = "CandidateNotReady", "waiting.md", QUIET
    SCALING_CANDIDATE = "ScalingCandidate", "waiting.md", QUIET
    CANDIDATE_CARRIES = "CandidateCarries", "waiting.md", QUIET
    SHRINKING_STABLE = "ShrinkingStable", "", QUIET
    CAPACITY_UNAVAILABLE = "CapacityUnavailable", "waiting.md#capacity"
    BAKING = "Baking", "waiting.md", CALM
    BAKING_WITHOUT_TRAFFIC = "BakingWithoutTraffic", "waiting.md", CALM
    PROBING_STABLE = "ProbingStable", "waiting.md#probing-stable"
    PROBE_OVER = "ProbeOver", "waiting.md#probing-stable", CALM
    BASELINE_WORSE = "BaselineWorse", "waiting.md#baseline-worse"
    PAUSED = "Paused", "waiting.md", CALM
    PAUSED_AT_STEP = "PausedAtStep", "waiting.md#held-by-people-and-rules", CALM
    FROZEN = "Frozen", "waiting.md#held-by-people-and-rules", CALM | BY_RELEASE
    DEADLINE_EXCEEDED = "DeadlineExceeded", "waiting.md"
    METRICS_UNAVAILABLE = "MetricsUnavailable", "blind.md", BY_CONDITION
    ROUTE_NOT_PROGRAMMED = "RouteNotProgrammed", "routing.md"
    SPLIT_MISMATCH = "SplitMismatch", "routing.md#requests-are-not-split-as-the-route-says"
    REPLACING_POD = "ReplacingPod", "rolled-back.md#one-bad-pod"
    STABLE_VERSION_LOST = "StableVersionLost", "rolled-back.md#stable-version-lost", STALLS

    # It continues
    CANDIDATE_READY = "CandidateReady", "", CALM
    ARMS_READY = "ArmsReady", "", CALM
    PROVEN = "Proven", "", CALM
    IDLE = "Idle", "waiting.md", CALM
    PREVIEW_OVER = "PreviewOver", "", CALM
    SKIPPED_BY_PERSON = "SkippedByPerson", "", CALM
    PROMOTED_BY_PERSON = "PromotedByPerson", "", CALM
    ARM_IS_BETTER = "ArmIsBetter", "../strategies/abtest.md", CALM

    # Labelled data are answered first
    VALIDATING = "Validating", "../validation.md#what-happens", CALM | VALIDATES
    VALIDATED = "Validated", "../validation.md", CALM | VALIDATES
    VALIDATION_FAILED = "ValidationFailed", "../validation.md#what-happens", VALIDATES
    VALIDATION_INCONCLUSIVE = "ValidationInconclusive", "../validation.md#what-happens", STALLS | VALIDATES
    VALIDATION_ERROR = "ValidationError", "../validation.md#what-happens", STALLS | VALIDATES

    # Events of the timeline: begun, entered, requested by a person
    ROLLOUT_STARTED = "RolloutStarted", "", CALM
    ROLLOUT_PLANNED = "RolloutPlanned", "", CALM
    WEIGHT = "Weight", "", CALM
    MIRROR = "Mirror", "", CALM
    PREVIEW = "Preview", "", CALM
    ARM_ENDED = "ArmEnded", "../strategies/abtest.md"
    WORSE_METRIC = "WorseMetric"
    PAUSE = "Pause", "", CALM
    RESUME = "Resume", "", CALM
    PROMOTE = "Promote", "", CALM
    SKIP_STEP = "SkipStep", "", CALM
    RETRY = "Retry", "", CALM
    ABORT = "Abort"
    ROLL_BACK = "Rollback"
    DRIFT_CORRECTED = "DriftCorrected", "routing.md"

    # The requested version cannot be tried, or is not released
    INVALID_SPEC = "InvalidSpec", "stalled.md", STALLS
    OPERATOR_DEFECT = "OperatorDefect", "stalled.md", STALLS
    NAME_TAKEN = "NameTaken", "stalled.md", STALLS
    UNSUPPORTED_SCHEME = "UnsupportedScheme", "stalled.md", STALLS
    FORMAT_NOT_ALLOWED = "FormatNotAllowed", "stalled.md", STALLS
    POD_FIELD_NOT_ALLOWED = "PodFieldNotAllowed", "stalled.md", STALLS
    NOT_VERIFIABLE = "NotVerifiable", "stalled.md", STALLS
    FORMAT_NOT_SUPPORTED = "FormatNotSupported", "stalled.md", STALLS
    RUNTIME_NOT_FOUND = "RuntimeNotFound", "stalled.md", STALLS
    RUNTIME_INVALID = "RuntimeInvalid", "stalled.md", STALLS
    ACCELERATOR_PROFILE_NOT_FOUND = "AcceleratorProfileNotFound", "stalled.md", STALLS
    WARM_UP_NOT_POSSIBLE = "WarmUpNotPossible", "stalled.md", STALLS
    BATCHING_NOT_SUPPORTED = "BatchingNotSupported", "stalled.md", STALLS
    TUNING_NOT_SUPPORTED = "TuningNotSupported", "stalled.md", STALLS
    ADAPTERS_NOT_SUPPORTED = "AdaptersNotSupported", "stalled.md", STALLS
    POLICY_NOT_FOUND = "PolicyNotFound", "stalled.md", STALLS
    POLICY_INVALID = "PolicyInvalid", "stalled.md", STALLS
    MIRROR_NOT_SUPPORTED = "MirrorNotSupported", "stalled.md", STALLS
    GATEWAY_NEEDED = "GatewayNeeded", "stalled.md", STALLS
    KEDA_MISSING = "KedaMissing", "stalled.md", STALLS
    SCALING_METRIC_NOT_SUPPORTED = "ScalingMetricNotSupported", "stalled.md", STALLS
    VARIANT_PENDING = "VariantPending", "../variants.md", CALM | QUIET
    VARIANT_FAILED = "VariantFailed", "../variants.md"
    VARIANT_READY = "VariantReady", "../variants.md", CALM
    ROLLED_BACK_BY_PERSON = "RolledBackByPerson", "", BY_RELEASE | STALLS
    ROLLED_BACK_BY_WATCH = "RolledBackByWatch", "worse-than-before.md", BY_RELEASE | STALLS
    WINNER_PROMOTED = "WinnerPromoted", "", BY_RELEASE

    # The operator has no permission, or the API server refuses the object
    FORBIDDEN = "Forbidden", "forbidden.md", STALLS
    REFUSED = "Refused", "forbidden.md", STALLS
    MISSING = "Missing", "forbidden.md", STALLS

    # Conditions of a ModelDeployment
    SERVING = "Serving", "", CALM
    SCALED_TO_ZERO = "ScaledToZero", "../autoscaling.md#scaling-to-zero", CALM
    NO_STABLE_VERSION = "NoStableVersion", "model-does-not-load.md", QUIET
    PODS_NOT_READY = "PodsNotReady", "model-does-not-load.md", QUIET
    RECONCILED = "Reconciled", "", CALM
    STARTING = "Starting", "", CALM
    ROLLOUT_RUNNING = "RolloutRunning", "waiting.md", CALM | QUIET
    PROGRESSING = "Progressing", "", CALM | QUIET
    RESTORING_STABLE = "RestoringStable", "", CALM | QUIET
    STALLED = "Stalled", "", CALM
    NOT_STALLED = "NotStalled", "", CALM
    CURRENT = "Current", "", CALM
    NEWER_RUNTIME = "NewerRuntime", "stalled.md"
    PROGRAMMED = "Programmed", "", CALM
    OBSERVING = "Observing", "", CALM
    OBSERVER_NOT_READY = "ObserverNotReady", "../drift.md#when-it-does-not-count", QUIET
    OBSERVER_NOT_SUPPORTED = "ObserverNotSupported", "../drift.md#which-gateways"
    LIMIT_NOT_KEPT = "LimitNotKept", "routing.md#limits-that-the-gateway-does-not-keep", CALM
    APPROXIMATE = "Approximate", "../without-a-gateway.md", CALM
    GATEWAY_API_MISSING = "GatewayAPIMissing", "routing.md"
    GATEWAY_NOT_FOUND = "GatewayNotFound", "routing.md"
    HOSTNAME_NOT_ALLOWED = "HostnameNotAllowed", "routing.md#addresses-of-others", STALLS
    GATEWAY_NOT_ALLOWED = "GatewayNotAllowed", "routing.md#addresses-of-others", STALLS
    HOSTNAME_TAKEN = "HostnameTaken", "routing.md", STALLS
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted", "routing.md"
    WAITING_FOR_GATEWAY = "WaitingForGateway", "routing.md", QUIET
    WAITING_FOR_SERVICE = "WaitingForService", "routing.md", QUIET
    SCHEDULED = "Scheduled", "", CALM
    NOTHING_TO_ROUTE = "NothingToRoute", "", CALM | AT_REST
    NOTHING_TO_RUN = "NothingToRun", "", CALM | AT_REST
    MEASURED = "Measured", "", CALM
    METRICS_LATE = "MetricsLate", "blind.md", CALM
    NOTHING_TO_MEASURE = "NothingToMeasure", "", CALM | AT_REST
    SCALING = "Scaling", "", CALM
    NOT_AUTOSCALED = "NotAutoscaled", "", CALM | AT_REST
    LOAD_NOT_MEASURED = "LoadNotMeasured", "../autoscaling.md#when-the-number-of-pods-does-not-move", QUIET
    WAITING_FOR_AUTOSCALER = "WaitingForAutoscaler", "../autoscaling.md#when-the-number-of-pods-does-not-move", CALM

    # A registry's answers for spec.model.uri
    FOLLOWING = "Following", "", CALM
    RESOLVING = "Resolving", "../registry.md#when-it-does-not-follow", CALM | QUIET
    RESOLVER_NOT_READY = "ResolverNotReady", "../registry.md#when-it-does-not-follow"
    NOT_IN_REGISTRY = "NotInRegistry", "../registry.md#when-it-does-not-follow"
    REGISTRY_NOT_NAMED = "RegistryNotNamed", "../registry.md#when-it-does-not-follow"
    REGISTRY_REFUSES = "RegistryRefuses", "../registry.md#when-it-does-not-follow"
    REGISTRY_UNREACHABLE = "RegistryUnreachable", "../registry.md#when-it-does-not-follow"
    ARTIFACT_NOT_SUPPORTED = "ArtifactNotSupported", "../registry.md#when-it-does-not-follow"

    # The watch over the stable version
    STEADY = "Steady", "", CALM
    WORSE_THAN_BEFORE = "WorseThanBefore", "worse-than-before.md"
    NO_LONGER_WORSE = "NoLongerWorse", "worse-than-before.md", CALM
    INPUTS_MOVED = "InputsMoved", "inputs-moved.md"
    INPUTS_AS_EXPECTED = "InputsAsExpected", "inputs-moved.md", CALM
    WATCH_LEARNS = "WatchLearns", "", CALM | AT_REST
    WATCH_RESTS = "WatchRests", "", CALM | AT_REST
    WATCH_BLIND = "WatchBlind", "blind.md#the-watch"
    NOTHING_TO_WATCH = "NothingToWatch", "../watch.md#what-can-be-watched"

    # Pods, with reasons of our own
    CREDENTIALS_NOT_FOUND = "CredentialsNotFound", "model-does-not-load.md"
    MODEL_DOWNLOAD_FAILED = "ModelDownloadFailed", "model-does-not-load.md"
    MODEL_NOT_READY = "ModelNotReady", "model-does-not-load.md"
    POD_FAILED = "PodFailed", "model-does-not-load.md"

    # A BatchInference
    SUSPENDED = "Suspended", "batch.md", CALM
    SUSPENDED_BY_SPEC = "SuspendedBySpec", "", CALM
    NOT_SUSPENDED = "NotSuspended", "", CALM
    RUNNING = "Running", "", CALM
    NOT_FAILED = "NotFailed", "", CALM
    RUN_STARTED = "RunStarted", "", CALM
    RUN_COMPLETED = "RunCompleted", "", CALM
    RUN_REPLACED = "RunReplaced", "", CALM
    RUN_FAILED = "RunFailed", "batch.md"
    REPLACED = "Replaced", "", CALM
    REPLACING = "Replacing", "batch.md", CALM | QUIET
    SCHEDULE_SKIPPED = "ScheduleSkipped", "batch.md"
    SHARD_RETRIED = "ShardRetried", "batch.md"
    SHARD_FAILED = "ShardFailed", "batch.md"
    JOB_FAILED = "JobFailed", "batch.md"
    SUBMISSION_FAILED = "SubmissionFailed", "batch.md"
    SPARK_APPLICATION_FAILED = "SparkApplicationFailed", "batch.md"
    NOT_TAKEN_UP = "NotTakenUp", "batch.md"
    INVALID_SCHEDULE = "InvalidSchedule", "batch.md", STALLS
    MODEL_DEPLOYMENT_NOT_FOUND = "ModelDeploymentNotFound", "batch.md"
    STABLE_NOT_FOUND = "StableNotFound", "batch.md"
    CANDIDATE_NOT_FOUND = "CandidateNotFound", "batch.md"
    REVISION_NOT_FOUND = "RevisionNotFound", "batch.md"
    PROTOCOL_NOT_SUPPORTED = "ProtocolNotSupported", "batch.md", STALLS
    TOO_LITTLE_MEMORY = "TooLittleMemory", "batch.md", STALLS
    ACCOUNT_NOT_ALLOWED = "AccountNotAllowed", "batch.md", STALLS

    @property
    def kind(self) -> "Reason":
        """Itself; for a numbered one, the reason without its number."""
        return self

    @staticmethod
    @functools.lru_cache(maxsize=512)
    def of(text: str) -> "AnyReason":
        """The reason in a status or a person's text: ours if known, foreign otherwise."""
        with suppress(ValueError):
            return Reason(text)
        numbered = NUMBERED.fullmatch(text)
        return Numbered(Reason(numbered[1]), float(numbered[2])) if numbered is not None else ForeignReason(text)


class Numbered(str):
    """A reason with a number at the end, such as Weight12.5."""

    kind: Reason

    def __new__(cls, kind: Reason, number: float) -> Self:
        made = super().__new__(cls, f"{kind}{number:g}")
        made.kind = kind
        return made

    @property
    def marks(self) -> Mark:
        return self.kind.marks


class ForeignReason(str):
    """A reason of another component."""

    __slots__ = ()
    marks: Final = UNMARKED

    @property
    def kind(self) -> "ForeignReason":
        return self


class PodReason(ForeignReason, ReprEnum):
    """The foreign reasons that are known by name; each has a row in docs/runbooks/README.md, too."""

    # From the scheduler, controllers and the kubelet
    UNSCHEDULABLE = "Unschedulable"
    FAILED_CREATE = "FailedCreate"
    ERR_IMAGE_PULL = "ErrImagePull"
    IMAGE_PULL_BACK_OFF = "ImagePullBackOff"
    ERR_IMAGE_NEVER_PULL = "ErrImageNeverPull"
    INVALID_IMAGE_NAME = "InvalidImageName"
    CREATE_CONTAINER_CONFIG_ERROR = "CreateContainerConfigError"
    CREATE_CONTAINER_ERROR = "CreateContainerError"
    RUN_CONTAINER_ERROR = "RunContainerError"
    OOM_KILLED = "OOMKilled"
    CRASH_LOOP_BACK_OFF = "CrashLoopBackOff"

    # Termination messages: of the downloader, the model server, and the warm-up
    OBJECT_NOT_FOUND = "ObjectNotFound"
    ACCESS_DENIED = "AccessDenied"
    STORE_UNREACHABLE = "StoreUnreachable"
    UNSUPPORTED_MODEL = "UnsupportedModel"
    VOLUME_TOO_SMALL = "VolumeTooSmall"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    VERIFICATION_FAILED = "VerificationFailed"
    DOWNLOAD_INTERRUPTED = "DownloadInterrupted"
    MODEL_NOT_LOADABLE = "ModelNotLoadable"
    WARM_UP_FAILED = "WarmUpFailed"
    WARM_UP_TOO_SLOW = "WarmUpTooSlow"


AnyReason: TypeAlias = Reason | Numbered | ForeignReason

LASTING: Final = frozenset(
    {
        *(
            PodReason.OBJECT_NOT_FOUND,
            PodReason.ACCESS_DENIED,
            PodReason.UNSUPPORTED_MODEL,
            PodReason.CHECKSUM_MISMATCH,
        ),
        *(PodReason.VERIFICATION_FAILED, PodReason.MODEL_NOT_LOADABLE, PodReason.VOLUME_TOO_SMALL),
        *(PodReason.INVALID_IMAGE_NAME, PodReason.ERR_IMAGE_NEVER_PULL, PodReason.IMAGE_PULL_BACK_OFF),
        *(PodReason.CREATE_CONTAINER_CONFIG_ERROR, Reason.CREDENTIALS_NOT_FOUND, Reason.MODEL_DEPLOYMENT_NOT_FOUND),
    }
)
"""What only a person can fix, at any moment, by an upload or a Secret: after minutes of waiting for it, an object is
stalled.
"""

NUMBERED: Final = re.compile(rf"({Reason.WEIGHT}|{Reason.MIRROR})([0-9]+(?:\.[0-9]+)?)")
