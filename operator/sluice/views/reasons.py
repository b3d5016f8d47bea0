"""What a reason means and what comes next, in sentences; the operator's own message holds the particulars."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Meaning:
    """One reason explained. `{name}` is the ModelDeployment."""

    means: str
    then: tuple[str, ...] = ()
    """What happens next, or what to do."""


PROOF: Final = Meaning(
    "A step goes on when every required objective is proven good enough, not when time is up: that no failure was seen "
    "is no proof as long as few requests were.",
    (
        "Nothing need be done: it goes on by itself with the proof, and back by itself on evidence against it.",
        "Where you know better: kubectl sluice skip {name} goes to the next step, promote {name} to the end, abort "
        "{name} back.",
    ),
)
POD: Final = Meaning(
    "No request is given to a version whose pods are not ready.",
    (
        "The pods: kubectl describe pods -l sluice.dev/model-deployment={name}",
        "The objects: kubectl sluice tree {name}",
    ),
)
ROUTE: Final = Meaning(
    "Nothing is judged before the gateway uses the route as it is written.",
    ("The route: kubectl describe httproute {name}", "Gateway and permissions: kubectl sluice doctor {name}"),
)
CHANGE: Final = (
    "Release a better version by changing spec.model, or try this one again: kubectl sluice retry {name}",
    "What was decided when: kubectl sluice history {name} RELEASE",
)

MEANINGS: Final = {
    "GatheringEvidence": PROOF,
    "Validating": Meaning(
        "Before it gets any request, or a pod, it answers the labelled data set of spec.rollout.validation.",
        (
            "It goes on by itself: worse is rolled back, good begins the first step.",
            "The Job: kubectl get jobs,pods -l sluice.dev/model-deployment={name}.validation",
            "Without it: kubectl sluice skip {name} begins the first step, abort {name} ends the release.",
        ),
    ),
    "Validated": Meaning(
        "It answered the labelled data set well enough.", ("Its pods start, and the first step begins.",)
    ),
    "ValidationInconclusive": Meaning(
        "The labelled data set can neither prove that it is worse than allowed nor that it is good enough, so nothing "
        "happens by itself.",
        (
            "Add rows, or another data set, and score it again: kubectl sluice retry {name}",
            "Decide by hand: kubectl sluice skip {name} begins the first step, abort {name} ends the release.",
        ),
    ),
    "ValidationError": Meaning(
        "The labelled data set could not be scored, so nothing is known and nothing happens by itself.",
        (
            "Correct what it says and score it again: kubectl sluice retry {name}",
            "The Job: kubectl get jobs,pods -l sluice.dev/model-deployment={name}.validation",
            "Without it: kubectl sluice skip {name} begins the first step, abort {name} ends the release.",
        ),
    ),
    "ValidationFailed": Meaning(
        "Its answers to the labelled data set are proven worse than allowed; it never had a request.", CHANGE
    ),
    "MinimumTime": Meaning("The step has its proof and a minimum time that is not over.", ("It goes on by itself.",)),
    "MinimumRequests": Meaning(
        "The step has to see a minimum number of requests.",
        ("It goes on with more traffic; or kubectl sluice skip {name}.",),
    ),
    "RouteChanging": Meaning(
        "A route was just written. Requests that are answered while it takes effect are no evidence.",
        ("It goes on by itself within seconds.",),
    ),
    "RouteNotProgrammed": ROUTE,
    "CandidateNotReady": POD,
    "ScalingCandidate": Meaning(
        "A larger share needs more pods; they come before the requests.", ("It goes on when they are ready.",)
    ),
    "ShrinkingStable": Meaning(
        "There is no room for both versions in full, so stable gives one pod after the other as its share shrinks.",
        ("It goes on by itself, pod by pod.",),
    ),
    "CapacityUnavailable": Meaning(
        "Pods for which there is no room are not created.",
        ("It goes on by itself when devices become free; or set spec.rollout.capacity: ShrinkStable.",),
    ),
    "Paused": Meaning(
        "A person paused it. Evidence is still gathered, and evidence against the candidate still rolls back.",
        ("Go on: kubectl sluice resume {name}",),
    ),
    "PausedAtStep": Meaning(
        "This step waits for a person, as its pause: true says.", ("Go on: kubectl sluice resume {name}",)
    ),
    "Frozen": Meaning(
        "In a freeze window of the policy nothing goes forward; a way back is always open.",
        ("It goes on by itself after the window; go back with: kubectl sluice abort {name}",),
    ),
    "SplitMismatch": Meaning(
        "The requests do not split as the route says, so the counts do not speak of the shares that are meant.",
        ("Routes with the same host name: kubectl get httproutes -A", "Gateway: kubectl sluice doctor {name}"),
    ),
    "MetricsUnavailable": Meaning(
        "Without metrics nothing is promoted and nothing rolled back; clocks and evidence stand still.",
        ("It goes on by itself when they are back. What is wrong: kubectl sluice doctor {name}",),
    ),
    "StableVersionLost": Meaning("Without the stable version there is nothing to compare with or to go back to."),
    "ReplacingPod": Meaning("One bad pod is no reason to give a version up; it is replaced once.", PROOF.then[:1]),
    "DeadlineExceeded": Meaning(
        "It was not decided within progressDeadlineSeconds.",
        (
            "Decide by hand: kubectl sluice promote {name}, or abort {name}",
            "For next time: kubectl sluice plan -f FILE says what a release needs and which first weight is too small.",
        ),
    ),
    "Baking": Meaning(
        "It has all requests; the old version stays warm, so that going back takes one write of the route.",
        ("It is promoted at the end of the bake, unless evidence against it comes. End it now: promote {name}",),
    ),
    "BakingWithoutTraffic": Meaning(
        "A step went on for lack of traffic, so the bake lasts until enough requests have come.",
        ("Send requests, or end it: kubectl sluice promote {name}",),
    ),
    "WorseThanStable": Meaning(
        "The evidence that it is worse than the stable version passed the threshold; all requests go to the stable "
        "version again.",
        CHANGE,
    ),
    "CandidateDown": Meaning("It had no ready pod for a minute after it had been ready.", CHANGE),
    "Restarting": Meaning("Its server kept restarting.", CHANGE),
    "EveryArmEnded": Meaning("Every arm was worse than the stable version, which keeps all users.", CHANGE),
    "NoSeparation": Meaning(
        "Nothing separates the arms from the stable version after maximumSeconds: a difference, if there is one, is "
        "smaller than this much traffic can show."
    ),
    "ArmIsBetter": Meaning("One arm is proven better on the metric that decides."),
    "Aborted": Meaning("A person ended it; all requests go to the stable version.", CHANGE),
    "Promoted": Meaning("The bake is over without evidence against it: it is the stable version now."),
    "PromotedByPerson": Meaning("A person promoted it."),
    "FirstVersion": Meaning("There was no version to compare it with: it serves since it was ready."),
    "Superseded": Meaning("Another version was asked for while it ran."),
    "SupersededInBake": Meaning("Another version was asked for in its bake, when nothing spoke against it."),
}
"""By reason. Others, such as those of pods, say everything in their message."""


def meaning(reason: str, name: str) -> Meaning:
    """The meaning of a reason for the ModelDeployment `name`; empty where the message says it all."""
    found = MEANINGS.get(reason, Meaning(""))
    return Meaning(found.means, tuple(text.format(name=name) for text in found.then))
