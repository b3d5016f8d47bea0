"""The view of a running A/B test for its gates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sluice_core.api.v1alpha1.modelrollout import ArmStatus
from sluice_core.api.v1alpha1.rolloutspec import ABTestRules, RolloutArm
from sluice_core.api.v1alpha1.strategies import OnWinner
from sluice_core.kernel.snapshot import Revision
from sluice_core.rollout.capacity import shares
from sluice_core.rollout.freeze import Frozen
from sluice_core.rollout.moment import Release
from sluice_judge.judgement import Judgement

BETTER: Final = "Better"
WORSE: Final = "Worse"


@dataclass(frozen=True, slots=True)
class Comparison(Release):
    """The view of a running test for its gates."""

    rules: ABTestRules
    revisions: Mapping[str, Revision]
    """The revisions of the running arms, by name."""
    waits_for: str
    """Why pods are not created, or empty."""
    judgements: Mapping[str, Judgement]
    """Judgements by revision; empty before the test has begun."""

    @property
    def released(self) -> tuple[Revision, ...]:
        return tuple(self.revisions.values())

    @property
    def longest_seconds(self) -> int:
        return self.rules.maximum_seconds

    @property
    def blind(self) -> str:
        return next((judged.sight.blind for judged in self.judgements.values() if judged.sight.blind), "")

    @property
    def counts_only(self) -> bool:
        return bool(self.judgements) and all(judged.next_state.counts_only for judged in self.judgements.values())

    @property
    def paused(self) -> bool:
        return self.rollout.status.paused

    @property
    def closed(self) -> Frozen | None:
        """A freeze window keeps a test from beginning, and a winner from being promoted."""
        promotes = self.winner is not None and self.rules.on_winner is OnWinner.PROMOTE
        return self.frozen if self.rollout.status.step == 0 or promotes else None

    @property
    def arms(self) -> tuple[tuple[RolloutArm, ArmStatus], ...]:
        """The arms that are still in the test."""
        statuses = {arm.revision: arm for arm in self.rollout.status.arms}
        every = ((arm, statuses[arm.end.revision]) for arm in self.rules.arms)
        return tuple((arm, status) for arm, status in every if not status.ended)

    @property
    def winner(self) -> ArmStatus | None:
        """The best of the arms that are proven better than stable."""
        better = [status for _, status in self.arms if status.verdict == BETTER]
        return max(better, key=lambda arm: float(arm.ratio or 0), default=None)

    @property
    def uncounted(self) -> tuple[str, ...]:
        """The versions without samples of the metric, although it was queried."""
        found = [
            (arm, each) for arm, status in self.arms for each in status.objectives if each.name == self.rules.metric
        ]
        if not any(each.message for _, each in found):
            return ()
        stable = ("stable",) if not any(each.stable.requests for _, each in found) else ()
        return (*stable, *(arm.name for arm, each in found if not each.candidate.requests))

    def unproven(self, arm: ArmStatus) -> tuple[str, ...]:
        """The arm's required objectives that are not proven, without the metric."""
        waiting = (each for each in arm.objectives if each.required and not each.proven)
        return tuple(each.message or each.name for each in waiting if each.name != self.rules.metric)

    @property
    def split_mismatch(self) -> str:
        """How the gateway's split of users differs from the route, or empty."""
        return next((judged.split_mismatch for judged in self.judgements.values() if judged.split_mismatch), "")

    @property
    def bad_pod(self) -> tuple[RolloutArm, str] | None:
        """(arm, pod): the first single pod with evidence against its arm, if none was replaced in the test yet."""
        status = self.rollout.status
        ended = {arm.revision for arm in status.arms if arm.ended}
        running = (arm for arm in self.rules.arms if status.replaced_pod is None and arm.end.revision not in ended)
        judged = ((arm, self.judgements.get(arm.end.revision)) for arm in running)
        return next(
            ((arm, each.accusation.bad_pod) for arm, each in judged if each is not None and each.accusation.bad_pod),
            None,
        )

    def needed(self, arm: RolloutArm) -> int:
        """Pods that an arm needs for its share."""
        return shares.pods_for(arm.permille, self.replicas)
