"""Twenty streams of a language model, on llama.cpp, open through everything that moves or replaces pods: none is cut."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from demo import cluster as clusters
from demo import languagemodels, setup
from lab import images
from tests.e2e.conftest import upgrade
from tests.support import together, tokenstreams
from tests.support.scene import POLICY, Scene, wait_until
from tests.support.tokenstreams import TokenStreams

NAME: Final = "chat"
VERSIONS: Final = ("1", "2", "3", "4")
STREAMS: Final = 20
TOKENS: Final = 250
LONG: Final = 900
LONGEST_SECONDS: Final = 20
"""An answer's, on busy processors."""
OBJECTIVES: Final = [
    {"name": "errors", "failureRatio": {"source": "Gateway", "events": "ServerErrors", "ignoreBelow": "20%"}}
]
HELD: Final = {"canary": {"steps": [{"weight": 50, "pause": True}, {"weight": 100}]}, "objectives": OBJECTIVES}
"""The candidate keeps half of the streams until a person says more."""
CONTROLLER: Final = ("deployment/contour", "--namespace=projectcontour")
GATEWAY: Final = ("daemonset/envoy", "--namespace=projectcontour")

pytestmark = pytest.mark.timeout(600)


def uri(version: str) -> str:
    return f"s3://{setup.BUCKET}/{NAME}/{version}/model.gguf"


