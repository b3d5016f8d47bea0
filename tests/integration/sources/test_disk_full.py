"""A volume that fills up while files are written: the size of what an archive holds is not known before."""

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import patience
from tests.support.stores import webserver
from tests.support.stores.downloader import Downloader
from tests.support.stores.webserver import Page

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small volume needs root")


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "models"
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "sluice-test", folder], check=True, timeout=patience.HANG_SECONDS
    )
    yield folder
    subprocess.run(["umount", folder], check=True, timeout=patience.HANG_SECONDS)


def test_an_archive_that_does_not_fit(small_volume: Path, downloader: Downloader) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        entry = tarfile.TarInfo("model.onnx")
        entry.size = 5_000_000
        tar.addfile(entry, io.BytesIO(bytes(entry.size)))
    with webserver.running() as web:
        web.pages["/model.tgz"] = Page(stream.getvalue())
        outcome = downloader.run(web.url("/model.tgz"))
    assert downloader.volume == small_volume
    assert outcome.status == 1
    assert outcome.message.startswith("VolumeTooSmall: no space left for http://localhost:")
    assert "ephemeral storage" in outcome.message
