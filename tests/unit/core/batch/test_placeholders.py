"""Dates of the schedule in URIs."""

import pytest
from pydantic import ValidationError

from sluice_core.api.v1alpha1.batchinference import BatchInferenceSpec, Schedule
from sluice_core.batch import placeholders
from sluice_judge import timestamps

BERLIN = Schedule(cron="0 3 * * *", time_zone="Europe/Berlin")


@pytest.mark.parametrize(
    ("uri", "moment", "want"),
    [
        ("s3://b/{{run}}", "2026-11-27T02:00:00Z", "s3://b/n-1"),
        ("s3://b/{{scheduledDate}}/{{run}}", "2026-11-27T02:00:00Z", "s3://b/2026-11-27/n-1"),
        ("s3://b/{{scheduledDate-1d}}", "2026-11-27T02:00:00Z", "s3://b/2026-11-26"),
        ("s3://b/{{scheduledDate+2d:%Y%m%d}}", "2026-12-30T02:00:00Z", "s3://b/20270101"),
        ("s3://b/{{scheduledDate-1d:year=%Y/month=%m/day=%d}}", "2026-03-01T02:00:00Z", "s3://b/year=2026/month=02/day=28"),
        ("s3://b/{{scheduledDate:%H-%M}}", "2026-11-27T02:30:00Z", "s3://b/03-30"),
        ("s3://b/{{scheduledDate:%j}}", "2026-11-27T02:00:00Z", "s3://b/331"),
        ("s3://b/{{scheduledDate}}", "2026-11-26T23:30:00Z", "s3://b/2026-11-27"),
        ("s3://b/{{scheduledDate-1h:%Y-%m-%dT%H}}", "2026-11-26T23:30:00Z", "s3://b/2026-11-26T23"),
        ("s3://b/{{scheduledDate-1h:%H}}", "2026-10-25T01:30:00Z", "s3://b/02"),
        ("s3://b/{{scheduledDate-1d:%d-%H}}", "2026-10-25T23:30:00Z", "s3://b/25-00"),
        ("s3://b/x", "2026-10-25T23:30:00Z", "s3://b/x"),
    ],
)  # fmt: skip
def test_each_run_has_its_own(uri: str, moment: str, want: str) -> None:
    assert placeholders.resolved(uri, "n-1", BERLIN, timestamps.seconds(moment)) == want


def test_without_a_moment_there_is_no_date() -> None:
    assert placeholders.resolved("s3://b/{{run}}/x", "n-1", None, None) == "s3://b/n-1/x"


def spec(**given: str) -> BatchInferenceSpec:
    uris = {"input": "s3://data/in", "output": "s3://data/out/{{run}}", **given}
    both = {side: {"uri": uri, "format": "CSV"} for side, uri in uris.items()}
    return BatchInferenceSpec.model_validate(
        {"modelDeploymentRef": {"name": "m"}, "schedule": {"cron": "0 3 * * *"}, **both}
    )


@pytest.mark.parametrize(
    "uri",
    ["s3://data/{{scheduledDate}}", "s3://data/x{{scheduledDate-1d:%Y/%m}}/y", "pvc://c/{{scheduledDate+12h:%H}}"],
)
def test_a_date_may_stand_in_both(uri: str) -> None:
    given = spec(input=uri, output=uri)
    assert (given.input.uri, given.output.uri) == (uri, uri)


@pytest.mark.parametrize(
    "wrong",
    [
        "{{day}}", "{{scheduledDate-1w}}", "{{scheduledDate-1d:}}", "{{scheduledDate:%y}}", "{{scheduledDate:../x}}", "{{Scheduled}}",
        "{{scheduledDate", "{scheduledDate}", "{{scheduledDate}}}", "{{scheduledDate:%Y-%m-%}}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("side", ["input", "output"])
def test_what_is_no_placeholder_is_refused(side: str, wrong: str) -> None:
    with pytest.raises(ValidationError, match=r"has an unknown placeholder; an (in|out)put can have") as caught:
        spec(**{side: f"s3://data/{wrong}"})
    assert caught.value.errors()[0]["loc"] == (side, "uri")


def test_an_input_has_no_name_of_the_run() -> None:
    with pytest.raises(ValidationError, match="has an unknown placeholder; an input can have"):
        spec(input="s3://data/{{run}}")
