"""What a version has shown on its first day, as the reference of its later ones."""

import json
import math
import random

import pytest

from sluice_judge.stats import movement, referencebins
from sluice_judge.stats.referencebins import DAY_SECONDS, ReferenceBins

MINUTE = 60.0
SHARES = {"ham": 0.6, "spam": 0.3, "eggs": 0.1}
TOLERANCE = 0.025


def shown(minutes: int, *, rows: int, together: int = 1, own: ReferenceBins | None = None) -> ReferenceBins:
    own, generator = own or ReferenceBins(), random.Random(1)
    for _ in range(minutes):
        found = dict.fromkeys(SHARES, 0.0)
        for name in generator.choices(list(SHARES), list(SHARES.values()), k=rows // together):
            found[name] += together
        own = own.observe(found, begin=own.since + MINUTE * sum(own.rows) / rows if own.since else MINUTE)
    return own


def test_it_is_what_was_counted_by_the_bins_that_there_were() -> None:
    own = ReferenceBins().observe({"ham": 30.0}, begin=60.0).observe({"ham": 10.0, "spam": 5.0}, begin=120.0)
    assert dict(zip(own.names, own.rows, strict=True)) == {"(other)": 0.0, "ham": 40.0, "spam": 5.0}
    assert own.since == 60.0


def test_a_day_is_needed_whatever_was_counted() -> None:
    """Nights are not like days."""
    own = shown(100, rows=3000)
    assert not own.is_enough(tolerance=TOLERANCE, now=own.since + DAY_SECONDS - 1)
    assert own.is_enough(tolerance=TOLERANCE, now=own.since + DAY_SECONDS)
    assert not ReferenceBins().is_enough(tolerance=TOLERANCE, now=2 * DAY_SECONDS)


def test_few_rows_are_not_enough_after_a_day_and_those_that_come_together_count_for_less() -> None:
    later = 100 * DAY_SECONDS
    assert not shown(25, rows=20).is_enough(tolerance=TOLERANCE, now=later)
    assert shown(60, rows=20).is_enough(tolerance=TOLERANCE, now=later)
    assert not shown(60, rows=20).is_enough(tolerance=TOLERANCE / 10, now=later)
    assert not shown(60, rows=60, together=20).is_enough(tolerance=TOLERANCE, now=later)
    assert shown(400, rows=60, together=20).is_enough(tolerance=TOLERANCE, now=later)


def test_how_far_off_a_reference_is_that_is_just_enough() -> None:
    """A tenth of what is tolerated, on average."""
    true, off = list(SHARES.values()), []
    for seed in range(300):
        found = random.Random(seed).choices(range(3), true, k=round(2 / (2 * referencebins.MOST_OFF * TOLERANCE)))
        shares = movement.shares_of([float(found.count(number)) for number in range(3)])
        off.append(sum(p * math.log(p / r) for p, r in zip(true, shares, strict=True)))
    assert sum(off) / len(off) == pytest.approx(referencebins.MOST_OFF * TOLERANCE, rel=0.2)


def test_bins_without_end_and_long_names_are_others() -> None:
    own = ReferenceBins()
    for number in range(100):
        own = own.observe({f"b{number:03}": 30.0, "x" * 65: 1.0}, begin=60.0 * (number + 1))
    assert len(own.names) == referencebins.MOST_BINS
    assert own.rows[own.names.index("(other)")] == 100 + 30 * (100 - (referencebins.MOST_BINS - 1))
    assert len(json.dumps(own.to_state())) < 4096


def test_what_is_not_known_is_one_of_the_others() -> None:
    assert referencebins.fitted({"ham": 1.0, "HAM": 7.0, "(other)": 2.0}, ("ham", "(other)", "spam")) == (1.0, 9.0, 0.0)


def test_it_goes_on_after_a_restart() -> None:
    own = shown(50, rows=30)
    again = referencebins.restore(json.loads(json.dumps(own.to_state())))
    assert (again.names, again.rows, again.since) == (own.names, own.rows, own.since)
    assert again.detector.phi == pytest.approx(own.detector.phi, abs=1e-3)
    assert shown(20, rows=30, own=again).is_enough(tolerance=TOLERANCE, now=2 * DAY_SECONDS)


@pytest.mark.parametrize("state", [[], [{}, 1.0], [{"a": "x"}, 1.0, [1.0, 1.0]], [{"a": 1}, 1.0, ["x", 1]], 5])
def test_what_it_has_not_written_is_refused(state: object) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError)):
        referencebins.restore(state)  # type: ignore[arg-type]
