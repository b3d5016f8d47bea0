"""Verification of a signed model beside SHA-256 of the same files: `python -m tests.benchmarks.verification [GIBIBYTES
[FILES]]`.

Both read the same files from the page cache, alternating, and the median of the pairs' ratios counts.
"""

import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[2] / "serving-runtime" / "storage-initializer"))

from sluice_storage.signing import verification

from tests.support.stores import signing

ROUNDS: Final = 5


def main(gibibytes: float, files: int) -> None:
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        model, signer = Path(folder), signing.Signer()
        names = [f"part-{number}.safetensors" for number in range(files)]
        block = os.urandom(1 << 20)
        for name in names:
            with (model / name).open("wb") as file:
                for _ in range(round(gibibytes * 1024 / files)):
                    file.write(block)
        (model / "model.sig").write_bytes(json.dumps(signer.bundle(statement(model, names))).encode())
        wanted = verification.read(json.dumps([signing.wanted(keys=[signer.public])]))
        pairs = []
        for _ in range(ROUNDS):
            plain = timed(lambda: [hashed(model / name) for name in names])
            verified = timed(lambda: verification.Inspector(wanted, "s3://bucket/model").inspect(None, model))
            pairs.append((plain, verified))
            print(f"sha256 {plain:.2f} s, verification {verified:.2f} s, ratio {verified / plain:.3f}", flush=True)
        print(
            f"median ratio of {ROUNDS}: {statistics.median(b / a for a, b in pairs):.3f}, {gibibytes} GiB in {files} files"
        )


def statement(model: Path, names: list[str]) -> dict[str, object]:
    empty = signing.of_files("model", dict.fromkeys(names, b""))
    for entry in empty["predicate"]["resources"]:
        entry["digest"] = hashed(model / entry["name"])
    total = b"".join(bytes.fromhex(entry["digest"]) for entry in empty["predicate"]["resources"])
    empty["subject"][0]["digest"]["sha256"] = hashlib.sha256(total).hexdigest()
    return empty


def hashed(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def timed(do: object) -> float:
    began = time.perf_counter()
    do()  # type: ignore[operator]
    return time.perf_counter() - began


if __name__ == "__main__":
    size, number = [*sys.argv[1:], *("1", "4")[len(sys.argv) - 1 :]]
    main(float(size), int(number))
