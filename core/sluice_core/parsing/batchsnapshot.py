"""The frozen view for decisions about one BatchInference: `BatchWorld` is raw, `BatchSnapshot` parsed."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.batchinference import BatchInference
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.servingruntime import ServingRuntime
from sluice_core.kernel import rawobjects
from sluice_core.kernel.snapshot import Object, Revision
from sluice_core.parsing import ownkinds, worlds
from sluice_core.parsing.ownkinds import CORRECT_IT, InvalidSpec


@dataclass(frozen=True, slots=True)
class BatchWorld:
    """Everything in the store about one BatchInference, unparsed."""

    now: float
    """Seconds since the epoch."""
    batch: Object
    owned: tuple[Object, ...]
    """Every object in the namespace labelled sluice.dev/batch-inference=<name>: its runs, and their pods."""
    model: Object | None
    """The ModelDeployment that it refers to."""
    pinned: tuple[Object, ...]
    """The ControllerRevisions of that model."""
    runtimes: tuple[Object, ...]
    config: OperatorConfig
    spark_operator: bool = False
    """Whether the cluster serves SparkApplications."""
    forbidden: tuple[str, ...] = ()
    """Resources that the operator may not list or watch, such as `pods`."""


@dataclass(frozen=True, slots=True)
class BatchSnapshot:
    """Everything that a decision may see."""

    now: float
    config: OperatorConfig
    batch: BatchInference
    model: ModelDeployment | None
    revisions: tuple[Revision, ...]
    runtimes: tuple[ServingRuntime, ...]
    objects: Mapping[tuple[str, str], Object]
    """Raw owned objects by (kind, name)."""
    spark_operator: bool = False
    forbidden: tuple[str, ...] = ()

    @property
    def namespace(self) -> str:
        return self.batch.metadata.namespace


def parsed_batch(raw: Object) -> BatchInference | InvalidSpec:
    """The BatchInference; its status is the record of its runs, and so never dropped: they would begin again."""
    if text := rawobjects.unreadable(raw):
        return InvalidSpec("spec", text)
    try:
        return BatchInference.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
    remedy = "upgrade the operator if a newer one wrote it" if first["loc"][:1] == ("status",) else CORRECT_IT
    return InvalidSpec(ownkinds.field_path(first["loc"]), first["msg"], remedy)


def observed(world: BatchWorld) -> BatchSnapshot | InvalidSpec:
    """Everything that a decision may see; a model, runtime or revision that does not parse counts as absent."""
    batch = parsed_batch(world.batch)
    if isinstance(batch, InvalidSpec):
        return batch
    owned = tuple(object_ for object_ in world.owned if worlds.belongs_to(object_, batch))
    if (unreadable := worlds.unreadable_object(owned)) is not None:
        return unreadable
    model = ownkinds.parsed_deployment(world.model) if world.model is not None else None
    return BatchSnapshot(
        now=world.now,
        config=world.config,
        batch=batch,
        model=model if isinstance(model, ModelDeployment) else None,
        revisions=tuple(worlds.pinned_revisions(world.pinned)),
        runtimes=worlds.parsed_runtimes(world.runtimes),
        objects={(object_.get("kind", ""), rawobjects.name(object_)): object_ for object_ in owned},
        spark_operator=world.spark_operator,
        forbidden=world.forbidden,
    )
