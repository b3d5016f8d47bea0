"""Situations between and around releases: the requested version, the stable one, and past releases."""

from collections.abc import Sequence
from typing import Any, Final

from sluice_core.api.v1alpha1.intent import Action
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel.snapshot import Paths, Revision, Route, Snapshot
from sluice_core.rollout import steps
from sluice_core.situation.situation import Blocked, Situation
from tests.support.cases import builders
from tests.support.cases.moments import CANDIDATE, REPLICAS, STABLE, at, make_intent, make_test_rules

DAY: Final = 86_400.0


def make_release(
    target: Revision = CANDIDATE, *, source: Revision | None = STABLE, status: dict[str, Any] | None = None, **spec: Any
) -> ModelRollout:
    """A release by the default policy, an hour after its end if `status` has an outcome."""
    ended = {"endTime": at(-3600)} if status and "outcome" in status else {}
    return builders.make_rollout(target=target, source=source, status={**ended, **(status or {})}, **spec)


def promoted(target: Revision = STABLE, *, source: Revision | None = None, **status: Any) -> ModelRollout:
    return make_release(target, source=source, status={"outcome": "Promoted", **status})


def make_test(*, outcome: str | None = None, winner: Revision | None = None, **spec: Any) -> ModelRollout:
    """An A/B test of two arms beside the stable version."""
    rules = make_test_rules().to_wire()
    status = {"outcome": outcome, "winner": winner.name if winner is not None else None}
    return make_release(STABLE, abTest=rules, strategy="ABTest", status=status, **spec)


def asking(release: ModelRollout, action: Action, **more: Any) -> ModelRollout:
    """The release with an unhandled intent."""
    spec = release.spec.model_copy(update={"intent": make_intent(action, **more)})
    return release.model_copy(update={"spec": spec})


def make_situation(
    *rollouts: ModelRollout,
    requested: Revision | Blocked = STABLE,
    stable: Revision | None = STABLE,
    lost: Revision | None = None,
    revisions: Sequence[Revision] = (STABLE, CANDIDATE),
    arms: tuple[Revision | Blocked, ...] = (),
    policy: dict[str, Any] | None = None,
) -> Situation:
    """By default the first version serves, as requested. `revisions` are the pinned ones."""
    snapshot = Snapshot(
        now=builders.NOW,
        config=builders.CONFIG,
        preset=builders.PRESET,
        deployment=builders.make_model_deployment(spec={"replicas": REPLICAS}),
        runtimes=(),
        policies=(),
        revisions=tuple(revisions),
        rollouts=rollouts,
        route=Route(Paths(((STABLE.name, steps.WHOLE),)), generation=1, programmed=True),
        gateway_exists=True,
        gateway_message="",
        gateway_api=True,
        hostnames=(),
        hostname_taken=None,
    )
    latest = rollouts[-1] if rollouts else None
    return Situation(
        snapshot=snapshot,
        requested=requested,
        stable=stable,
        active=latest if latest is not None and latest.status.outcome is None else None,
        latest=latest,
        policy=builders.make_policy(**(policy or {})).spec,
        policy_name="default",
        arms=arms,
        lost=lost.name if lost is not None else "",
    )
