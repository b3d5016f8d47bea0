"""Whether the requests go where the route says; in an A/B test, whether the users do.

tick   o───o───o │fence│ o───o───o       one process over all steps, with the share of each
share   5 %  5 % │     │ 25 %  25 %      after an accusation the route is written again, and the check begins anew
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from sluice_judge.kind import own_feed
from sluice_judge.kinds import kinds_of
from sluice_judge.model import Trial
from sluice_judge.samples import columns, gatewayseries, inflight, series
from sluice_judge.state import State, Tally
from sluice_judge.stats import eprocess, split


def observed(
    trial: Trial,
    state: State,
    ticks: Mapping[str, Sequence[series.Tick]],
    in_flight: inflight.InFlight = inflight.UNKNOWN,
    *,
    answered: float = -math.inf,
) -> State:
    """The check after this look's ticks; unchanged if the route does not determine how requests split.

    answered: from then on no scrape has answers to requests of an earlier share.
    """
    if not trial.exposure.share_checked or trial.exposure.baking:
        return state
    checked, tally = state.split, state.split_requests
    for tick in ticks.get(_feed(trial), ()):
        if tick.evidence is None:
            continue
        seen = _requests(trial, tick.evidence)
        if tick.time < answered and not _new(tick.time, seen, in_flight):
            continue
        checked = _next(checked, inflight.routed(trial), seen).to_state()
        tally += seen
    return dataclasses.replace(state, split=checked, split_requests=tally)


def _new(time: float, seen: Tally, in_flight: inflight.InFlight) -> bool:
    """Whether nearly all answers of a scrape are to requests of the present share."""
    ours, others = in_flight.old.get(time, math.inf), in_flight.stable_old.get(time, math.inf)
    return ours <= inflight.FEW_OLD * seen.candidate and others <= inflight.FEW_OLD * seen.stable


def at_changed_route(trial: Trial, state: State) -> State:
    """Begins anew after an accusation, since the route has been written again; otherwise only the counts for people do."""
    accused = bool(mismatch(trial, state))
    return dataclasses.replace(state, split=None if accused else state.split, split_requests=Tally())


def mismatch(trial: Trial, state: State) -> str:
    """How the requests' split differs from the configured one, if that is certain; or empty."""
    if not trial.exposure.share_checked or state.split is None:
        return ""
    try:
        check = eprocess.restore(split.SplitTest(inflight.routed(trial)), state.split)
    except ValueError:
        return ""
    if not split.mismatch((check,)):
        return ""
    seen = state.split_requests
    everything = seen.candidate + seen.stable
    got = seen.candidate / everything if everything > 0 else 0.0
    what = "users" if trial.policy.metric is not None else "requests"
    return (
        f"the candidate gets {100 * got:.1f} % of {everything:.0f} {what} that the gateway distributed; the route "
        f"says {100 * inflight.routed(trial):.3g} %"
    )


def _feed(trial: Trial) -> str:
    return gatewayseries.REQUESTS if trial.policy.metric is None else own_feed(trial.policy.metric)


def _requests(trial: Trial, increments: Mapping[series.Column, float]) -> Tally:
    """The requests of both arms: the gateway's, or the users that the metric counts."""
    candidate, stable = (columns.of_arm(increments, arm) for arm in (columns.CANDIDATE, columns.STABLE))
    if trial.policy.metric is None:
        return Tally(columns.requests(candidate), columns.requests(stable))
    metric = next(kind for kind in kinds_of(trial) if kind.name == trial.policy.metric)
    return Tally(*(metric.counting.requests_and_events(amounts, None)[0] for amounts in (candidate, stable)))


def _next(stored: Mapping[str, object] | None, expected: float, seen: Tally) -> eprocess.EProcess:
    try:
        return split.observe(stored, share=expected, requests=seen.candidate, other_requests=seen.stable)
    except ValueError:
        return split.observe(None, share=expected, requests=seen.candidate, other_requests=seen.stable)
