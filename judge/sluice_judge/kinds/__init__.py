"""What can be judged: one kind of objective, one file. Its file registers it: each has a `KIND`.

How to add one: CONTRIBUTING.md.
"""

import importlib
import pkgutil
from typing import Final

from sluice_judge import memo
from sluice_judge.kind import Kind
from sluice_judge.model import Trial
from sluice_judge.schema.objectives import Objective

KINDS: Final[tuple[type[Kind], ...]] = tuple(
    importlib.import_module(f"{__name__}.{file.name}").KIND for file in pkgutil.iter_modules(__path__)
)
"""An objective is of one of them at most."""


@memo.by_identity(256)
def kind_of(objective: Objective) -> Kind:
    """The objective with what is known of its kind."""
    each = (kind.of(objective) for kind in KINDS)
    return next((kind for kind in each if kind is not None), Kind(objective))


def kinds_of(trial: Trial) -> tuple[Kind, ...]:
    """Those of all its objectives, in order."""
    return tuple(map(kind_of, trial.objectives))