@pytest.fixture(scope="module")
def chat(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The first version, ready."""
    image = clusters.SERVER_IMAGES["llamacpp"]
    with together.locked(together.IMAGES):
        clusters.stage(image)
        images.build(image.context, image.tag, containerfile=image.containerfile)
    upgrade(scene.cluster, "--set=runtimes.llamacpp.create=true", f"--set=runtimes.llamacpp.image={image.tag}")
    store, folder = setup.object_store(scene.cluster), tmp_path_factory.mktemp("models")
    for version in VERSIONS:
        path: Path = languagemodels.write(folder / version, seed=int(version))
        store.upload_file(str(path), setup.BUCKET, f"{NAME}/{version}/model.gguf")
    scene.deploy(
        NAME,
        "1",
        model={"format": "gguf", "uri": uri("1")},
        runtime={"args": [f"--parallel={STREAMS}", "--context-length=1024"]},
        drainSeconds=LONGEST_SECONDS,
        routing={"timeouts": {"request": f"{LONGEST_SECONDS}s"}},
        rollout={"policyRef": {"name": POLICY}, "canary": {"steps": [{"weight": 50}, {"weight": 100}]}}
        | {"objectives": OBJECTIVES},
    )
    began = time.monotonic()
    scene.wait_ready(NAME, 120)
    print(f"\nready {time.monotonic() - began:.1f} s after it was applied")
    return scene


@pytest.fixture
def streams(chat: Scene, request: pytest.FixtureRequest) -> Iterator[TokenStreams]:
    """Twenty at a time, or once, where the parameter is False."""
    again = getattr(request, "param", True)
    with tokenstreams.kept_whole(chat, NAME, count=STREAMS, tokens=TOKENS if again else LONG, again=again) as streams:
        yield streams


def another(chat: Scene) -> str:
    """A version that does not serve now."""
    served = chat.deployment(NAME)["spec"]["model"]["uri"]
    return next(version for version in VERSIONS if uri(version) != served)


def begun(chat: Scene, version: str, rollout: dict[str, Any]) -> str:
    return chat.begun_by(NAME, lambda: chat.patch(NAME, {"model": {"uri": uri(version)}, "rollout": rollout}))


def only_one_runs(chat: Scene) -> None:
    chat.wait_only_stable_runs(NAME, 180)


def test_a_promoted_version_cuts_none(chat: Scene, streams: TokenStreams) -> None:
    canary = {"steps": [{"weight": 50}, {"weight": 100}]}
    rollout = begun(chat, another(chat), {"canary": canary, "objectives": OBJECTIVES})
    status = chat.wait_outcome(rollout)
    assert status["outcome"] == "Promoted", status["message"]
    streams.open_through(lambda: only_one_runs(chat))
    assert {stream.revision for stream in streams.open_at(time.monotonic())} <= {chat.stable(NAME)}


@pytest.mark.slow
@pytest.mark.parametrize(("action", "outcome"), [("abort", "Aborted"), ("promote", "Promoted")])
def test_what_a_person_decides_cuts_none(chat: Scene, streams: TokenStreams, action: str, outcome: str) -> None:
    rollout = begun(chat, another(chat), HELD)
    chat.wait_weight(rollout, 50)
    candidate = chat.rollout(rollout)["spec"]["to"]["revision"]
    wait_until(
        lambda: any(s.revision == candidate for s in streams.open_at(time.monotonic())), "it answers", seconds=60
    )
    streams.open_through(lambda: chat.plugin(action, NAME))
    assert chat.wait_outcome(rollout)["outcome"] == outcome
    chat.patch(NAME, {"model": {"uri": uri(serving(chat))}})
    only_one_runs(chat)


def serving(chat: Scene) -> str:
    stable = next(r for r in chat.rollouts(NAME) if r["spec"]["to"]["revision"] == chat.stable(NAME))
    return next(version for version in VERSIONS if uri(version) == stable["spec"]["to"]["uri"])


@pytest.mark.slow
def test_the_way_back_to_the_version_before_cuts_none(chat: Scene, streams: TokenStreams) -> None:
    before = chat.stable(NAME)
    rollout = chat.begun_by(NAME, lambda: streams.open_through(lambda: chat.plugin("rollback", NAME)))
    chat.wait_outcome(rollout)
    assert chat.stable(NAME) != before
    only_one_runs(chat)


@pytest.mark.slow
def test_pods_that_are_replaced_cut_none(chat: Scene, streams: TokenStreams) -> None:
    chat.patch(NAME, {"replicas": 2})
    wait_until(lambda: len(chat.ready_pods(NAME)) == 2, "two pods are ready", seconds=90)
    for pod in chat.ready_pods(NAME):
        streams.open_through(lambda pod=pod: chat.tools.kubectl("delete", "pod", pod, chat.where, "--wait=false"))
        wait_until(
            lambda pod=pod: pod not in chat.ready_pods(NAME) and len(chat.ready_pods(NAME)) == 2,
            "it is replaced",
            seconds=120,
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"runtime": {"args": ["--context-length=40000"]}}, "was trained for 32768 tokens; use at most 32768"),
        (
            {
                "runtime": {"args": ["--context-length=32768", "--parallel=20"]},
                "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "256Mi"}},
            },
            "the KV cache takes 320 MiB, out of memory with 256 MiB",
        ),
        ({"runtime": {"args": ["--lora=poet=/models/model.gguf"]}}, "an adapter's is 'adapter'"),
    ],
    ids=["context too long", "out of memory", "no adapter"],
)
def test_what_cannot_be_served_is_said_on_the_model(chat: Scene, change: dict[str, Any], said: str) -> None:
    chat.deploy("wrong", "1", model={"format": "gguf", "uri": uri("1")}, **change)
    ready = wait_until(
        lambda: found if said in (found := chat.condition("wrong", "Ready")).get("message", "") else None,
        f"it says: {said}",
        seconds=90,
    )
    assert (ready["status"], ready["reason"]) == ("False", "ModelNotLoadable")
    chat.tools.kubectl("delete", "modeldeployments.sluice.dev", "wrong", chat.where)


@pytest.mark.slow
def test_a_server_that_the_kernel_ends_for_its_memory_says_so(chat: Scene) -> None:
    """Nothing could be said beforehand: its own code takes more."""
    chat.deploy("hungry", "1", model={"format": "gguf", "uri": uri("1")}, resources={"limits": {"memory": "32Mi"}})
    ready = wait_until(
        lambda: found if (found := chat.condition("hungry", "Ready")).get("reason") == "OOMKilled" else None,
        "it is told",
        seconds=90,
    )
    assert ready["status"] == "False"
    assert "raise spec.resources.limits.memory" in ready["message"]
    chat.tools.kubectl("delete", "modeldeployments.sluice.dev", "hungry", chat.where)


@pytest.mark.slow
@pytest.mark.parametrize("megabytes", [2, 40], ids=lambda megabytes: f"{megabytes} MB")
def test_a_prompt_over_the_gateways_buffer_is_refused_and_cuts_none(
    chat: Scene, streams: TokenStreams, megabytes: int
) -> None:
    """Envoy holds 1 MiB of a connection; what is longer than the model's context is refused by the server alone."""
    target = chat.target(NAME)
    prompt = "a" * (megabytes * 1_000_000)
    body = {"model": NAME, "messages": [{"role": "user", "content": prompt}], "max_tokens": 1}
    url, headers = f"{target.url}{tokenstreams.PATH}", {"Host": target.host}
    asked: list[httpx.Response] = []
    streams.open_through(lambda: asked.append(httpx.post(url, json=body, headers=headers, timeout=60)))
    [answer] = asked
    print(f"\n{answer.status_code}: {answer.text[:200]}")
    assert answer.status_code in (400, 413)


@pytest.mark.slow
@pytest.mark.disturbs
def test_a_restart_of_the_gateways_controller_cuts_none(chat: Scene, streams: TokenStreams) -> None:
    streams.open_through(lambda: chat.tools.kubectl("rollout", "restart", *CONTROLLER))
    chat.tools.kubectl("rollout", "status", *CONTROLLER, "--timeout=120s")


@pytest.mark.slow
@pytest.mark.disturbs
@pytest.mark.parametrize("streams", [False], indirect=True)
def test_a_restart_of_the_gateway_cuts_none_of_those_in_progress(chat: Scene, streams: TokenStreams) -> None:
    """New ones find nobody on the lab's only node for some seconds."""
    pods = ("pods", GATEWAY[1], "--selector=app=envoy", "--output=jsonpath={.items[*].metadata.deletionTimestamp}")
    streams.open_through(lambda: chat.tools.kubectl("rollout", "restart", *GATEWAY))
    wait_until(lambda: chat.tools.kubectl("get", *pods), "its pod is told to end", seconds=30)
    still_open = len(streams.open_at(time.monotonic()))
    print(f"\n{still_open} streams are open when the gateway's pod ends")
    assert still_open
    streams.finish()
    chat.tools.kubectl("rollout", "status", *GATEWAY, "--timeout=300s")
