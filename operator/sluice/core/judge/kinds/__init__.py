"""What can be judged: one kind of objective, one file. How to add one: CONTRIBUTING.md."""

from typing import Final

from sluice.api.v1alpha1.common import Objective
from sluice.core.judge.kind import Kind
from sluice.core.judge.kinds.codes import ResponseCodes
from sluice.core.judge.kinds.latency import GatewayLatency
from sluice.core.judge.kinds.query import QueriedCounters
from sluice.core.judge.model import Trial

KINDS: Final = (ResponseCodes, QueriedCounters, GatewayLatency)


def kind_of(objective: Objective) -> Kind:
    """The objective with what is known of its kind."""
    each = (kind.of(objective) for kind in KINDS)
    return next((kind for kind in each if kind is not None), Kind(objective))


def kinds_of(trial: Trial) -> tuple[Kind, ...]:
    """Those of all its objectives, in order."""
    return tuple(map(kind_of, trial.objectives))
