"""Command line and configuration file of the operator; mistakes in them are reported before anything starts."""

import argparse
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError

from sluice.shell.leadership.election import DEFAULT_DURATION_SECONDS
from sluice_core.adapters import gateways
from sluice_core.api.config import OperatorConfig
from sluice_judge.gateways import UnknownPreset
from sluice_judge.presets import GatewayPreset

DEFAULT_CONFIG: Final = Path("/etc/sluice/config.yaml")
PROMETHEUS_CREDENTIALS: Final = Path("/etc/sluice-prometheus")
LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")


class InvalidOptions(Exception):
    """The operator cannot start like this; the message says where and what to do."""


@dataclass(frozen=True, slots=True)
class OperatorOptions:
    """The operator's settings from outside."""

    config: OperatorConfig
    preset: GatewayPreset
    warnings: tuple[str, ...]
    """Probable mistakes in the configuration that do not keep the operator from starting."""
    namespace: str
    identity: str
    lease_name: str
    lease_seconds: float
    liveness_port: int
    metrics_port: int
    log_level: str
    kubeconfig: Path | None
    prometheus_credentials: Path


def parse(arguments: Sequence[str] | None, environment: Mapping[str, str] = os.environ) -> OperatorOptions:
    """Reads command line, environment and file; raises `InvalidOptions`."""
    given = _parser(environment).parse_args(arguments)
    config, warnings = load_config(given.config)
    try:
        preset = gateways.preset_of(config)
    except UnknownPreset as error:
        raise InvalidOptions(f"{given.config}: {error}") from error
    if not given.namespace:
        raise InvalidOptions("--namespace: the namespace of the lease is unknown; pass it, or set POD_NAMESPACE")
    return OperatorOptions(
        config=config,
        preset=preset,
        warnings=(*warnings, *_of_gateway(given.config, preset)),
        namespace=given.namespace,
        identity=given.identity,
        lease_name=given.lease_name,
        lease_seconds=given.lease_seconds,
        liveness_port=given.liveness_port,
        metrics_port=given.metrics_port,
        log_level=given.log_level or config.log_level,
        kubeconfig=given.kubeconfig,
        prometheus_credentials=given.prometheus_credentials,
    )


def _of_gateway(path: Path, preset: GatewayPreset) -> Iterator[str]:
    if preset.requests and not preset.own:
        yield (
            f"{path}: gatewaySeries: no labels are set, so whoever exposes series of the gateway's names is believed, in "
            "any namespace; set labels that Prometheus gives to the gateway alone (docs/gateways.md)"
        )


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sluice-operator",
        description="Serves ML models on Kubernetes and releases new versions by evidence.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    identity = environment.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}"
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="configuration file (YAML)")
    parser.add_argument("--namespace", default=environment.get("POD_NAMESPACE"), help="namespace of the lease")
    parser.add_argument("--identity", default=identity, help="name of this replica in the lease")
    parser.add_argument("--lease-name", default="sluice-operator", help="name of the lease")
    parser.add_argument(
        "--lease-seconds",
        type=_seconds,
        default=DEFAULT_DURATION_SECONDS,
        help="another replica takes over after this many seconds without a renewal (1 or more)",
    )
    parser.add_argument("--liveness-port", type=int, default=8080, help="port of /healthz and /readyz")
    parser.add_argument("--metrics-port", type=int, default=9090, help="port of /metrics")
    parser.add_argument("--log-level", choices=LEVELS, help="overrides logLevel of the configuration")
    parser.add_argument(
        "--prometheus-credentials",
        type=Path,
        default=PROMETHEUS_CREDENTIALS,
        help="folder with the files of the Secret that prometheusSecretName names",
    )
    parser.add_argument("--kubeconfig", type=Path, help="to run outside a cluster")
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def load_config(path: Path) -> tuple[OperatorConfig, tuple[str, ...]]:
    """The configuration, and warnings about unknown fields; raises `InvalidOptions`."""
    try:
        raw = yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise InvalidOptions(f"{path}: cannot be read: {error.strerror}; name the file with --config") from error
    except yaml.YAMLError as error:
        raise InvalidOptions(f"{path}: is not YAML: {error}") from error
    if not isinstance(raw, dict):
        raise InvalidOptions(f"{path}: must be a mapping of fields, such as `domain: models.example.com`")
    try:
        config = OperatorConfig.model_validate(raw)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors())
        raise InvalidOptions("\n".join(f"{path}: {problem}" for problem in problems)) from error
    return config, tuple(
        f"{path}: {field}: unknown field, which has no effect" for field in unknown_fields(raw, config)
    )


def unknown_fields(raw: Mapping[str, Any], model: BaseModel, prefix: str = "") -> list[str]:
    """Paths of the fields that the model lacks."""
    by_name = {alias: name for name, field in type(model).model_fields.items() for alias in (name, field.alias)}
    found = []
    for field, value in raw.items():
        if field not in by_name:
            found.append(f"{prefix}{field}")
            continue
        nested = getattr(model, by_name[field])
        if isinstance(nested, BaseModel) and isinstance(value, Mapping):
            found.extend(unknown_fields(value, nested, f"{prefix}{field}."))
    return found
