"""What the judge must know of the running release."""

from sluice.api.base import fraction
from sluice.core import naming
from sluice.core.analysis.model import Arm, Trial
from sluice.core.situation import Situation
from sluice.core.snapshot import Revision


def running_trial(situation: Situation) -> Trial | None:
    """The trial of a release that has had its first weight; None where nothing is compared."""
    active, stable, snapshot = situation.active, situation.stable, situation.snapshot
    if active is None or stable is None or active.status.step < 1:
        return None
    candidate = situation.candidate
    if candidate is None:
        return None
    spec, status, route = active.spec, active.status, snapshot.route
    return Trial(
        now=snapshot.now,
        namespace=snapshot.namespace,
        name=snapshot.name,
        stable=_arm(stable),
        candidate=_arm(candidate),
        objectives=tuple(spec.objectives),
        alpha=fraction(spec.false_rollback_probability),
        beta=fraction(spec.false_advance_probability),
        step=len(status.steps),
        weight=status.weight,
        baking=status.weight >= 100,
        scrape_interval_seconds=spec.scrape_interval_seconds,
        idle_seconds=spec.idle_seconds,
        initial_dispersion=spec.initial_dispersion,
        route_generation=route.generation if route is not None else 0,
        route_programmed=(
            route is not None and route.programmed and route.weight(candidate.name) == status.weight * 10
        ),
        preset=snapshot.preset,
        state=status.state,
    )


def _arm(revision: Revision) -> Arm:
    return Arm(revision=revision.name, service=revision.name, port=naming.SERVICE_PORT)
