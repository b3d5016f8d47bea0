"""Our own kinds, parsed from raw objects as far as possible."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel import rawobjects
from sluice_core.kernel.rawobjects import Object
from sluice_judge import memo, timestamps

CORRECT_IT: Final = "correct the manifest and apply it again"


@dataclass(frozen=True, slots=True)
class InvalidSpec:
    """The ModelDeployment, or the record of its releases, cannot be read; nothing may be decided."""

    path: str
    """The field, such as `spec.model.uri`."""
    message: str
    """What is wrong with it."""
    remedy: str = CORRECT_IT
    """What a person must do about it."""


@memo.by_identity(memo.MODELS)
def parsed_deployment(raw: Object) -> ModelDeployment | InvalidSpec:
    """The ModelDeployment; a status from an older or newer operator that cannot be read is dropped rather than refused."""
    if text := rawobjects.unreadable(raw):
        return InvalidSpec("spec", text)
    try:
        return ModelDeployment.model_validate(raw)
    except ValidationError as error:
        first = next((detail for detail in error.errors() if detail["loc"][:1] != ("status",)), None)
    if first is None:
        return parsed_deployment({key: value for key, value in raw.items() if key != "status"})
    return InvalidSpec(field_path(first["loc"]), first["msg"])


def asked_time(raw: Object) -> float | None:
    """When the spec was last changed, in seconds since the epoch, rounded down; None if the object does not say."""
    return _newest(rawobjects.spec_writes(raw))


def written_time(raw: Object) -> float | None:
    """When the operator last wrote a status that differed from the one before; likewise."""
    return _newest(rawobjects.status_writes(raw))


def _newest(writes: Iterable[Object]) -> float | None:
    try:
        return max((timestamps.seconds(each["time"]) for each in writes), default=None)
    except (KeyError, TypeError, ValueError):
        return None


@memo.by_identity(memo.VERSIONS)
def parsed_rollout(raw: Object) -> ModelRollout | InvalidSpec:
    """The ModelRollout; unreadable parts of its status, from an older or newer operator, are left out.

    The outcome is never left out: a release that has ended would continue.
    """
    status = dict(raw.get("status") or {})
    if "permille" not in status and "weight" in status:
        status["permille"] = int(status["weight"]) * 10  # written before weights were permille
    while True:
        try:
            return ModelRollout.model_validate({**raw, "status": status})
        except ValidationError as error:
            detail = error.errors()[0]
        part, field = (*detail["loc"], "", "")[:2]
        if part != "status" or field == "outcome" or field not in status:
            path = f"{ModelRollout.kind} {rawobjects.name(raw)}: {field_path(detail['loc'])}"
            return InvalidSpec(
                path,
                detail["msg"],
                "upgrade the operator if a newer one wrote this object, otherwise restore the object",
            )
        del status[field]


def field_path(location: Sequence[Any]) -> str:
    """`spec.containers[0].name` of pydantic's `("spec", "containers", 0, "name")`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
