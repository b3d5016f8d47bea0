import math
import statistics

import pytest

from sluice_judge.stats import eprocess, evidence, planning
from sluice_judge.stats.evidence import Counts
from sluice_judge.stats.planning import Expectation


def forecast(rate: float, **changes: float | None) -> planning.ProofForecast | None:
    settings: dict[str, float | None] = {
        "false_advance_probability": 0.05,
        "dispersion": 1.0,
        "limit": 0.005,
        "null_ratio": 1.5,
        "candidate_share": 0.25,
    }
    return planning.forecast(rate, **(settings | changes))  # type: ignore[arg-type]


def test_needed_requests_are_the_formula() -> None:
    rate, share = 0.001, 0.25
    refuted = share * 1.5 / (share * 1.5 + 1 - share)
    relative = rate / share * (share * math.log(share / refuted) + (1 - share) * math.log((1 - share) / (1 - refuted)))
    absolute = max(rate * math.log(q) + 0.005 * (1 - q) for q in (0.1, 0.25, 0.5, 0.75))
    planned = forecast(rate)
    assert planned is not None
    assert planned.requests == pytest.approx((math.log(20) + 3) / max(absolute, relative))


@pytest.mark.parametrize(
    ("rate", "changes"),
    [
        (0.006, {"null_ratio": None}),
        (0.5, {"null_ratio": None}),
        (0.006, {"candidate_share": 0.0}),
        (0.006, {"candidate_share": 1.0}),
        (0.001, {"limit": None, "null_ratio": None}),
    ],
)
def test_what_cannot_be_proven_has_no_forecast(rate: float, changes: dict[str, float | None]) -> None:
    assert forecast(rate, **changes) is None


@pytest.mark.parametrize("rate", [0.0001, 0.001, 0.02], ids=["by the limit", "by either", "by comparison"])
def test_more_power_needs_more_requests_and_half_needs_the_average(rate: float) -> None:
    needs = [forecast(rate, power=power) for power in (0.5, 0.8, 0.978)]
    assert needs[0] == forecast(rate)
    found = [need.requests for need in needs if need is not None]
    assert found == sorted(set(found))
    assert len(found) == 3
    assert needs[0] is not None
    assert needs[2] is not None
    bursty = forecast(rate, power=0.978, dispersion=3.0)
    assert bursty is not None
    assert bursty.requests == pytest.approx(3 * needs[2].requests)
    more_time = needs[2].requests * needs[2].nats_per_request
    spread = math.sqrt(needs[2].requests * needs[2].variance_per_request)
    assert more_time - statistics.NormalDist().inv_cdf(0.978) * spread == pytest.approx(math.log(20) + 3)


@pytest.mark.parametrize(("proofs", "want"), [(0, 0.8), (1, 0.8), (10, 0.9779)])
def test_all_proofs_together_have_the_power_that_was_asked_for(proofs: int, want: float) -> None:
    assert planning.power_of_each(0.8, proofs) == pytest.approx(want, abs=1e-4)


@pytest.mark.parametrize(
    ("limit", "want"), [pytest.param(0.005, 2.0, id="alone"), pytest.param(None, math.log(20) + 3, id="compared")]
)
def test_no_single_scrape_proves(limit: float | None, want: float) -> None:
    planned = forecast(0.0001, limit=limit)
    assert planned is not None
    assert planned.scrapes == pytest.approx(want)


def test_dispersion_multiplies_the_need() -> None:
    calm, bursty = forecast(0.001), forecast(0.001, dispersion=3.0)
    assert calm is not None
    assert bursty is not None
    assert bursty.requests == pytest.approx(3 * calm.requests)


def test_a_flawless_candidate_is_proven_after_about_the_forecast() -> None:
    """0 events at p* = 0.5 %: the forecast counts what the e-process then really takes."""
    planned = forecast(planning.smoothed_rate(0, 100_000))
    assert planned is not None
    process = eprocess.start(evidence.absolute_good(0.005))
    requests = 0
    while process.log_evidence - math.log(2) < planned.log_threshold and requests < 10_000:
        process = process.observe(Counts(60, 0, 180, 0), dispersion=1.0)
        requests += 60
    assert requests == pytest.approx(planned.requests, rel=0.35)


@pytest.mark.parametrize(
    ("observed", "log_evidence", "want"),
    [
        (0, 0.0, 600.0),
        (200, -1.0, 400.0),
        (500, 0.0, 300.0),
        (500, 2.0, 100.0),
        (2000, 1.0, 200.0),
        (400, 1.0, 200.0),
        pytest.param(200, 2.0, 200.0, id="ahead of the plan"),
        (100, 3.0, 0.0),
    ],
)
def test_remaining_requests(observed: float, log_evidence: float, want: float) -> None:
    """Threshold 3 nats, 0.01 nats a request: planned 600, of which 300 pay for the mixtures."""
    planned = planning.ProofForecast(log_threshold=3.0, nats_per_request=0.01)
    assert planned.remaining(observed, log_evidence) == pytest.approx(want)


def test_smoothed_rate_is_never_0_or_1() -> None:
    assert planning.smoothed_rate(0, 0) == 0.5
    assert planning.smoothed_rate(0, 99) == 0.005


def test_below_a_limit_a_version_is_well_within_it_until_it_shows_otherwise() -> None:
    assert planning.smoothed_rate(0, 0, limit=0.01) == 0.01 * planning.WELL_WITHIN
    assert planning.smoothed_rate(0, 30, limit=0.01) < planning.smoothed_rate(1, 30, limit=0.01) < 0.01
    assert planning.smoothed_rate(2_000, 100_000, limit=0.01) == pytest.approx(0.02, rel=0.01)


