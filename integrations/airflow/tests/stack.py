"""A whole Airflow in one folder: scheduler with local workers, DAG processor, API server and triggerer, on SQLite."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from lab import freeports
from tests.support import patience

PROJECT: Final = Path(__file__).resolve().parents[1]
AIRFLOW: Final = Path(sys.executable).with_name("airflow")
PARTS: Final = ("api-server", "dag-processor", "scheduler", "triggerer")
DEADLINE_SECONDS: Final = 240.0
STOP_SECONDS: Final = 20


@dataclass(slots=True)
class Airflow:
    """home: AIRFLOW_HOME. environment: of every process of it. port: of its API server."""

    home: Path
    environment: Mapping[str, str]
    port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    http: httpx.Client = field(default_factory=httpx.Client)

    @staticmethod
    def prepared(home: Path, connections: Mapping[str, Mapping[str, Any]]) -> "Airflow":
        """With a database, and with Kubernetes connections by their extras; nothing runs yet."""
        port = freeports.take()
        airflow = Airflow(home=home, environment=_environment(home, port, connections), port=port)
        airflow.run("db", "migrate")
        return airflow

    def run(self, *arguments: str) -> str:
        """One command of its command line; what it printed. Raises with its output when it fails."""
        done = subprocess.run(
            [AIRFLOW, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        if done.returncode:
            raise AssertionError(
                f"airflow {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done.stdout + done.stderr

    def start(self) -> None:
        """All parts; returns when they are healthy and the DAGs are known."""
        for part in PARTS:
            self._start(part)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=patience.HANG_SECONDS)
        self.until(self._is_healthy)
        token = self.http.get("/auth/token").raise_for_status().json()["access_token"]
        self.http.headers["Authorization"] = f"Bearer {token}"
        self.until(lambda: self.http.get("/api/v2/dags/watches").status_code == 200)

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            _ended(process)
        self.http.close()

    def restart(self, part: str) -> None:
        """As an upgrade does; returns when the new process is there."""
        self.processes[part].terminate()
        _ended(self.processes.pop(part))
        self._start(part)

    def log_of(self, part: str, about: str) -> list[str]:
        """Lines of a part's log with that text."""
        return [line for line in (self.home / f"{part}.log").read_text().splitlines() if about in line]

    def begin(self, dag_id: str) -> "Run":
        """A run of a DAG with one task."""
        self.ask("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        run_id = self.ask("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None})["dag_run_id"]
        (task,) = self.ask("GET", f"/dags/{dag_id}/tasks")["tasks"]
        return Run(self, dag_id, run_id, task["task_id"])

    def ask(self, method: str, path: str, body: object = None) -> Any:
        answer = self.http.request(method, f"/api/v2{path}", json=body)
        if answer.is_error:
            raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def until(self, holds: Callable[[], bool]) -> None:
        """Waits for a condition; a part that has ended meanwhile is an error with its log."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not holds():
            for part, process in self.processes.items():
                if process.poll() is not None:
                    raise AssertionError(f"airflow {part} ended:\n{(self.home / f'{part}.log').read_text()[-4000:]}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not so within {DEADLINE_SECONDS:.0f} s")
            time.sleep(0.3)

    def _start(self, part: str) -> None:
        with (self.home / f"{part}.log").open("ab") as output:
            self.processes[part] = subprocess.Popen(
                [AIRFLOW, part], env=self.environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def _is_healthy(self) -> bool:
        try:
            health = self.http.get("/api/v2/monitor/health").json()
        except httpx.TransportError:
            return False
        return all(health[part]["status"] == "healthy" for part in ("scheduler", "triggerer", "dag_processor"))


@dataclass(frozen=True, slots=True)
class Run:
    """The one task of one DAG run."""

    airflow: Airflow
    dag_id: str
    run_id: str
    task_id: str

    @property
    def identity(self) -> str:
        """As it is in the object's annotation."""
        return f"{self.dag_id}/{self.run_id}/{self.task_id}"

    @property
    def path(self) -> str:
        return f"/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances/{self.task_id}"

    def state(self) -> tuple[str | None, int]:
        """(state, number of the try)"""
        told = self.airflow.ask("GET", self.path)
        return told["state"], told["try_number"]

    def reaches(self, state: str, try_number: int = 1) -> None:
        """Waits for it; a final state that is another one is an error at once, with the task's log."""

        def there() -> bool:
            now, number = self.state()
            if number == try_number and now in ("success", "failed") and now != state:
                raise AssertionError(f"{self.identity} is {now} in try {number}:\n{self.log()}")
            return (now, number) == (state, try_number)

        self.airflow.until(there)

    def process_id(self) -> int:
        """Of the process in which the operator runs."""
        return int(self.airflow.ask("GET", self.path)["pid"])

    def set_state(self, state: str) -> None:
        """As a person does in the user interface."""
        self.airflow.ask("PATCH", self.path, {"new_state": state})

    def clear(self) -> None:
        """As a person does who wants the task to run again."""
        wanted = {"dry_run": False, "dag_run_id": self.run_id, "task_ids": [self.task_id], "only_failed": False}
        self.airflow.ask("POST", f"/dags/{self.dag_id}/clearTaskInstances", wanted)

    def xcom(self, key: str) -> Any:
        return self.airflow.ask("GET", f"{self.path}/xcomEntries/{key}")["value"]

    def log(self) -> str:
        """Of all tries, with the triggerer's part."""
        folder = (
            self.airflow.home / "logs" / f"dag_id={self.dag_id}" / f"run_id={self.run_id}" / f"task_id={self.task_id}"
        )
        return "\n".join(path.read_text() for path in sorted(folder.glob("*.log*")))


def _environment(home: Path, port: int, connections: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    folders = {"examples": PROJECT / "examples", "cases": PROJECT / "tests" / "dags"}
    bundle = "airflow.dag_processing.bundles.local.LocalDagBundle"
    bundles = [{"name": name, "classpath": bundle, "kwargs": {"path": str(path)}} for name, path in folders.items()]
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",  # a busy machine takes longer than the usual 30 s
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "150",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API_AUTH__JWT_SECRET": "of-the-tests-0123456789-0123456789-0123456789-0123456789-01234567",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "3600",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    for name, extra in connections.items():
        settings[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps({"conn_type": "kubernetes", "extra": extra})
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "KUBE"))}
    return inherited | settings


def _ended(process: subprocess.Popen[bytes]) -> None:
    """Waits for a process that was told to end; one that does not is killed with its children."""
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
