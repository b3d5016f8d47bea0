"""Twenty streams of a language model, open through everything that moves or replaces pods: none is cut."""

import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.e2e.chats import CANARY, NAME, OBJECTIVES, SERVERS, STREAMS, VERSIONS, Chat
from tests.support.live import tokenstreams
from tests.support.live.scene import Scene, wait_until
from tests.support.live.tokenstreams import TokenStreams

HELD: Final = {"canary": {"steps": [{"weight": 50, "pause": True}, {"weight": 100}]}, "objectives": OBJECTIVES}
"""The candidate keeps half of the streams until a person says more."""
CONTROLLER: Final = ("deployment/contour", "--namespace=projectcontour")
GATEWAY: Final = ("daemonset/envoy", "--namespace=projectcontour")


@pytest.fixture(scope="module", params=SERVERS)
def chat(scene: Scene, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
    """The first version, ready."""
    chat: Chat = request.param
    chat.serve(scene, tmp_path_factory.mktemp(chat.case.name))
    yield chat
    chat.end(scene)


@pytest.fixture
def streams(chat: Chat, scene: Scene, request: pytest.FixtureRequest) -> Iterator[TokenStreams]:
    """Twenty at a time, or once, where the parameter is False."""
    again = getattr(request, "param", True)
    tokens = chat.tokens if again else chat.long
    with tokenstreams.kept_whole(
        scene, NAME, count=STREAMS, tokens=tokens, again=again, open_seconds=60 * chat.times
    ) as streams:
        yield streams


def another(chat: Chat, scene: Scene) -> str:
    """A version that does not serve now."""
    served = scene.deployment(NAME)["spec"]["model"]["uri"]
    return next(version for version in VERSIONS if chat.uri(version) != served)


def begun(chat: Chat, scene: Scene, version: str, rollout: dict[str, Any]) -> str:
    return scene.begun_by(NAME, lambda: scene.patch(NAME, {"model": {"uri": chat.uri(version)}, "rollout": rollout}))


def only_one_runs(chat: Chat, scene: Scene) -> None:
    scene.wait_only_stable_runs(NAME, 180 * chat.times)


def outcome(chat: Chat, scene: Scene, rollout: str) -> str:
    status = scene.wait_outcome(rollout, 180 * chat.times)
    print(f"\n{status['outcome']}: {status['message']}")
    return str(status["outcome"])


@pytest.mark.slow
def test_a_promoted_version_cuts_none(chat: Chat, scene: Scene, streams: TokenStreams) -> None:
    rollout = begun(chat, scene, another(chat, scene), {"canary": CANARY, "objectives": OBJECTIVES})
    assert outcome(chat, scene, rollout) == "Promoted"
    streams.open_through(lambda: only_one_runs(chat, scene))
    assert {stream.revision for stream in streams.open_at(time.monotonic())} <= {scene.stable(NAME)}


@pytest.mark.parametrize(
    ("action", "ends"),
    [pytest.param("abort", "Aborted", marks=pytest.mark.slow), pytest.param("promote", "Promoted")],
)
def test_what_a_person_decides_cuts_none(
    chat: Chat, scene: Scene, streams: TokenStreams, action: str, ends: str
) -> None:
    rollout = begun(chat, scene, another(chat, scene), HELD)
    scene.wait_weight(rollout, 50, 90 * chat.times)
    candidate = scene.rollout(rollout)["spec"]["to"]["revision"]
    wait_until(lambda: any(s.revision == candidate for s in streams.open_at(time.monotonic())), "it answers")
    streams.open_through(lambda: scene.plugin(action, NAME))
    assert outcome(chat, scene, rollout) == ends
    scene.patch(NAME, {"model": {"uri": serving(scene)}})
    only_one_runs(chat, scene)


def serving(scene: Scene) -> str:
    stable = next(r for r in scene.rollouts(NAME) if r["spec"]["to"]["revision"] == scene.stable(NAME))
    return str(stable["spec"]["to"]["uri"])


@pytest.mark.slow
def test_the_rollback_to_the_version_before_cuts_none(chat: Chat, scene: Scene, streams: TokenStreams) -> None:
    before = scene.stable(NAME)
    rollout = scene.begun_by(NAME, lambda: streams.open_through(lambda: scene.plugin("rollback", NAME)))
    assert outcome(chat, scene, rollout) == "Promoted"
    assert scene.stable(NAME) != before
    only_one_runs(chat, scene)


@pytest.mark.slow
def test_pods_that_are_replaced_cut_none(chat: Chat, scene: Scene, streams: TokenStreams) -> None:
    scene.patch(NAME, {"replicas": 2})
    wait_until(lambda: len(scene.ready_pods(NAME)) == 2, "two pods are ready", seconds=90 * chat.times)
    for pod in scene.ready_pods(NAME):
        streams.open_through(lambda pod=pod: scene.tools.kubectl("delete", "pod", pod, scene.where, "--wait=false"))
        wait_until(
            lambda pod=pod: pod not in scene.ready_pods(NAME) and len(scene.ready_pods(NAME)) == 2,
            "it is replaced",
            seconds=120 * chat.times,
        )


@pytest.mark.slow
@pytest.mark.disturbs
def test_a_restart_of_the_gateways_controller_cuts_none(scene: Scene, streams: TokenStreams) -> None:
    streams.open_through(lambda: scene.tools.kubectl("rollout", "restart", *CONTROLLER))
    scene.tools.kubectl("rollout", "status", *CONTROLLER, "--timeout=240s")


@pytest.mark.slow
@pytest.mark.disturbs
@pytest.mark.parametrize("streams", [False], indirect=True)
def test_a_restart_of_the_gateway_cuts_none_of_those_in_progress(scene: Scene, streams: TokenStreams) -> None:
    """New ones find nobody on the lab's only node for some seconds."""
    pods = ("pods", GATEWAY[1], "--selector=app=envoy", "--output=jsonpath={.items[*].metadata.deletionTimestamp}")
    streams.open_through(lambda: scene.tools.kubectl("rollout", "restart", *GATEWAY))
    wait_until(lambda: scene.tools.kubectl("get", *pods), "its pod is told to end")
    still_open = len(streams.open_at(time.monotonic()))
    print(f"\n{still_open} streams are open when the gateway's pod ends")
    assert still_open
    streams.finish()
    scene.tools.kubectl("rollout", "status", *GATEWAY, "--timeout=300s")
