"""Writes of one object against what is there, on one pass after another."""

from dataclasses import replace

from sluice.core.kernel import differ, writing
from sluice.core.kernel.plan import Apply
from sluice.core.kernel.snapshot import Object, Snapshot
from sluice.core.observe import observe
from sluice.core.render import budget
from tests.support import builders

DEPLOYMENT = builders.make_model_deployment()
MANIFEST = budget.desired_budget(DEPLOYMENT)


def among(*objects: Object) -> Snapshot:
    snapshot = observe.observe(builders.make_world(deployment=DEPLOYMENT))
    assert isinstance(snapshot, Snapshot)
    known = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    return replace(snapshot, objects=known)


def test_an_object_that_agrees_is_not_written_on_any_pass() -> None:
    there = among(differ.stamped(MANIFEST))
    assert [list(writing.applied(there, MANIFEST)) for _ in range(3)] == [[], [], []]


def test_another_wish_about_an_object_that_agreed_is_written_as_long_as_it_is_wished() -> None:
    there = among(differ.stamped(MANIFEST))
    other = {**MANIFEST, "spec": {**MANIFEST["spec"], "maxUnavailable": 2}}
    assert list(writing.applied(there, MANIFEST)) == []
    assert [list(writing.applied(there, other)) for _ in range(2)] == [[Apply(differ.stamped(other))]] * 2
    assert list(writing.applied(there, MANIFEST)) == []


def test_an_object_that_agreed_is_written_once_somebody_has_changed_it() -> None:
    agreed = differ.stamped(MANIFEST)
    assert list(writing.applied(among(agreed), MANIFEST)) == []
    changed = {**agreed, "spec": {**agreed["spec"], "maxUnavailable": 5}}
    assert list(writing.applied(among(changed), MANIFEST)) == [Apply(agreed)]
    assert list(writing.applied(among(), MANIFEST)) == [Apply(agreed)]
