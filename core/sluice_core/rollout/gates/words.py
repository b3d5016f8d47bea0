"""Message parts that several gates share."""

from sluice_core.api.v1alpha1.intent import Intent
from sluice_core.rollout.moment import Moment
from sluice_core.rollout.steps import Step


def gets(step: Step) -> str:
    return f"it gets {step.words}"


def pods_ready(moment: Moment, step: Step) -> str:
    needed = moment.pods_needed(step)
    return f"{moment.candidate.ready_endpoints} of {needed} pods of {moment.candidate.name} are ready"


def missing(moment: Moment) -> str:
    """What speaks against it, and which evidence is missing; never empty, since a release says what it waits for."""
    if moment.judgement is None:
        return "nothing has been counted yet"
    waits = "; ".join(filter(None, (moment.judgement.accusation.doubt, moment.judgement.proof.missing)))
    return waits or "every required objective is proven; the next scrapes have to agree"


def signed(intent: Intent) -> str:
    """The person who asked, and their note if there is one."""
    return f"{intent.requested_by} ({intent.note})" if intent.note else intent.requested_by
