"""Chooses the registry for a URI."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from sluice_storage.console import say

from sluice_resolver import stores
from sluice_resolver.mlflow import MLflow

STORES: Final = ("hf://", "oci://")


class Registries:
    """All registries that a namespace has credentials for."""

    def __init__(self, credentials: Path, plain_http: Sequence[str] = ()) -> None:
        self._credentials = credentials
        self._plain_http = frozenset(plain_http)
        self._mlflow = MLflow(credentials)

    def resolve(self, uri: str) -> dict[str, str]:
        """What is known of a URI, in the operator's format."""
        try:
            if not uri.startswith(STORES):
                return self._mlflow.resolve(uri)
            stores.lend(self._credentials)
            return stores.resolve(uri, self._plain_http)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OSError) as error:
            say(f"{uri}: an answer that nobody has thought of ({type(error).__name__})")
            return {"uri": uri, "problem": "Unreachable"}

    def tag(self, name: str, version: str, tags: Mapping[str, str]) -> dict[str, str]:
        return self._mlflow.tag(name, version, tags)
