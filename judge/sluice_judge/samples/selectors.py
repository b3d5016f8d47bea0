"""A gateway's selectors for arms, and the arm of each series in an answer.

Arms with the same selector share a question; each series then goes to the arm that it names.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from sluice_judge.model import Arm, Trial
from sluice_judge.presets import GatewayPreset, RouteRule
from sluice_judge.schema import promql

_MATCHER: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|=)\s*"((?:[^"\\]|\\.)*)"')

Matchers: TypeAlias = tuple[tuple[str, re.Pattern[str]], ...]
"""(label, pattern of its whole value)."""


@dataclass(frozen=True, slots=True)
class Owner:
    """How an arm recognises its series."""

    preset: GatewayPreset
    rules: tuple[RouteRule, ...] | None
    alternatives: tuple[Matchers, ...]
    """One for each place in the route."""


def filled(trial: Trial, selector: str, arms: Sequence[Arm]) -> str:
    """A selector that matches the series of all these arms, and perhaps some more."""
    return filled_for(trial.namespace, trial.name, selector, arms)


def filled_for(namespace: str, model: str, selector: str, arms: Sequence[Arm]) -> str:
    """The same without a trial: for the arms of a model, whether it is being released or not."""
    values: dict[str, set[str]] = {}
    for arm in arms:
        for place in _places(namespace, model, arm):
            for name, value in place.items():
                values.setdefault(name, set()).add(value)
    return _fill(selector, {name: _any_of(sorted(found)) for name, found in values.items()})


def filled_by_user(trial: Trial, selector: str, arm: Arm) -> str:
    """A user's selector in an objective, for one arm: only series of the model's namespace count.

    Raises `promql.InvalidSelector`.
    """
    return _filled_by_user(trial.namespace, trial.name, trial.gateway.namespace_label, selector, arm.revision)


def matchers(trial: Trial, selector: str, arm: Arm) -> Owner:
    """What the labels of this arm's series must match."""
    texts = dict.fromkeys(_fill(selector, place) for place in _places(trial.namespace, trial.name, arm))
    return Owner(trial.gateway.preset, _leading(trial.name, arm), tuple(_compiled(text) for text in texts))


def belongs(labels: Mapping[str, str], owner: Owner) -> bool:
    """Whether a series with these labels belongs to the arm."""
    return any(
        all(pattern.fullmatch(labels.get(label, "")) for label, pattern in alternative)
        for alternative in owner.alternatives
    ) and _is_of(labels, owner.preset, owner.rules)


def not_confused(labels: Mapping[str, str], preset: GatewayPreset, model: str, arm: Arm) -> bool:
    """Whether a series matched by an arm's selector belongs to no other namespace."""
    return _is_of(labels, preset, _leading(model, arm))


def _is_of(labels: Mapping[str, str], preset: GatewayPreset, rules: Sequence[RouteRule] | None) -> bool:
    return preset.is_of is None or rules is None or any(preset.is_of(labels, rule) for rule in rules)


def _leading(model: str, arm: Arm) -> tuple[RouteRule, ...] | None:
    """The rules that lead to the arm."""
    if arm.rules is None:
        return None
    return tuple(rule for rule in arm.rules if rule.route == (arm.route or model) and rule.index in (0, arm.own_rule))


@functools.lru_cache(maxsize=1024)
def _filled_by_user(namespace: str, model: str, namespace_label: str, selector: str, revision: str) -> str:
    values = {"revision": revision, "namespace": namespace, "name": model}
    filled = promql.parsed(selector).filled(values)
    return str(filled.narrowed(namespace_label, namespace) if namespace_label else filled)


def _places(namespace: str, model: str, arm: Arm) -> tuple[dict[str, str], ...]:
    """The values of all placeholders, for each rule that leads to the arm."""
    known = {
        "namespace": namespace,
        "service": arm.service,
        "port": str(arm.port),
        "grpcPort": "" if arm.grpc_port is None else str(arm.grpc_port),
        "route": arm.route or model,
    }
    main = {**known, "rule": "0", "backend": str(arm.position)}
    if arm.own_rule is None:
        return (main,)
    return main, {**known, "rule": str(arm.own_rule), "backend": "0"}


def _fill(selector: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        selector = selector.replace(f"{{{name}}}", value)
    return selector


def _any_of(alternatives: Sequence[str]) -> str:
    return alternatives[0] if len(alternatives) == 1 else f"({'|'.join(alternatives)})"


@functools.lru_cache(maxsize=512)
def _compiled(selector: str) -> Matchers:
    return tuple(
        (label, re.compile(value if operator == "=~" else re.escape(value)))
        for label, operator, value in _MATCHER.findall(selector)
    )
