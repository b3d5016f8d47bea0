"""Where a gateway counts the requests of a revision."""

from sluice.core.judge.model import Arm
from sluice.core.kernel import naming
from sluice.core.kernel.snapshot import Revision, Route
from sluice.core.render import common


def arm_of(revision: Revision, route: Route | None, suffix: str = "") -> Arm:
    """Where the gateway counts a revision's requests; suffix: of the Service of its copies or previews."""
    return Arm(
        revision=revision.name,
        service=naming.service_name(revision.name, suffix),
        port=naming.SERVICE_PORT,
        grpc_port=naming.GRPC_SERVICE_PORT if revision.grpc_port is not None else None,
        # Copies, previews and testers' requests have a rule, or a filter, of their own.
        position=0 if suffix else _position(revision, route),
        route=naming.service_name(revision.name, suffix) if suffix == common.PREVIEW else "",
        mirrored=suffix == common.MIRROR,
    )


def _position(revision: Revision, route: Route | None) -> int:
    """Its place among the backends; a second one without weight only keeps a position taken."""
    places = [
        (permille, -index)
        for index, (name, permille) in enumerate(route.weights if route is not None else ())
        if name == revision.name
    ]
    return -max(places)[1] if places else 0
