"""What outlives a ModelDeployment, so that a new one of the same name continues where the old one stopped.

    the stable version's ControllerRevision   marked, and without an owner
    the newest ModelRollout                   without an owner while it holds back what the spec asked for
    everything else                           owned, and so deleted by Kubernetes with its model

model deleted ──> a day ──> forgotten (`forgetting`)
        └── created again ──> what was stable serves; what was refused is not tried again; all else is released from it
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice_core.kernel import naming, rawobjects, writing
from sluice_core.kernel.news import happening
from sluice_core.kernel.plan import Event, Patch, Ref
from sluice_core.kernel.reasons import Reason
from sluice_core.render import common
from sluice_core.rollout import intents
from sluice_core.situation.situation import Situation

PINNED: Final = "ControllerRevision"


def mark_writes(situation: Situation) -> Iterator[Patch]:
    """The mark of the stable version, which makes it outlive its model.

    While there has been only one version, everything says which one it is, and nothing was judged: a recreated model is
    as new as the first time.
    """
    stable, revisions = situation.stable, situation.snapshot.revisions
    if stable is None or (stable.stable_since is None and len(revisions) < 2):
        return
    late = stable.stable_since is None or stable.stable_since < situation.stable_since
    mark = {naming.ANNOTATION_STABLE_SINCE: str(situation.stable_since)} if late else {}
    yield from _changed(situation, PINNED, stable.name, mark, _labels(situation, stable.name), owned=False)


def owner_writes(situation: Situation) -> Iterator[Patch]:
    """Makes the newest release outlive its model, or no longer, and nothing else; restores missing labels."""
    holding = _holding_back(situation)
    for rollout in situation.snapshot.rollouts:
        outlives = holding is not None and rollout.metadata.name == holding.metadata.name
        note = {naming.ANNOTATION_OUTCOME: str(rollout.status.outcome) if outlives else None}
        labels = _labels(situation, rollout.spec.target.revision)
        yield from _changed(situation, ModelRollout.kind, rollout.metadata.name, note, labels, owned=not outlives)
    for revision in situation.snapshot.revisions:
        if situation.stable is None or revision.name != situation.stable.name:
            labels = _labels(situation, revision.name)
            yield from _changed(situation, PINNED, revision.name, {}, labels, owned=True)


def events(situation: Situation) -> Iterator[Event]:
    """An object that has not been reconciled before finds a stable version of its name."""
    model, stable = situation.snapshot.deployment, situation.stable
    if stable is None or not situation.snapshot.unseen:
        return
    message = (
        f"{stable.name} ({stable.uri}) was the stable version of this name before: it serves, and any other version is "
        "released from it. To start afresh, delete this object, then the ControllerRevisions and ModelRollouts labelled "
        f"{naming.LABEL_OWNER}={model.metadata.name}, and create it again"
    )
    id_ = happening(model.metadata.uid, Reason.REMEMBERED, stable.name)
    yield Event(Reason.REMEMBERED, message, id_, situation.snapshot.now, (model.kind, model.metadata.name))


def _labels(situation: Situation, revision: str) -> Mapping[str, str]:
    return naming.owned_labels(situation.snapshot.name, revision)


def _holding_back(situation: Situation) -> ModelRollout | None:
    """The newest release if it is why the spec's version or test is not released: it failed, or a person rolled it
    back.
    """
    latest = situation.latest
    if latest is None or situation.stable is None or situation.latest_is_old:
        return None
    match latest.status.outcome:
        case Outcome.ROLLED_BACK | Outcome.ABORTED:
            holds = not latest.status.withdrawn
        case Outcome.PROMOTED:
            holds = intents.is_diverted(latest) and not latest.status.withdrawn
        case outcome:
            holds = outcome is Outcome.INCONCLUSIVE
    return latest if holds else None


def _changed(
    situation: Situation,
    kind: str,
    name: str,
    notes: Mapping[str, str | None],
    labels: Mapping[str, str],
    *,
    owned: bool,
) -> Iterator[Patch]:
    """What an object lacks of these annotations and labels, and of its owner or of having none; owners of other kinds
    stay.
    """
    snapshot = situation.snapshot
    found = snapshot.objects.get((kind, name))
    if found is None or rawobjects.is_going(found):
        return
    wanted = {naming.ANNOTATION_FORGET_AFTER: None, **notes}
    annotations = {key: value for key, value in wanted.items() if rawobjects.annotations(found).get(key) != value}
    owners = found["metadata"].get("ownerReferences") or []
    others = [owner for owner in owners if owner.get("kind") != ModelDeployment.kind]
    after = (owners or [common.owner_reference(snapshot.deployment)]) if owned else others
    change: dict[str, Any] = {"annotations": annotations} if annotations else {}
    if lacking := {key: value for key, value in labels.items() if rawobjects.labels(found).get(key) != value}:
        change["labels"] = lacking
    if after != owners:
        change["ownerReferences"] = after
    if change:
        ref = Ref(writing.API_VERSIONS[kind], kind, name, snapshot.namespace, found["metadata"].get("uid", ""))
        yield Patch(ref, {"metadata": change})
