"""Fixes that are reverted, with the walks of `test_walks`: they must notice."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.decide import outliving
from sluice_core.kernel.plan import Patch
from sluice_core.kernel.snapshot import Snapshot
from sluice_core.rollout.routing import weights
from sluice_core.situation import record
from tests.simulation import walks
from tests.simulation.test_walks import TIMES, WALKS
from tests.support import seed


def without_held_weights(patch: pytest.MonkeyPatch) -> None:
    """A write gives weight to any wanted revision, with or without pods."""
    patch.setattr(weights, "upheld", lambda before, goal, held: goal)


def with_statuses_only(patch: pytest.MonkeyPatch) -> None:
    """Stable is determined only by the newest promoted ModelRollout."""

    def records(snapshot: Snapshot) -> Iterator[tuple[int, str]]:
        for rollout in snapshot.rollouts:
            if rollout.status.outcome is Outcome.PROMOTED:
                yield 2 * rollout.spec.sequence, record.promoted_revision(rollout)

    patch.setattr(record, "_records", records)
    patch.setattr(record, "_reported", lambda snapshot: None)
    patch.setattr(record, "restored", lambda snapshot: snapshot.rollouts)


def with_any_number_of_backends(patch: pytest.MonkeyPatch) -> None:
    """New backends enter before drained ones leave, even where the route is full."""
    patch.setattr(weights, "_room", lambda kept, *, positional: weights.MOST_BACKENDS)


def with_owners(patch: pytest.MonkeyPatch) -> None:
    """Nothing outlives its model."""
    changed = outliving._changed

    def owned(*args: Any, **_: bool) -> Iterator[Patch]:
        return changed(*args, owned=True)

    patch.setattr(outliving, "_changed", owned)


@dataclass(frozen=True, slots=True)
class Broken:
    """The reverted fix, and where a walk may meet it."""

    take_back: Callable[[pytest.MonkeyPatch], None]
    place: str


BROKEN: Final = {
    "weight without endpoints": Broken(without_held_weights, "gateway"),
    "stable from statuses": Broken(with_statuses_only, "gateway"),
    "everything has an owner": Broken(with_owners, "gateway"),
    "a full route": Broken(with_any_number_of_backends, "long drain"),
}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", BROKEN)
def test_a_mend_that_is_taken_back_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`test_a_long_walk` takes the same walks with the fix in place."""
    broken, fresh = BROKEN[name], seed.of_this_run()
    first = list(walks.PLACES).index(broken.place)
    broken.take_back(monkeypatch)
    shared = walks.shared_out(walks.pairs(TIMES, fresh), WALKS)
    for number in range(first, WALKS, len(walks.PLACES)):
        try:
            walks.walked(broken.place, fresh + number, shared[number])
        except AssertionError as noticed:
            print(f"\n{name}: noticed by walk {number}: {str(noticed).splitlines()[0]}")
            return
    pytest.fail(f"no walk through {broken.place!r} notices it (seed {fresh})")
