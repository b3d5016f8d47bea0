"""The few endpoints of MLflow's public REST API that the resolver uses, with real answers.

https://mlflow.org/docs/latest/rest-api.html
"""

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

API = "/api/2.0/mlflow/"


@dataclass
class MLflowServer:
    """`versions` and `aliases` may be changed at any time."""

    port: int
    versions: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    aliases: dict[tuple[str, str], str] = field(default_factory=dict)
    tags: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    authorization: str = ""
    """The required header; without it the answer is 401."""
    forbids: bool = False
    """Whether the client may not read the model."""
    broken: tuple[int, bytes] | None = None
    """Status and body of every answer."""
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def registers(self, name: str, number: int, source: str, **fields: Any) -> None:
        self.versions[name, str(number)] = {
            "name": name,
            "version": str(number),
            "creation_timestamp": 1_790_000_000_000 + number,
            "run_id": f"run-{number}",
            "status": "READY",
            "source": f"runs:/run-{number}/model",
            "place": source,
            **fields,
        }

    def wants(self, user: str, password: str) -> None:
        self.authorization = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"

    def answer(self, path: str, said: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        name, number = said.get("name", ""), said.get("version", "")
        if path == "registered-models/alias":
            if not any(known == name for known, _ in self.versions):
                return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Registered Model not found"}
            if (name, said["alias"]) not in self.aliases:
                return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "Registered model alias not found."}
            number = self.aliases[name, said["alias"]]
        version = self.versions.get((name, number))
        if version is None:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Model Version not found"}
        if path == "model-versions/get-download-uri":
            return 200, {"artifact_uri": version["place"]}
        if path == "model-versions/set-tag":
            self.tags.setdefault((name, number), {})[said["key"]] = said["value"]
            return 200, {}
        return 200, {"model_version": {key: value for key, value in version.items() if key != "place"}}


@contextmanager
def running() -> Iterator[MLflowServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    mlflow = MLflowServer(server.server_address[1])
    server.mlflow = mlflow  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield mlflow
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(dict(parse_qsl(urlsplit(self.path).query)))

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, said: Mapping[str, Any]) -> None:
        mlflow: MLflowServer = self.server.mlflow  # type: ignore[attr-defined]
        path = urlsplit(self.path).path.removeprefix(API)
        mlflow.asked.append(path)
        if mlflow.broken is not None:
            self._say(*mlflow.broken)
        elif mlflow.authorization and self.headers.get("Authorization") != mlflow.authorization:
            self._say(401, b"You are not authenticated.")
        elif mlflow.forbids:
            self._say(403, b"Permission denied")
        else:
            status, answer = mlflow.answer(path, said)
            self._say(status, json.dumps(answer).encode())

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass
