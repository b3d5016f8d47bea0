"""Handles a name that another object unexpectedly has: decided in `core.kernel.claims`."""

from sluice.shell.cache.keys import Key
from sluice.shell.cache.store import Store
from sluice.shell.cache.stubs import Identity
from sluice_core import errors
from sluice_core.kernel import claims
from sluice_core.kernel.claims import Claim
from sluice_core.kernel.snapshot import Object


def unlabelled(store: Store, key: Key, place: Identity, found: Object | None, conflict: errors.Conflict) -> Object:
    """The object found, if it lacks only a label, so that it may be written.

    Raises the conflict where another look helps, after which the store knows the object, and `Occupied` where it is not
    ours.
    """
    owner, known = store.get(key.kind, key.namespace, key.name), store.get(*place)
    if found is None and known is not None:
        store.drop(known, for_good=True)
    if found is None or owner is None:
        raise conflict
    match claims.claim(found, owner):
        case Claim.UNLABELLED:
            return found
        case Claim.OURS:
            store.put(found)
            raise conflict
        case Claim.PASSING:
            raise conflict
        case Claim.FOREIGN:
            raise errors.Occupied(
                f"{place.kind} {place.namespace}/{place.name} exists already, and belongs to {claims.whose(found)}, not "
                f"to {key.kind} {key.name}"
            )
