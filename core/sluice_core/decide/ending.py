"""A namespace that is being deleted."""

from collections.abc import Iterable

from sluice_core.kernel import rawobjects
from sluice_core.kernel.plan import Delete, Plan, Ref
from sluice_core.kernel.snapshot import Object


def plan(owned: Iterable[Object]) -> Plan:
    """Deletes the Jobs among the owned objects; nothing else is written.

    Kubernetes deletes the pods of a namespace first, and waits for them before it deletes anything else. The Job
    controller keeps the last failed pod of an index until it has created the next one, which it no longer can: both
    would wait for ever.
    """
    jobs = (each["metadata"] for each in rawobjects.of_kind(owned, "Job") if not rawobjects.is_going(each))
    return Plan(
        writes=tuple(Delete(Ref("batch/v1", "Job", job["name"], job["namespace"], job["uid"])) for job in jobs),
        because="the namespace is being deleted",
    )
