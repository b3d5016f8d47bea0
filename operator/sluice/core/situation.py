"""Interprets a snapshot: what is asked for, what is stable, and which release is running."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sluice.api.v1alpha1.modeldeployment import SUPPORTED_SCHEMES
from sluice.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice.api.v1alpha1.servingruntime import ServingRuntime
from sluice.core.desired import placeholders, workload
from sluice.core.snapshot import Revision, Snapshot

DEFAULT_POLICY: Final = "default"


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why the requested version cannot even be tried; the stable version is not affected."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Situation:
    """A snapshot, understood."""

    snapshot: Snapshot
    requested: Revision | Blocked
    """The revision that the spec asks for: one that exists, or a new one rendered from today's runtime."""
    stable: Revision | None
    """The revision that was promoted last."""
    active: ModelRollout | None
    """The release that is running."""
    latest: ModelRollout | None
    """The newest release, running or not."""
    policy: RolloutPolicySpec | Blocked
    policy_name: str

    @property
    def candidate(self) -> Revision | None:
        """The revision that is being released."""
        return self.revision(self.active.spec.target.revision) if self.active is not None else None

    def revision(self, name: str) -> Revision | None:
        """A revision of the snapshot, or the requested one that is not stored yet."""
        if isinstance(self.requested, Revision) and self.requested.name == name:
            return self.requested
        return self.snapshot.revision(name)


def interpret(snapshot: Snapshot) -> Situation:
    """Understands a snapshot.

    Stable is derived from the audit trail: the target of the newest promoted ModelRollout. So there is one record of
    it, written before the world is changed. Should somebody have deleted it, the status still tells.
    """
    latest = snapshot.rollouts[-1] if snapshot.rollouts else None
    promoted = [r for r in snapshot.rollouts if r.status.outcome is Outcome.PROMOTED]
    policy_ref = snapshot.deployment.spec.rollout.policy_ref
    policy_name = policy_ref.name if policy_ref else DEFAULT_POLICY
    return Situation(
        snapshot=snapshot,
        requested=_requested(snapshot),
        stable=_stable(snapshot, promoted),
        active=latest if latest is not None and latest.status.outcome is None else None,
        latest=latest,
        policy=_policy(snapshot, policy_name),
        policy_name=policy_name,
    )


def _stable(snapshot: Snapshot, promoted: list[ModelRollout]) -> Revision | None:
    if promoted:
        return snapshot.revision(promoted[-1].spec.target.revision)
    told = snapshot.deployment.status.stable
    return snapshot.revision(told.revision) if told is not None else None


def find_runtime(snapshot: Snapshot) -> ServingRuntime | Blocked:
    """The ServingRuntime that the spec names, or the one with the highest priority for the format."""
    spec = snapshot.deployment.spec
    if spec.runtime is not None and spec.runtime.name is not None:
        named = next((r for r in snapshot.runtimes if r.metadata.name == spec.runtime.name), None)
        if named is None:
            return Blocked(
                "RuntimeNotFound",
                f"spec.runtime.name: there is no ServingRuntime {spec.runtime.name!r}; "
                f"available: {_names(r.metadata.name for r in snapshot.runtimes)}; name one of these, or create it",
            )
        if all(f.name != spec.model.format for f in named.spec.formats):
            return Blocked(
                "FormatNotSupported",
                f"spec.model.format: ServingRuntime {named.metadata.name!r} does not "
                f"run {spec.model.format!r}; it runs {_names(f.name for f in named.spec.formats)}",
            )
        return named
    ranked = sorted(
        (
            (f.priority, runtime.metadata.name, runtime)
            for runtime in snapshot.runtimes
            for f in runtime.spec.formats
            if f.name == spec.model.format and f.priority > 0
        ),
        key=lambda entry: (-entry[0], entry[1]),
    )
    if not ranked:
        return Blocked(
            "FormatNotSupported",
            f"spec.model.format: no ServingRuntime runs {spec.model.format!r}; available "
            f"formats: {_names(f.name for r in snapshot.runtimes for f in r.spec.formats)}; use one of these, or install "
            "a ServingRuntime for it",
        )
    return ranked[0][2]


def _requested(snapshot: Snapshot) -> Revision | Blocked:
    wanted = workload.input_hash(snapshot.deployment)
    known = [r for r in snapshot.revisions if r.input_hash == wanted]
    if known:
        return known[-1]
    scheme = snapshot.deployment.spec.model.uri.partition("://")[0]
    if scheme not in SUPPORTED_SCHEMES:
        return Blocked(
            "UnsupportedScheme",
            f"spec.model.uri: scheme {scheme!r} is not supported; use one of {_names(SUPPORTED_SCHEMES)}",
        )
    runtime = find_runtime(snapshot)
    if isinstance(runtime, Blocked):
        return runtime
    number = max((r.number for r in snapshot.revisions), default=0) + 1
    try:
        return workload.new_revision(snapshot.deployment, runtime, snapshot.config, number)
    except placeholders.UnknownPlaceholder as error:
        return Blocked("RuntimeInvalid", str(error))


def _policy(snapshot: Snapshot, name: str) -> RolloutPolicySpec | Blocked:
    found = next((p for p in snapshot.policies if p.metadata.name == name), None)
    if found is None:
        return Blocked(
            "PolicyNotFound",
            f"spec.rollout.policyRef: there is no RolloutPolicy {name!r}; create it or name "
            f"one of {_names(p.metadata.name for p in snapshot.policies)}",
        )
    return found.spec


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names))) or "none"
