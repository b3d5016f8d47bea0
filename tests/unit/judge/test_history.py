"""The stable version's history before a release."""

import pytest

from sluice_judge.comparing import history
from sluice_judge.judge import questions
from tests.support.simulated.prometheus import Prometheus
from tests.support.simulated.trials import STABLE, START, make_trial


@pytest.mark.parametrize(
    ("scrapes", "seen"), [(1, history.Seen(0, 0, 0)), (5, history.Seen(400, 0, 20)), (40, history.Seen(1200, 0, 60))]
)
def test_what_came_lately_is_what_the_last_minute_shows(scrapes: int, seen: history.Seen) -> None:
    prometheus = Prometheus()
    for number in range(scrapes):
        prometheus.request(STABLE, times=100, wrong=False)
        prometheus.scrape(START + 5 * (number - scrapes))
    trial = make_trial(now=START)

    shown = history.shown(trial, prometheus.answer(questions(trial), START), 3600, 5)

    assert history.lately(trial, shown) == seen
