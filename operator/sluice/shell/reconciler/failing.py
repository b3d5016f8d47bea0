"""What a failed reconcile writes: a condition with the reason."""

from sluice.shell.cache.keys import BATCH, Key
from sluice.shell.cache.store import Store
from sluice_core import errors
from sluice_core.batch import failure as batch_failure
from sluice_core.decide import failure
from sluice_core.kernel.plan import Plan


def defect_plan(store: Store, key: Key, error: Exception, now: float) -> Plan | None:
    """After a defect of the operator; None for an object that is gone meanwhile."""
    if key.kind == BATCH:
        batch = store.batch_world(key, now)
        return batch_failure.defect_plan(batch, error) if batch is not None else None
    model = store.world(key, now)
    return failure.defect_plan(model, error) if model is not None else None


def failed_plan(store: Store, key: Key, error: errors.ApiError, now: float) -> Plan | None:
    """After a refused write; None for an object that is gone meanwhile, and for an error that passes by itself."""
    if key.kind == BATCH:
        batch = store.batch_world(key, now)
        return batch_failure.write_failed_plan(batch, error) if batch is not None else None
    model = store.world(key, now)
    return failure.write_failed_plan(model, error) if model is not None else None
