"""How a registry lets somebody in: by name and password, or by a token that it gives for them, as its challenge says."""

import re
from collections.abc import Generator
from typing import Final

import httpx

from lab.processes import LabError

HOSTS: Final = {"docker.io": "registry-1.docker.io"}
"""Names of registries in references that are not those of their API."""
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')


class Login(httpx.Auth):
    """basic: name and password as a header has them (base64); empty: whatever anybody gets."""

    requires_response_body = True

    def __init__(self, basic: str = "") -> None:
        self._basic = {"Authorization": f"Basic {basic}"} if basic else {}

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        answer = yield request
        if answer.status_code != httpx.codes.UNAUTHORIZED:
            return
        challenge = answer.headers.get("WWW-Authenticate", "")
        if challenge.lower().startswith("bearer"):
            given = yield self._question(challenge)
            if given.is_error:
                return
            found = given.json()
            request.headers["Authorization"] = f"Bearer {found.get('token') or found['access_token']}"
        elif self._basic:
            request.headers.update(self._basic)
        else:
            raise LabError("the registry asks for credentials; set REGISTRY_USER and REGISTRY_PASSWORD")
        yield request

    def _question(self, challenge: str) -> httpx.Request:
        fields = dict(_CHALLENGE.findall(challenge))
        if "realm" not in fields:
            raise LabError("the registry asks for credentials, and does not say where to get a token")
        return httpx.Request("GET", fields.pop("realm"), params=fields, headers=self._basic)
