"""The downloader lives in its image's folder, which is no part of the installed package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "serving-runtime" / "storage-initializer"))

from tests.support import programs
from tests.support.stores.downloader import Downloader
from tests.unit.serving_runtime.signedclaims import FILES, TEAM, Claim


@pytest.fixture
def downloader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Downloader:
    return Downloader(tmp_path, capsys)


@pytest.fixture
def claim(tmp_path: Path, downloader: Downloader) -> Claim:
    found = Claim(tmp_path / "claim", downloader)
    found.put(FILES, TEAM.model("digits", FILES))
    return found


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The downloader with its packages, as in the image."""
    programs.needed("uv", install="make setup")
    stage = tmp_path_factory.mktemp("stage")
    script = Path(__file__).parents[3] / "serving-runtime" / "stage.sh"
    subprocess.run(
        [script, "storage-initializer"], env=os.environ | {"SLUICE_STAGE": str(stage)}, check=True, timeout=300
    )
    return stage / "storage-initializer" / "site"
