"""The commands of docs/first-hour.md, taken from the page itself, as somebody types them who has nothing but the page."""

from pathlib import Path

import pytest

from tests.support import newcomer
from tests.support.scene import Scene

pytestmark = pytest.mark.slow


def test_from_nothing_to_a_second_version(scene: Scene, tmp_path: Path) -> None:
    somebody = newcomer.arrives(scene.cluster, scene.namespace, tmp_path, Path(scene.tools.plugin_path))
    newcomer.first_hour(somebody)
