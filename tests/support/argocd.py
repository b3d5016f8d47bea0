"""Argo CD's health of objects: its check is a Lua script, which Debian's lua5.1 runs as Argo CD does."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.support import patience, programs

FOLDER: Final = Path(__file__).resolve().parents[2] / "manifests" / "argocd"


@dataclass(frozen=True, slots=True)
class Health:
    """Healthy, Progressing, Degraded or Suspended, and why."""

    status: str
    message: str


def health(object_: Mapping[str, Any]) -> Health:
    """By the health check of `manifests/argocd`."""
    check = (FOLDER / "health.lua").read_text()
    program = f"obj = {literal(object_)}\nlocal function check()\n{check}\nend\nlocal found = check()\n"
    program += 'io.write(found.status, "\\n", found.message)'
    answer = subprocess.run(
        [programs.needed("lua5.1"), "-"],
        input=program,
        capture_output=True,
        text=True,
        check=True,
        timeout=patience.HANG_SECONDS,
    )
    return Health(*answer.stdout.split("\n", 1))


def literal(value: Any) -> str:
    """JSON values in Lua: null is absent."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"[{literal(k)}] = {literal(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, list | tuple):
        return "{" + ", ".join(map(literal, value)) + "}"
    if isinstance(value, str):
        return '"' + "".join(f"\\{byte:03d}" for byte in value.encode()) + '"'
    return json.dumps(value)
