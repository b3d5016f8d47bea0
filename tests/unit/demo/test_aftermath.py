"""What happens after the last promotion: what is changed, what is said of it, and when the demo fails."""

import dataclasses
import io
import json
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from rich.console import Console

from demo import aftermath, digits, summary
from demo.aftermath import Alarm, Noticed
from demo.cluster import Cluster
from demo.counting import Counts
from demo.stories import STORIES
from kubectl_sluice.offline import reference
from kubectl_sluice.offline.reference import BinnedFeature, Reference, SampledColumn
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicy
from tests.unit.demo.test_release import make_result

HELD_OUT = digits.split()[1].images
STUCK = f"image[{digits.STUCK_PIXEL}]"
HEALTHY = {"type": "Healthy", "status": "False", "message": "errors: since 1970-01-01T00:16:40Z, …"}
ALARM = {"objective": "errors", "since": "1970-01-01T00:16:40Z"}


@pytest.fixture(scope="module")
def known() -> Reference:
    """As `kubectl sluice reference` makes it of the training data."""
    train, _ = digits.split()
    columns = (
        SampledColumn(f"image[{place}]", train.images[:, place].tolist(), "image", place)
        for place in range(digits.PIXELS)
    )
    made = [reference.feature_of(column, 10) for column in columns]
    return Reference(len(train.images), tuple(each for each in made if isinstance(each, BinnedFeature)))


def observed(known: Reference, images: npt.NDArray[np.float32]) -> dict[str, dict[str, float]]:
    """As the observer counts them."""
    found = {}
    for feature in known.features:
        assert feature.index is not None
        column = SampledColumn(feature.name, images[:, feature.index].tolist())
        found[feature.name] = {
            name: float(count) for name, count in reference.recounted(feature, column).counts.items()
        }
    return found


def test_images_as_ever_have_not_moved_and_a_stuck_pixel_is_named(known: Reference) -> None:
    usual = observed(known, np.tile(HELD_OUT, (8, 1)))
    stuck = observed(known, np.tile(digits.with_stuck_pixel(HELD_OUT, 0.3), (8, 1)))
    assert max((index for index, _, _ in aftermath.moves(known, usual)), default=0.0) < aftermath.MUCH
    index, name, rows = max(aftermath.moves(known, stuck))
    assert (name, rows) == (STUCK, 8 * len(HELD_OUT))
    assert index > aftermath.MUCH
    assert list(aftermath.moves(known, {})) == []


def test_only_so_many_images_change_and_those_only_as_they_are_said_to() -> None:
    stuck, bright = digits.with_stuck_pixel(HELD_OUT, 0.3), digits.with_eight_bits(HELD_OUT, 0.2)
    assert set(np.nonzero((stuck != HELD_OUT).any(axis=0))[0]) == {digits.STUCK_PIXEL}
    assert stuck.max() == digits.PIXEL_MAXIMUM
    assert Counter(bright.max(axis=1) > digits.PIXEL_MAXIMUM)[np.True_] == round(0.2 * len(HELD_OUT))


def test_the_watched_policy_is_one_and_has_a_limit_from_the_first_minute_on() -> None:
    policy = RolloutPolicy.model_validate(aftermath.watched_policy())
    assert policy.spec.watch is not None
    assert policy.spec.watch.objectives == ["errors"]
    errors = next(each for each in policy.spec.objectives if each.name == "errors")
    assert errors.failure_ratio is not None
    assert errors.failure_ratio.maximum is not None


@dataclasses.dataclass
class Answers:
    """`kubectl get`, as it is."""

    status: dict[str, Any]

    def get(self, *_arguments: str) -> dict[str, Any]:
        return {"status": self.status}


@pytest.mark.parametrize(
    ("status", "found"),
    [
        pytest.param({"conditions": []}, None, id="nothing yet"),
        pytest.param({"conditions": [{**HEALTHY, "status": "True"}], "watch": {}}, None, id="steady"),
        pytest.param(
            {"conditions": [HEALTHY], "watch": {"alarm": ALARM}},
            Alarm("errors", 1000.0, HEALTHY["message"]),
            id="worse",
        ),
    ],
)
def test_the_alarm_is_that_of_the_watch(status: dict[str, Any], found: Alarm | None) -> None:
    cluster = Cluster(**dict.fromkeys((each.name for each in dataclasses.fields(Cluster)), ""))  # type: ignore[arg-type]
    seen = dataclasses.replace(cluster, tools=Answers(status))  # type: ignore[arg-type]
    assert aftermath.worsening(seen) == found


def make_noticed(**changes: object) -> Noticed:
    plain = Noticed(
        "failures",
        "it fails",
        expected="errors",
        began=1000.0,
        seconds=71.26,
        requests=7000,
        lost_requests=0,
        alarm=Alarm("errors", 980.0, "errors: since then"),
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


UNEXPECTED: dict[str, dict[str, object]] = {
    "nobody has noticed": {"alarm": None},
    "something else is named": {"alarm": Alarm("latency", 1000.0, "")},
    "another moment": {"alarm": Alarm("errors", 500.0, "")},
    "a lost request": {"lost_requests": 1},
}


@pytest.mark.parametrize("changes", UNEXPECTED.values(), ids=UNEXPECTED.keys())
def test_what_was_not_noticed_fails_the_demo(changes: dict[str, object]) -> None:
    assert summary.succeeded([make_result()], [make_noticed()], Counts({}))
    assert not summary.succeeded([make_result()], [make_noticed(), make_noticed(**changes)], Counts({}))


def test_the_summary_says_what_was_named_and_when() -> None:
    console = Console(file=io.StringIO(), width=200)
    noticed = [make_noticed(), make_noticed(alarm=None)]
    summary.show(console, [make_result()], noticed, Counts({}))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "errors: since then" in text
    assert "nothing, expected errors" in text
    [entry, _] = json.loads(json.dumps(summary.as_json([make_result()], noticed, Counts({}))))["incidents"]
    assert (entry["named"], entry["seconds"], entry["sinceSeconds"]) == ("errors", 71.3, -20.0)


def test_each_incident_of_a_story_is_another_one() -> None:
    names = [incident.name for incident in STORIES["all"].incidents]
    assert sorted(names) == ["drift", "failures"]
    assert {incident.expected for incident in STORIES["all"].incidents} == {STUCK, "errors"}
