"""Manifests in files."""

import datetime
import json
import sys
from pathlib import Path
from typing import Any, TypeVar

import yaml

from kubectl_sluice.cli.console import Failure
from kubectl_sluice.manifests import admission
from sluice_core.api.base import API_VERSION
from sluice_judge.schema.model import ApiModel

Kind = TypeVar("Kind", bound=ApiModel)


def read_text(file: str) -> str:
    """A file, or standard input for `-`; a `Failure` where it cannot be read."""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def read_manifest(file: str, kind: str) -> dict[str, Any]:
    """The only object of a kind in a YAML or JSON file, which may hold other kinds as well."""
    try:
        documents = [each for each in yaml.safe_load_all(read_text(file)) if each is not None]
    except yaml.YAMLError as error:
        raise Failure(f"{file}: this is not YAML: {' '.join(str(error).split())}") from error
    manifests = [each for each in documents if isinstance(each, dict) and each.get("kind") == kind]
    if len(manifests) != 1:
        there = ", ".join(str(each.get("kind")) for each in documents if isinstance(each, dict)) or "nothing"
        raise Failure(
            f"{file}: must hold one {kind}, but holds {there if not manifests else f'{len(manifests)} of them'}"
        )
    [manifest] = manifests
    if manifest.get("apiVersion") != API_VERSION:
        raise Failure(f"{file}: apiVersion {manifest.get('apiVersion')!r} is unknown; use {API_VERSION}")
    if not isinstance(manifest.get("spec"), dict):
        raise Failure(f"{file}: spec is missing")
    return manifest


def parsed(model: type[Kind], value: Any, *, file: str, path: str) -> Kind:
    """A value as the model; a `Failure` that names the field which the API server would refuse or not know."""
    try:
        written = json.loads(json.dumps(value, default=_written, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise Failure(f"{file}: {path}: this cannot be written as JSON: {error}") from error
    violation = next(admission.violations(model, written, path=path), None)
    if violation is not None:
        raise Failure(f"{file}: {violation.path}: {violation.message}")
    return model.model_validate(written)


def _written(value: object) -> str:
    """Times in YAML become text, as for the API server."""
    if isinstance(value, datetime.datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)
