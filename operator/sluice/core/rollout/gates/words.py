"""Words that several gates use."""

from sluice.api.v1alpha1.modelrollout import Intent, Verdict
from sluice.core.kernel.reasons import Reason
from sluice.core.rollout.moment import Decision, Moment
from sluice.core.rollout.steps import Step


def gets(step: Step) -> str:
    return f"it gets {step.words}"


def pods_ready(moment: Moment, step: Step) -> str:
    needed = moment.pods_needed(step)
    return f"{moment.candidate.ready_endpoints} of {needed} pods of {moment.candidate.name} are ready"


def scaling(moment: Moment, step: Step, message: str) -> Decision:
    return Decision(
        Verdict.WAIT,
        Reason.SCALING_CANDIDATE,
        f"{message}; {moment.candidate.ready_endpoints} of {moment.pods_needed(step)} pods for {step.words} are ready"
        + (f"; {moment.capacity.wait}" if moment.capacity.wait else ""),
    )


def missing(moment: Moment) -> str:
    return moment.judgement.missing if moment.judgement else ""


def signed(intent: Intent) -> str:
    """Who asked, and why where he said so."""
    return f"{intent.requested_by} ({intent.note})" if intent.note else intent.requested_by
