"""The part of Sluice's operator in these tests, where there is no node that could run anything.

A thread writes the status of every BatchInference through the API server, as the operator would. What becomes of a run
tells the name of the ModelDeployment: `digits` is complete after some progress, `broken` fails, `slow` runs until the test
ends it with `complete`.
"""

import threading
import time
from typing import Any, Final

from tests.support.live.kube import Kube, Object

TURN_SECONDS: Final = 0.3
COLLECTION: Final = "/apis/sluice.dev/v1alpha1/batchinferences"
ROWS: Final = {"total": 1000, "read": 1000, "written": 998, "failed": 2}


class PlayedOperator:
    """Runs beside a test from `start` to `stop`."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="played-operator")
        self._failure: Exception | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Raises what went wrong on the thread."""
        self._over.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def complete(self, found: Object) -> None:
        """Ends a slow run."""
        self._write(found, percent=100, rows=ROWS, outcome="Complete")

    def _work(self) -> None:
        try:
            while not self._over.wait(TURN_SECONDS):
                for found in self._kube.http.get(COLLECTION).raise_for_status().json()["items"]:
                    self._turn(found)
        except Exception as error:  # noqa: BLE001  told by stop()
            self._failure = error

    def _turn(self, found: Object) -> None:
        spec, status = found["spec"], found.get("status", {})
        if spec["suspend"] or "deletionTimestamp" in found["metadata"]:
            return
        begun = status.get("observedGeneration") == found["metadata"]["generation"] and status.get("run")
        if not begun:
            self._write(found, percent=10, rows={"read": 100}, outcome=None)
        elif "outcome" not in status["run"]:
            match spec["modelDeploymentRef"]["name"]:
                case "digits" if status["percent"] < 90:
                    self._write(found, percent=status["percent"] + 40, rows={"read": 500}, outcome=None)
                case "digits":
                    self.complete(found)
                case "broken":
                    self._write(found, percent=50, rows={"read": 500}, outcome="Failed")

    def _write(self, found: Object, *, percent: int, rows: Object, outcome: str | None) -> None:
        metadata = found["metadata"]
        run: dict[str, Any] = {
            "name": f"{metadata['name']}-0001",
            "revision": "digits-7c9f",
            "uri": found["spec"]["output"]["uri"],
            "startTime": metadata["creationTimestamp"],
            **({"outcome": outcome} if outcome else {}),
        }
        reasons = {"Complete": "RunCompleted", "Failed": "BadColumns", None: "Running"}
        said = {"Failed": "the input has no column `pixels`; it has image, label"}.get(outcome or "", "")
        conditions = [
            {
                "type": kind,
                "status": "True" if kind == outcome else "False",
                "reason": reasons[outcome],
                "message": said,
                "lastTransitionTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
            for kind in ("Complete", "Failed")
        ]
        status = {
            "observedGeneration": metadata["generation"],
            "run": run,
            "percent": percent,
            "rows": rows,
            "shards": {"total": 1, "running": 1, "succeeded": int(percent == 100), "failed": 0},
            "conditions": conditions,
        }
        answer = self._kube.patch(found, {"status": status}, subresource="/status")
        if answer.status_code != 404:  # deleted meanwhile
            answer.raise_for_status()
