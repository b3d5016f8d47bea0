"""Proofs by totals: what still hangs counts as failures, so that no proof says more than its requests will have shown."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_judge import proofs
from sluice_judge.proofs import AnsweredSince
from sluice_judge.state import Sent
from sluice_judge.stats import eprocess, evidence

LIMIT = 0.05
TEST = evidence.absolute_good(LIMIT)
SCRAPE = 5.0


def proven(intervals: Sequence[AnsweredSince], *, answer_seconds: float = math.inf, older: float = 0.0) -> list[float]:
    """The log-evidence after each scrape."""
    process, awaited, found = eprocess.start(TEST), tuple[Sent, ...](), []
    for each in intervals:
        process, awaited = proofs.observed(process, awaited, each, older=older, answer_seconds=answer_seconds)
        found.append(proofs.log_evidence(process, awaited))
    return found


def interval(scrape: int, requests: float, events: float = 0.0, unanswered: float | None = 0.0) -> AnsweredSince:
    return AnsweredSince(SCRAPE * scrape, requests, events, unanswered, unanswered, unanswered, 1.0)


def of_all(requests: float, failures: float) -> float:
    """The evidence of one scrape's requests whose answers are all known."""
    counts = evidence.Counts(requests, failures, 0, 0)
    return eprocess.start(TEST).observe(counts, dispersion=1.0).log_evidence


def known(requests: Sequence[Sequence[bool]], *, late: bool) -> list[float]:
    """The evidence after each scrape, of requests that will have failed or not. late: whether bets start later, too."""
    process, found = eprocess.start(TEST), [0.0]
    for scrape, each in enumerate(requests):
        if late or not scrape:
            process = process.staked((0.0,) * len(TEST.alternatives))
        gains = TEST.log_increments(evidence.Counts(len(each), sum(each), 0, 0), 1.0)
        process = process.multiplied(gains or (0.0,) * len(TEST.alternatives))
        found.append(process.log_evidence)
    return found


@st.composite
def sent(draw: st.DrawFn) -> list[list[tuple[int, bool]]]:
    """Requests by scrape: after how many scrapes each is answered, and whether it fails."""
    request = st.tuples(st.integers(0, 6), st.booleans())
    return draw(st.lists(st.lists(request, max_size=12), min_size=1, max_size=12))


@given(sent(), st.booleans(), st.booleans())
def test_no_proof_says_more_than_its_requests_will_have_shown(
    requests: list[list[tuple[int, bool]]], gauge: bool, endless: bool
) -> None:
    seen = []
    for scrape in range(len(requests)):
        answered = [
            fails
            for begun, each in enumerate(requests[: scrape + 1])
            for lasts, fails in each
            if begun + lasts == scrape
        ]
        hanging = sum(begun + lasts > scrape for begun, each in enumerate(requests[: scrape + 1]) for lasts, _ in each)
        seen.append(interval(scrape, len(answered), sum(answered), hanging if gauge else None))
    truth = known([[fails for _, fails in each] for each in requests], late=gauge)
    limit = math.inf if endless else 7 * SCRAPE
    for scrape, value in enumerate(proven(seen, answer_seconds=limit)):
        assert value <= max(truth[: scrape + 2]) + 1e-6


def test_what_hangs_counts_as_failures() -> None:
    assert proven([interval(1, 400, unanswered=2)]) == [pytest.approx(of_all(402, 2), abs=1e-6)]
    assert proven([interval(1, 400, unanswered=20)]) == [pytest.approx(of_all(0, 0), abs=0.7)]
    assert of_all(400, 0) > of_all(402, 2) > 3 > 0 > of_all(420, 20)


def test_requests_are_known_as_soon_as_the_gauge_was_empty_after_them() -> None:
    busy, empty, busy_again = (
        interval(1, 100, unanswered=4),
        interval(2, 100, unanswered=0),
        interval(3, 0, unanswered=9),
    )
    assert proven([busy, empty, busy_again])[-1] > of_all(180, 0) > proven([busy])[-1]


def test_counters_of_others_than_the_gateway_are_known_a_scrape_later() -> None:
    """Whoever counts answers at another moment has counted those that were in flight in between, or will."""
    first, second = (AnsweredSince(5.0 * scrape, 400, 0, 0.0, 0.0, None, 1.0) for scrape in (1, 2))
    found = proven([first, second])
    assert found == [pytest.approx(0.0, abs=1e-6), pytest.approx(of_all(400, 0), abs=0.1)]


def test_a_failure_counts_at_once_and_a_request_after_the_limit() -> None:
    each = [interval(scrape, 100, unanswered=None) for scrape in range(5)]
    assert proven(each, answer_seconds=10.0) == [
        pytest.approx(value, abs=1e-6) for value in (0.0, 0.0, of_all(100, 0), of_all(200, 0), of_all(300, 0))
    ]
    failed = [*each[:-1], interval(4, 100, 3, None)]
    assert proven(failed, answer_seconds=10.0)[-1] == pytest.approx(of_all(300, 3), abs=1e-6)


def test_a_bad_beginning_is_forgotten() -> None:
    """As by a process that counts each scrape as it is answered."""
    each = [interval(1, 100, 30), *(interval(scrape, 100) for scrape in range(2, 12))]
    process = eprocess.start(TEST)
    for one in each:
        process = process.observe(evidence.Counts(one.requests, one.events, 0, 0), dispersion=1.0)
    assert proven(each)[-1] == pytest.approx(process.log_evidence, abs=1e-6)
    assert proven(each)[-1] > math.log(20)


def test_answers_to_requests_of_before_the_step_do_not_count() -> None:
    assert proven([interval(1, 100)], older=30) == [pytest.approx(of_all(70, 0), abs=1e-6)]


def test_growing_traffic_does_not_prove_a_version_whose_failures_come_late() -> None:
    """A tenth of all requests fails, a minute later, while their number doubles in every scrape."""
    rates = [10 * 2**scrape for scrape in range(14)]
    late = [0] * 12 + [rate // 10 for rate in rates]
    each = [interval(scrape, rate - rate // 10 + late[scrape], late[scrape], None) for scrape, rate in enumerate(rates)]
    assert max(proven(each, answer_seconds=60.0)) < math.log(20)


def test_scrapes_beyond_those_that_are_remembered_are_joined() -> None:
    each = [interval(scrape, 10, unanswered=1) for scrape in range(200)]
    process, awaited = eprocess.start(TEST), tuple[Sent, ...]()
    for one in each:
        process, awaited = proofs.observed(process, awaited, one, older=0.0, answer_seconds=math.inf)
    assert len(awaited) == proofs.MOST_AWAITED
    assert math.fsum(one.requests for one in awaited) == 2000
    assert of_all(1000, 1) < proofs.log_evidence(process, awaited) < of_all(2001, 1) + 1


@pytest.mark.parametrize(("hanging", "proven"), [(0.0, True), (2.0, True), (40.0, False)])
def test_a_comparison_counts_what_hangs_as_failures(hanging: float, proven: bool) -> None:
    """Of 6,000 requests 120 failed, as of stable's; 40 that hang make it a third more."""
    close = eprocess.start(evidence.relative_close(1.5))
    for _ in range(60):
        close = close.observe(evidence.Counts(100, 2, 300, 6), dispersion=1.0)
    compared = proofs.compared(close, hanging, 0.25, 1.0)
    assert (compared.log_evidence >= math.log(20)) is proven
    assert (compared.log_evidence < close.log_evidence) is (hanging > 0)
