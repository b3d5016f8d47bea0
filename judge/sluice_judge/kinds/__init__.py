"""The kinds of objectives: one file each, whose `of` returns the `Kind` of an objective, or None for another kind's.

For adding one see CONTRIBUTING.md.
"""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Final

from sluice_judge import memo
from sluice_judge.kind import Kind
from sluice_judge.model import Trial
from sluice_judge.schema.objectives import Objective

KINDS: Final[tuple[Callable[[Objective], Kind | None], ...]] = tuple(
    importlib.import_module(f"{__name__}.{file.name}").of for file in pkgutil.iter_modules(__path__)
)
"""An objective has at most one of them."""


@memo.by_identity(256)
def kind_of(objective: Objective) -> Kind:
    """The `Kind` of an objective."""
    each = (of(objective) for of in KINDS)
    return next((kind for kind in each if kind is not None), Kind(objective))


def kinds_of(trial: Trial) -> tuple[Kind, ...]:
    """The kinds of all its objectives, in order."""
    return tuple(map(kind_of, trial.policy.objectives))


def compares_pods(objectives: Sequence[Objective]) -> bool:
    """Whether any objective compares the latency of pods."""
    return any(kind_of(objective).traits.compares_pods for objective in objectives)
