"""Whether two versions' pods can be compared by how fast they answer.

    new pods     load, compile and fill caches: slow in their first minute, whatever they serve
    few pods     one pod keeps a request waiting that one of ten others would have taken, at the same load a pod

So what is *slower than the other version* says nothing meanwhile, for or against. A limit in milliseconds does. Compared
are two arms; today the other one is always the stable version.
"""

from collections.abc import Sequence
from typing import Final

from sluice.core.judge.kind import Kind
from sluice.core.judge.model import Arm, Trial

SMALLEST_PART: Final = 2
"""The version with fewer pods needs at least one for so many of the other's."""


def needed(others: int) -> int:
    """Pods that a version needs beside so many of the other one."""
    return -(-others // SMALLEST_PART)


def fair(pods: int, others: int) -> bool:
    """Whether neither version has far fewer pods."""
    return min(pods, others) >= needed(max(pods, others))


def compared(trial: Trial) -> bool:
    """Whether what is counted now is of pods that can be compared."""
    ours, others = trial.candidate.pods, trial.stable.pods
    return ours is None or others is None or fair(ours, others)


def planned(trial: Trial, permille: int) -> bool:
    """Whether a step has pods that can be compared: only then an objective that compares them is required.

    A share that is not among the steps is that of a smaller step before the first.
    """
    if not trial.planned_pods:
        return True
    return fair(*trial.planned_pods.get(permille, trial.planned_pods[min(trial.planned_pods)]))


def blocks(trial: Trial, kind: Kind) -> bool:
    """Whether this step waits for what the objective has to prove, as far as pods are concerned."""
    return not kind.compares_pods or planned(trial, trial.load_permille)


def cold(trial: Trial) -> tuple[tuple[float, float], ...]:
    """(begin, end) of the times at which a pod of either version was new, seconds since the epoch."""
    seconds = trial.new_pod_seconds
    moments = {*trial.stable.ready, *trial.candidate.ready} if seconds > 0 else ()
    return tuple(sorted((ready, ready + seconds) for ready in moments))


def touches(windows: Sequence[tuple[float, float]], time: float, interval_seconds: float) -> bool:
    """Whether the interval that a scrape ended has a part in one of the windows."""
    return any(begin < time and time - interval_seconds < end for begin, end in windows)


def missing(trial: Trial) -> str:
    """Which pods a comparison lacks, or that some are new; or empty."""
    if not compared(trial):
        return few(trial.candidate, trial.stable)
    if touches(cold(trial), trial.now, 0.0):
        return f"not compared in the first {trial.new_pod_seconds:g} s of a new pod"
    return ""


def few(candidate: Arm, stable: Arm) -> str:
    """Which version has too few pods, and how many it needs."""
    fewer, more = sorted((candidate, stable), key=lambda arm: arm.pods or 0)
    are = "pod is" if fewer.pods == 1 else "pods are"
    return (
        f"not compared while {fewer.pods} {are} ready of {fewer.revision} beside {more.pods} of {more.revision}; a fair "
        f"comparison needs {needed(more.pods or 0)}"
    )
