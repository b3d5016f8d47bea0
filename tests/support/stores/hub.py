"""A Hugging Face hub's public protocol, as far as its client uses it: model information, the tree, files by
revision."""

import hashlib
import json

from tests.support.stores.webserver import Page, WebServer

HIDDEN = {"X-Error-Code": "RepoNotFound"}  # a hub does not distinguish private from missing
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def publish(
    web: WebServer,
    repository: str,
    files: dict[str, bytes],
    *,
    token: str = "",
    revision: str = "main",
    commit: str = COMMIT,
    lfs: bool = False,
) -> None:
    """Publishes a repository; with a token it is private. lfs: whether its files are large ones."""
    authorization = f"Bearer {token}" if token else ""
    information = {
        "id": repository,
        "sha": commit,
        "siblings": [
            {"rfilename": name, "size": len(body), "blobId": _sha1(body), **(_lfs(body) if lfs else {})}
            for name, body in files.items()
        ],
    }
    tree = [{"type": "file", "path": name, "size": len(body), "oid": _sha1(body)} for name, body in files.items()]
    api = f"/api/models/{repository}"
    for path in (api, f"{api}/revision/{revision}", f"{api}/revision/{commit}"):
        web.pages[path] = _json(information, authorization)
    for known in (revision, commit):
        web.pages[f"{api}/tree/{known}"] = _json(tree, authorization)
        for name, body in files.items():
            headers = {"ETag": f'"{_sha1(body)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
            page = Page(body, headers=headers, authorization=authorization, refusal=HIDDEN)
            web.pages[f"/{repository}/resolve/{known}/{name}"] = page


def _lfs(body: bytes) -> dict[str, object]:
    return {"lfs": {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body), "pointerSize": 130}}


def _json(value: object, authorization: str) -> Page:
    headers = {"Content-Type": "application/json", "X-Repo-Commit": COMMIT}
    return Page(json.dumps(value).encode(), headers=headers, authorization=authorization, refusal=HIDDEN, ranges=False)


def _sha1(body: bytes) -> str:
    return hashlib.sha1(body, usedforsecurity=False).hexdigest()
