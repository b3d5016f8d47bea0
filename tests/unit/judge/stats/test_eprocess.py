"""Proofs 1 and 4: no scrape is expected to add evidence while the null holds, and a restart changes no bit."""

import functools
import itertools
import json
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_judge.stats import eprocess, evidence
from sluice_judge.stats.evidence import Counts
from tests.support.cases.evalues import chances, poisson, rounded_one

TESTS = (
    evidence.relative_up(1.25),
    evidence.relative_down(1.5),
    evidence.absolute_bad(0.02),
    evidence.absolute_good(0.02),
    evidence.higher_worse(0.1),
    evidence.higher_close(0.1),
    evidence.joint(1.25, 0.02),
    evidence.over_limit(0.02),
)


@st.composite
def scrapes(draw: st.DrawFn) -> Counts:
    n_c, n_s = draw(st.integers(0, 400)), draw(st.integers(0, 4000))
    return Counts(n_c, draw(st.integers(0, min(n_c, 30))), n_s, draw(st.integers(0, min(n_s, 30))))


histories = st.lists(scrapes(), max_size=12)


def observe_all(process: eprocess.EProcess, history: list[Counts], dispersion: float = 1.0) -> eprocess.EProcess:
    return functools.reduce(lambda now, counts: now.observe(counts, dispersion=dispersion), history, process)


def null_rates(test: evidence.SequentialTest, severity: float) -> tuple[float, float]:
    """Rates (p_C, p_S) under the null of `test`: on its edge for severity 0, the farther inside the larger it is."""
    edge, downwards = 0.02, test.alternatives[0] > getattr(test, "null_ratio", getattr(test, "limit", 0.0))
    rate = edge * (1 - severity) if downwards else edge + (1 - edge) * severity
    return rate, edge / getattr(test, "null_ratio", 1.0)


def expected_evidence(
    process: eprocess.EProcess, requests: tuple[int, int], ours: Sequence[float], others: Sequence[float]
) -> tuple[float, float]:
    """E[E_after / E_before] by the chances of 0, 1 … events of both, and what it may be: 1 as far as states keep it."""
    expected, logs = 0.0, [0.0]
    for (x_c, ours_chance), (x_s, others_chance) in itertools.product(enumerate(ours), enumerate(others)):
        after = process.observe(Counts(requests[0], x_c, requests[1], x_s), dispersion=1.0)
        expected += ours_chance * others_chance * math.exp(after.log_evidence - process.log_evidence)
        logs += after.log_wealths
    return expected, rounded_one(logs)


@given(
    test=st.sampled_from(TESTS),
    history=histories,
    requests=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    severity=st.sampled_from((0.0, 0.0, 0.3, 1.0)),
)
def test_one_more_bernoulli_scrape_is_not_expected_to_add_evidence(
    test: evidence.SequentialTest, history: list[Counts], requests: tuple[int, int], severity: float
) -> None:
    process = observe_all(eprocess.start(test), history)
    rates = null_rates(test, severity)
    expected, most = expected_evidence(process, requests, *map(chances, requests, rates))
    assert expected <= most


@given(
    test=st.sampled_from(TESTS),
    history=histories,
    requests=st.tuples(st.integers(0, 60), st.integers(0, 60)),
    severity=st.sampled_from((0.0, 0.0, 0.3)),
)
def test_one_more_poisson_scrape_is_not_expected_to_add_evidence(
    test: evidence.SequentialTest, history: list[Counts], requests: tuple[int, int], severity: float
) -> None:
    process = observe_all(eprocess.start(test), history)
    means = [n * rate for n, rate in zip(requests, null_rates(test, severity), strict=True)]
    expected, most = expected_evidence(process, requests, *map(poisson, means))
    assert expected <= most


@given(
    test=st.sampled_from(TESTS),
    before=histories,
    after=histories,
    dispersion=st.floats(1, 20),
)
def test_a_restart_at_any_scrape_changes_nothing(
    test: evidence.SequentialTest, before: list[Counts], after: list[Counts], dispersion: float
) -> None:
    running = observe_all(eprocess.start(test), before, dispersion)
    stored = json.dumps(running.to_state(), allow_nan=False)
    restored = eprocess.restore(test, json.loads(stored))
    assert restored == running
    assert observe_all(restored, after, dispersion) == observe_all(running, after, dispersion)


