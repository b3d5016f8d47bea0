"""The beginning of a release: the ModelRollout, with the rules of that moment."""

from typing import Any, assert_never

from sluice_core.api.base import API_VERSION, ObjectMeta
from sluice_core.api.v1alpha1.common import CapacityMode, Strategy
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_core.api.v1alpha1.rolloutspec import ABTestRules, ModelRolloutSpec, ReleaseEnd, RolloutArm, RolloutStep
from sluice_core.api.v1alpha1.strategies import BlueGreen, Rollout, Shadow
from sluice_core.kernel import naming
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Revision
from sluice_core.render import common
from sluice_core.rollout import baseline, comparing
from sluice_core.rollout.attempts import Attempt
from sluice_core.rollout.capacity import shares
from sluice_core.rollout.routing import sharing
from sluice_core.rollout.strategies import bluegreen, canary, recreate, shadow
from sluice_core.situation import record
from sluice_core.situation.situation import Blocked, Situation, wanted_arms
from sluice_judge.kinds import kind_of
from sluice_judge.schema.objectives import Objective
from sluice_judge.schema.policy import Stepping


def begin(situation: Situation, attempt: Attempt) -> ModelRollout | Blocked:
    """The ModelRollout of a new attempt, with the current rules."""
    policy = situation.policy
    if isinstance(policy, Blocked):
        return policy
    snapshot = situation.snapshot
    wanted = snapshot.deployment.spec.rollout
    blocked = next((arm for arm in situation.arms if isinstance(arm, Blocked)), None)
    if attempt.arms and blocked is not None:
        return blocked
    settings = wanted.shadow
    compared = situation.stable is not None and attempt.analysed
    objectives = _objectives(situation, policy, compared=compared)
    if isinstance(objectives, Blocked):
        return objectives
    no_metric = _metric_missing(situation, objectives) if attempt.arms else ""
    if no_metric:
        return Blocked(Reason.INVALID_SPEC, no_metric)
    needs_gateway = sharing.refused(situation, attempt.target) if snapshot.by_service and compared else ""
    if needs_gateway:
        return Blocked(Reason.GATEWAY_NEEDED, needs_gateway)
    observed = snapshot.deployment.spec.observer is not None
    refused = shadow.mirror_refused(settings, snapshot.preset, observed=observed) if settings is not None else ""
    if refused and compared:
        return Blocked(Reason.MIRROR_NOT_SUPPORTED, refused)
    requested = situation.requested
    ends: dict[str, Any] = {
        "from": _end(situation.stable) if situation.stable else None,
        "to": _end(attempt.target),
        "abTest": _test_rules(situation, attempt) if attempt.arms else None,
    }
    bake_seconds = policy.bake_seconds if wanted.bake_seconds is None else wanted.bake_seconds
    stepping = _stepping(wanted, policy, attempt, by_service=snapshot.by_service)
    planned = _steps(wanted, policy, attempt, stepping)
    # A retry with other steps has no failed step to begin with.
    latest = situation.latest
    same_steps = latest is not None and (latest.spec.steps, latest.spec.stepping) == (planned, stepping)
    spec = ModelRolloutSpec(
        **ends,
        model_deployment=snapshot.name,
        sequence=record.last_sequence(snapshot) + 1,
        attempt=attempt.number,
        requested_input_hash=requested.input_hash if isinstance(requested, Revision) else None,
        rollback=attempt.rollback,
        alarm=attempt.alarm or None,
        analysed=attempt.analysed,
        start_step=attempt.start_step if same_steps else 1,
        strategy=wanted.strategy,
        policy=situation.policy_name,
        base_replicas=shares.whole(situation),
        steps=planned,
        stepping=stepping,
        minimum_seconds=policy.minimum_seconds if attempt.analysed else 0,
        capacity=_capacity(wanted, attempt),
        maximum_requests_at_risk=policy.maximum_requests_at_risk,
        objectives=objectives,
        false_rollback_probability=policy.false_rollback_probability,
        false_advance_probability=policy.false_advance_probability,
        scrape_interval_seconds=policy.scrape_interval_seconds,
        blind_seconds=policy.blind_seconds,
        idle_seconds=policy.idle_seconds,
        progress_deadline_seconds=wanted.progress_deadline_seconds or policy.progress_deadline_seconds,
        on_deadline=wanted.on_deadline or policy.on_deadline,
        bake_seconds=bake_seconds if attempt.analysed else 0,
        initial_dispersion=policy.initial_dispersion,
        new_pod_seconds=comparing.new_pod_seconds(policy, snapshot.deployment.spec),
        cache_fill_seconds=policy.cache_fill_seconds,
        validation=wanted.validation if situation.stable is not None and not attempt.rollback else None,
    )
    spec = spec.model_copy(update={"baseline_revision": baseline.begins(situation, attempt, policy, spec)})
    name = naming.rollout_name(attempt.target.name, attempt.number)
    return ModelRollout(metadata=ObjectMeta(name=name, namespace=snapshot.namespace), spec=spec)


