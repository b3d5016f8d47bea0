"""How columns are named."""

import pytest

from sluice_judge.samples import columns


@pytest.mark.parametrize(
    ("text", "pattern", "want"),
    [
        ("envoy_cluster_grpc_14", r"(\d+)$", "grpc-14"),
        ("0", r"(\d+)$", "grpc-0"),
        ("envoy_cluster_grpc_request_message_count", r"(\d+)$", ""),
    ],
)
def test_grpc_status(text: str, pattern: str, want: str) -> None:
    assert columns.grpc_status(text, pattern) == want


def test_by_pod() -> None:
    assert columns.by_pod({"total@a": 4.0, "events@a": 1.0, "total@b": 2.0, "total": 9.0}) == {
        "a": {"total": 4.0, "events": 1.0},
        "b": {"total": 2.0},
    }


def test_over_pods() -> None:
    amounts = {"total@a": 4.0, "events@a": 1.0, "total@b": 2.0, "total": 9.0}
    assert columns.over_pods(amounts) == {"total": 15.0, "events": 1.0}


@pytest.mark.parametrize(
    ("le", "unit", "want"),
    [
        ("5", 1, "5"),
        ("5.0", 1, "5"),
        ("1.8e+06", 1, "1.8e+06"),
        ("1800000", 1, "1.8e+06"),
        ("0.005", 1000, "5"),
        ("+Inf", 1, "inf"),
        ("", 1, ""),
        ("x", 1, ""),
    ],
)
def test_boundaries_are_compared_as_numbers(le: str, unit: float, want: str) -> None:
    assert columns.boundary_millis(le, unit) == want
