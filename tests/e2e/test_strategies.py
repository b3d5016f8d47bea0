"""Every strategy under 100 requests a second, with real models: who is answered by which version, and none is lost.

One ModelDeployment and one load client for all tests; each test leaves a stable version and no running release.
"""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from demo import digits
from demo.load import REVISION_HEADER, LoadClient, Target
from tests.e2e.conftest import GOOD
from tests.support import patience
from tests.support.live.scene import ROLLOUTS, Object, Scene, uri, wait_until

NAME = "digits"
ALWAYS_FAILING = "failing"
VERSIONS = ("1", *(name.removeprefix("v") for name in GOOD))
ROUTING = {"candidateHeader": {"name": "x-sluice-candidate", "value": "always"}}
TESTER = {"x-sluice-candidate": "always"}
MANY = 60
"""Requests of which 20 % go to somebody with all but a chance in a million."""
LONG_SECONDS = 600
"""How long that only a person can have ended it."""

BLUE_GREEN: Object = {"strategy": "BlueGreen", "blueGreen": {"previewSeconds": 1}}
SHADOW: Object = {"strategy": "Shadow", "shadow": {"minimumRequests": 300}}
RECREATE: Object = {"strategy": "Recreate"}
CANARY: Object = {"canary": {"steps": [{"weight": 20}, {"weight": 100}]}}
PAUSED_CANARY: Object = {"canary": {"steps": [{"weight": 20, "pause": True}, {"weight": 100}]}}

nobody_is_lost = pytest.mark.usefixtures("no_request_is_lost")


@pytest.fixture(scope="module")
def traffic(scene: Scene, connect: Callable[..., LoadClient]) -> LoadClient:
    """100 requests a second to v1, which serves."""
    scene.deploy(NAME, "1", routing=ROUTING)
    scene.wait_ready(NAME)
    client = scene.serving(NAME, connect(NAME))
    wait_until(lambda: client.counts().total.right > 200, "v1 answers")
    return client


@pytest.fixture(autouse=True)
def begins_at_rest(scene: Scene, traffic: LoadClient) -> None:
    """Each test begins with one version that the spec names and that serves, whatever the one before did."""
    scene.deploy(NAME, stable_version(scene), routing=ROUTING)
    wait_until(lambda: scene.condition(NAME, "Current").get("status") == "True", "at rest")
    wait_until(lambda: not scene.deployment(NAME)["status"].get("candidate"), "no release is under way")
    wait_until(lambda: not _others(scene), "no other version runs")


def _others(scene: Scene) -> list[Object]:
    """Pods of all versions but the stable one, which may only just have become it."""
    selector = f"--selector=sluice.dev/revision,sluice.dev/revision!={stable_revision(scene)}"
    found: list[Object] = scene.tools.get("pods", scene.where, selector)["items"]
    return found


def stable_revision(scene: Scene) -> str:
    return str(scene.deployment(NAME)["status"]["stable"]["revision"])


def stable_version(scene: Scene) -> str:
    stable = stable_revision(scene)
    served = next(one for one in scene.rollouts(NAME) if one["spec"]["to"]["revision"] == stable)
    return next(version for version in VERSIONS if uri(version) == served["spec"]["to"]["uri"])


def good_version(scene: Scene, besides: str = "") -> str:
    """A good one that does not serve now, and that nobody went back from: such a one is released again on request alone."""
    left = {one["spec"]["from"]["uri"] for one in scene.rollouts(NAME) if one["spec"]["rollback"]}
    unfit = {uri(version) for version in (stable_version(scene), besides) if version} | left
    return next(version for version in VERSIONS[1:] if uri(version) not in unfit)


def begin(scene: Scene, version: str, rollout: Object, **spec: Any) -> str:
    """The user's manifest with another version; the release that begins for it."""
    return scene.begun(
        NAME,
        lambda: scene.deploy(NAME, version, rollout=rollout, routing=spec.pop("routing", ROUTING), **spec),
        version,
    )


def candidate_of(scene: Scene, rollout: str) -> str:
    return str(scene.rollout(rollout)["spec"]["to"]["revision"])


def wait_reason(scene: Scene, rollout: str, reason: str, seconds: float = 0) -> Object:
    return scene.wait_status(rollout, lambda status: status.get("reason") == reason, reason, seconds=seconds)


def exposures(status: Object) -> list[str | int]:
    """What each step that was entered exposed."""
    return [
        f"mirror {step['mirrorPercent']}"
        if step.get("mirrorPercent")
        else "preview"
        if step.get("preview")
        else step["permille"]
        for step in status["steps"]
    ]


