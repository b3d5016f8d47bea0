import math

import pytest

from sluice.stats import eprocess, evidence, planning
from sluice.stats.evidence import Counts


def forecast(rate: float, **changes: float | None) -> planning.Forecast | None:
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
        (100, 3.0, 0.0),
    ],
)
def test_remaining_requests(observed: float, log_evidence: float, want: float) -> None:
    """Threshold 3 nats, 0.01 nats a request: planned 600, of which 300 pay for the mixtures."""
    planned = planning.Forecast(log_threshold=3.0, nats_per_request=0.01)
    assert planned.remaining(observed, log_evidence) == pytest.approx(want)


def test_smoothed_rate_is_never_0_or_1() -> None:
    assert planning.smoothed_rate(0, 0) == 0.5
    assert planning.smoothed_rate(0, 99) == 0.005


@pytest.mark.parametrize(("requests", "rate", "want"), [(0, 0, 0), (100, 0, None), (100, 5, 20), (-1, 3, 0)])
def test_eta(requests: float, rate: float, want: float | None) -> None:
    assert planning.eta_seconds(requests, rate) == want
