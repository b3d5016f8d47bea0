"""What a downloader says of a signature when it ends well."""

import json
from typing import Any

import pytest

from sluice_core.parsing import verifications
from sluice_core.render.pod.podnames import STORAGE_INITIALIZER

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


PROBLEM = {"problem": "there is no signature"}


@pytest.mark.parametrize(
    ("adapters", "want"),
    [
        pytest.param([SAID, SAID], (True, ""), id="all are signed"),
        pytest.param([SAID, PROBLEM], (False, "spec.model.adapters[1]: there is no signature"), id="one is not"),
        pytest.param(
            [None],
            (False, "spec.model.adapters[0]: its downloader says nothing of a signature"),
            id="one says nothing of it",
        ),
    ],
)
def test_an_adapter_that_nobody_signed_is_told(adapters: list[dict[str, str] | None], want: tuple[bool, str]) -> None:
    raw = pod(json.dumps({"verification": SAID}))
    for index, said in enumerate(adapters):
        message = "" if said is None else json.dumps({"verification": said})
        (status,) = pod(message, name=f"{STORAGE_INITIALIZER}-{index}")["status"]["initContainerStatuses"]
        raw["status"]["initContainerStatuses"].append(status)
    found = verifications.verification(raw)
    assert found is not None
    assert (found.verified, found.problem) == want
    assert (found.digest, found.signer) == (DIGEST, SAID["signer"]), "of the model"


def test_nothing_is_told_before_the_last_adapter_is_there() -> None:
    raw = pod(json.dumps({"verification": SAID}))
    raw["status"]["initContainerStatuses"].append({"name": f"{STORAGE_INITIALIZER}-0", "state": {"running": {}}})
    assert verifications.verification(raw) is None


def test_nonsense_is_not_believed() -> None:
    said = {"digest": "x\n" * 900, "signer": "", "time": "yesterday", "problem": ""}
    found = verifications.verification(pod(json.dumps({"verification": said})))
    assert found is not None
    assert not found.verified
    assert found.time is None
    assert len(found.digest) < 500
    assert "\n" not in found.digest
