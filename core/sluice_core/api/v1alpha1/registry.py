"""Models that a registry names: valid values of `spec.model.uri`, and their resolution."""

import re
from typing import Annotated, Final

from pydantic import Field

from sluice_core.api.base import Time
from sluice_judge.schema.model import ApiModel

PREFIX: Final = "models:/"
FORM: Final = "models:/name@alias or models:/name/version"
NAME: Final = "[A-Za-z0-9][A-Za-z0-9._-]*"
REFERENCE: Final = f"{PREFIX}{NAME}(@[A-Za-z0-9_-]+|/[1-9][0-9]{{0,9}})$"
"""A registered model's alias or version; not a stage, which MLflow has deprecated, and not the latest version."""

_VERSION: Final = re.compile(rf"{PREFIX}({NAME})/([1-9][0-9]{{0,9}})")


class ResolvedModel(ApiModel):
    """The version that spec.model.uri names, as the registry last reported it. It decides what is released."""

    uri: Annotated[str, Field(max_length=1024)]
    """spec.model.uri: what was resolved."""
    pinned: Annotated[str, Field(max_length=1024)]
    """The URI of this version, such as models:/digits/7."""
    version: Annotated[str, Field(max_length=128)]
    """Its number in the registry."""
    source: Annotated[str, Field(max_length=1024)]
    """Where its files are."""
    digest: Annotated[str, Field(max_length=128)]
    """The digest of the registry's record of the version: a new version under the same name and number has another
    digest.
    """
    time: Time
    """Since when it has been the resolved version."""


def is_followed(uri: str) -> bool:
    """Whether a registry says where the model is."""
    return uri.startswith(PREFIX)


def name_of(uri: str) -> str:
    """The registered model that a URI names."""
    return uri.removeprefix(PREFIX).partition("@")[0].partition("/")[0]


def names_alias(uri: str) -> bool:
    """Whether the URI may name another version later."""
    return "@" in uri


def pinned(name: str, version: str) -> str:
    """The URI of one version."""
    return f"{PREFIX}{name}/{version}"


def pinned_commit(uri: str, commit: str) -> str:
    """An hf:// URI with a commit in place of its branch."""
    return f"{uri.partition('@')[0]}@{commit}"


def pinned_digest(uri: str, digest: str) -> str:
    """An oci:// URI with its digest; the tag stays for people."""
    return f"{uri}@{digest}"


def name_and_version(uri: str) -> tuple[str, str] | None:
    """The name and version in a URI that names one version; None for any other URI."""
    found = _VERSION.fullmatch(uri)
    return None if found is None else (found[1], found[2])
