"""What a downloader says of a signature when it ends well."""

import json
from typing import Any

import pytest

from sluice.core.observe import verifications
from sluice.core.render.podnames import STORAGE_INITIALIZER

DIGEST = f"sha256:{'a' * 64}"
SAID = {"digest": DIGEST, "signer": "key 1c0de5f2", "time": "2026-03-01T12:00:00Z"}


def pod(message: str, *, name: str = STORAGE_INITIALIZER, code: int = 0) -> dict[str, Any]:
    end = {"terminated": {"exitCode": code, "message": message}}
    return {"status": {"initContainerStatuses": [{"name": name, "state": end}]}}


def test_who_signed_it() -> None:
    found = verifications.verification(pod(json.dumps({"verification": SAID})))
    assert found is not None
    assert (found.verified, found.digest, found.signer, found.time, found.problem) == (True, *SAID.values(), "")


def test_that_nobody_did() -> None:
    found = verifications.verification(
        pod(json.dumps({"verification": {"problem": "no signature", "time": SAID["time"]}}))
    )
    assert found is not None
    assert (found.verified, found.problem) == (False, "no signature")


@pytest.mark.parametrize(
    "raw",
    [
        pod(""),
        pod("fetched 1 files, of which one is called verification"),
        pod('["verification"]'),
        pod('{"verification": 1}'),
        pod(json.dumps({"verification": SAID}), code=1),
        pod(json.dumps({"verification": SAID}), name="storage-initializer-0"),
        {"status": {}},
    ],
)
def test_what_says_nothing(raw: dict[str, Any]) -> None:
    assert verifications.verification(raw) is None


def test_nonsense_is_not_believed() -> None:
    said = {"digest": "x\n" * 900, "signer": "", "time": "yesterday", "problem": ""}
    found = verifications.verification(pod(json.dumps({"verification": said})))
    assert found is not None
    assert not found.verified
    assert found.time is None
    assert len(found.digest) < 500
    assert "\n" not in found.digest
