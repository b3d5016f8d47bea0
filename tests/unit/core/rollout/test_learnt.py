"""What stays of a release for `kubectl sluice record`."""

import dataclasses

from sluice_core.api.v1alpha1.intent import Action
from sluice_core.rollout import stepping
from sluice_judge import state
from sluice_judge.samples import columns, series
from tests.support.cases.moments import make_intent, make_moment, make_pod

LEARNT = state.dump_learnt(state.State(1.0, 1, 1, None, feeds={"requests": series.Feed("pod", 5.0)}))


def test_what_the_first_look_learnt_stays() -> None:
    first = stepping.move(make_moment({"judged": {"text": "{}", "learnt": LEARNT}})).rollout.status
    assert first.learnt == LEARNT
    later = stepping.move(make_moment({"status": {"learnt": LEARNT}, "judged": {"text": '{"v": 1}'}})).rollout.status
    assert later.learnt == LEARNT


def test_a_release_that_ends_says_when_its_pods_were_ready() -> None:
    """Minutes later the candidate has none, and the replay would compare the latency of one pod with that of ten."""
    pods = [dataclasses.replace(make_pod(name=f"pod-{since}"), ready_since=float(since)) for since in (40, 30)]
    moment = make_moment(
        {"intent": make_intent(Action.ABORT), "status": {"learnt": LEARNT}},
        {"candidate": {"pods": (pods[0],)}, "stable": {"pods": (*pods, make_pod(name="unready"))}},
    )
    known = state.load_learnt(stepping.move(moment).rollout.status.learnt)
    assert known is not None
    assert known.ready == {columns.STABLE: (30.0, 40.0), columns.CANDIDATE: (40.0,)}


def test_the_pods_of_a_large_service_are_left_out() -> None:
    many = [float(number) for number in range(state.MOST_PODS + 1)]
    known = state.load_learnt(state.with_ready(LEARNT, {columns.STABLE: many, columns.CANDIDATE: many[:3]}))
    assert known is not None
    assert set(known.ready) == {columns.CANDIDATE}
    assert state.with_ready(None, {columns.STABLE: many}) is None
