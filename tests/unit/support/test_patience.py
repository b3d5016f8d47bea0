"""The factor of all limits: a slow machine is no failure, and a lost wake-up is one on any machine."""

import pytest

from sluice.shell.relist import INTERVAL_SECONDS
from tests.support import kube, patience


def test_limits_follow_the_machine_and_the_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_work", lambda: None)
    monkeypatch.setattr(patience.os, "cpu_count", lambda: 2)
    assert [patience.measured(workers) for workers in (1, 2, 3)] == [1.0, 1.0, 1.5]
    moments = iter((0.0, 3 * patience.ROUNDS * patience.ROUND_SECONDS))
    monkeypatch.setattr(patience.time, "monotonic", lambda: next(moments))
    assert patience.measured(1) == 3.0


def test_what_only_the_next_listing_would_cure_is_a_failure_on_the_slowest_machine() -> None:
    assert kube.DEADLINE_SECONDS * patience.MOST < INTERVAL_SECONDS / 2
