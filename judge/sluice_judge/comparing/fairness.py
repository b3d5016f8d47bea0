"""Whether two versions' pods can be compared by latency.

    new pods     load, compile and fill caches: slow in their first minute, whatever they serve
    few pods     at the same load per pod, one pod makes requests wait that one of ten others would take at once
    caches       a pod that gets a smaller share of the requests finds fewer prompts in its prefix cache, as does one
                 that is new or has just got a larger share, and computes more; requests of which as many tokens were
                 computed compare all the same

So *slower than the other version* means nothing then, for or against. A limit in milliseconds does, unless caches
differ: then an identical version exceeds it more often. The other arm is the stable version, or its baseline
(`Trial.beside_baseline`), whose pods are as many, as new and as busy.
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Final

from sluice_judge.kind import Kind
from sluice_judge.model import Arm, Trial

MOST_UNEVEN: Final = Fraction(5, 4)
"""A pod that gets more than this many times the requests of one of the other version is slower for that alone: with twice
as many, one that is 40 % busy makes them wait."""
SMALLEST_PART: Final = 2
"""The version with fewer pods needs at least one for this many of the other's."""
WHOLE: Final = 1000
MOST_UNLIKE: Final = Fraction(4, 3)
"""Prefix caches are alike while a pod of one version gets at most this many times the requests of one of the other."""


