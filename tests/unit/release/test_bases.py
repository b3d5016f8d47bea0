"""Public images are pinned in one place."""

from pathlib import Path

import httpx
import pytest

from lab.processes import LabError
from release import bases, images
from release.source import ROOT

DIGEST = f"sha256:{'0a' * 32}"
OTHER = f"sha256:{'0b' * 32}"


def test_every_base_of_a_containerfile_has_its_line() -> None:
    used = {bases.base_of(ROOT / recipe.containerfile) for recipe in images.recipes(ROOT).values()}
    assert used == set(bases.pins())


def test_no_containerfile_pins_a_base_itself() -> None:
    for recipe in images.recipes(ROOT).values():
        assert "@sha256:" not in (ROOT / recipe.containerfile).read_text(), recipe.name


def test_a_base_without_a_digest_is_refused_with_what_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bases, "pins", lambda: {"docker.io/library/a:1": ""})
    with pytest.raises(LabError, match=r"a:1 has no digest; run `python -m release.bases`"):
        bases.pinned("docker.io/library/a:1")


def test_a_pinned_base_keeps_its_tag_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bases, "pins", lambda: {"docker.io/library/a:1": DIGEST})
    assert bases.pinned("docker.io/library/a:1") == f"docker.io/library/a:1@{DIGEST}"


def test_new_digests_leave_comments_and_the_others(tmp_path: Path) -> None:
    text = f'# why\n"a/b:1" = ""\n"a/b:10" = "{OTHER}"\n'
    assert bases.written(text, {"a/b:1": DIGEST}) == f'# why\n"a/b:1" = "{DIGEST}"\n"a/b:10" = "{OTHER}"\n'


def registry(request: httpx.Request) -> httpx.Response:
    """As Docker Hub answers: nothing without a token, which everybody gets."""
    if request.url.host == "auth.example":
        assert dict(request.url.params) == {"service": "registry", "scope": "repository:library/a:pull"}
        return httpx.Response(200, json={"token": "t"})
    assert str(request.url) == "https://registry-1.docker.io/v2/library/a/manifests/1"
    if request.headers.get("Authorization") != "Bearer t":
        challenge = 'Bearer realm="https://auth.example/token",service="registry",scope="repository:library/a:pull"'
        return httpx.Response(401, headers={"WWW-Authenticate": challenge})
    assert "oci.image.index" in request.headers["Accept"]
    return httpx.Response(200, headers={"Docker-Content-Digest": DIGEST})


def test_a_tag_is_resolved_by_its_registry() -> None:
    with httpx.Client(transport=httpx.MockTransport(registry)) as client:
        assert bases.resolved("docker.io/library/a:1", client) == DIGEST


def test_a_registry_without_a_digest_is_an_error() -> None:
    def silent(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200)

    with (
        httpx.Client(transport=httpx.MockTransport(silent)) as client,
        pytest.raises(LabError, match="without a digest"),
    ):
        bases.resolved("registry.example/a:1", client)
