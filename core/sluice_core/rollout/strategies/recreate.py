"""Recreate: for clusters with no room for two versions. The stable version goes first, so there is a downtime.

    stable scaled to 0 ── its pods are gone ──> candidate started ── ready ──> weight 100: bake ──> promoted
                                                        └── not ready in time ──> stable started again

The time is `patience.to_start`. The rollback has the same downtime: the old version is not warm.
"""

from sluice_core.api.v1alpha1.rolloutspec import RolloutStep


def steps() -> list[RolloutStep]:
    """Everything at once: there is nothing beside it."""
    return [RolloutStep(weight=100)]
