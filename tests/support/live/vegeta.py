"""Load by vegeta, a foreign tool that knows nothing of our gateways: `lab/tools/vegeta`.

Each attack is a separate process, at a fixed rate whatever the answers are; bounded, so that it ends by itself.
"""

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from demo.load import REVISION_HEADER, Target
from lab import gotools
from tests.support import patience

LONGEST_SECONDS: Final = 600
TIMEOUT_SECONDS: Final = 20
"""The timeout of a request, unless an attack has its own flags."""
OK: Final = 200


@dataclass(frozen=True, slots=True)
class Attack:
    """The attack to run. rate: as vegeta writes it, such as `20/1s`. flags: further ones of `vegeta attack`."""

    name: str
    rate: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Results:
    """Results of one attack's requests."""

    answers: Counter[tuple[int, str]]
    """By status and revision."""
    errors: Counter[str]
    """Requests without an answer, in vegeta's words."""

    @property
    def lost(self) -> dict[str, int]:
        """Requests without a good answer, by what happened."""
        bad: Counter[str] = Counter(self.errors)
        for (status, revision), number in self.answers.items():
            if status != OK:
                bad[f"{status} of {revision or 'the gateway'}"] += number
        return dict(bad)

    def by(self, revision: str) -> int:
        """Good answers of a revision."""
        return self.answers[OK, revision]


def read(lines: Iterable[str]) -> Results:
    """The results as `vegeta encode --to json` writes them: one object a line."""
    results = Results(Counter(), Counter())
    for line in lines:
        said = json.loads(line)
        if said["code"] == 0:
            results.errors[said["error"]] += 1
            continue
        headers = {name.lower(): values for name, values in (said.get("headers") or {}).items()}
        [revision, *_] = headers.get(REVISION_HEADER) or [""]
        results.answers[said["code"], revision] += 1
    return results


class Running:
    """An attack in progress."""

    def __init__(self, attack: Attack, target: Target, folder: Path) -> None:
        gotools.ensure("vegeta")
        self.name = attack.name
        self._program = gotools.program("vegeta")
        self._found = folder / f"{attack.name}.results"
        body, targets = folder / f"{attack.name}.body", folder / f"{attack.name}.targets"
        body.write_bytes(attack.body)
        headers = {"Host": target.host, "Content-Type": "application/json", **attack.headers}
        lines = [f"POST {target.infer_url}", *(f"{name}: {value}" for name, value in headers.items()), f"@{body}"]
        targets.write_text("\n".join(lines) + "\n")
        settings = {
            "name": attack.name,
            "rate": attack.rate,
            "duration": f"{LONGEST_SECONDS}s",
            "timeout": f"{TIMEOUT_SECONDS}s",
            "targets": str(targets),
            "output": str(self._found),
            "max-body": "0",
        }
        flags = [f"-{name}={value}" for name, value in settings.items()]
        self._process = subprocess.Popen([self._program, "attack", *flags, *attack.flags])

    def stop(self) -> Results:
        """Stops sending, waits for requests in flight, and reads all results."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(patience.seconds(TIMEOUT_SECONDS + 10))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        encoded = [self._program, "encode", "--to=json", self._found]
        return read(subprocess.run(encoded, capture_output=True, text=True, check=True).stdout.splitlines())
