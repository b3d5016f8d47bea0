"""What can be judged: one kind of objective, one file, whose `of` makes a `Kind` of an objective, or None of another one's.

How to add one: CONTRIBUTING.md.
"""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Final

from sluice_judge import memo
from sluice_judge.kind import Kind
from sluice_judge.model import Trial
from sluice_judge.schema.objectives import Objective

KINDS: Final[tuple[Callable[[Objective], Kind | None], ...]] = tuple(
    importlib.import_module(f"{__name__}.{file.name}").of for file in pkgutil.iter_modules(__path__)
)
"""An objective is of one of them at most."""


@memo.by_identity(256)
def kind_of(objective: Objective) -> Kind:
    """The objective with what is known of its kind."""
    each = (of(objective) for of in KINDS)
    return next((kind for kind in each if kind is not None), Kind(objective))


def kinds_of(trial: Trial) -> tuple[Kind, ...]:
    """Those of all its objectives, in order."""
    return tuple(map(kind_of, trial.policy.objectives))
