"""Interprets a snapshot: the requested version, the stable one, and the running release."""

import difflib
from collections.abc import Container, Iterable, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final, TypedDict

from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1 import sources
from sluice_core.api.v1alpha1.common import ConditionStatus, Strategy
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment, ModelDeploymentSpec
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_core.api.v1alpha1.servingruntime import Protocol, ServingRuntime
from sluice_core.api.v1alpha1.strategies import ABTestArm
from sluice_core.kernel.conditions import Type
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.resolutions import Resolved, Unresolved
from sluice_core.kernel.snapshot import Revision, Snapshot
from sluice_core.render import workload
from sluice_core.render.pod import (
    adapters,
    downloader,
    formats,
    placeholders,
    podextras,
    podgrants,
    podtemplate,
    signatures,
    tuning,
    warmup,
)
from sluice_core.situation import arms, following, record, variants

DEFAULT_POLICY: Final = "default"
STREAMING_POLICY: Final = "default-streaming"
OF_STREAMS: Final = frozenset({"TimeToFirstToken", "InterTokenLatency"})
"""Histograms that `default-streaming` judges."""
REFUSALS: Final = frozenset({Reason.REFUSED, Reason.FORBIDDEN})


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why the requested version cannot even be tried; the stable version is not affected."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class UnreadablePolicy(Blocked):
    """A policy exists but cannot be read: it is unknown which of its freeze windows are open."""


@dataclass(frozen=True, slots=True)
class Situation:
    """An interpreted snapshot."""

    snapshot: Snapshot
    requested: Revision | Blocked
    """The revision in the spec: an existing one, or a new one rendered from today's runtime."""
    stable: Revision | None
    """The revision that was promoted last."""
    active: ModelRollout | None
    """The running release."""
    latest: ModelRollout | None
    """The newest release, running or not."""
    policy: RolloutPolicySpec | Blocked
    policy_name: str
    arms: tuple[Revision | Blocked, ...] = ()
    """The versions that the spec compares with the stable one, in the order of the spec."""
    stable_since: int = 0
    """The sequence of the release that made the stable version stable; 0 if unknown."""
    lost: str = ""
    """The stable version's name, while it may still answer although its ControllerRevision was deleted."""
    restored: tuple[ModelRollout, ...] = ()
    """Rollouts whose lost outcome is known from other objects and must be written again."""

    @property
    def latest_is_old(self) -> bool:
        """Whether the stable version was promoted by a later release than the newest remaining one."""
        return self.latest is not None and self.latest.spec.sequence < self.stable_since

    @property
    def refused(self) -> bool:
        """Whether the API server refused a write of the previous reconcile, perhaps the record of the release."""
        return any(
            each.type == Type.STALLED and each.status is ConditionStatus.TRUE and each.reason in REFUSALS
            for each in self.snapshot.deployment.status.conditions
        )

    @property
    def candidate(self) -> Revision | None:
        """The one revision that is being released; None while an A/B test compares several."""
        if self.active is None or testing(self.active):
            return None
        return self.revision(record.promoted_revision(self.active))

    @property
    def candidates(self) -> tuple[Revision, ...]:
        """All revisions that get some traffic beside the stable one, or are about to; none of them before it is
        validated.
        """
        if self.active is None or validating(self.active):
            return ()
        names = running_arms(self.active) if testing(self.active) else (record.promoted_revision(self.active),)
        return tuple(found for name in names if (found := self.revision(name)) is not None)

    def updated(self, rollout: ModelRollout) -> "Situation":
        """The situation after this rollout's status is written; the requested version stays the same."""
        rollouts = tuple(rollout if r.metadata.name == rollout.metadata.name else r for r in self.snapshot.rollouts)
        snapshot = replace(self.snapshot, rollouts=rollouts)
        return replace(self, snapshot=snapshot, **_releases(snapshot))

    def revision(self, name: str) -> Revision | None:
        """A revision of the snapshot, or a requested one that is not stored yet."""
        asked = (self.requested, *self.arms)
        fresh = next((r for r in asked if isinstance(r, Revision) and r.name == name), None)
        return self.snapshot.revision(name) or fresh


