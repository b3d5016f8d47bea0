"""What the page is told, and what it says where that is of no use."""

from pathlib import Path

import pytest

from kubectl_sluice.adapters import bearer
from kubectl_sluice.adapters.bearer import ApiServer
from kubectl_sluice.dashboard import server
from kubectl_sluice.dashboard.settings import BoardLink, DashboardConfig, DashboardSettings, UnusableSettings
from sluice_core import errors

SETTINGS = (
    "url: https://sluice.example.com\nlinks: [{name: Board, url: 'https://g.example/d/x?m={model}&n={namespace}'}]\n"
)


def read(folder: Path, *, page: str = SETTINGS, operator: str = "{}") -> DashboardSettings:
    (folder / "page.yaml").write_text(page)
    (folder / "operator.yaml").write_text(operator)
    return server.settings_of(folder / "page.yaml", folder / "operator.yaml", folder)


def test_settings_are_read_from_files(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert (found.host, found.secure) == ("sluice.example.com", True)
    assert found.prometheus_credentials is None
    assert read(tmp_path, operator="prometheusSecretName: client").prometheus_credentials == tmp_path


@pytest.mark.parametrize(
    ("page", "operator", "want"),
    [
        ("url: ftp://x", "{}", "url"),
        ("tokenHeader: 'a b'", "{}", "tokenHeader"),
        ("links: [{name: x, url: 'javascript:alert(1)'}]", "{}", "links"),
        ("{", "{}", "page.yaml"),
        ("{}", "gatewayPreset: unknown", "there is no preset 'unknown'"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, page: str, operator: str, want: str) -> None:
    with pytest.raises(UnusableSettings, match=want):
        read(tmp_path, page=page, operator=operator)


def test_a_missing_file_ends_it_with_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert server.main(["--config", str(tmp_path / "none.yaml")]) == 1
    assert "none.yaml: cannot be read" in capsys.readouterr().err


def test_the_api_server_is_that_of_the_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(errors.NoCluster, match="this is no pod"):
        ApiServer.of_pod({})
    monkeypatch.setattr(bearer, "AUTHORITIES", tmp_path / "ca.crt")
    with pytest.raises(errors.NoCluster, match=r"ca\.crt is missing"):
        ApiServer.of_pod(here)
    (tmp_path / "ca.crt").touch()
    assert ApiServer.of_pod(here).address == "https://10.0.0.1:443"
    assert ApiServer.of_pod(here | {"KUBERNETES_SERVICE_HOST": "fd00::1"}).address == "https://[fd00::1]:443"


def test_links_are_filled_in_as_parts_of_an_address() -> None:
    link = BoardLink(name="x", url="https://g.example/?m={model}&r={release}&n={namespace}")
    assert link.filled(namespace="a&b", model="m#", release="r/1") == "https://g.example/?m=m%23&r=r%2F1&n=a%26b"
    assert DashboardConfig().links == []
