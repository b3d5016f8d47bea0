"""A claim with a signed model, and the pod that starts with it: what the tests of signatures share."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.stores.downloader import Downloader, Outcome
from tests.support.stores.signing import Signer, asked, wanted

FILES = {"config.json": b'{"layers": 2}', "weights/part-1.safetensors": bytes(range(256)) * 800}
OLDER = {**FILES, "config.json": b'{"layers": 1}'}
OTHER = {"config.json": b'{"layers": 9}', "weights/part-1.safetensors": b"another model's" * 900}
TEAM, STRANGER = Signer(), Signer()
TRUSTED = wanted(keys=[TEAM.public])


@dataclass
class Claim:
    """A claim of a namespace, as the init container has it mounted, and the pod that starts with it."""

    root: Path
    downloader: Downloader
    requirements: tuple[dict[str, Any], ...] = (TRUSTED,)
    uri: str = "pvc://models/digits"
    more: list[str] = field(default_factory=list)

    @property
    def model(self) -> Path:
        return self.root / "digits"

    def put(self, files: dict[str, bytes], signature: bytes | None = None) -> None:
        for name, body in (files | ({"model.sig": signature} if signature is not None else {})).items():
            path = self.model / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)

    def start(self) -> Outcome:
        return self.downloader.run(self.uri, "--mount", str(self.root), *asked(*self.requirements), *self.more)