def testing(rollout: ModelRollout) -> bool:
    """Whether it is an A/B test without a winner to promote yet."""
    return rollout.spec.ab_test is not None and rollout.status.winner is None


def validating(rollout: ModelRollout) -> bool:
    """Whether its candidate may have no pods yet, because it has not passed its validation; a person may skip that."""
    status = rollout.status
    passed = status.validation is not None and status.validation.passed
    return rollout.spec.validation is not None and not passed and status.step == 0 and status.outcome is None


def running_arms(rollout: ModelRollout) -> tuple[str, ...]:
    """The revisions of an A/B test's arms that have not ended."""
    rules = rollout.spec.ab_test
    ended = {arm.revision for arm in rollout.status.arms if arm.ended}
    return tuple(arm.end.revision for arm in rules.arms if arm.end.revision not in ended) if rules else ()


def wanted_policy(deployment: ModelDeployment, runtimes: Sequence[ServingRuntime], known: Container[str]) -> str:
    """The name of the RolloutPolicy that the model's releases follow. known: the existing names.

    If none is named, a streaming server is judged by what a reader notices, if there is a policy for it: the end of a
    stream comes later with a longer answer.
    """
    ref = deployment.spec.rollout.policy_ref
    if ref is not None:
        return ref.name
    return STREAMING_POLICY if STREAMING_POLICY in known and _streams(deployment, runtimes) else DEFAULT_POLICY


def _streams(deployment: ModelDeployment, runtimes: Sequence[ServingRuntime]) -> bool:
    """Whether its server speaks the OpenAI protocol and shows how fast its streams are."""
    runtime = find_runtime(deployment.spec, runtimes)
    if isinstance(runtime, Blocked) or runtime.spec.metrics is None or Protocol.OPENAI not in runtime.spec.protocols:
        return False
    return {each.name for each in arms.histograms(runtime.spec.metrics)} >= OF_STREAMS


def interpret(snapshot: Snapshot) -> Situation:
    """Interprets a snapshot."""
    found = snapshot.rollouts
    asked_time = following.asked_time(snapshot)
    snapshot = replace(snapshot, rollouts=record.restored(snapshot), asked_time=asked_time)
    known = {*(policy.metadata.name for policy in snapshot.policies), *snapshot.unreadable_policies}
    policy_name = wanted_policy(snapshot.deployment, snapshot.runtimes, known)
    numbered = max((r.number for r in snapshot.revisions), default=0) + 1
    return Situation(
        snapshot=snapshot,
        requested=_requested(snapshot, snapshot.deployment, numbered),
        **_releases(snapshot),
        policy=_policy(snapshot, policy_name),
        policy_name=policy_name,
        arms=tuple(
            _requested(snapshot, arm_deployment(snapshot.deployment, arm), numbered + index)
            for index, arm in enumerate(wanted_arms(snapshot.deployment), start=1)
        ),
        restored=tuple(now for before, now in zip(found, snapshot.rollouts, strict=True) if now is not before),
    )


def wanted_arms(deployment: ModelDeployment) -> tuple[ABTestArm, ...]:
    """The arms of the spec's A/B test."""
    rollout = deployment.spec.rollout
    return tuple(rollout.ab_test.arms) if rollout.strategy is Strategy.AB_TEST and rollout.ab_test else ()


def arm_deployment(deployment: ModelDeployment, arm: ABTestArm) -> ModelDeployment:
    """The ModelDeployment with the arm as its model."""
    changed = {
        "uri": arm.model.uri,
        "sha256": arm.model.sha256,
        "version": arm.model.version,
        "variant": None,
        "follow": False,
    }
    model = deployment.spec.model.model_copy(update=changed)
    return deployment.model_copy(update={"spec": deployment.spec.model_copy(update={"model": model})})


class _Releases(TypedDict):
    stable: Revision | None
    stable_since: int
    lost: str
    active: ModelRollout | None
    latest: ModelRollout | None


