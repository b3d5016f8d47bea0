"""What `record` asks for."""

from typing import Any

import pytest

from kubectl_sluice.cli import console
from kubectl_sluice.cli.evidence import record
from kubectl_sluice.cli.kube import cluster
from kubectl_sluice.offline.recording import Recording, weight_changes
from tests.unit.plugin.views import builders
from tests.unit.plugin.views.builders import CANDIDATE, STABLE, T0, make_deployment, make_rollout


def release(*rollouts: Any) -> cluster.FetchedRelease:
    return cluster.FetchedRelease(make_deployment(), rollouts, {})


def recording(found: cluster.FetchedRelease, **options: Any) -> Recording:
    return record.asked(found, **{"since": None, "against": None, "aa": False, "now": T0 + 600} | options)


def test_a_release_is_recorded_with_its_weights_and_an_hour_before() -> None:
    found = recording(release(make_rollout(**builders.RUNNING)))
    assert (found.stable, found.candidate) == (STABLE, CANDIDATE)
    assert found.weights == ((0.0, 0), (T0 + 6, 50), (T0 + 61, 250))
    assert found.seconds == 600 + 3600


@pytest.mark.parametrize("outcome", ["RolledBack", "Promoted"])
def test_the_scrape_that_ended_a_release_has_its_last_weight(outcome: str) -> None:
    """The status names the second in which it was seen, which may be that of the scrape."""
    ended = builders.BAD | {"outcome": outcome}
    found = recording(release(make_rollout(**ended)))
    assert found.weights[-1] == (T0 + 6, 50)
    assert found.until == T0 + 61


def test_the_time_after_the_end_of_a_release_is_not_asked_for() -> None:
    """Else a long time would be thinned out, and with it the few scrapes that decided."""
    ended = release(make_rollout(**builders.BAD | {"outcome": "RolledBack"}))
    at_once, later = (recording(ended, now=T0 + 61 + seconds) for seconds in (0, 30 * 86_400))
    assert at_once.seconds == later.seconds == 61 + 3600
    assert later.moment(T0 + 30 * 86_400) == T0 + 61
    assert recording(ended, now=T0 + 661, since=700).seconds == 100


def test_the_stable_version_against_itself() -> None:
    found = recording(release(make_rollout(**builders.RUNNING)), aa=True, since=604_800)
    assert found == Recording(STABLE, STABLE, (), 604_800)


def test_against_another_revision_over_all_its_releases() -> None:
    old = make_rollout(**builders.BAD)
    found = recording(release(make_rollout(sequence=2, attempt=2, target="digits-9"), old), against=CANDIDATE)
    assert (found.stable, found.candidate) == (STABLE, CANDIDATE)
    assert found.weights == ((0.0, 0), (T0 + 6, 50), (T0 + 61, 0))


def test_the_weight_of_a_source_is_the_rest() -> None:
    changes = list(weight_changes(make_rollout(**builders.RUNNING), STABLE))
    assert [permille for _, permille in changes] == [950, 750]


def test_probes_of_the_bake_are_no_steps() -> None:
    times = [f"2026-03-01T12:0{minute}:00Z" for minute in range(6)]
    permilles = [500, 1000, 500, 1000, 700]
    steps = [{"permille": permille, "startTime": time} for permille, time in zip(permilles, times, strict=False)]
    found = recording(release(make_rollout(steps=steps, startTime=times[0])))
    assert found.weights == ((0.0, 0), (T0 + 1, 500), (T0 + 61, 1000))
    assert found.probes == ((T0 + 121, 500), (T0 + 181, None), (T0 + 241, 300))
    assert found.asks


@pytest.mark.parametrize(
    ("rollouts", "options", "want"),
    [
        ([], {}, "has had no release yet"),
        ([make_rollout(**builders.BAD | {"outcome": "RolledBack"})], {"since": 60}, "the release ended 539 s ago"),
        ([make_rollout(first=True)], {}, "--aa compares it with itself"),
        ([make_rollout()], {"against": "digits-7"}, f"known: {STABLE} and {CANDIDATE}"),
    ],
)
def test_what_cannot_be_recorded(rollouts: list[Any], options: dict[str, Any], want: str) -> None:
    with pytest.raises(console.Failure, match=want):
        recording(release(*rollouts), **options)
