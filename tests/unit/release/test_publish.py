"""What is pushed is what was built."""

import base64
from pathlib import Path
from typing import Any

import pytest

from lab.processes import LabError
from release import publish, version
from release.images import Built
from release.publish import Registry
from release.source import Source

DIGEST = f"sha256:{'0a' * 32}"
SOURCE = Source(Path("source"), "c0ffee", 1_700_000_000, version.parsed("1.2.3"))
IMAGE = Built("triton", "localhost/triton:1", DIGEST, Path("requirements.txt"))


def pushed_with(answer: str, monkeypatch: pytest.MonkeyPatch, *, plain_http: bool) -> list[list[str]]:
    commands: list[list[str]] = []

    def run(command: list[Any], **_: Any) -> str:
        words = [str(word) for word in command]
        commands.append(words)
        for word in words:
            if word.startswith("--digestfile="):
                Path(word.partition("=")[2]).write_text(answer)
        return "container" if "from" in words else ""

    monkeypatch.setattr(publish.processes, "run", run)
    monkeypatch.setattr(publish.lab_images, "buildah", lambda: ["buildah"])
    monkeypatch.setattr(publish.gotools, "ensure", lambda _: None)
    registry = Registry("registry.example:5000/team", plain_http, Path("login.json"))
    publish.push(registry, [IMAGE], Path("dist/sluice-1.tgz"), SOURCE)
    return commands


@pytest.mark.parametrize("plain_http", [True, False])
def test_images_come_before_the_chart_that_names_them(monkeypatch: pytest.MonkeyPatch, plain_http: bool) -> None:
    image, chart, *_, files = pushed_with(DIGEST, monkeypatch, plain_http=plain_http)
    assert image[-2:] == ["localhost/triton:1", "docker://registry.example:5000/team/triton:1.2.3"]
    assert f"--tls-verify={'false' if plain_http else 'true'}" in image
    assert "oci://registry.example:5000/team/charts" in chart
    assert files[-1] == "docker://registry.example:5000/team/release:1.2.3"
    assert ("--plain-http" in chart) is plain_http


def test_all_files_of_the_release_are_pushed_at_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, _, copied, committed, _ = pushed_with(DIGEST, monkeypatch, plain_http=False)
    assert copied == ["buildah", "copy", "container", "dist", "/"]
    assert "--timestamp=1700000000" in committed


def test_other_bytes_in_the_registry_end_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LabError, match=r"triton:1.2.3: the registry has sha256:0b"):
        pushed_with(f"sha256:{'0b' * 32}", monkeypatch, plain_http=False)


def test_a_login_is_for_the_registrys_host_alone() -> None:
    given = {"REGISTRY_USER": "a", "REGISTRY_PASSWORD": "b:c"}
    auth = base64.b64encode(b"a:b:c").decode()
    assert publish.login_of("registry.example:5000/team", given) == {"auths": {"registry.example:5000": {"auth": auth}}}
    assert publish.login_of("registry.example", {}) == {"auths": {}}
