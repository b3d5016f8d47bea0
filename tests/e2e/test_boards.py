"""Every panel of the boards shows something: of a release that runs, a version that was rolled back, and three batches."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx
import pytest

from demo.cluster import Cluster
from demo.load import LoadClient
from tests.e2e.conftest import bring_further_image
from tests.e2e.datasets import batch, of_its_own, upload, wait_end
from tests.support import boards, patience
from tests.support.live.scene import Scene, wait_until

RELEASED, REFUSED = "digits", "refused"
GOOD, WRONG = "2", "3"
BATCH: Final = "running"
ROWS: Final = 2_000_000
SHOWN: Final = ("batch", "release-contour", "fleet", "operator")
"""The batch runs for a minute or two only."""
SECONDS: Final = 60.0

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def busy(lab: Cluster, scene: Scene, connect: Callable[..., LoadClient]) -> Iterator[dict[str, str]]:
    """What the variables of the boards are filled with."""
    bring_further_image(lab, "batch")
    for name in (RELEASED, REFUSED):
        scene.deploy(name, "1")
    for name in (RELEASED, REFUSED):
        scene.wait_ready(name)
    scene.serving(RELEASED, connect(RELEASED))
    scene.serving(REFUSED, connect(REFUSED))
    rolled_back = scene.release(REFUSED, WRONG)
    assert scene.wait_outcome(rolled_back)["outcome"] == "RolledBack"
    paused = scene.release(RELEASED, GOOD)
    scene.wait_weight(paused)
    scene.plugin("pause", RELEASED)
    bad = batch("bad", upload(lab, "data/boards-few.parquet", 100), "answers/boards-bad/", deployment=RELEASED)
    bad["spec"]["input"]["columns"] = ["pixels"]
    later = batch("later", upload(lab, "data/boards-few.parquet", 100), "answers/boards-{{run}}/", deployment=RELEASED)
    later["spec"]["schedule"] = {"cron": "0 3 * * *"}
    running = batch(
        BATCH, upload(lab, "data/boards.parquet", ROWS), "answers/boards/", deployment=RELEASED, batchSize=1
    )
    scene.apply(bad, later, of_its_own(running, GOOD))
    assert wait_end(scene, "bad")["run"]["outcome"] == "Failed"
    yield {"namespace": scene.namespace, "model": RELEASED, "batch": boards.ALL}
    scene.tools.kubectl("delete", "bi", "--all", scene.where)


def shown(url: str, expr: str) -> list[Any]:
    """Series of the last minute."""
    answer = httpx.post(
        f"{url}/api/v1/query_range",
        data={"query": expr, "start": time.time() - 60, "end": time.time(), "step": 5},
        timeout=patience.HANG_SECONDS,
        trust_env=False,
    )
    assert answer.is_success, f"{expr}: {answer.text}"
    found: list[Any] = answer.json()["data"]["result"]
    return found


@pytest.mark.parametrize("name", SHOWN)
def test_every_panel_shows_something(lab: Cluster, busy: dict[str, str], name: str) -> None:
    board = json.loads((boards.FOLDER / f"{name}.json").read_text())

    def empty() -> list[str]:
        return [
            f"{panel['title']}: {target['expr']}"
            for panel in boards.with_queries(board)
            for target in panel["targets"]
            if not shown(lab.prometheus, boards.filled(target["expr"], busy))
        ]

    left: list[str] = []

    def full() -> bool:
        left[:] = empty()
        return not left

    try:
        wait_until(full, "every panel shows something", seconds=SECONDS)
    except AssertionError:
        raise AssertionError("nothing is shown by:\n" + "\n".join(left)) from None
