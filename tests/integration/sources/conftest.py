"""Real servers that models come from, as processes of this machine."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "serving-runtime" / "storage-initializer"))

from tests.support.stores.downloader import Downloader


@pytest.fixture
def downloader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Downloader:
    return Downloader(tmp_path, capsys)
