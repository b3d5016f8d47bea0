"""Blue-green: a full second set, looked at under a host name of its own, and one flip.

    preview: all pods of green, no user ── previewSeconds, or a person ──> weight 100: bake with blue warm ──> promoted

The preview's traffic is whatever people or synthetic checks send; evidence against green ends the release before a user
sees it. A proof is not waited for, since nobody may ever call the preview: who wants one before the flip puts a Shadow
stage in front. After the flip the rollback is one write of the route.
"""

from sluice_core.api.v1alpha1.rolloutspec import RolloutStep
from sluice_core.api.v1alpha1.strategies import BlueGreen


def steps(settings: BlueGreen) -> list[RolloutStep]:
    """Preview, then everything."""
    preview = RolloutStep(
        preview=True, pause=not settings.automatic_promotion, minimum_seconds=settings.preview_seconds
    )
    return [preview, RolloutStep(weight=100)]
