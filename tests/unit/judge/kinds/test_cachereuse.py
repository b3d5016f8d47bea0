"""Objectives on how much of its prompts a server finds in its prefix cache."""

import dataclasses
from typing import Final

import pytest

from sluice_judge.comparing import fairness
from sluice_judge.judgement import Judgement
from sluice_judge.kinds import kind_of
from sluice_judge.model import OwnCounters, Trial
from sluice_judge.schema.objectives import CacheReuse, Objective
from tests.support.groups import replaced
from tests.support.simulated import trials
from tests.support.simulated.prometheus import Prometheus
from tests.support.simulated.trials import CANDIDATE, START, look, make_trial

OBJECTIVE: Final = Objective(name="reuse", cache_reuse=CacheReuse())
KIND: Final = kind_of(OBJECTIVE)
LES: Final = ("16", "256", "4096", "+Inf")


def trial_of(**changes: object) -> Trial:
    def own(revision: str) -> OwnCounters:
        selector = f'computed_bucket{{namespace="shop",pod=~"{revision}-.*"}}'
        return OwnCounters(where="ServingRuntime chat", computed_tokens=selector, prefix_cache=True)

    return make_trial(
        objectives=(OBJECTIVE,), own=own(trials.STABLE), candidate_own=own(CANDIDATE), permille=500, **changes
    )


def released(trial: Trial, computed: int, *, seconds: int = 120) -> Judgement:
    """Five requests a second of each version: of four in five stable computes 100 tokens, of the others 1000."""
    prometheus, judged = Prometheus(), None
    for second in range(-600, seconds):
        for revision in (trials.STABLE, CANDIDATE) if second > 0 else (trials.STABLE,):
            prometheus.request(revision, times=5)
            for tokens, times in ((100 if revision == trials.STABLE else computed, 4), (1000, 1)):
                for le in LES:
                    inside = times if tokens <= float(le) else 0
                    prometheus.count(f"{revision}-p", "computed_bucket", inside, le=le, pod=f"{revision}-p")
        if second % 5 == 0:
            prometheus.scrape(START + second, others=())
            prometheus.scrape(START + second, (), [f"{revision}-p" for revision in (trials.STABLE, CANDIDATE)])
            if second >= 0:
                trial, judged = look(dataclasses.replace(trial, now=START + second + 0.6), prometheus)
    assert judged is not None
    return judged


def test_words() -> None:
    assert KIND.words.event("256") == KIND.events("256") == "computed more than 256 tokens"
    assert KIND.words.event(None) == "computed more than ? tokens"


@pytest.mark.parametrize(
    ("computed", "permille", "want"),
    [
        pytest.param(1000, 500, True, id="every prefix lost"),
        pytest.param(100, 500, False, id="as much reused"),
        pytest.param(1000, 100, False, id="unlike shares"),
    ],
)
def test_a_version_that_computes_more_is_found_with_equal_shares(computed: int, permille: int, *, want: bool) -> None:
    trial = replaced(trial_of(share_checked=False), permille=permille, load_permille=permille)
    against = released(trial, computed).accusation.against
    assert (against is not None) is want
    if against is not None:
        assert "computed more than 256 tokens" in against[1]


def test_where_the_server_does_not_say_it_nobody_waits_for_it() -> None:
    trial = trial_of(load_permille=500)
    assert fairness.blocks(trial, KIND)
    silent = replaced(trial, candidate_own=OwnCounters(where="ServingRuntime other", prefix_cache=True))
    assert not fairness.blocks(silent, KIND)
    assert KIND.sampling.hidden(silent) == (
        "ServingRuntime other does not say how many tokens of a prompt its server computes, so that it is not judged; name "
        "the series in spec.metrics.computedTokens"
    )


def test_the_pods_count_by_the_same_histogram() -> None:
    [own] = KIND.own.series(trial_of())
    assert own.selector.startswith("computed_bucket")
    assert KIND.own.series(make_trial()) == ()