def needed(others: int) -> int:
    """Pods that a version needs beside this number of the other's."""
    return -(-others // SMALLEST_PART)


def fair(pods: int, others: int) -> bool:
    """Whether neither version has far fewer pods."""
    return min(pods, others) >= needed(max(pods, others))


def busier(shares: tuple[int, int], pods: tuple[int, int]) -> bool:
    """Whether a pod of the candidate gets so many more requests that being slower says nothing against it."""
    return shares[0] * pods[1] > MOST_UNEVEN * shares[1] * pods[0]


def idler(shares: tuple[int, int], pods: tuple[int, int]) -> bool:
    """Whether a pod of the candidate gets so many fewer requests that being as fast says nothing for it."""
    return shares[1] * pods[0] > MOST_UNEVEN * shares[0] * pods[1]


def accuses(trial: Trial) -> bool:
    """Whether "slower than stable" may speak against the candidate with its current pods."""
    return not _few(trial) and not _loaded(trial, busier)


def proves(trial: Trial) -> bool:
    """Whether "as fast as stable" may speak for it."""
    return not _few(trial) and not _loaded(trial, idler)


def _few(trial: Trial) -> bool:
    ours, others = trial.candidate.pods, trial.stable.pods
    return ours is not None and others is not None and not fair(ours, others)


def _loaded(trial: Trial, than: Callable[[tuple[int, int], tuple[int, int]], bool]) -> bool:
    """False where the load is unknown: nobody knows how many requests a preview gets."""
    ours, others = trial.candidate.pods, trial.stable.pods
    if ours is None or others is None or trial.exposure.baking:
        return False
    shares = _shares(trial, trial.exposure.permille)
    return shares[0] > 0 and than(shares, (ours, others))


def caches_alike(trial: Trial) -> bool:
    """Whether the current traffic fills the pods' prefix caches alike. In the bake nothing is compared."""
    pods = trial.candidate.pods or 1, trial.stable.pods or 1
    return trial.exposure.baking or _alike(_shares(trial, trial.exposure.permille), pods)


def unlike_caches(trial: Trial, kind: Kind, *, rose: float | None) -> tuple[tuple[float, float], ...]:
    """(begin, end) of the times at which the objective's events say more of caches than of versions, seconds since the
    epoch. rose: since when the candidate has its current share, if that is larger than before."""
    if not depends_on_caches(trial, kind):
        return ()
    if not caches_alike(trial):
        return ((-math.inf, math.inf),)
    seconds = trial.policy.cache_fill_seconds
    if seconds <= 0 or trial.baseline is not None:  # a baseline's are as new
        return ()
    moments = {*trial.stable.ready, *trial.candidate.ready, *(() if rose is None else (rose,))}
    return tuple(sorted((moment, moment + seconds) for moment in moments))


def stable_filled(trial: Trial, kind: Kind, *, fell: float | None) -> float:
    """Since when the stable version's caches may be as full as the candidate's, so that being as fast speaks for it,
    seconds since the epoch. fell: since when the candidate has its current share, if that is smaller than before."""
    if fell is None or not depends_on_caches(trial, kind):
        return -math.inf
    return fell + trial.policy.cache_fill_seconds


def depends_on_caches(trial: Trial, kind: Kind) -> bool:
    """Whether the objective's events depend on the share that fills the pods' prefix caches."""
    caches = trial.servers.own.prefix_cache or trial.servers.candidate_own.prefix_cache
    return kind.traits.depends_on_caches and caches and not kind.sampling.by_computed(trial)


def waits(trial: Trial, kind: Kind, *, permille: int, load: int) -> bool:
    """Whether a step waits for the objective's proof: only one whose pods can be compared does.

    permille: the candidate's share; load: the share that its pods are created for. A load that is not among the steps
    belongs to a smaller step before the first.
    """
    shares, pods = _shares(trial, permille), (1, 1)
    if kind.sampling.unmapped(trial):
        return False
    if kind.traits.by_baseline and trial.plan.has_baseline(load):
        return True
    if trial.plan.planned_pods:
        pods = trial.plan.pods_at(load)
        if kind.traits.compares_pods and not (fair(*pods) and (not 0 < permille < WHOLE or not idler(shares, pods))):
            return False
    if permille >= WHOLE or not depends_on_caches(trial, kind):
        return True
    return _alike(shares, pods)


def blocks(trial: Trial, kind: Kind) -> bool:
    """Whether the current step waits for the objective's proof."""
    return waits(trial, kind, permille=trial.exposure.permille, load=trial.exposure.load_permille)


def _alike(shares: tuple[int, int], pods: tuple[int, int]) -> bool:
    """Both for the candidate and for the stable version."""
    less, more = sorted((shares[0] * pods[1], shares[1] * pods[0]))
    return more <= MOST_UNLIKE * less


def _shares(trial: Trial, permille: int) -> tuple[int, int]:
    """The candidate's and the stable version's shares of the requests, permille; a copy is a request, too."""
    if trial.exposure.mirrored:
        return trial.exposure.load_permille, WHOLE
    return permille, WHOLE - permille if trial.exposure.stable_permille is None else trial.exposure.stable_permille


def cold(trial: Trial) -> tuple[tuple[float, float], ...]:
    """(begin, end) of the times at which a pod of either version was new, seconds since the epoch."""
    seconds = trial.policy.new_pod_seconds
    moments = {*trial.stable.ready, *trial.candidate.ready} if seconds > 0 else ()
    return tuple(sorted((ready, ready + seconds) for ready in moments))


def touches(windows: Sequence[tuple[float, float]], time: float, interval_seconds: float) -> bool:
    """Whether the interval before a scrape overlaps one of the windows."""
    return any(begin < time and time - interval_seconds < end for begin, end in windows)


def missing(trial: Trial, kind: Kind, *, rose: float | None = None) -> str:
    """What a comparison lacks: pods, their age or the share that fills their caches; or empty. rose: see
    `unlike_caches`."""
    if depends_on_caches(trial, kind) and not caches_alike(trial):
        return _unlike_caches(trial)
    if touches(unlike_caches(trial, kind, rose=rose), trial.now, 0.0):
        return (
            f"not compared in the first {trial.policy.cache_fill_seconds:g} s of a pod or a larger share, in which prefix "
            "caches fill"
        )
    if not kind.traits.compares_pods:
        return ""
    if _few(trial):
        return few(trial.candidate, trial.stable)
    if _loaded(trial, busier) or _loaded(trial, idler):
        return _uneven(trial)
    if touches(cold(trial), trial.now, 0.0):
        return f"not compared in the first {trial.policy.new_pod_seconds:g} s of a new pod"
    return ""


def _by_pod(trial: Trial) -> tuple[str, str]:
    """What a pod of the candidate, and one of the stable version, gets of all requests."""
    ours, others = (
        f"{share / (arm.pods or 1) / 10:.3g} %"
        for share, arm in zip(_shares(trial, trial.exposure.permille), (trial.candidate, trial.stable), strict=True)
    )
    return ours, others


def _uneven(trial: Trial) -> str:
    ours, others = _by_pod(trial)
    what = "against" if _loaded(trial, busier) else "for"
    return (
        f"says nothing {what} it while a pod of {trial.candidate.revision} gets {ours} of the requests and one of "
        f"{trial.stable.revision} {others}: a busier pod is slower. Both count where the larger is at most a quarter above "
        "the smaller"
    )


def _unlike_caches(trial: Trial) -> str:
    ours, others = _by_pod(trial)
    return (
        f"not compared while a pod of {trial.candidate.revision} gets {ours} of the requests and one of "
        f"{trial.stable.revision} {others}: their prefix caches differ as these do. It is compared where the larger is at "
        "most a third above the smaller"
    )


def few(candidate: Arm, stable: Arm) -> str:
    """The version that has too few pods, and how many it needs."""
    fewer, more = sorted((candidate, stable), key=lambda arm: arm.pods or 0)
    are = "pod is" if fewer.pods == 1 else "pods are"
    return (
        f"not compared while {fewer.pods} {are} ready of {fewer.revision} beside {more.pods} of {more.revision}; a fair "
        f"comparison needs {needed(more.pods or 0)}"
    )
