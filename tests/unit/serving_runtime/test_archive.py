"""Archives: what is in them lands inside, with the filters of newer Pythons and without."""

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).parents[3] / "serving-runtime" / "storage-initializer"


@pytest.fixture(params=["with filters", "without"])
def archive(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(PACKAGE))
    from sluice_storage import archive

    if request.param == "without":
        monkeypatch.delattr(tarfile, "data_filter")
    return archive


def entry(
    name: str, *, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644
) -> tuple[tarfile.TarInfo, bytes]:
    info, body = tarfile.TarInfo(name), b"text" if kind == tarfile.REGTYPE else b""
    info.type, info.linkname, info.mode, info.size = kind, link, mode, len(body)
    return info, body


def packed(folder: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    path = folder / "model.tar"
    with tarfile.open(path, "w") as tar:
        for info, body in entries:
            tar.addfile(info, io.BytesIO(body))
    return path


def test_files_folders_and_links_within(archive: Any, tmp_path: Path) -> None:
    packed(
        tmp_path,
        entry("1", kind=tarfile.DIRTYPE, mode=0o555),
        entry("1/model.onnx", mode=0o400),
        entry("/2/absolute.onnx"),
        entry("latest", kind=tarfile.SYMTYPE, link="1"),
    )
    archive.unpack(tmp_path)
    assert (tmp_path / "1" / "model.onnx").read_text() == "text"
    assert (tmp_path / "2" / "absolute.onnx").read_text() == "text"
    assert (tmp_path / "latest" / "model.onnx").read_text() == "text"
    assert not (tmp_path / "model.tar").exists()


@pytest.mark.parametrize(
    "bad",
    [
        [entry("../outside")],
        [entry("1/../../outside")],
        [entry("link", kind=tarfile.SYMTYPE, link="../..")],
        [entry("link", kind=tarfile.SYMTYPE, link="/etc")],
        [entry("hard", kind=tarfile.LNKTYPE, link="../../etc/passwd")],
        [entry("device", kind=tarfile.CHRTYPE)],
        [entry("pipe", kind=tarfile.FIFOTYPE)],
    ],
    ids=["up", "up from within", "link up", "link away", "hard link", "device", "pipe"],
)
def test_nothing_lands_or_leads_outside(archive: Any, tmp_path: Path, bad: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    folder = tmp_path / "deep" / "model"
    folder.mkdir(parents=True)
    packed(folder, *bad)
    with pytest.raises(archive.DownloadError, match=r"UnsupportedModel: model\.tar cannot be unpacked"):
        archive.unpack(folder)
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path / "deep" / "outside").exists()
