"""Run the programs that a user would type, with an error that says what was run and what it answered."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

TIMEOUT_SECONDS: Final = 600.0


class DemoError(RuntimeError):
    """The demo cannot go on; the text says why and what to do."""


def run(*command: str | Path, environment: Mapping[str, str] | None = None, text: str | None = None) -> str:
    """Run a program to its end and return its standard output. `text` goes to its standard input."""
    arguments = [str(part) for part in command]
    try:
        done = subprocess.run(
            arguments,
            input=text,
            capture_output=True,
            text=True,
            env=os.environ | dict(environment or {}),
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise DemoError(f"{arguments[0]}: not found; run `make setup`, or install it") from error
    except subprocess.TimeoutExpired as error:
        raise DemoError(f"{' '.join(arguments)}: no end after {TIMEOUT_SECONDS:.0f} s") from error
    if done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-10:])
        raise DemoError(f"{' '.join(arguments)}: exit status {done.returncode}\n{tail}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Tools:
    """kubectl, Helm and the plugin, bound to one cluster. kubeconfig None: kubectl's own default."""

    kubectl_path: str
    helm_path: str
    plugin_path: str
    kubeconfig: Path | None = None
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return self.extra | ({"KUBECONFIG": str(self.kubeconfig)} if self.kubeconfig else {})

    @property
    def full_environment(self) -> dict[str, str]:
        return os.environ | self.environment

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        return run(self.kubectl_path, *arguments, environment=self.environment, text=text)

    def get(self, *arguments: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return document

    def apply(self, document: str) -> None:
        self.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", text=document)

    def helm(self, *arguments: str) -> str:
        return run(self.helm_path, *arguments, environment=self.environment)

    def plugin(self, *arguments: str) -> str:
        return run(self.plugin_path, *arguments, environment=self.environment)