@pytest.mark.parametrize(("requests", "rate", "want"), [(0, 0, 0), (100, 0, None), (100, 5, 20), (-1, 3, 0)])
def test_eta(requests: float, rate: float, want: float | None) -> None:
    assert planning.eta_seconds(requests, rate) == want


ERRORS = Expectation(0.001, 1.0, limit=0.005, null_ratio=1.5)
BURSTY = Expectation(0.001, 3.0, limit=0.005, null_ratio=1.5)
HOPELESS = Expectation(0.006, 1.0, limit=0.005)
RELATIVE = Expectation(0.05, 1.0, null_ratio=1.5)


def test_goal_higher_is_planned_from_the_information_in_good_outcomes() -> None:
    """A conversion rate of 5 %, tolerance 10 %: the null ratio lies below 1, and the formula is the same."""
    refuted = 0.5 * 0.8 / (0.5 * 0.8 + 0.5)
    divergence = 0.5 * math.log(0.5 / refuted) + 0.5 * math.log(0.5 / (1 - refuted))
    planned = forecast(0.05, limit=None, null_ratio=0.8, candidate_share=0.5)
    assert planned is not None
    assert planned.nats_per_request == pytest.approx(0.05 * divergence / 0.5)


@pytest.mark.parametrize(
    ("expectations", "want"),
    [
        ((), 0.0),
        ((ERRORS,), 1.0),
        ((ERRORS, BURSTY), 3.0),
        ((ERRORS, HOPELESS), None),
    ],
)
def test_a_step_needs_what_its_slowest_proof_needs(expectations: tuple[Expectation, ...], want: float | None) -> None:
    """In units of what the calm objective needs."""
    alone = forecast(0.001)
    assert alone is not None
    needed = planning.step_requests(expectations, 0.25, false_advance_probability=0.05)
    assert needed == (None if want is None else pytest.approx(want * alone.requests))


@pytest.mark.parametrize("expectations", [(ERRORS,), (BURSTY,), (RELATIVE,), (ERRORS, RELATIVE)])
@pytest.mark.parametrize("requests_per_second", [2.0, 50.0, 2000.0])
def test_the_smallest_deciding_weight_decides_and_the_next_smaller_does_not(
    expectations: tuple[Expectation, ...], requests_per_second: float
) -> None:
    seconds = 6 * 3600.0
    found = planning.smallest_deciding_permille(
        expectations, requests_per_second=requests_per_second, seconds=seconds, false_advance_probability=0.05
    )
    assert found is not None

    def needed_seconds(permille: int) -> float:
        share = permille / 1000
        needed = planning.step_requests(expectations, share, false_advance_probability=0.05)
        assert needed is not None
        return needed / (requests_per_second * share)

    assert needed_seconds(found) <= seconds
    assert found == 1 or needed_seconds(found - 1) > seconds


@pytest.mark.parametrize(
    ("expectations", "requests_per_second"), [((ERRORS,), 0.001), ((HOPELESS,), 1e6), ((ERRORS,), 0)]
)
def test_no_weight_decides_without_traffic_or_without_a_possible_proof(
    expectations: tuple[Expectation, ...], requests_per_second: float
) -> None:
    assert (
        planning.smallest_deciding_permille(
            expectations, requests_per_second=requests_per_second, seconds=3600, false_advance_probability=0.05
        )
        is None
    )


@pytest.mark.parametrize(
    ("requests_per_second", "first_permille", "want"),
    [
        (0, 50, None),
        (50, 50, None),
        (120, 50, None),
        (121, 50, 49),
        (200, 50, 30),
        (1000, 50, 6),
        (5900, 50, 1),
        (10_000, 50, 1),
        (100, 1000, 60),
        (10_000, 1, 1),
    ],
)
def test_the_lead_step_shows_half_of_the_allowance_in_one_scrape(
    requests_per_second: float, first_permille: int, want: int | None
) -> None:
    """60 requests at risk and scrapes every 5 s; the smallest weight on the wire is 1 permille."""
    lead = planning.lead_permille(
        requests_per_second=requests_per_second,
        scrape_seconds=5,
        maximum_requests_at_risk=60,
        first_permille=first_permille,
    )
    assert lead == want
    if lead is not None and lead > 1:
        assert requests_per_second * 5 * lead / 1000 <= 30


@pytest.mark.parametrize(
    ("lead", "shares"),
    [
        (1, [1, 10, 100]),
        (4, [4, 40]),
        (24, [24, 240]),
        (25, [25]),
        (40, [40]),
        (100, [100]),
        pytest.param(0, [1, 10, 100], id="a status that nobody can have written"),
        pytest.param(1000, [100], id="nor this one"),
    ],
)
def test_shares_grow_to_the_one_that_proves(lead: int, shares: list[int]) -> None:
    assert list(planning.rising_shares(lead)) == shares


@pytest.mark.parametrize("lead", range(1, planning.LARGEST_LEAD + 1))
def test_what_is_not_excluded_harms_no_more_than_all_failures_at_the_first_share(lead: int) -> None:
    excluded = planning.rising_shares(lead)
    for share, left in zip([*list(excluded)[1:], planning.PROVING], excluded.values(), strict=True):
        assert left * share * planning.LATER <= lead * (1 + 1e-9)


@pytest.mark.parametrize(
    ("usual", "limit", "excluded"),
    [
        pytest.param(0.001, 0.005, 0.08, id="far from what is usual"),
        pytest.param(0.05, None, None, id="stable itself fails half as often"),
        pytest.param(0.001, 0.1, None, id="more is tolerated"),
    ],
)
def test_a_share_is_excluded_only_where_the_proof_takes_longer(
    usual: float, limit: float | None, excluded: float | None
) -> None:
    assert planning.excluded(0.08, usual=usual, limit=limit) == excluded