@given(test=st.sampled_from(TESTS), history=histories)
def test_evidence_is_always_a_finite_number(test: evidence.SequentialTest, history: list[Counts]) -> None:
    process = observe_all(eprocess.start(test), history)
    assert math.isfinite(process.log_evidence)
    assert all(value < math.inf for value in process.log_wealths)


def test_evidence_is_the_mixture_of_the_formula() -> None:
    test = evidence.AbsoluteTest(0.1, (0.2, 0.5))
    first, second = Counts(10, 3, 0, 0), Counts(8, 1, 0, 0)
    wealths = []
    for rate in test.alternatives:
        e_1 = (rate / 0.1) ** 3 * math.exp(-10 * (rate - 0.1))
        e_2 = (rate / 0.1) ** 1 * math.exp(-8 * (rate - 0.1))
        wealths.append(e_2 * (e_1 * 1 / 2 + 1 / 6))
    process = observe_all(eprocess.start(test), [first, second])
    assert process.log_evidence == pytest.approx(math.log(sum(wealths) / 2 + 1 / 3))


def test_a_scrape_without_information_is_not_counted() -> None:
    process = eprocess.start(evidence.relative_up(1.25))
    assert process.observe(Counts(50, 0, 500, 0), dispersion=1.0) is process


def test_evidence_starts_at_1() -> None:
    assert all(eprocess.start(test).log_evidence == 0 for test in TESTS)


def test_a_limit_that_cannot_be_exceeded_is_never_evidence() -> None:
    process = eprocess.start(evidence.absolute_bad(1.2)).observe(Counts(50, 50, 0, 0), dispersion=1.0)
    assert process.log_evidence == 0


def test_a_late_fault_is_found_as_fast_as_an_early_one_but_for_the_price_of_its_start() -> None:
    healthy, faulty = Counts(25, 0, 475, 2), Counts(25, 8, 475, 2)
    early = observe_all(eprocess.start(evidence.relative_up(1.25)), [faulty] * 3)
    late = observe_all(eprocess.start(evidence.relative_up(1.25)), [healthy] * 300 + [faulty] * 3)
    assert early.log_evidence - late.log_evidence < math.log(301 * 302)


def test_huge_counts_do_not_overflow() -> None:
    process = observe_all(eprocess.start(evidence.relative_up(1.25)), [Counts(1e9, 5e8, 1e9, 0)] * 3)
    assert 5e8 < process.log_evidence < math.inf
    assert eprocess.restore(process.test, json.loads(json.dumps(process.to_state()))) == process


def test_state_is_compact() -> None:
    """A rollout keeps some thirty processes in one status of at most 32 KB."""
    process = observe_all(eprocess.start(evidence.relative_up(1.25)), [Counts(25, 1, 475, 4)] * 200)
    assert len(json.dumps(process.to_state(), separators=(",", ":"))) < 400


def test_whole_numbers_are_restored_as_log_wealths() -> None:
    """A JSON store may write 3.0 as 3."""
    restored = eprocess.restore(evidence.AbsoluteTest(0.1, (0.2, 0.5)), {"k": 2, "a": [3, None]})
    assert restored.log_wealths == (3.0, -math.inf)


@pytest.mark.parametrize("dispersion", [0.99, 0.0, math.nan, math.inf])
def test_an_impossible_dispersion_is_refused(dispersion: float) -> None:
    with pytest.raises(ValueError, match="dispersion"):
        eprocess.start(TESTS[0]).observe(Counts(1, 0, 1, 1), dispersion=dispersion)


@pytest.mark.parametrize(
    ("state", "complaint"),
    [
        ({}, 'no count "k"'),
        ({"k": -1, "a": [0.0, 0.0]}, 'no count "k"'),
        ({"k": True, "a": [0.0, 0.0]}, 'no count "k"'),
        ({"k": 1, "a": "x"}, 'list "a"'),
        ({"k": 1, "a": [0.0]}, "another test"),
        ({"k": 1, "a": [0.0, math.nan]}, r"state\.a\[1\]"),
        ({"k": 1, "a": ["0", None]}, r"state\.a\[0\]"),
    ],
)
def test_a_broken_state_is_refused(state: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        eprocess.restore(evidence.AbsoluteTest(0.1, (0.2, 0.5)), state)
