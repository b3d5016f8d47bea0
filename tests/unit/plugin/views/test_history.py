"""Releases in lines."""

import pytest

from kubectl_sluice.views.releases.history import history_line, timeline
from tests.unit.plugin.views import builders
from tests.unit.plugin.views.builders import T0, make_rollout


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ({}, "Canary"),
        ({"first": True}, "first version"),
        ({"rules": {"rollback": True}}, "rollback"),
        ({"rules": {"strategy": "BlueGreen"}}, "BlueGreen"),
    ],
)
def test_way(given: dict[str, object], want: str) -> None:
    assert history_line(make_rollout(**given), now=T0).way == want  # type: ignore[arg-type]


def test_the_timeline_names_who_did_what() -> None:
    moments = timeline(make_rollout(**builders.RUNNING))
    assert [(moment.actor, moment.what, moment.why) for moment in moments] == [
        ("sluice", "Weight5", "the candidate is ready"),
        ("alice", "Weight25", "proven [all]"),
    ]
