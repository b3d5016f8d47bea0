"""What a calibration says, and its picture."""

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from kubectl_sluice.offline.calibrate import ObjectivePlan, TriedObjective, TriedRelease
from kubectl_sluice.views.reports import calibration, calibrationplot
from kubectl_sluice.views.reports.calibration import CalibrationView
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec
from sluice_core.kernel.reasons import Reason
from sluice_judge.model import Forecast, PlannedStep
from sluice_judge.schema.verdict import Verdict
from tests.unit.plugin.views.builders import T0

ENOUGH = Forecast(20.0, (PlannedStep(50, 900, 900.0), PlannedStep(1000, 0, 0.0)), None, None, "")


def released(
    number: int, *, peak: float = 0.2, pods: int = 4, proven: float | None = 60.0, probes: int = 0
) -> TriedRelease:
    back = peak >= 2
    return TriedRelease(
        begin=T0 + 7200 * number,
        verdict=Verdict.ROLL_BACK if back else Verdict.ADVANCE,
        reason=Reason.WORSE_THAN_STABLE if back else Reason.PROMOTED,
        message="errors: candidate 9 of 10 failed" if back else "over",
        seconds=300.0 if back else 4200.0,
        peak=peak,
        objectives={"errors": TriedObjective(pods, 1.0 + number, peak, proven, 7200.0)},
        probes=probes,
    )


def view(*releases: TriedRelease, forecast: Forecast = ENOUGH, **changes: Any) -> CalibrationView:
    plan = ObjectivePlan("errors", **{"required": True, "first_seconds": 900.0, "provable": True} | changes)
    return calibration.calibration_view(
        releases,
        RolloutPolicySpec(),
        [plan],
        forecast,
        name="digits",
        namespace="shop",
        policy_name="RolloutPolicy default",
        seconds=7 * 86_400,
    )


def test_how_many_and_why() -> None:
    found = view(released(0), released(1, peak=2.3), released(2))

    assert found.rolled_back == 1
    assert found.sentence.startswith("1 of 3 releases of the same version would have been rolled back: 33 %, within [")
    assert "promises at most 1%; too few to judge the policy by" in found.sentence
    assert [release.rolled_back for release in found.releases] == [False, True, False]
    assert (found.releases[1].reason, found.releases[1].after) == ("WorseThanStable", "5m00s")
    assert found.releases[0].message == ""
    assert found.threshold == pytest.approx(2)
    (errors,) = found.objectives
    assert (errors.pods, errors.dispersion, errors.dispersion_range) == (4, 2.0, "1 to 3")
    assert (errors.proven, errors.releases, errors.proven_after, errors.requests_per_hour) == (3, 3, "1m00s", 7200)
    assert (errors.first_step, errors.problem) == ("15m00s", "")
    assert found.first_weight == "5 % is enough: about 15m00s until it is proven, at 20 requests/s"
    assert found.notes == ()


def test_what_the_bake_would_have_asked_is_no_roll_back() -> None:
    found = view(released(0, probes=2), released(1, probes=1), released(2))
    assert (found.rolled_back, found.probes) == (0, 3)
    assert found.sentence.endswith(
        ". In 2 of 3 bakes the stable version would have been asked whether it does any better (3 probes)"
    )
    assert [release.probes for release in found.releases] == [2, 1, 0]


def test_what_interleaved_scrapes_cannot_show_is_said() -> None:
    (note,) = view(released(0, pods=0)).notes
    assert note.startswith("errors: its series name no pod, so every other scrape counts for one half")


def test_what_was_never_proven_or_counted() -> None:
    never = view(released(0, proven=None), first_seconds=None, provable=False).objectives[0]
    assert never.problem.startswith("cannot be proven: the stable version itself is too close to its limit")
    assert (never.proven_after, never.first_step) == ("", "")
    optional = view(released(0), required=False, first_seconds=None, provable=False).objectives[0]
    assert "nothing waits for it" in optional.problem
    silent = replace(released(0), objectives={"errors": TriedObjective(4, 1.0, 0.0, None, 0.0)})
    assert view(silent).objectives[0].problem.startswith("nothing was counted")
    nothing = view()
    assert nothing.objectives[0].problem == ""
    assert nothing.sentence.startswith("too little history: no release could be tried; see the notes")
    assert calibration.picture(nothing) == ""


