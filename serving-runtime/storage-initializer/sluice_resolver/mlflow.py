"""The registry of MLflow, by its REST API: https://mlflow.org/docs/latest/rest-api.html

    GET  registered-models/alias             an alias   --> its version
    GET  model-versions/get                  a version  --> the same
    GET  model-versions/get-download-uri     a version  --> where its files are
    POST model-versions/set-tag              a version gets a tag, or another value of it

Its own client brings some fifty packages, and bypasses the check of allowed addresses.
"""

import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests
import urllib3
from sluice_storage.console import say
from sluice_storage.failures import DownloadError
from sluice_storage.stores import transfer

API: Final = "/api/2.0/mlflow/"
SET_TAG: Final = "model-versions/set-tag"
URI: Final = re.compile(r"models:/([A-Za-z0-9][A-Za-z0-9._-]*)(?:@([A-Za-z0-9_-]+)|/([1-9][0-9]{0,9}))")
ABSENT: Final = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})
"""The registry's error codes for a missing model, version or alias; the latter for an alias."""
OTHER_HOST: Final = b"Invalid Host header"
"""The registry's error for a host name missing in the server's --allowed-hosts: it is not about credentials."""
ANSWER_BYTES: Final = 1 << 20
CONNECT_SECONDS: Final = 2.0
READ_SECONDS: Final = 3.0
WHOLE_SECONDS: Final = 4.0
"""How long an answer may take after its first byte."""
CHUNK_BYTES: Final = 1 << 16
MOST_PLACES: Final = 1024


class Problem(Exception):
    """Why there is no answer: one of the operator's reasons."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the registry."""

    status: int
    body: bytes

    @property
    def said(self) -> Mapping[str, Any]:
        return _parsed(self.body)


class MLflow:
    """Reads its credentials for each question, so that a changed Secret takes effect at once."""

    def __init__(self, credentials: Path) -> None:
        self._credentials = credentials
        self._places: dict[tuple[str, ...], str] = {}
        """The locations of versions. They do not change, and for MLflow's own accounts each request costs a password
        hash."""

    def resolve(self, uri: str) -> dict[str, str]:
        """What is known of a URI, in the operator's format."""
        try:
            return {"uri": uri, **self._resolved(uri)}
        except Problem as problem:
            return {"uri": uri, "problem": problem.word}

    def tag(self, name: str, version: str, tags: Mapping[str, str]) -> dict[str, str]:
        """Writes tags, one after the other; repeating the same values changes nothing."""
        try:
            for key, value in tags.items():
                self._said("POST", SET_TAG, json={"name": name, "version": version, "key": key, "value": value})
        except Problem as problem:
            return {"problem": problem.word}
        return {}

    def _resolved(self, uri: str) -> dict[str, str]:
        parts = URI.fullmatch(uri)
        if parts is None:
            raise Problem("NotFound")
        name, alias, number = parts.groups()
        if alias is not None:
            version = self._version("registered-models/alias", {"name": name, "alias": alias})
        else:
            version = self._version("model-versions/get", {"name": name, "version": number})
        number = _text(version, "version")
        made = [str(version.get(field, "")) for field in ("creation_timestamp", "run_id")]
        place = self._place(name, number, *made, str(version.get("source", "")))
        digest = hashlib.sha256(json.dumps([name, number, place, *made]).encode()).hexdigest()
        return {"version": number, "source": place, "digest": f"sha256:{digest}"}

    def _place(self, name: str, number: str, *more: str) -> str:
        """more: distinguishes it from another version of this name and number."""
        key = (self._key("MLFLOW_TRACKING_URI"), name, number, *more)
        found = self._places.get(key)
        if found is None:
            known = {"name": name, "version": number}
            found = _text(self._asked("model-versions/get-download-uri", known), "artifact_uri")
            if len(self._places) >= MOST_PLACES:
                self._places.clear()
            self._places[key] = found
        return found

    def _version(self, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        version = self._asked(path, query).get("model_version")
        if not isinstance(version, dict):
            raise Problem("Unreachable")
        if version.get("status", "READY") != "READY":
            raise Problem("NotReady")
        return version

    def _asked(self, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        return self._said("GET", path, params=query)

    def _said(self, method: str, path: str, **what: Any) -> Mapping[str, Any]:
        answer = self._answer(method, path, **what)
        if answer.status == 200:
            return answer.said
        if answer.status in (401, 403):
            raise Problem("OtherHost" if answer.body.startswith(OTHER_HOST) else "NotAllowed")
        if answer.status in (400, 404) and answer.said.get("error_code") in ABSENT:
            raise Problem("NotFound")
        say(f"{path}: the registry answered HTTP {answer.status}")
        raise Problem("Unreachable")

    def _answer(self, method: str, path: str, **what: Any) -> Answer:
        address = self._key("MLFLOW_TRACKING_URI").rstrip("/")
        if not address.startswith(("http://", "https://")):
            raise Problem("NotNamed")
        try:
            with (
                transfer.new_session() as session,
                session.request(
                    method,
                    f"{address}{API}{path}",
                    headers={"Accept-Encoding": "identity", **self._authorization()},
                    stream=True,
                    timeout=(CONNECT_SECONDS, READ_SECONDS),
                    **what,
                ) as response,
            ):
                return Answer(response.status_code, _whole(response))
        except (requests.RequestException, urllib3.exceptions.HTTPError, DownloadError, OSError, ValueError) as error:
            say(f"{path}: no answer of the registry ({transfer.cause(error)})")
            raise Problem("Unreachable") from None

    def _authorization(self) -> dict[str, str]:
        token, user = self._key("MLFLOW_TRACKING_TOKEN"), self._key("MLFLOW_TRACKING_USERNAME")
        if token:
            return {"Authorization": f"Bearer {token}"}
        if user:
            login = requests.auth._basic_auth_str(user, self._key("MLFLOW_TRACKING_PASSWORD"))
            return {"Authorization": login}
        return {}

    def _key(self, name: str) -> str:
        """The value of a key of the Secret; empty: the key is missing."""
        try:
            return (self._credentials / name).read_text().strip()
        except (OSError, ValueError):
            return ""


def _whole(response: requests.Response) -> bytes:
    """The body, if it arrives in time and is not too long."""
    body, end = bytearray(), time.monotonic() + WHOLE_SECONDS
    while part := response.raw.read1(CHUNK_BYTES):
        body += part
        if len(body) > ANSWER_BYTES or time.monotonic() > end:
            raise ValueError("too long")
    return bytes(body)


def _parsed(body: bytes) -> Mapping[str, Any]:
    """Empty for anything but an object: a status may come without."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _text(said: Mapping[str, Any], field: str) -> str:
    found = said.get(field)
    if not isinstance(found, str | int) or not found:
        raise Problem("Unreachable")
    return str(found)
