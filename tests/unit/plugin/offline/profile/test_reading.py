"""The generator's lines, whole or not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubectl_sluice.offline.profile import reading
from kubectl_sluice.offline.profile.model import BatchingMode, Setting
from tests.unit.plugin.offline.profile.builders import AS_IS, BATCHING, SERVER, lines, point_event

WHOLE = lines(
    SERVER,
    {"event": "gateway", "requests": 50, "direct": 2.0, "through": 3.5},
    {"event": "setting", "setting": AS_IS},
    point_event(),
    {"event": "setting", "setting": BATCHING},
    point_event(4, BATCHING, serverCores=None, server=None),
    {"event": "skipped", "setting": {**AS_IS, "instances": 2}, "problem": "no room"},
    {**point_event(4, requests=50), "event": "again"},
    {"event": "end"},
)


def test_a_whole_log() -> None:
    report = reading.read(WHOLE, cores=None)
    found = report.measurements
    assert found is not None
    assert (report.ended, report.reason, report.points) == (True, "", 2)
    assert report.setting == Setting(BatchingMode.ON, 1000)
    assert (found.server, found.cores, found.limited) == ("triton 2.51.0", 4.0, False)
    first, second = found.points
    assert first.split is not None
    assert (first.split.queue_millis, first.split.infer_millis) == (2.0, 16.0)
    assert first.outside_millis == pytest.approx(25 - 2 - 16 - 0.3)
    assert (first.rate, first.mean_batch, first.largest_batch, first.server_cores) == (20.0, 2.5, 3, 1.5)
    assert (second.split, second.mean_batch, second.server_cores) == (None, None, None)
    assert found.again is not None
    assert (found.again.concurrency, found.again.rate) == (4, 25)
    assert found.through is not None
    assert found.through.gateway_millis == 1.5
    assert [(each.setting.instances, each.problem) for each in found.skipped] == [(2, "no room")]


@pytest.mark.parametrize(
    ("limit", "cores", "limited"), [(None, 4.0, False), (1.5, 1.5, True), (4.0, 4.0, False), (64.0, 4.0, False)]
)
def test_the_processors_that_it_may_use(limit: float | None, cores: float, limited: bool) -> None:
    found = reading.read(WHOLE, cores=limit).measurements
    assert found is not None
    assert (found.cores, found.limited) == (cores, limited)


def test_threads_are_those_of_the_pod() -> None:
    report = reading.read(WHOLE, cores=None, threads=2)
    assert report.measurements is not None
    assert {setting.threads for setting in report.measurements.settings} == {2}


def test_what_is_refused() -> None:
    refused = {"event": "failed", "reason": "PayloadRefused", "problem": "400 unexpected shape"}
    report = reading.read(lines(SERVER, refused), cores=None)
    assert (report.ended, report.reason, report.problem) == (False, "PayloadRefused", "400 unexpected shape")


def test_a_traceback_is_no_event_and_its_last_line_is_kept() -> None:
    report = reading.read(
        ["Traceback (most recent call last):", "ImportError: no json", '{"event": "other"}', "{"], cores=None
    )
    assert (report.measurements, report.noise) == (None, "{")
    assert reading.read(["MemoryError", ""], cores=None).noise == "MemoryError"


@given(cut=st.integers(0, len("\n".join(WHOLE))))
def test_a_log_that_is_cut_off_anywhere_says_no_more_than_the_whole(cut: int) -> None:
    report = reading.read("\n".join(WHOLE)[:cut].splitlines(), cores=None)
    whole = reading.read(WHOLE, cores=None).measurements
    assert whole is not None
    if report.measurements is not None:
        assert report.measurements.points == whole.points[: report.points]


@given(
    st.lists(
        st.text(max_size=40)
        | st.recursive(st.none() | st.integers(), lambda x: st.lists(x, max_size=3)).map(json.dumps)
    )
)
def test_any_text_is_read(noise: list[str]) -> None:
    assert reading.read(noise, cores=None).measurements is None


def test_pods_of_one_revision_become_one_profile() -> None:
    runs = [reading.read(WHOLE, cores=None, threads=threads).measurements for threads in (None, 2)]
    merged = reading.merged(run for run in runs if run is not None)
    assert [setting.threads for setting in merged.settings] == [None, None, 2, 2]
    assert len(merged.skipped) == 2
