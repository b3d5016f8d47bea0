"""MLflow itself, as a process of this machine: the real registry, where our own may be too kind.

Its packages are those of tests/mlflow/uv.lock, in build/mlflow (`make build/mlflow/.synced`). Accounts are those of its
own app `basic-auth`. Models are logged by its own client (`tests/mlflow/log.py`), everything else is asked of its REST API.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from lab import freeports
from tests.support import patience

REPOSITORY: Final = Path(__file__).resolve().parents[3]
PROGRAMS: Final = REPOSITORY / "build" / "mlflow" / "venv" / "bin"
LOG: Final = REPOSITORY / "tests" / "mlflow" / "log.py"
STOP_SECONDS: Final = 30.0
LOG_SECONDS: Final = 180.0
GRANT: Final = "users/permissions/grant"
ADMIN: Final = ("admin", "an-admins-password")


@dataclass
class RealMLflow:
    """A server, which can be stopped and restarted on the same port with all its data.

    root: the location of its artifacts, such as s3://bucket/folder. variables: the clients' for that store.
    """

    folder: Path
    address: str
    port: int
    root: str
    variables: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    def start(self) -> None:
        settings = self.folder / "auth.ini"
        settings.write_text(
            "[mlflow]\ndefault_permission = NO_PERMISSIONS\n"
            f"database_uri = sqlite:///{self.folder}/auth.db\nadmin_username = {ADMIN[0]}\nadmin_password = {ADMIN[1]}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )
        command = [PROGRAMS / "mlflow", "server", "--host", self.address, "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db", "--app-name", "basic-auth"]
        command += ["--no-serve-artifacts", "--default-artifact-root", self.root]
        environment = self._environment(
            MLFLOW_AUTH_CONFIG_PATH=str(settings), MLFLOW_FLASK_SERVER_SECRET_KEY="a-secret-of-these-tests"
        )
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + patience.HANG_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"MLflow did not start: {(self.folder / 'server.log').read_text()[-2000:]}")
            time.sleep(0.2)

    def stop(self) -> None:
        """Stops it and its workers, by process group."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(STOP_SECONDS)
            self.process = None

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", trust_env=False, timeout=patience.HANG_SECONDS).status_code == 200
        except httpx.TransportError:
            return False

    def _environment(self, **more: str) -> dict[str, str]:
        home = {"PATH": f"{PROGRAMS}:/usr/bin:/bin", "HOME": str(self.folder), "MLFLOW_DISABLE_TELEMETRY": "true"}
        return {**home, **self.variables, **more}

    def asks(self, method: str, path: str, said: Mapping[str, Any], login: tuple[str, str] = ADMIN) -> httpx.Response:
        """One request to its REST API."""
        version, timeout = 3 if path.startswith(GRANT) else 2, patience.HANG_SECONDS
        url = f"{self.url}/api/{version}.0/mlflow/{path}"
        with httpx.Client(auth=login, trust_env=False, timeout=timeout) as client:
            return client.get(url, params=dict(said)) if method == "GET" else client.request(method, url, json=said)

    def said(self, method: str, path: str, **what: Any) -> dict[str, Any]:
        """Its answer to the administrator."""
        answer: dict[str, Any] = self.asks(method, path, what).raise_for_status().json()
        return answer

    def logs(self, name: str, model: Path) -> str:
        """A new version of a registered model, logged and registered by MLflow's own client; returns its number."""
        environment = self._environment(
            MLFLOW_TRACKING_URI=self.url, MLFLOW_TRACKING_USERNAME=ADMIN[0], MLFLOW_TRACKING_PASSWORD=ADMIN[1]
        )
        command = [PROGRAMS / "python", LOG, name, model]
        done = subprocess.run(
            command, env=environment, cwd=self.folder, capture_output=True, timeout=patience.seconds(LOG_SECONDS)
        )
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        return str(json.loads(done.stdout.splitlines()[-1])["version"])

    def moves(self, name: str, alias: str, version: str) -> None:
        self.said("POST", "registered-models/alias", name=name, alias=alias, version=version)

    def alias(self, name: str, alias: str) -> str:
        """The number of the version that it is."""
        found = self.said("GET", "registered-models/alias", name=name, alias=alias)
        return str(found["model_version"]["version"])

    def tags(self, name: str, version: str) -> dict[str, str]:
        found = self.said("GET", "model-versions/get", name=name, version=version)["model_version"]
        return {tag["key"]: tag["value"] for tag in found.get("tags", ())}

    def user(self, name: str, password: str, **permissions: str) -> tuple[str, str]:
        """Adds an account; permissions: on registered models, by name."""
        self.said("POST", "users/create", username=name, password=password)
        for model, permission in permissions.items():
            self.grants(name, "registered_model", model, permission)
        return name, password

    def grants(self, user: str, kind: str, resource: str, permission: str) -> None:
        self.said("POST", GRANT, username=user, resource_type=kind, resource_id=resource, permission=permission)


@contextmanager
def running(
    folder: Path, *, root: str, variables: Mapping[str, str], address: str = "127.0.0.1"
) -> Iterator[RealMLflow]:
    if not (PROGRAMS / "mlflow").exists():
        pytest.fail("MLflow is not installed: make build/mlflow/.synced")
    port = freeports.take()
    server = RealMLflow(folder, address, port, root, variables)
    try:
        server.start()
        yield server
    finally:
        server.stop()