def _releases(snapshot: Snapshot) -> _Releases:
    """The releases of the audit trail."""
    latest = snapshot.rollouts[-1] if snapshot.rollouts else None
    running = latest is not None and latest.status.outcome is None
    name, since = record.stable(snapshot) or ("", 0)
    return {
        "stable": snapshot.revision(name),
        "stable_since": since,
        "lost": name if record.answers_unpinned(snapshot, name) else "",
        "active": latest if running else None,
        "latest": latest,
    }


def find_runtime(spec: ModelDeploymentSpec, runtimes: Sequence[ServingRuntime]) -> ServingRuntime | Blocked:
    """The ServingRuntime that the spec names, or the one with the highest priority for the format."""
    if spec.runtime is not None and spec.runtime.name is not None:
        named = next((r for r in runtimes if r.metadata.name == spec.runtime.name), None)
        if named is None:
            return Blocked(
                Reason.RUNTIME_NOT_FOUND,
                f"spec.runtime.name: there is no ServingRuntime {spec.runtime.name!r}; "
                f"available: {_names(r.metadata.name for r in runtimes)}; name one of these, or create it",
            )
        if all(f.name != spec.model.format for f in named.spec.formats):
            return Blocked(
                Reason.FORMAT_NOT_SUPPORTED,
                f"spec.model.format: ServingRuntime {named.metadata.name!r} does not "
                f"run {spec.model.format!r}; it runs {_names(f.name for f in named.spec.formats)}",
            )
        return named
    ranked = sorted(
        (
            (f.priority, runtime.metadata.name, runtime)
            for runtime in runtimes
            for f in runtime.spec.formats
            if f.name == spec.model.format and f.priority > 0
        ),
        key=lambda entry: (-entry[0], entry[1]),
    )
    if not ranked:
        return Blocked(
            Reason.FORMAT_NOT_SUPPORTED,
            f"spec.model.format: no ServingRuntime runs {spec.model.format!r}; "
            f"{_supported(spec.model.format, {f.name for r in runtimes for f in r.spec.formats})}; use one of these, or "
            "install a ServingRuntime for it",
        )
    return ranked[0][2]


def _requested(snapshot: Snapshot, deployment: ModelDeployment, number: int) -> Revision | Blocked:
    """The revision of a ModelDeployment as it is, or as it would be for an arm."""
    made = variants.state_of(snapshot, deployment)
    found = following.followed(variants.chosen(deployment))
    if isinstance(found, Unresolved):
        why = following.hindrance(snapshot, found)
        return Blocked(why.reason, why.message)
    deployment, resolved = found
    wanted = workload.input_hash(deployment, resolved)
    known = [r for r in snapshot.revisions if r.input_hash == wanted and _may_serve(snapshot, r)]
    forbidden = _forbidden(deployment, snapshot.config)
    if forbidden is not None and not any(_in_use(snapshot, revision) for revision in known):
        return forbidden
    if known:
        return _first_again(snapshot, found, known, number) or known[-1]
    if made is not None and made.state in variants.NOT_THERE:
        return Blocked(
            variants.NOT_THERE[made.state], f"spec.model.variant: {made.name} does not exist yet: {made.message}"
        )
    return rendered(deployment, snapshot.runtimes, snapshot.config, number, resolved)


def _forbidden(deployment: ModelDeployment, config: OperatorConfig) -> Blocked | None:
    """What the platform does not allow the namespace."""
    if said := formats.problem(deployment, config):
        return Blocked(Reason.FORMAT_NOT_ALLOWED, said)
    if said := podgrants.problem(deployment, config):
        return Blocked(Reason.POD_FIELD_NOT_ALLOWED, said)
    if said := signatures.problem(deployment, config):
        return Blocked(Reason.NOT_VERIFIABLE, said)
    return None


def _may_serve(snapshot: Snapshot, revision: Revision) -> bool:
    """Whether its pods verify what the platform requires; serving versions are not affected."""
    said = signatures.pinned_problem(revision.template, snapshot.deployment.metadata.namespace, snapshot.config)
    return not said or _in_use(snapshot, revision)


def _in_use(snapshot: Snapshot, revision: Revision) -> bool:
    """Whether it serves, or is being released: what the platform no longer allows is not taken away from it."""
    name, _ = record.stable(snapshot) or ("", 0)
    latest = snapshot.rollouts[-1] if snapshot.rollouts else None
    released = latest is not None and latest.status.outcome is None and latest.spec.target.revision == revision.name
    return released or revision.name == name or revision.replicas > 0


