"""docs/first-hour.md, taken from the page itself, as somebody types it who has nothing but the page."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.cluster import Cluster
from tests.e2e.conftest import KEEP
from tests.support.live import firsthour
from tests.support.live.scene import Scene


@pytest.fixture(scope="module")
def scene(lab: Cluster) -> Iterator[Scene]:
    """The page's own namespace, which it makes itself."""
    yield Scene(lab, firsthour.NAMESPACE)
    if not KEEP:
        firsthour.forget(lab, wait=False)


@pytest.fixture
def plugin(lab: Cluster) -> Path:
    return Path(lab.tools.plugin_path)


def test_up_to_a_release_that_a_person_promotes(scene: Scene, plugin: Path, tmp_path: Path) -> None:
    with firsthour.begun(scene.cluster, tmp_path, plugin, trains=False) as hour:
        firsthour.first_release(hour)


@pytest.mark.slow
def test_every_block_of_the_page(scene: Scene, plugin: Path, tmp_path: Path) -> None:
    with firsthour.begun(scene.cluster, tmp_path, plugin) as hour:
        firsthour.whole(hour)
