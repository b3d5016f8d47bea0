"""A/B/n: whether an arm's business metric certainly differs from the stable version's, at every look at once.

The metric counts *users*, each once, when the outcome is known. It separates the arms and nothing else: the other
objectives guard them.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final

from sluice_judge.judgement import Separation
from sluice_judge.kind import Kind
from sluice_judge.model import Trial
from sluice_judge.state import ObjectiveState
from sluice_judge.stats import confidence, evidence

BETTER: Final = "Better"
WORSE: Final = "Worse"


def observed(
    stored: Mapping[str, object] | None, counts: Iterable[evidence.Counts], *, dispersion: float
) -> Mapping[str, object]:
    """The confidence sequence after more scrapes, as the state holds it."""
    sequence = _restored(stored)
    for seen in counts:
        sequence = sequence.observe(seen, dispersion=dispersion)
    return sequence.to_state()


def found(trial: Trial, kind: Kind, state: ObjectiveState) -> Separation:
    """The current knowledge of the arm. Raises nothing: without users it says that nothing is known."""
    sequence = _restored(state.sequence)
    interval = sequence.interval(alpha=trial.policy.alpha, arms=trial.policy.arms)
    return Separation(
        verdict=_verdict(kind, sequence.separation(alpha=trial.policy.alpha, arms=trial.policy.arms)),
        ratio=None if interval is None else interval.estimate,
        low=None if interval is None or interval.lower == 0 else interval.lower,
        high=None if interval is None or math.isinf(interval.upper) else interval.upper,
        users=round(state.total.candidate_requests),
        stable_users=round(state.total.stable_requests),
    )


def _verdict(kind: Kind, direction: confidence.RatioVerdict | None) -> str:
    if direction is None:
        return ""
    return BETTER if (direction is confidence.RatioVerdict.ABOVE) is kind.traits.more_is_better else WORSE


def _restored(stored: Mapping[str, object] | None) -> confidence.ConfidenceSequence:
    """The sequence in the state; a new one if there is none that this version can read."""
    if stored is None:
        return confidence.start()
    try:
        return confidence.restore(stored)
    except ValueError:
        return confidence.start()
