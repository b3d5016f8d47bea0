"""Parts that several kinds share: objectives, steps, conditions and references."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from sluice_core.api.base import ObjectName, Time
from sluice_judge.schema.cel import Cel
from sluice_judge.schema.model import ApiModel


class LocalObjectRef(ApiModel):
    """A reference to an object in the same namespace."""

    name: ObjectName
    """The object's name."""


PullSecrets = Annotated[
    list[LocalObjectRef],
    Field(
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    ),
]
"""Secrets for pulling images."""


class Strategy(StrEnum):
    CANARY = "Canary"
    BLUE_GREEN = "BlueGreen"
    AB_TEST = "ABTest"
    SHADOW = "Shadow"
    RECREATE = "Recreate"


class CapacityMode(StrEnum):
    """Where the pods of a candidate come from."""

    AUTO = "Auto"
    SURGE = "Surge"
    SHRINK_STABLE = "ShrinkStable"
    RECREATE = "Recreate"


class ConditionStatus(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiModel):
    """One observed aspect of an object (Kubernetes' standard condition)."""

    type: Annotated[str, Field(max_length=64)]
    status: ConditionStatus
    reason: Annotated[str, Field(max_length=64)]
    message: Annotated[str, Field(max_length=1024)] = ""
    last_transition_time: Time
    observed_generation: int = 0


Conditions = Annotated[
    list[Condition],
    Field(
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]

SHORT_NAME: Final = Cel(
    "size(self.metadata.name) <= 45 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    message="metadata.name must be a DNS-1035 label (lower-case letters, digits and -, beginning with a letter) "
    "of at most 45 characters: the names of its children are made from it",
)
"""For kinds whose objects have children."""
