"""Blue-green: a full second set of pods with a preview host name, and one flip.

    preview: all pods of green, no user ── previewSeconds, or a person ──> weight 100: bake with blue warm ──> promoted

The preview's traffic comes from people or synthetic checks; evidence against green ends the release before a user sees
it. No proof is required, since the preview may never be called: for one before the flip, add a Shadow stage. After the
flip the rollback is one write of the route.
"""

from sluice_core.api.v1alpha1.rolloutspec import RolloutStep
from sluice_core.api.v1alpha1.strategies import BlueGreen


def steps(settings: BlueGreen) -> list[RolloutStep]:
    """Preview, then everything."""
    preview = RolloutStep(
        preview=True, pause=not settings.automatic_promotion, minimum_seconds=settings.preview_seconds
    )
    return [preview, RolloutStep(weight=100)]
