"""Deletes what has outlived its model a day later; the due time is noted on one of these objects.

model gone ──> forget-after noted ──> expired: deleted
                    └── a model of the name is created ──> the note is taken away (`outliving`)
"""

import math
from collections.abc import Iterable, Iterator
from typing import Final

from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel import naming, rawobjects, writing
from sluice_core.kernel.plan import Delete, Patch, Plan, Ref
from sluice_core.kernel.snapshot import Object
from sluice_core.parsing import worlds
from sluice_judge import timestamps

REMEMBERED_SECONDS: Final = 86_400.0
"""How long an object is kept after the operator has seen that its model is gone."""
PINNED: Final = "ControllerRevision"


def plan(owned: Iterable[Object], now: float) -> Plan:
    """For a missing model; owned: everything labelled with it."""
    objects = tuple(owned)
    left = [*_left(objects, PINNED), *_left(objects, ModelRollout.kind)]
    # Its pods were orphaned, too (--cascade=orphan): what pins them stays.
    serving = any(not _owners(each) for each in rawobjects.of_kind(objects, "Deployment"))
    if not left or serving or any(map(rawobjects.unreadable, objects)):
        return Plan()
    noted = [moment for each in left if (moment := _forgotten_at(each, now)) is not None]
    if not noted:
        until = timestamps.rfc3339(math.ceil(now + REMEMBERED_SECONDS))
        note = {"metadata": {"annotations": {naming.ANNOTATION_FORGET_AFTER: until}}}
        because = f"its model was deleted; what was stable, and what was refused, is remembered until {until}"
        return Plan((Patch(_ref(left[0]), note),), requeue_after=REMEMBERED_SECONDS, because=because)
    if now < min(noted):
        return Plan(requeue_after=min(noted) - now)
    return Plan(tuple(Delete(_ref(each)) for each in left), because="its model was deleted a day ago")


def _left(objects: Iterable[Object], kind: str) -> Iterator[Object]:
    """The objects of this kind that the operator created and that only it will delete."""
    for each in rawobjects.of_kind(objects, kind):
        ours = rawobjects.labels(each).get(naming.LABEL_MANAGED_BY) == "sluice" and not _owners(each)
        if ours and not rawobjects.is_going(each) and (kind != PINNED or any(worlds.pinned_revisions([each]))):
            yield each


def _owners(object_: Object) -> list[Object]:
    found: list[Object] = object_["metadata"].get("ownerReferences") or []
    return found


def _forgotten_at(object_: Object, now: float) -> float | None:
    """The noted time; a broken value counts as absent, and so does one too late to be right."""
    text = rawobjects.annotations(object_).get(naming.ANNOTATION_FORGET_AFTER)
    try:
        moment = timestamps.seconds(text) if text is not None else math.inf
    except ValueError:
        return None
    return moment if moment <= now + REMEMBERED_SECONDS + timestamps.ROUNDED_SECONDS else None


def _ref(object_: Object) -> Ref:
    metadata, kind = object_["metadata"], object_["kind"]
    return Ref(writing.API_VERSIONS[kind], kind, metadata["name"], metadata.get("namespace", ""), metadata["uid"])