@pytest.mark.parametrize(
    ("forecast", "want"),
    [
        (Forecast(20.0, (PlannedStep(50, None, None),), None, None, ""), "5 % cannot prove every required objective"),
        (Forecast(20.0, (PlannedStep(50, 9, 1e6),), None, 120, ""), "begin with 12 % or more"),
        (Forecast(0.0, (), None, None, "no forecast: nobody asks"), "no forecast: nobody asks"),
        (Forecast(20.0, (PlannedStep(50, 0, 0.0),), None, None, ""), "5 % is enough, at 20 requests/s"),
    ],
)
def test_which_first_weight_is_enough(forecast: Forecast, want: str) -> None:
    assert want in view(released(0), forecast=forecast).first_weight


def test_the_picture_has_a_column_for_each_release() -> None:
    found = view(*(released(number, peak=peak) for number, peak in enumerate((0.0, -0.4, 1.0, 2.6, 0.1))))
    rows = calibration.picture(found).splitlines()

    assert len(rows) == calibration.ROWS + 2
    assert rows[0] == "  2.6 ┤   ✗"
    (line,) = [row for row in rows if "┼" in row]
    assert line == "  2.0 ┼┄┄┄┄┄"
    columns = ["".join(row[7 + column] for row in rows[:-2] if len(row) > 7 + column) for column in range(5)]
    assert ["✗" in column or "•" in column for column in columns] == [True] * 5
    assert rows[-1].strip() == "03-01 12:00"


def test_a_long_picture_has_both_ends_of_the_time() -> None:
    rows = calibration.picture(view(*(released(number) for number in range(40)))).splitlines()
    assert rows[-1].split() == ["03-01", "12:00", "03-04", "18:00"]
    assert len(rows[-1]) == len(rows[-2])


@pytest.mark.parametrize("peaks", [(), (0.1,), (-1.5, 0.3, 3.1)], ids=["none", "one", "several"])
def test_the_plot_is_a_picture_of_all_releases(peaks: tuple[float, ...]) -> None:
    text = calibrationplot.svg(view(*(released(number, peak=peak) for number, peak in enumerate(peaks))))
    root = ElementTree.fromstring(text)
    dots = [each for each in root.iter() if each.tag.endswith("circle")]

    assert len(dots) == len(peaks)
    assert all(0 < float(dot.attrib["cx"]) < calibrationplot.WIDTH for dot in dots)
    assert all(calibrationplot.TOP < float(dot.attrib["cy"]) < float(root.attrib["height"]) for dot in dots)
    lines = [element.text or "" for element in ElementTree.fromstring(text).iter() if element.tag.endswith("text")]
    assert max(map(len, lines)) <= calibrationplot.LINE
    red = [dot for dot in dots if dot.attrib["fill"] == calibrationplot.BACK]
    assert len(red) == sum(peak >= 2 for peak in peaks)
    assert ("WorseThanStable" in text) is bool(red)


def test_dots_of_bakes_that_asked_are_hollow_and_said_to_be() -> None:
    text = calibrationplot.svg(view(released(0), released(1, probes=2)))
    dots = [each for each in ElementTree.fromstring(text).iter() if each.tag.endswith("circle")]
    assert [dot.attrib["fill"] == "white" for dot in dots if "class" not in dot.attrib] == [False, True]
    assert "its bake asked 2 times" in text
    assert "its bake asked the stable version" in text
    assert "its bake asked" not in calibrationplot.svg(view(released(0)))


def test_a_long_sentence_does_not_reach_into_the_plot() -> None:
    """Few releases, with probes: four lines of text above it."""
    root = ElementTree.fromstring(calibrationplot.svg(view(*(released(n, peak=3.0, probes=3) for n in range(3)))))
    lines = [float(each.attrib["y"]) for each in root.iter() if each.tag.endswith("text") and "x" in each.attrib]
    dots = [float(each.attrib["cy"]) for each in root.iter() if each.tag.endswith("circle")]
    above = [y for y in lines if y < min(dots)]
    assert len(above) >= 4
    assert max(above) + 4 < min(dots)
