"""Finds the owner of an object that has the name of one of ours but was not among the known ones.

labelled as ours, ours by its owner         not seen yet: the next reconcile decides with it
ours by its owner, but without the label    the label was removed: it is restored
the same of a ControllerRevision without an
owner, as the stable version's, that we made
of an owner of this name that is gone, or
being deleted                               the garbage collector deletes it: the name will be free
everything else                             foreign: it is left as it is, and a condition names its owner
"""

from enum import Enum, auto
from typing import Final

from sluice_core.kernel import naming, rawobjects
from sluice_core.kernel.snapshot import Object

OWNER_LABELS: Final = {"ModelDeployment": naming.LABEL_OWNER, "BatchInference": naming.LABEL_BATCH}


class Claim(Enum):
    OURS = auto()
    UNLABELLED = auto()
    PASSING = auto()
    FOREIGN = auto()


def claim(found: Object, owner: Object) -> Claim:
    """What the owner may do with an object in its namespace."""
    owners = found["metadata"].get("ownerReferences") or ()
    uids = {reference.get("uid") for reference in owners}
    labels = rawobjects.labels(found)
    named = naming.owner_name(str(labels.get(OWNER_LABELS[owner["kind"]], ""))) == rawobjects.name(owner)
    labelled = named and labels.get(naming.LABEL_MANAGED_BY) == naming.FIELD_MANAGER
    if rawobjects.uid(owner) in uids or (not uids and (labelled or _is_pinned_by_us(found))):
        return Claim.OURS if labelled else Claim.UNLABELLED
    earlier = any((each.get("kind"), each.get("name")) == (owner["kind"], rawobjects.name(owner)) for each in owners)
    return Claim.PASSING if earlier or rawobjects.is_going(found) else Claim.FOREIGN


def _is_pinned_by_us(found: Object) -> bool:
    return found["kind"] == "ControllerRevision" and naming.FIELD_MANAGER in _managers(found)


def _managers(found: Object) -> list[str]:
    return [str(each["manager"]) for each in found["metadata"].get("managedFields") or () if each.get("manager")]


def whose(found: Object) -> str:
    """The creator or controller of an object, for a message."""
    owners = sorted(found["metadata"].get("ownerReferences") or (), key=lambda each: not each.get("controller"))
    if owners:
        return f"{owners[0].get('kind')} {owners[0].get('name')}"
    for kind, label in OWNER_LABELS.items():
        if label in rawobjects.labels(found):
            return f"{kind} {naming.owner_name(str(rawobjects.labels(found)[label]))}"
    managers = _managers(found)
    return f"whoever writes it as {managers[0]}" if managers else "somebody else"
