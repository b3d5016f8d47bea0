"""The replicas of each side of a release, as decided in one reconcile."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sluice_core.api.v1alpha1.common import CapacityMode


@dataclass(frozen=True, slots=True)
class Capacity:
    """Replicas of each side; with autoscaling, the minimum for the HorizontalPodAutoscaler."""

    stable_replicas: int
    candidate_replicas: int
    wait: str
    """Why pods that the release needs are missing, for a person; empty if none are."""
    mode: CapacityMode
    """The mode in effect, never Auto."""
    arms: Mapping[str, int] = field(default_factory=dict)
    """Replicas of each arm of an A/B test, by revision."""
    baseline_replicas: int = 0
    baseline_leaves: bool = False
    """Whether the baseline has to leave, because there is no room for its pods beside the others."""

    @property
    def ramps(self) -> bool:
        """Whether a step begins before all of its pods are ready, with a weight that follows those that are."""
        return self.mode is CapacityMode.SHRINK_STABLE

    def replicas_of(self, candidate: str) -> int:
        """Replicas of one of the candidates."""
        return self.arms.get(candidate, self.candidate_replicas)