def answering(target: Target, count: int = 1, **headers: str) -> set[str]:
    """Who answers so many predictions: revisions, or the HTTP status of a failure: the gateway signs its own 503, too."""
    _, held_out = digits.split()
    body = digits.infer_bodies(held_out)[0]
    with httpx.Client(headers={"Host": target.host, **headers}, timeout=patience.HANG_SECONDS) as client:
        answers = [client.post(target.infer_url, content=body) for _ in range(count)]
    return {answer.headers[REVISION_HEADER] if answer.is_success else str(answer.status_code) for answer in answers}


def answers_alone(traffic: LoadClient, revision: str) -> None:
    """From now on every request is answered by the revision, and well."""
    before = traffic.counts()
    wait_until(lambda: traffic.counts().total.requests - before.total.requests > 200, "answers")
    after = traffic.counts()
    assert after.total.right - before.total.right > 150
    assert after.of(revision).requests - before.of(revision).requests >= (
        after.total.requests - before.total.requests - 1  # one under way when the counting began
    )


def pods_of(scene: Scene, revision: str) -> set[str]:
    found = scene.tools.get("pods", scene.where, f"--selector=sluice.dev/revision={revision}")["items"]
    return {str(pod["metadata"]["uid"]) for pod in found}


def test_recreate_never_runs_two_and_says_that_it_is_down(scene: Scene, traffic: LoadClient) -> None:
    """Requests are lost here: it is what this strategy costs, and nothing else may cost any."""
    old, before = stable_revision(scene), traffic.counts()
    rollout = begin(scene, good_version(scene), RECREATE)
    new = candidate_of(scene, rollout)

    def ended() -> Object | None:
        assert not (pods_of(scene, new) and pods_of(scene, old)), "both versions run"  # the later ones are asked first
        status: Object = scene.rollout(rollout).get("status", {})
        return status if status.get("outcome") else None

    status = wait_until(ended, f"{rollout} ends")
    assert (status["outcome"], exposures(status)) == ("Promoted", [1000])
    after = traffic.counts()
    lost = after.total.problems - before.total.problems
    assert lost.total() > 0
    assert set(lost) == {"503"}, lost
    started = next(e for e in scene.events(NAME) if e["reason"] == "RolloutStarted" and new in e["message"])
    assert "the model does not answer from when the old version stops" in started["message"]
    answers_alone(traffic, new)
    assert traffic.counts().total.lost == after.total.lost


@nobody_is_lost
def test_blue_green_is_previewed_flipped_and_promoted(scene: Scene, traffic: LoadClient) -> None:
    rollout = begin(
        scene, good_version(scene), {**BLUE_GREEN, "blueGreen": {"previewSeconds": 1, "automaticPromotion": False}}
    )
    green = candidate_of(scene, rollout)
    wait_reason(scene, rollout, "PausedAtStep")
    target = scene.target(NAME)
    preview = Target(target.url, f"preview-{target.host}", target.model)
    assert answering(preview, MANY) == {green}
    assert traffic.counts().of(green).requests == 0, "no user has seen green"
    scene.plugin("resume", NAME, "--note=checked by hand")
    status = scene.wait_outcome(rollout)
    assert (status["outcome"], exposures(status)) == ("Promoted", ["preview", 1000])
    answers_alone(traffic, green)
    assert answering(preview) == {"404"}, "the preview's host name has ended"


@pytest.mark.slow
@nobody_is_lost
def test_blue_green_goes_back_to_blue_that_stayed_warm(scene: Scene, traffic: LoadClient) -> None:
    blue = stable_revision(scene)
    warm = pods_of(scene, blue)
    rollout = begin(scene, ALWAYS_FAILING, {**BLUE_GREEN, "bakeSeconds": LONG_SECONDS})
    green = candidate_of(scene, rollout)
    scene.wait_weight(rollout, at_least=100)
    status = scene.wait_outcome(rollout)
    assert (status["outcome"], status["reason"]) == ("RolledBack", "WorseThanStable")
    assert exposures(status) == ["preview", 1000, 500], "blue is asked whether it fails as well"
    assert traffic.counts().of(green).failed > 0
    assert pods_of(scene, blue) == warm
    wait_until(lambda: answering(scene.target(NAME)) == {blue}, "blue answers")
    answers_alone(traffic, blue)


