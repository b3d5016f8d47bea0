"""Shadow: copies of real requests, whose answers no user sees.

    mirror 100 % ── minimumRequests and proven ──> "ready": waits for a person ──> weight 100: bake ──> promoted

As the first stage of Canary or BlueGreen it continues automatically. Copies can only be judged by failures of the
server and latency: no one gives feedback on an unseen answer.
"""

from sluice_core.api.v1alpha1.rolloutspec import RolloutStep
from sluice_core.api.v1alpha1.strategies import Shadow
from sluice_judge.presets import GatewayPreset


def stage(settings: Shadow) -> RolloutStep:
    """The mirrored step in front of another strategy's."""
    return RolloutStep(mirror_percent=settings.percent, minimum_requests=settings.minimum_requests)


def steps(settings: Shadow) -> list[RolloutStep]:
    """Shadow alone: a version that has passed is released only when a person says so."""
    return [stage(settings).model_copy(update={"pause": True}), RolloutStep(weight=100)]


def mirror_refused(settings: Shadow, preset: GatewayPreset, *, observed: bool = False) -> str:
    """Why the gateway cannot mirror as the spec says, with the remedy; empty if it can. observed: whether an observer
    gets copies, too."""
    if not preset.request_mirror:
        return (
            f"spec.rollout.shadow: the gateway ({preset.name}) does not mirror requests; use Canary, or BlueGreen "
            "without shadow"
        )
    if observed and not preset.mirrors_several:
        return (
            f"spec.rollout.shadow, spec.observer: the gateway ({preset.name}) is not known to copy a request to two; remove "
            "spec.observer while versions are released with copies, or release without shadow"
        )
    if settings.percent < 100 and not preset.mirror_percent:
        return (
            f"spec.rollout.shadow.percent: the gateway ({preset.name}) ignores the percentage of a mirror and would "
            f"copy every request instead of {settings.percent} %; set it to 100, or use a gateway that supports it "
            "(docs/gateways.md)"
        )
    return ""
