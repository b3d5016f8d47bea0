"""The resolver of a namespace: the first model there that follows a registry owns it, for all of them.

the first follower ──> Deployment <name>-resolver        it stops following, or an older one begins to ──> deleted
it is deleted ──> its resolver is, too, and the next one creates another
"""

from collections.abc import Iterator

from sluice_core.kernel import naming, writing
from sluice_core.kernel.plan import Write
from sluice_core.kernel.snapshot import Snapshot
from sluice_core.render import resolver


def writes(snapshot: Snapshot) -> Iterator[Write]:
    """Creates or deletes its Deployment."""
    if snapshot.keeps_resolver:
        yield from writing.applied(snapshot, resolver.desired_resolver(snapshot.deployment, snapshot.config))
    else:
        yield from writing.deleted(snapshot, "Deployment", naming.resolver_name(snapshot.name))
