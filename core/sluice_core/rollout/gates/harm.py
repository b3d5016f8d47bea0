"""Evidence against the candidate, or a stable version that is lost for comparison."""

from sluice_core.api.v1alpha1 import sources
from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.kernel.reasons import Reason
from sluice_core.rollout import fuse, patience
from sluice_core.rollout.moment import Decision, Effect, Moment, Release
from sluice_judge.schema.verdict import Verdict


def fuse_blown(moment: Moment) -> Decision | None:
    status = moment.rollout.status
    blown = fuse.blown(
        moment.candidate,
        "the candidate",
        status.unready_since,
        moment.now,
        before=status.restarts_before,
        stable=moment.stable,
        patience=patience.granted(moment.candidate, status, moment.loads, moment.stable),
    )
    if blown is None:
        return None
    reason, message = blown
    return Decision(Verdict.ROLL_BACK, reason, message, outcome=Outcome.ROLLED_BACK)


def one_pod_is_bad(moment: Moment) -> Decision | None:
    """A single broken pod, or node, is no reason to roll a version back: it is replaced, once."""
    judged = moment.judgement
    if judged is None or not judged.accusation.bad_pod or moment.rollout.status.replaced_pod is not None:
        return None
    return Decision(
        Verdict.WAIT,
        Reason.REPLACING_POD,
        f"without the pod {judged.accusation.bad_pod} nothing speaks against the candidate; the pod is replaced, once",
        effect=Effect.REPLACES_POD,
    )


def evidence_says_roll_back(moment: Moment) -> Decision | None:
    against = moment.judgement.accusation.against if moment.judgement is not None else None
    if against is None:
        return None
    ground, message = against
    if Reason(ground) is Reason.WORSE_THAN_STABLE and _baseline_doubted(moment):
        return None
    return Decision(Verdict.ROLL_BACK, Reason(ground), message, outcome=Outcome.ROLLED_BACK)


def baseline_is_worse(moment: Moment) -> Decision | None:
    """What accuses new pods of the stable version as well is not the candidate's fault."""
    control, judged = moment.control, moment.judgement
    if control is None or judged is None or not _baseline_doubted(moment):
        return None
    if control.accusation.against is None and judged.accusation.against is None:
        return None
    return Decision(
        Verdict.WAIT,
        Reason.BASELINE_WORSE,
        f"new pods of the stable version are worse than its others, too: {control.accusation.decisive}; so nothing is held "
        "against the candidate meanwhile, and its share does not rise. See what distinguishes new pods, such as their node",
        counts=True,
    )


def _baseline_doubted(moment: Moment) -> bool:
    """Whether anything speaks against the baseline: a bad version may be accused a little before it."""
    return moment.control is not None and bool(moment.control.accusation.doubt)


def worse_offline(moment: Moment) -> Decision | None:
    """It never had a request, and never will."""
    found = moment.validation
    if found is None or found.state is not Reason.VALIDATION_FAILED:
        return None
    return Decision(Verdict.ROLL_BACK, found.state, found.message, outcome=Outcome.ROLLED_BACK)


def stable_lost(release: Release) -> Decision | None:
    """Without its ControllerRevision the stable version can be neither compared with nor rolled back to."""
    source = release.rollout.spec.source
    if release.stable is not None or source is None:
        return None
    return Decision(
        Verdict.WAIT,
        Reason.STABLE_VERSION_LOST,
        f"the ControllerRevision {source.revision} of the stable version is gone; restore it from a backup, or set "
        f"spec.model back to {sources.shown(source.uri)}, which pins it again",
    )
