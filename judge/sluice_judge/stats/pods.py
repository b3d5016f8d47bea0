"""Is the candidate bad, or one of its pods? Evidence with each pod left out.

A broken node or a half-loaded model makes one pod fail while the version is fine. When the evidence of all pods reaches
the rollback threshold, evaluate the totals without each pod: if the rest does not accuse the version, replace that pod
instead of rolling back, once.

    a  40 of 300 wrong     without a: 1 of 600      evidence 0.3   <- the outlier
    b   0 of 300 wrong     without b: 41 of 600     evidence 1e9
    c   1 of 300 wrong     without c: 40 of 600     evidence 1e9

Only the *rollback* depends on this choice, never whether the evidence is valid.
"""

import math
from collections.abc import Mapping
from typing import Final, TypeAlias

from sluice_judge.stats import combine, evidence

SMALLEST_PODS: Final = 2

PodCounts: TypeAlias = tuple[float, float]
"""(requests, events) of one pod or of the stable version, since the rollout began."""


def log_evidence_without_each(
    pods: Mapping[str, PodCounts],
    stable: PodCounts,
    test: evidence.SequentialTest,
    *,
    dispersion: float,
) -> dict[str, float]:
    """Rollback log-evidence of one objective from the totals, with each pod of the candidate left out.

    test: its role's; dispersion: phi of the objective.
    """
    requests, events = (math.fsum(pod[part] for pod in pods.values()) for part in (0, 1))
    without = {
        name: evidence.Counts(max(0.0, requests - pod[0]), max(0.0, events - pod[1]), *stable)
        for name, pod in pods.items()
    }
    return {name: combine.one_shot(test, counts, dispersion=dispersion) for name, counts in without.items()}


def outlier(log_evidence_without: Mapping[str, float], *, alpha: float) -> str | None:
    """The pod without which the evidence is below 1/sqrt(alpha); None if the others are bad as well, or there is one pod.

    log_evidence_without: over all objectives (`combine.rollback_log_evidence` of each pod's). Ties: the first name.
    """
    if len(log_evidence_without) < SMALLEST_PODS:
        return None
    name = min(sorted(log_evidence_without), key=log_evidence_without.__getitem__)
    return name if log_evidence_without[name] < combine.log_threshold(alpha) / 2 else None