def _objectives(situation: Situation, policy: RolloutPolicySpec, *, compared: bool) -> list[Objective] | Blocked:
    """The release's objectives. An invalid query is blocked, with its field; where nothing is compared, it is left out."""
    own = situation.snapshot.deployment.spec.rollout.objectives
    wanted, where = policy.objectives if own is None else own, _place(situation)
    refused = [kind_of(objective).sampling.refused for objective in wanted]
    for index, why in enumerate(refused if compared else ()):
        if why:
            reason = Reason.POLICY_INVALID if own is None else Reason.INVALID_SPEC
            return Blocked(reason, f"{where}.objectives[{index}].{why}")
    return [objective for objective, why in zip(wanted, refused, strict=True) if not why]


def _metric_missing(situation: Situation, objectives: list[Objective]) -> str:
    """Why the arms of a test could never be separated, and what to do; or empty."""
    settings = situation.snapshot.deployment.spec.rollout.ab_test
    assert settings is not None
    usable = [each.name for each in objectives if kind_of(each).traits.counts_users]
    if settings.metric in usable:
        return ""
    remedy = f"use one of {', '.join(usable)}, or add one" if usable else "add one"
    return (
        f"spec.rollout.abTest.metric: {settings.metric!r} is no objective that counts users (a failureRatio with source "
        f"Query) of {_place(situation)}.objectives; {remedy}"
    )


def _place(situation: Situation) -> str:
    """The field with the objectives of a release."""
    own = situation.snapshot.deployment.spec.rollout.objectives
    return f"RolloutPolicy {situation.policy_name}: spec" if own is None else "spec.rollout"


def _stepping(wanted: Rollout, policy: RolloutPolicySpec, attempt: Attempt, *, by_service: bool) -> Stepping:
    """Auto only for a canary with the policy's shares that a gateway sets: no share is smaller than one pod's."""
    of_policy = wanted.strategy is Strategy.CANARY and wanted.canary is None
    return policy.stepping if of_policy and not by_service and not _at_once(wanted, attempt) else Stepping.FIXED


def _at_once(wanted: Rollout, attempt: Attempt) -> bool:
    """Whether the candidate gets all requests in one step."""
    return bool(attempt.arms) or not attempt.analysed or wanted.capacity is CapacityMode.RECREATE


def _steps(wanted: Rollout, policy: RolloutPolicySpec, attempt: Attempt, stepping: Stepping) -> list[RolloutStep]:
    """The strategy's own steps, after the mirrored stage if there is one."""
    if _at_once(wanted, attempt):
        return [RolloutStep(weight=100)]
    match wanted.strategy:
        case Strategy.BLUE_GREEN:
            own = bluegreen.steps(wanted.blue_green or BlueGreen())
        case Strategy.SHADOW:
            return shadow.steps(wanted.shadow or Shadow())
        case Strategy.RECREATE:
            return recreate.steps()
        case Strategy.CANARY | Strategy.AB_TEST:
            fixed = wanted.canary.steps if wanted.canary is not None else policy.steps
            own = canary.by_risk() if stepping is Stepping.AUTO else canary.steps(fixed)
        case _ as unreachable:
            assert_never(unreachable)
    return [shadow.stage(wanted.shadow), *own] if wanted.shadow is not None else own


def _capacity(wanted: Rollout, attempt: Attempt) -> CapacityMode:
    """Recreate is impossible in a test: it leaves nothing to compare arms with."""
    if wanted.strategy is Strategy.RECREATE:
        return CapacityMode.RECREATE
    return CapacityMode.AUTO if attempt.arms and wanted.capacity is CapacityMode.RECREATE else wanted.capacity


def _test_rules(situation: Situation, attempt: Attempt) -> ABTestRules:
    deployment = situation.snapshot.deployment
    settings = deployment.spec.rollout.ab_test
    assert settings is not None
    wanted = zip(wanted_arms(deployment), attempt.arms, strict=True)
    return ABTestRules(
        arms=[
            RolloutArm.model_validate({"name": arm.name, "weight": arm.weight, "to": _end(revision)})
            for arm, revision in wanted
        ],
        assignment=settings.assignment,
        metric=settings.metric,
        maximum_seconds=settings.maximum_seconds,
        on_winner=settings.on_winner,
    )


def _end(revision: Revision) -> ReleaseEnd:
    return ReleaseEnd(
        revision=revision.name, input_hash=revision.input_hash, uri=revision.uri, model_version=revision.model_version
    )


def manifest(rollout: ModelRollout, situation: Situation) -> dict[str, Any]:
    """The object that creates a release."""
    return {
        "apiVersion": API_VERSION,
        "kind": ModelRollout.kind,
        "metadata": common.child_metadata(
            situation.snapshot.deployment, rollout.metadata.name, revision=rollout.spec.target.revision
        ),
        "spec": rollout.spec.to_wire(),
    }
