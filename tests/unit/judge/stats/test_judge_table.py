"""The table of troubles: its releases are whole ones through the shipped judge, and its intervals are Wilson's."""

import dataclasses
import math
from functools import partial

import numpy as np
import pytest

from tests.benchmarks.judge import shipped, table, troubles
from tests.benchmarks.judge.shipped import Setting

PLAIN = Setting(troubles.plain, table.ERRORS, history_seconds=3600)


@pytest.mark.parametrize(
    ("count", "of", "want"), [(0, 300, (0.0, 0.0126)), (3, 300, (0.0034, 0.0290)), (300, 300, (0.9874, 1.0))]
)
def test_the_interval_is_wilsons(count: int, of: int, want: tuple[float, float]) -> None:
    assert table.wilson(count, of) == pytest.approx(want, abs=1e-4)


@pytest.mark.parametrize("objective", [table.ERRORS, table.ANSWERS], ids=lambda objective: objective.name)
def test_a_dead_version_is_rolled_back_at_its_first_weight(objective: table.Objective) -> None:
    setting = Setting(troubles.plain, objective, factor=200, history_seconds=3600)
    told = shipped.release(setting, 1)

    assert told.rolled_back <= 30
    assert 0 < told.candidate_requests <= 100
    assert told == shipped.release(setting, 1)


def test_a_release_goes_through_its_steps_and_its_bake() -> None:
    setting = Setting(
        partial(troubles.plain, base=0.0),
        table.ERRORS,
        history_seconds=3600,
        step_seconds=None,
        requests_per_second=200,
    )
    told = shipped.release(setting, 1)

    assert told.rolled_back == math.inf
    assert told.proven < 300
    assert told.candidate_requests > 100_000


def test_what_begins_in_the_bake_is_asked_about_and_found_in_it() -> None:
    setting = dataclasses.replace(PLAIN, factor=200, worse_from=152, step_seconds=30)
    told = shipped.release(setting, 1)

    assert (told.in_bake, told.probes) == (True, 1)
    assert 152 < told.rolled_back <= 152 + 35
    assert 0 < told.failed < 35 * 50


@pytest.mark.parametrize("asks", [True, False])
def test_what_happens_to_both_in_the_bake_ends_only_what_cannot_ask(*, asks: bool) -> None:
    outage = partial(troubles.outage_at, begin=150, lasts=30)
    told = shipped.release(dataclasses.replace(PLAIN, trouble=outage, step_seconds=30, asks=asks), 1)

    assert told.in_bake
    assert (told.rolled_back == math.inf, told.promoted < math.inf, told.probes > 0) == (asks, asks, asks)


def test_the_verdicts_of_a_row_stand_in_its_columns() -> None:
    assert len({setting for row in table.ROWS.values() for setting in (row.equal, row.edge) if setting}) >= 15
    assert all(row.equal or row.edge or row.in_bake or row.dead for row in table.ROWS.values())


@pytest.mark.parametrize(("gauge", "soon"), [(True, True), (False, False)], ids=["known", "unknown"])
def test_what_is_in_flight_decides_how_long_errors_in_a_probe_wait(*, gauge: bool, soon: bool) -> None:
    setting = dataclasses.replace(PLAIN, factor=20, worse_from=152, step_seconds=30, gauge=gauge)
    told = shipped.release(setting, 1)

    assert told.in_bake
    assert (told.rolled_back <= 152 + 45) is soon
    assert told.rolled_back <= 152 + 90


@pytest.mark.parametrize("seconds", [10, 30])
def test_errors_of_both_that_come_late_are_nobodys_fault(seconds: int) -> None:
    outage = partial(troubles.outage_at, begin=150, lasts=40)
    late = dataclasses.replace(PLAIN, trouble=outage, step_seconds=30, late_seconds=seconds, late_stable=True)
    told = shipped.release(late, 1)

    assert told.probes > 0
    assert told.rolled_back == math.inf


def test_shocks_and_bursts_have_the_share_and_the_spread_that_they_are_said_to_have() -> None:
    generator = np.random.default_rng(3)
    stable, candidate = troubles.shared_shocks(generator, 0, 500_000)
    assert (stable == candidate).all()
    assert stable.mean() == pytest.approx(troubles.BASE * (1 + 0.02 * 19), rel=0.05)
    stable, candidate = troubles.bursts(generator, 0, 500_000, cv=3.0)
    assert stable.mean() == pytest.approx(troubles.BASE, rel=0.05)
    assert stable.std() / stable.mean() == pytest.approx(3.0, rel=0.05)
    assert abs(np.corrcoef(stable, candidate)[0, 1]) < 0.02
