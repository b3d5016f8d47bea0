"""The meaning of a reason and what comes next, in sentences; the operator's own message has the details."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sluice_core.kernel import commands
from sluice_core.kernel.reasons import AnyReason, Reason


@dataclass(frozen=True, slots=True)
class Meaning:
    """One reason explained, with commands as from `commands.filled`."""

    means: str
    then: tuple[str, ...] = ()
    """What happens next, or what to do."""


PROOF: Final = Meaning(
    "A step advances when every required objective is proven good enough, not when time is up. With few requests, "
    "the absence of failures proves nothing.",
    (
        "Nothing needs to be done: the release advances on proof and rolls back on evidence, automatically.",
        "If you know better: {skip} goes to the next step; in place of skip, promote goes to the end, and abort back.",
    ),
)
SEPARATION: Final = Meaning(
    "An arm is better, or worse, when the metric separates it from the stable version, not when it is ahead. An arm "
    "that is worse by an objective is taken out, and its users go to the stable version.",
    ("Nothing needs to be done: the test ends by itself.", "End it without a result: {abort}"),
)
"""The meaning in an A/B test, in place of PROOF."""
POD: Final = Meaning(
    "A version whose pods are not ready gets no requests.",
    (
        "The pods: kubectl describe pods -l sluice.dev/model-deployment={name} {n}",
        "The objects: {tree}",
    ),
)
ROUTE: Final = Meaning(
    "Nothing is judged before the gateway uses the route as it is written.",
    ("The route: kubectl describe httproute {name} {n}", "Gateway and permissions: {doctor}"),
)
CHANGE: Final = (
    "Release a better version by changing spec.model, or retry this one: {retry}",
    "What was decided when: {history}, with the release's name after the model's",
)

MEANINGS: Final[Mapping[AnyReason, Meaning]] = {
    Reason.GATHERING_EVIDENCE: PROOF,
    Reason.VALIDATING: Meaning(
        "Before it gets a pod or a request, it answers the labelled data set of spec.rollout.validation.",
        (
            "This continues automatically: if it is worse, it is rolled back; if it is good, the first step begins.",
            "The Job: kubectl get jobs,pods -l sluice.dev/model-deployment={name}.validation {n}",
            "Without it: {skip} begins the first step; in place of skip, abort ends the release.",
        ),
    ),
    Reason.VALIDATED: Meaning(
        "It answered the labelled data set well enough.", ("Its pods start, and the first step begins.",)
    ),
    Reason.VALIDATION_INCONCLUSIVE: Meaning(
        "The labelled data set proves neither that it is worse than allowed nor that it is good enough, so a person "
        "has to decide.",
        (
            "Add rows, or another data set, and score it again: {retry}",
            "Decide by hand: {skip} begins the first step; in place of skip, abort ends the release.",
        ),
    ),
    Reason.VALIDATION_ERROR: Meaning(
        "The labelled data set could not be scored, so nothing is known and a person has to act.",
        (
            "Correct what the message says and score it again: {retry}",
            "The Job: kubectl get jobs,pods -l sluice.dev/model-deployment={name}.validation {n}",
            "Without it: {skip} begins the first step; in place of skip, abort ends the release.",
        ),
    ),
    Reason.VALIDATION_FAILED: Meaning(
        "Its answers to the labelled data set are proven worse than allowed; it never had a request.", CHANGE
    ),
    Reason.MINIMUM_TIME: Meaning(
        "The step has its proof, but its minimum time is not over.", ("It continues automatically.",)
    ),
    Reason.MINIMUM_REQUESTS: Meaning(
        "The step needs a minimum number of requests.",
        ("It continues with more traffic; or run {skip}",),
    ),
    Reason.ROUTE_CHANGING: Meaning(
        "A route was just written. Requests that are answered while it takes effect are not evidence.",
        ("It continues automatically within seconds.",),
    ),
    Reason.ROUTE_NOT_PROGRAMMED: ROUTE,
    Reason.CANDIDATE_NOT_READY: POD,
    Reason.CANDIDATE_CARRIES: Meaning(
        "No pod of the stable version is ready: the candidate gets what its pods bear until one is, and no evidence counts."
    ),
    Reason.SCALING_CANDIDATE: Meaning(
        "A larger share needs more pods; they start before the requests arrive.", ("It continues when they are ready.",)
    ),
    Reason.SHRINKING_STABLE: Meaning(
        "There is no room for both versions in full, so stable gives up one pod after the other as its share shrinks.",
        ("It continues automatically, pod by pod.",),
    ),
    Reason.CAPACITY_UNAVAILABLE: Meaning(
        "Pods are not created if there is no room for them.",
        ("It continues automatically when devices become free; or set spec.rollout.capacity: ShrinkStable.",),
    ),
    Reason.PAUSED: Meaning(
        "A person paused it. Evidence is still gathered, and evidence against the candidate still rolls back.",
        ("Continue: {resume}",),
    ),
    Reason.PAUSED_AT_STEP: Meaning("This step waits for a person, as its pause: true says.", ("Continue: {resume}",)),
    Reason.FROZEN: Meaning(
        "In a freeze window of the policy nothing moves forward; going back is always possible.",
        ("It continues automatically after the window; go back with: {abort}",),
    ),
    Reason.SPLIT_MISMATCH: Meaning(
        "Requests are not split as the route says, so the counts do not belong to the configured shares.",
        ("Routes with the same host name: kubectl get httproutes -A", "Gateway: {doctor}"),
    ),
    Reason.METRICS_UNAVAILABLE: Meaning(
        "Without metrics nothing is promoted and nothing rolled back; clocks and evidence stand still.",
        ("It continues automatically when they are back. To see what is wrong: {doctor}",),
    ),
    Reason.STABLE_VERSION_LOST: Meaning(
        "Nothing pins the stable version any more: there is nothing to compare with and nothing to go back to.",
        ("Restore its ControllerRevision, or set spec.model back to the version that serves: it is pinned again.",),
    ),
    Reason.REPLACING_POD: Meaning(
        "One bad pod is no reason to give up a version; the pod is replaced once.", PROOF.then[:1]
    ),
    Reason.DEADLINE_EXCEEDED: Meaning(
        "It was not decided within progressDeadlineSeconds.",
        (
            "Decide by hand: {promote}, or abort in place of promote",
            "Next time, kubectl sluice plan -f FILE says what a release needs and which first weight is too small.",
        ),
    ),
    Reason.BAKING: Meaning(
        "It gets all requests; except with Recreate, the old version stays warm: going back takes one write of the route.",
        ("It is promoted at the end of the bake, unless evidence against it appears. End it now: promote {name}",),
    ),
    Reason.PROBING_STABLE: Meaning(
        "With all requests it was worse than the stable version was before. That may be the fault of both, so the stable "
        "version gets some of them again, and they are compared.",
        (
            "It is rolled back if it is worse than the stable version is now; otherwise the bake goes on.",
            "Go back now: {abort}; in place of abort, skip ends the probe, and promote the bake.",
        ),
    ),
    Reason.BASELINE_WORSE: Meaning(
        "New pods of the stable version are worse than its others, too, so what accuses the candidate is not its version: "
        "it neither advances nor is rolled back for being worse.",
        (
            "See what distinguishes new pods, such as their node or an empty cache.",
            "Decide by hand: {promote}, or abort in place of promote",
        ),
    ),
    Reason.PROBE_OVER: Meaning(
        "Beside the stable version as it is now nothing was shown against it: it has all requests again, and the bake "
        "goes on with a limit from what the stable version shows now."
    ),
    Reason.BAKING_WITHOUT_TRAFFIC: Meaning(
        "Too few requests were seen in the bake, so it lasts until enough have arrived.",
        ("Send requests, or end it: {promote}",),
    ),
    Reason.WORSE_THAN_STABLE: Meaning(
        "The evidence that it is worse than the stable version passed the threshold; all requests go back to the "
        "stable version.",
        CHANGE,
    ),
    Reason.ROLLED_BACK_BY_WATCH: Meaning(
        "The stable version had become worse than it was, and the version before was proven good enough to take its place.",
        CHANGE,
    ),
    Reason.OVER_LIMIT: Meaning(
        "The evidence that it is over a limit of the policy, which the stable version keeps, passed the threshold; all "
        "requests go back to the stable version.",
        CHANGE,
    ),
    Reason.REFUSES_REQUESTS: Meaning(
        "It answered nearly every request with 4xx, and the stable version does not; all requests go back to the stable "
        "version.",
        (
            "Compare what both models expect: {predict} --sample shows the stable version's input.",
            *CHANGE,
        ),
    ),
    Reason.CANDIDATE_DOWN: Meaning("It had no ready pod for a minute after it had been ready.", CHANGE),
    Reason.RESTARTING: Meaning("Its server kept restarting.", CHANGE),
    Reason.EVERY_ARM_ENDED: Meaning("Every arm was worse than the stable version, which keeps all users.", CHANGE),
    Reason.NO_SEPARATION: Meaning(
        "Nothing separates the arms from the stable version after maximumSeconds: a difference, if there is one, is "
        "smaller than this much traffic can show."
    ),
    Reason.ARM_IS_BETTER: Meaning("One arm is proven better on the metric that decides."),
    Reason.ABORTED: Meaning("A person ended the release; all requests go to the stable version.", CHANGE),
    Reason.CANDIDATE_READY: Meaning(
        "Its pods are ready, so the first step begins: evidence can only come from requests."
    ),
    Reason.ARMS_READY: Meaning("The pods of every arm are ready, so new users are split from now on."),
    Reason.PROVEN: Meaning("Every required objective is proven good enough, so the next step begins."),
    Reason.IDLE: Meaning(
        "Without requests nobody can be harmed, so the next step begins; the bake then waits for some."
    ),
    Reason.PREVIEW_OVER: Meaning("Its time as a preview is over, and nothing spoke against it."),
    Reason.SKIPPED_BY_PERSON: Meaning("A person asked for the next step."),
    Reason.WORSE_METRIC: Meaning("The metric of the A/B test is proven worse for the arm than for the stable version."),
    Reason.REVISION_LOST: Meaning("Somebody deleted the ControllerRevision that was being released.", CHANGE[1:]),
    Reason.PROMOTED: Meaning("The bake ended without evidence against it: it is now the stable version."),
    Reason.PROMOTED_BY_PERSON: Meaning("A person promoted it."),
    Reason.FIRST_VERSION: Meaning("There was no version to compare it with: it has served since it became ready."),
    Reason.SUPERSEDED: Meaning(
        "Another version was requested while it ran; or it was never ready, and was made again by today's ServingRuntime."
    ),
    Reason.SUPERSEDED_IN_BAKE: Meaning(
        "Another version was requested during its bake, which had shown that it is good."
    ),
    Reason.REMEMBERED: Meaning(
        "A model of this name was deleted: the version that was stable serves again, and any other one is released from "
        "it.",
    ),
    Reason.RESTORED: Meaning("Its status was lost, as with a backup that has none; other objects say how it ended."),
}
"""The meaning of every reason of a release; those of pods have a complete message."""


def meaning(reason: str, name: str, namespace: str, *, of_test: bool = False) -> Meaning:
    """The meaning of a reason for the ModelDeployment `name`; empty where the message is complete."""
    found = MEANINGS.get(Reason.of(reason), Meaning(""))
    found = SEPARATION if of_test and found is PROOF else found
    return Meaning(found.means, tuple(commands.filled(text, name=name, namespace=namespace) for text in found.then))
