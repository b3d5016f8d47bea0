"""The e-processes of an objective: which tests run, and the evidence that they hold."""

import dataclasses
from collections.abc import Mapping
from typing import Final

from sluice_judge import objectives, proofs
from sluice_judge.kind import Kind
from sluice_judge.objectives import Role, Rules, Term
from sluice_judge.state import ObjectiveState
from sluice_judge.stats import combine, eprocess, mixture

BURSTY: Final = 1.5
"""From this dispersion on, the versions are also compared by samples of each scrape: half of the bet is on those."""


def rules(kind: Kind, state: ObjectiveState) -> Rules:
    """The tests that apply to an objective now: with the bake's if its limit is fixed, and those of probes."""
    tests = kind.tests.rules(state.boundaries)
    if state.excludes is not None:
        tests = objectives.excluding(tests, state.excludes)
    sampled = objectives.sampled_term(tests)
    if sampled is not None and _samples(tests, sampled, state):
        tests = dataclasses.replace(tests, terms=(*tests.terms, sampled))
    if state.bake_limit is None:
        return tests
    more = objectives.probe_terms(tests) if state.asks else ()
    bake = objectives.bake_term(state.bake_limit, by_pods=kind.traits.compares_pods)
    baked = objectives.baked_terms(state.bake_limit, by_pods=kind.traits.compares_pods)
    return dataclasses.replace(tests, terms=(*tests.terms, bake, *baked, *more))


def _samples(tests: Rules, sampled: Term, state: ObjectiveState) -> bool:
    """Whether a scrape may be one witness: chosen before the first one, for the whole release."""
    begun = any(term.key in state.processes for term in tests.terms if term.role is Role.ROLLBACK)
    return sampled.key in state.processes or (not begun and state.dispersion >= BURSTY)


def running(tests: Rules, state: ObjectiveState) -> dict[str, eprocess.EProcess]:
    """The processes in the state; one left by other tests starts anew."""
    found = {}
    for term in tests.terms:
        stored = state.processes.get(term.key)
        if stored is not None:
            found[term.key] = state.running.get(term.key) or _restored(term, stored)
    return found


def _restored(term: Term, stored: Mapping[str, object]) -> eprocess.EProcess:
    try:
        return eprocess.restore(term.test, stored)
    except ValueError:
        return eprocess.start(term.test)


def evidence_of(tests: Rules, state: ObjectiveState) -> tuple[combine.ObjectiveEvidence, float]:
    """Log-evidence against the candidate, and for it in this step. tests: those that apply now (`rules`)."""
    logs = _logs(tests, state)
    of_bake = objectives.combined(tests, logs, Role.BAKE)
    in_step = mixture.log_ratio(state.mix)
    unlike = state.unlike + in_step
    against = combine.ObjectiveEvidence(
        rollback=objectives.combined(tests, logs, Role.ROLLBACK) - unlike,
        hard=objectives.combined(tests, logs, Role.HARD) - unlike,
        bake=(objectives.combined(tests, logs, Role.PROBE) if state.asks else of_bake) - unlike,
        asks=of_bake if state.asks else 0.0,
    )
    return against, objectives.combined(tests, logs, Role.ADVANCE) - in_step


def baked_log(tests: Rules, state: ObjectiveState) -> float:
    """Log-evidence that the candidate is not far over the bake's limit; 0 if the bake has none."""
    return objectives.combined(tests, _logs(tests, state), Role.BAKED)


def _logs(tests: Rules, state: ObjectiveState) -> dict[str, float]:
    """Log-evidence of each test so far. Of a proof with what hangs as failures; that is never stored."""
    terms = {term.key: term for term in tests.terms}
    found = {}
    for key, process in running(tests, state).items():
        if terms[key].by_totals:
            found[key] = proofs.log_evidence(process, state.awaited)
        elif terms[key].role is Role.ADVANCE:
            share = state.step.candidate_share
            found[key] = proofs.compared(process, state.hanging, share, state.dispersion).log_evidence
        else:
            found[key] = process.log_evidence
    return found
