"""kstatus' status of objects: the library with which Flux, kpt and Argo CD's relatives wait."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab import gotools
from tests.support import patience


@dataclass(frozen=True, slots=True)
class Verdict:
    """InProgress, Current, Failed or Terminating, and why."""

    status: str
    message: str


def verdicts(objects: Sequence[dict[str, Any]]) -> list[Verdict]:
    """By kstatus itself, in the order of the objects."""
    gotools.ensure("kstatus")
    answer = subprocess.run(
        [gotools.program("kstatus")],
        input=json.dumps(list(objects)),
        capture_output=True,
        text=True,
        check=True,
        timeout=patience.HANG_SECONDS,
    )
    return [Verdict(each["status"], each["message"]) for each in json.loads(answer.stdout)]


def status_of(one: dict[str, Any]) -> str:
    """The status of one object."""
    return verdicts([one])[0].status