@pytest.mark.slow
@nobody_is_lost
def test_shadow_is_proven_on_copies_and_released_by_a_person(scene: Scene, traffic: LoadClient) -> None:
    rollout = begin(scene, good_version(scene), SHADOW)
    candidate = candidate_of(scene, rollout)
    answered = traffic.counts().of(candidate).requests  # by an earlier test
    status = wait_reason(scene, rollout, "PausedAtStep")
    assert status["steps"][-1]["candidateRequests"] >= SHADOW["shadow"]["minimumRequests"]
    assert {entry["name"]: entry["proven"] for entry in status["objectives"]}["errors"]
    assert traffic.counts().of(candidate).requests == answered, "no user got one of its answers"
    scene.plugin("resume", NAME)
    status = scene.wait_outcome(rollout)
    assert (status["outcome"], exposures(status)) == ("Promoted", ["mirror 100", 1000])
    answers_alone(traffic, candidate)


@nobody_is_lost
@pytest.mark.parametrize(
    "rollout",
    [
        pytest.param(SHADOW, id="alone", marks=pytest.mark.slow),
        pytest.param({**CANARY, **SHADOW, "strategy": "Canary"}, id="first"),
    ],
)
def test_shadow_takes_a_failing_version_out_before_a_user_meets_it(
    scene: Scene, traffic: LoadClient, rollout: Object
) -> None:
    before = traffic.counts()
    release_name = begin(scene, ALWAYS_FAILING, rollout)
    failing = candidate_of(scene, release_name)
    status = scene.wait_outcome(release_name)
    assert (status["outcome"], status["reason"]) == ("RolledBack", "WorseThanStable")
    assert status["message"].startswith("errors: ")
    assert exposures(status) == ["mirror 100"]
    assert traffic.counts().of(failing).requests == before.of(failing).requests, "no user has met it"


@nobody_is_lost
@pytest.mark.slow
def test_canary_waits_at_its_step_and_testers_reach_it(scene: Scene, traffic: LoadClient) -> None:
    before = stable_revision(scene)
    rollout = begin(scene, good_version(scene), PAUSED_CANARY)
    candidate = candidate_of(scene, rollout)
    wait_reason(scene, rollout, "PausedAtStep")
    assert answering(scene.target(NAME), MANY, **TESTER) == {candidate}
    assert answering(scene.target(NAME), MANY) == {before, candidate}, "others are split"
    assert scene.rollout_status(rollout)["permille"] == 200
    scene.plugin("resume", NAME)
    status = scene.wait_outcome(rollout)
    assert (status["outcome"], exposures(status)) == ("Promoted", [200, 1000])
    answers_alone(traffic, candidate)


@nobody_is_lost
@pytest.mark.slow
def test_a_person_skips_a_step_and_later_goes_back(scene: Scene, traffic: LoadClient) -> None:
    before, version = stable_revision(scene), good_version(scene)
    steps = [{"weight": 20, "minimumSeconds": LONG_SECONDS}, {"weight": 100}]
    rollout = begin(scene, version, {"canary": {"steps": steps}})
    candidate = candidate_of(scene, rollout)
    wait_reason(scene, rollout, "MinimumTime")
    scene.plugin("skip", NAME, "--note=seen enough")
    status = scene.wait_outcome(rollout)
    assert (status["outcome"], exposures(status)) == ("Promoted", [200, 1000])
    assert any("seen enough" in entry["why"] for entry in status["timeline"])
    answers_alone(traffic, candidate)

    last = scene.rollouts(NAME)[-1]["spec"]["sequence"]
    scene.plugin("rollback", NAME, "--note=a customer called")
    wait_until(lambda: stable_revision(scene) == before, "the version before serves")
    back = scene.rollouts(NAME)[-1]
    assert (back["spec"]["sequence"], back["spec"]["rollback"], back["spec"]["analysed"]) == (last + 1, True, False)
    answers_alone(traffic, before)
    current = scene.condition(NAME, "Current")
    assert (current["status"], current["reason"]) == ("False", "RolledBackByPerson")
    scene.deploy(NAME, version, routing=ROUTING, rollout={"canary": {"steps": steps}})
    answers_alone(traffic, before)
    assert len(scene.rollouts(NAME)) == last + 1, "the manifest in Git, applied again, changes nothing"


@nobody_is_lost
@pytest.mark.slow
def test_a_host_name_is_added_in_the_middle(scene: Scene, traffic: LoadClient) -> None:
    version = good_version(scene)
    rollout = begin(scene, version, PAUSED_CANARY)
    scene.wait_weight(rollout)
    old = scene.target(NAME)
    new = Target(old.url, f"other-{old.host}", old.model)
    scene.deploy(NAME, version, rollout=PAUSED_CANARY, routing={**ROUTING, "hostnames": [old.host, new.host]})
    answered = {stable_revision(scene), candidate_of(scene, rollout)}
    wait_until(lambda: answering(new, MANY) == answered, "the new host name leads to both versions")
    wait_reason(scene, rollout, "PausedAtStep")
    scene.plugin("resume", NAME)
    assert scene.wait_outcome(rollout)["outcome"] == "Promoted"
    answers_alone(traffic, candidate_of(scene, rollout))