def _first_again(
    snapshot: Snapshot, found: following.Followed, known: Sequence[Revision], number: int
) -> Revision | None:
    """A failed first version, rendered anew today; None if there is none.

    Pinning protects a serving version, and it has never been ready: a corrected typo in its ServingRuntime, or in the
    operator's configuration, would never reach it.
    """
    if not snapshot.rollouts or record.stable(snapshot) is not None:
        return None
    latest = snapshot.rollouts[-1]
    tried = next((revision for revision in known if revision.name == latest.spec.target.revision), known[-1])
    trials = [rollout.status for rollout in snapshot.rollouts if rollout.spec.target.revision == tried.name]
    was_ready = tried.ready_replicas or tried.ready_endpoints or any(trial.ready_time for trial in trials)
    loads = tried.problem is None and any(trial.outcome is None for trial in trials)
    made = (
        None
        if was_ready or loads or not trials
        else rendered(found.deployment, snapshot.runtimes, snapshot.config, number, found.resolved)
    )
    return snapshot.revision(made.name) or made if isinstance(made, Revision) else tried


def rendered(
    deployment: ModelDeployment,
    runtimes: Sequence[ServingRuntime],
    config: OperatorConfig,
    number: int,
    resolved: Resolved | None = None,
) -> Revision | Blocked:
    """A new revision of a ModelDeployment in its current form, on today's runtime. resolved: the registry's answer."""
    for download in downloader.downloads(deployment.spec.model):
        if download.scheme not in sources.SUPPORTED_SCHEMES:
            return Blocked(
                Reason.UNSUPPORTED_SCHEME,
                f"{download.field}.uri: scheme {download.scheme!r} is not supported; use one of {sources.ALLOWED}",
            )
    forbidden = _forbidden(deployment, config)
    if forbidden is not None:
        return forbidden
    runtime = find_runtime(deployment.spec, runtimes)
    if isinstance(runtime, Blocked):
        return runtime
    try:
        return workload.new_revision(deployment, runtime, config, number, resolved)
    except placeholders.UnknownPlaceholder as error:
        return Blocked(Reason.RUNTIME_INVALID, str(error))
    except podtemplate.BatchingNotSupported as error:
        return Blocked(Reason.BATCHING_NOT_SUPPORTED, str(error))
    except tuning.TuningNotSupported as error:
        return Blocked(Reason.TUNING_NOT_SUPPORTED, str(error))
    except adapters.AdaptersNotSupported as error:
        return Blocked(Reason.ADAPTERS_NOT_SUPPORTED, str(error))
    except podtemplate.UnknownProfile as error:
        return Blocked(Reason.ACCELERATOR_PROFILE_NOT_FOUND, str(error))
    except warmup.WarmupNotPossible as error:
        return Blocked(Reason.WARM_UP_NOT_POSSIBLE, str(error))
    except podextras.MountTaken as error:
        return Blocked(Reason.POD_FIELD_NOT_ALLOWED, str(error))


def _policy(snapshot: Snapshot, name: str) -> RolloutPolicySpec | Blocked:
    found = next((p for p in snapshot.policies if p.metadata.name == name), None)
    if found is None and name in snapshot.unreadable_policies:
        why = snapshot.unreadable_policies[name]
        return UnreadablePolicy(Reason.POLICY_INVALID, f"RolloutPolicy {name} cannot be read: {why}; correct it")
    if found is None:
        return Blocked(
            Reason.POLICY_NOT_FOUND,
            f"spec.rollout.policyRef: there is no RolloutPolicy {name!r}; create it or name "
            f"one of {_names(p.metadata.name for p in snapshot.policies)}",
        )
    return found.spec


def _supported(asked: str, formats: Set[str]) -> str:
    close = difflib.get_close_matches(asked, sorted(formats), n=1)
    meant = f"did you mean {close[0]}? Supported" if close and close[0] != asked else "supported"
    return f"{meant} formats: {_names(formats)}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names))) or "none"
