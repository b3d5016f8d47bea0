"""A profile as people see it, and its picture."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kubectl_sluice.cli.profiling import languagemodel
from kubectl_sluice.cli.profiling import profile as command
from kubectl_sluice.offline.profile.model import BatchingMode, Measurements, Setting, SkippedSetting
from kubectl_sluice.views.reports import profile, profileplot
from kubectl_sluice.views.reports.profile import About, ProfileView
from kubectl_sluice.views.wire import to_wire
from tests.unit.plugin.offline.profile.builders import make_measurements, make_point

BATCHING = Setting(BatchingMode.ON, 1000)
NAMESPACE = "{http://www.w3.org/2000/svg}"


def view(found: Measurements, rate: float | None = None) -> ProfileView:
    return profile.profile_view(About("digits", "ml", "digits-1"), found, rate=rate, environment=())


FOUND = make_measurements(
    make_point(8, 105, p95=90),
    make_point(1, 100, p95=12),
    make_point(8, 160, p95=60, setting=BATCHING, mean_batch=3.4, largest_batch=5),
    skipped=(SkippedSetting(Setting(instances=2), "out of memory <1>"),),
)


def test_rows_are_by_setting_and_rising_concurrency() -> None:
    assert [(row.setting, row.concurrency) for row in view(FOUND).rows] == [
        ("as it is", 1),
        ("as it is", 8),
        ("batching 1ms", 8),
    ]


def test_what_could_not_be_measured_is_told() -> None:
    assert view(FOUND).notes == (
        "requests: generated from the model's metadata (zeros), 271 bytes",
        "not measured: 2 instances: out of memory <1>",
    )
    blind = make_measurements(make_point(split=None), made_up=False, gateway_problem="refused")
    assert view(blind).notes == (
        "requests: the payload, 271 bytes",
        "this server does not report queue and compute time: only the total is known",
        "gateway not measured: refused",
    )


def test_a_prompt_of_our_own_is_no_payload() -> None:
    about = About("chat", "ml", "chat-1", body=languagemodel.OWN_PROMPT)
    found = profile.profile_view(about, make_measurements(make_point(), made_up=False), rate=None, environment=())
    assert found.notes[0].startswith(
        "requests: a prompt of 10 words, 128 tokens an answer (give your own with --payload)"
    )


def test_what_serves_is_shown_again_with_what_it_differs_by() -> None:
    repeated = view(replace(FOUND, again=make_point(8, 84, p95=100)))
    assert (repeated.rows[-1].setting, repeated.rows[-1].concurrency) == ("as it is, again", 8)
    assert (
        "measured again at the end, as it is differs by 25 % from the first measurement: smaller gains are not counted"
        in (repeated.notes)
    )


def test_the_document_for_programs() -> None:
    document = to_wire(view(FOUND))
    assert document["bottleneck"] == "Unknown"
    assert document["rows"][2]["requestsPerSecond"] == 160
    assert document["advice"][0]["gainPercent"] == pytest.approx(52.4, abs=0.1)
    assert document["gatewayMillis"] is None


def test_the_patch_has_fields_and_reasons() -> None:
    text = command.patch(view(FOUND, rate=1000))
    assert yaml.safe_load(text) == {
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "digits"},
        "spec": {"replicas": 9},
    }
    assert "#   dynamic_batching { max_queue_delay_microseconds: 1000 }" in text
    assert "# No field of the ModelDeployment needs to be changed." in command.patch(view(FOUND))


def test_the_picture_has_a_line_for_each_setting_and_a_mark_for_each_point() -> None:
    root = ElementTree.fromstring(profileplot.svg(view(FOUND)))
    assert len(root.findall(f"{NAMESPACE}polyline")) == 2
    assert len(root.findall(f"{NAMESPACE}circle")) == 3


def test_the_key_of_many_settings_is_within_the_picture() -> None:
    points = [make_point(1, 100, setting=Setting(instances=count)) for count in range(1, 15)]
    root = ElementTree.fromstring(profileplot.svg(view(make_measurements(make_point(), *points))))
    places = {text.text: float(text.get("y", "nan")) for text in root.findall(f"{NAMESPACE}text") if text.get("y")}
    assert places["14 instances"] < float(root.get("height", "nan"))


def test_the_page_needs_nothing_else() -> None:
    page = profileplot.page(view(FOUND))
    assert "out of memory &lt;1&gt;" in page
    assert not any(word in page for word in ("<script", "src=", "href=", "@import", "url("))


@pytest.mark.parametrize(
    ("value", "want"), [(None, "-"), (0, "0"), (0.123, "0.12"), (9.876, "9.88"), (12.34, "12.3"), (1234.5, "1234")]
)
def test_figures(value: float | None, want: str) -> None:
    assert profileplot.known(value) == want


@given(
    st.lists(
        st.tuples(st.integers(1, 64), st.floats(0, 1e6), st.floats(0, 1e6), st.sampled_from([Setting(), BATCHING])),
        min_size=1,
        max_size=8,
        unique_by=lambda each: (each[0], each[3]),
    )
)
def test_every_point_is_within_the_axes(found: list[tuple[int, float, float, Setting]]) -> None:
    points = [make_point(clients, rate, p95=p95, setting=setting) for clients, rate, p95, setting in found]
    root = ElementTree.fromstring(profileplot.svg(view(make_measurements(*points))))
    circles = root.findall(f"{NAMESPACE}circle")
    assert len(circles) == len(points)
    for circle in circles:
        assert profileplot.LEFT <= float(circle.get("cx", "nan")) <= profileplot.WIDTH - profileplot.RIGHT
        assert profileplot.TOP <= float(circle.get("cy", "nan")) <= profileplot.HEIGHT - profileplot.BOTTOM