IN_THE_MIDDLE = {
    "canary": (PAUSED_CANARY, 200),
    "blue-green": ({**BLUE_GREEN, "blueGreen": {"automaticPromotion": False}}, "preview"),
    "baking": ({**BLUE_GREEN, "bakeSeconds": LONG_SECONDS}, 1000),
    "shadow": ({"strategy": "Shadow"}, "mirror 100"),
    "recreate": ({**RECREATE, "bakeSeconds": LONG_SECONDS}, 1000),
}


@pytest.mark.slow
@pytest.mark.parametrize("then", ["back", "another", "again"])
@pytest.mark.parametrize("strategy", IN_THE_MIDDLE)
def test_superseded_in_the_middle(scene: Scene, traffic: LoadClient, strategy: str, then: str) -> None:
    """A→B→A, A→B→C and A→B→B′: what was asked for last serves in the end."""
    before, counted = stable_version(scene), traffic.counts().total
    rollout, exposed = IN_THE_MIDDLE[strategy]
    version = good_version(scene)
    first = begin(scene, version, rollout)
    scene.wait_status(first, lambda status: exposures(status)[-1:] == [exposed] if "steps" in status else False,
                      f"exposes {exposed}")  # fmt: skip
    if then == "back":
        scene.deploy(NAME, before, routing=ROUTING)
    elif then == "another":
        begin(scene, good_version(scene, besides=version), CANARY)
    else:
        begin(scene, version, CANARY, podAnnotations={"again": strategy})
    assert scene.wait_outcome(first)["outcome"] in ("Superseded", "Promoted")
    wait_until(lambda: scene.condition(NAME, "Current").get("status") == "True", "Current")
    assert scene.deployment(NAME)["spec"]["model"]["uri"] == uri(stable_version(scene))
    if strategy == "recreate":  # on rollback the old version has to start again first
        wait_until(lambda: answering(scene.target(NAME)) == {stable_revision(scene)}, "it answers")
    answers_alone(traffic, stable_revision(scene))
    after = traffic.counts().total
    print(f"\nlost {after.lost - counted.lost} of {after.requests - counted.requests}")
    assert strategy == "recreate" or after.lost == counted.lost, dict(after.problems)


@pytest.mark.slow
@nobody_is_lost
def test_changes_in_the_middle_leave_a_release_its_own_rules(scene: Scene, traffic: LoadClient) -> None:
    """Strategy, replicas and the bake's length; the next release goes by the new ones."""
    version = good_version(scene)
    rollout = begin(scene, version, PAUSED_CANARY)
    scene.wait_weight(rollout)
    rules = scene.rollout(rollout)["spec"]
    scene.deploy(NAME, version, rollout={**BLUE_GREEN, "bakeSeconds": LONG_SECONDS}, replicas=2, routing=ROUTING)
    wait_reason(scene, rollout, "PausedAtStep")
    assert scene.rollout(rollout)["spec"] == rules
    scene.plugin("resume", NAME)
    status = scene.wait_outcome(rollout)
    assert (status["outcome"], exposures(status)) == ("Promoted", [200, 1000])
    revision = candidate_of(scene, rollout)
    wait_until(lambda: len(pods_of(scene, revision)) == 2, "two replicas")
    answers_alone(traffic, revision)


@pytest.mark.slow
@nobody_is_lost
@pytest.mark.parametrize("strategy", IN_THE_MIDDLE)
def test_deleted_in_the_middle(scene: Scene, strategy: str) -> None:
    """Nothing is left, whatever was under way; the model beside it goes on answering."""
    name = f"short-lived-{strategy}"
    scene.deploy(name, "1")
    scene.wait_ready(name)
    rollout, exposed = IN_THE_MIDDLE[strategy]
    version = GOOD[0].removeprefix("v")
    begun = scene.begun(name, lambda: scene.deploy(name, version, rollout=rollout), version)
    scene.wait_status(begun, lambda status: exposures(status)[-1:] == [exposed] if "steps" in status else False,
                      f"exposes {exposed}")  # fmt: skip
    scene.tools.kubectl("delete", "modeldeployments.sluice.dev", name, scene.where, "--timeout=240s")
    kinds = f"{ROLLOUTS},deployments.apps,services,httproutes.gateway.networking.k8s.io,poddisruptionbudgets,pods"

    def left() -> list[str]:
        items = scene.tools.get(kinds, scene.where)["items"]
        return [item["metadata"]["name"] for item in items if item["metadata"]["name"].startswith(name)]

    wait_until(lambda: not left(), f"nothing is left of {name}")
