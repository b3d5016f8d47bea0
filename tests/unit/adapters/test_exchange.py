"""Which error an answer of the API server means: one mapping for the operator and for a person's commands."""

import json
from typing import Any

import pytest

from sluice import errors
from sluice.adapters.exchange import Answer

TERMINATING = {"details": {"causes": [{"reason": "NamespaceTerminating"}]}}


@pytest.mark.parametrize(
    ("status", "body", "want"),
    [
        (200, {}, None),
        (201, {}, None),
        (400, {}, errors.Refused),
        (401, {}, errors.Denied),
        (403, {}, errors.Denied),
        (403, TERMINATING, errors.Missing),
        (404, {}, errors.Missing),
        (405, {}, errors.Refused),
        (409, {}, errors.Conflict),
        (413, {}, errors.Refused),
        (415, {}, errors.Refused),
        (422, {}, errors.Refused),
        (429, {}, errors.Unavailable),
        (500, {}, errors.Unavailable),
        (504, {}, errors.Unavailable),
    ],
)
def test_errors_by_status(status: int, body: Any, want: type[errors.ApiError] | None) -> None:
    assert Answer(status, json.dumps(body).encode()).error is want


@pytest.mark.parametrize(
    ("content", "want"),
    [
        (b'{"reason": "NotFound"}', {"reason": "NotFound"}),
        (b"<html>proxy</html>", {"message": "<html>proxy</html>"}),
        (b'["a"]', {"message": "['a']"}),
        (b"x" * 1000, {"message": "x" * 600}),
        (b"\xff", {"message": "\ufffd"}),
    ],
)
def test_every_answer_is_an_object(content: bytes, want: dict[str, Any]) -> None:
    assert Answer(502, content).document == want
