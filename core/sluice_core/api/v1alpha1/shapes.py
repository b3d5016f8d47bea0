"""Schemas of fragments of Kubernetes' own API, typed and bounded, for fields that are passed through unread."""

from typing import Any, Final, TypeAlias

from sluice_core.api.base import QUANTITY

Schema: TypeAlias = dict[str, Any]

LONGEST_NAME: Final = 253
LONGEST_KEY: Final = 317
"""The longest key of a label: a prefix of 253, a slash and 63."""
LONGEST_PATH: Final = 1024
LONGEST_VALUE: Final = 32_768
"""The longest value of an environment variable."""
LISTED: Final = 64
"""Entries of a list that people write by hand."""
VALUES: Final = 512
"""Values of one requirement, such as names of nodes."""


def text(description: str, longest: int = LONGEST_NAME) -> Schema:
    return {"type": "string", "maxLength": longest, "description": description}


def name(description: str) -> Schema:
    return {**text(description, 63), "minLength": 1, "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}


def number(description: str) -> Schema:
    return {"type": "integer", "description": description}


def flag(description: str) -> Schema:
    return {"type": "boolean", "description": description}


def quantity(description: str) -> Schema:
    return {
        "x-kubernetes-int-or-string": True,
        "maxLength": 32,
        "pattern": QUANTITY,
        "description": description,
    }


def fields(description: str, *, required: tuple[str, ...] = (), **members: Schema) -> Schema:
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "description": description, "properties": members, **needed}


def listed(description: str, item: Schema, most: int = LISTED) -> Schema:
    return {"type": "array", "maxItems": most, "description": description, "items": item}


def texts(description: str, most: int = LISTED) -> Schema:
    return listed(description, text("One of them.", LONGEST_KEY), most)
