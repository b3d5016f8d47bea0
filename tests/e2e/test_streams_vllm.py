"""Twenty streams of a language model on vLLM, on processors, open through releases and while its pods are replaced: none is
cut. Its image is 4.4 GB, and each of its pods takes a minute to begin.
"""

from collections.abc import Iterator

import pytest

from demo import cluster as clusters
from demo import setup
from lab import images
from tests.e2e.conftest import upgrade
from tests.support import together, tokenstreams
from tests.support.runtimes import box, modelfiles
from tests.support.runtimes.table import VLLM
from tests.support.scene import POLICY, Scene, wait_until
from tests.support.tokenstreams import TokenStreams

NAME = "vllm-chat"
STREAMS = 20
TOKENS = 400
LONGEST_SECONDS = 120
"""An answer's, while another pod begins on the same two processors."""
READY_SECONDS = 600.0
OBJECTIVES = [{"name": "errors", "failureRatio": {"source": "Gateway", "events": "ServerErrors", "ignoreBelow": "20%"}}]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


def uri(version: str) -> str:
    return f"s3://{setup.BUCKET}/{NAME}/{version}"


@pytest.fixture(scope="module")
def chat(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The first version, ready."""
    with together.locked(together.IMAGES):
        clusters.stage(VLLM.image)
        images.build(VLLM.image.context, VLLM.image.tag, containerfile=VLLM.image.containerfile)
    upgrade(scene.cluster, "--set=runtimes.vllm.create=true", f"--set=runtimes.vllm.image={VLLM.image.tag}")
    store, files = setup.object_store(scene.cluster), box.mounted(VLLM.image)
    for version in ("1", "2"):
        folder = tmp_path_factory.mktemp(f"version-{version}")
        modelfiles.write_hugging_face(files, folder, seed=int(version))
        for path in folder.iterdir():
            store.upload_file(str(path), setup.BUCKET, f"{NAME}/{version}/{path.name}")
    box.unmount(files)
    scene.deploy(
        NAME,
        "1",
        model={"format": VLLM.format, "uri": uri("1")},
        drainSeconds=LONGEST_SECONDS,
        routing=None,  # the runtime's: no limit of the whole answer
        rollout={
            "policyRef": {"name": POLICY},
            "canary": {"steps": [{"weight": 50}, {"weight": 100}]},
            "objectives": OBJECTIVES,
        },
        **VLLM.spec,
    )
    scene.wait_ready(NAME, READY_SECONDS)
    yield scene
    scene.tools.kubectl("delete", "modeldeployments.sluice.dev", NAME, scene.where, "--wait=false")


@pytest.fixture
def streams(chat: Scene) -> Iterator[TokenStreams]:
    """Twenty at a time."""
    with tokenstreams.kept_whole(chat, NAME, count=STREAMS, tokens=TOKENS, open_seconds=120) as streams:
        yield streams


def only_one_runs(chat: Scene) -> None:
    chat.wait_only_stable_runs(NAME, 600)


def test_a_promoted_version_and_the_way_back_from_it_cut_none(chat: Scene, streams: TokenStreams) -> None:
    before = chat.stable(NAME)
    rollout = chat.begun_by(NAME, lambda: chat.patch(NAME, {"model": {"uri": uri("2")}}))
    status = chat.wait_outcome(rollout, seconds=900)
    assert status["outcome"] == "Promoted", status["message"]
    streams.open_through(lambda: only_one_runs(chat))
    after = chat.stable(NAME)
    assert before != after
    rollout = chat.begun_by(NAME, lambda: streams.open_through(lambda: chat.plugin("rollback", NAME)))
    chat.wait_outcome(rollout, seconds=900)
    assert chat.stable(NAME) == before
    only_one_runs(chat)


def test_a_pod_that_is_replaced_cuts_none(chat: Scene, streams: TokenStreams) -> None:
    chat.patch(NAME, {"replicas": 2})
    wait_until(lambda: len(chat.ready_pods(NAME)) == 2, "two pods are ready", seconds=READY_SECONDS)
    gone = chat.ready_pods(NAME)[0]
    streams.open_through(lambda: chat.tools.kubectl("delete", "pod", gone, chat.where, "--wait=false"))
    wait_until(
        lambda: gone not in chat.ready_pods(NAME) and len(chat.ready_pods(NAME)) == 2,
        "it is replaced",
        seconds=READY_SECONDS,
    )
