"""The pins of `release/bases.toml`, and what renews them: `python -m release.bases`."""

import re
import tomllib
from pathlib import Path
from typing import Final

import httpx

from lab.processes import LabError

FILE: Final = Path(__file__).with_name("bases.toml")
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
ARGUMENT: Final = re.compile(r"^ARG BASE=(\S+)$", re.MULTILINE)
HOSTS: Final = {"docker.io": "registry-1.docker.io"}
"""Names of registries in references that are not those of their API."""
ACCEPTED: Final = ", ".join(
    f"application/vnd.{kind}"
    for kind in (
        "oci.image.index.v1+json",
        "docker.distribution.manifest.list.v2+json",
        "oci.image.manifest.v1+json",
        "docker.distribution.manifest.v2+json",
    )
)
CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')
TIMEOUT_SECONDS: Final = 30.0


def base_of(containerfile: Path) -> str:
    """The public image that it stands on."""
    found = ARGUMENT.search(containerfile.read_text())
    if found is None:
        raise LabError(f"{containerfile}: has no line ARG BASE=…, which a release replaces by a digest")
    return found[1]


def pins() -> dict[str, str]:
    """By reference with a tag: its digest, or nothing if it was never asked for."""
    return {str(name): str(digest) for name, digest in tomllib.loads(FILE.read_text()).items()}


def pinned(reference: str) -> str:
    """The reference by digest; the tag stays for people."""
    digest = pins().get(reference, "")
    if not DIGEST.fullmatch(digest):
        remedy = "run `python -m release.bases`, which asks its registry, or name another image by BASE"
        raise LabError(f"release/bases.toml: {reference} has no digest; {remedy}")
    return f"{reference}@{digest}"


def resolved(reference: str, client: httpx.Client) -> str:
    """The digest that a tag stands for in its registry now."""
    host, _, rest = reference.partition("/")
    repository, _, tag = rest.rpartition(":")
    url = f"https://{HOSTS.get(host, host)}/v2/{repository}/manifests/{tag}"
    headers = {"Accept": ACCEPTED}
    answer = client.head(url, headers=headers)
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        headers["Authorization"] = f"Bearer {_token(answer.headers.get('WWW-Authenticate', ''), client)}"
        answer = client.head(url, headers=headers)
    answer.raise_for_status()
    digest = str(answer.headers.get("Docker-Content-Digest", ""))
    if not DIGEST.fullmatch(digest):
        raise LabError(f"{reference}: its registry answers without a digest")
    return digest


def written(text: str, digests: dict[str, str]) -> str:
    """The file with these digests; comments stay."""
    for reference, digest in digests.items():
        text = re.sub(rf'^"{re.escape(reference)}" = ".*"$', f'"{reference}" = "{digest}"', text, flags=re.MULTILINE)
    return text


def _token(challenge: str, client: httpx.Client) -> str:
    """What a registry gives to anybody who asks as its challenge says."""
    fields = dict(CHALLENGE.findall(challenge))
    if "realm" not in fields:
        raise LabError("the registry asks for credentials, and does not say where to get a token")
    answer = client.get(fields.pop("realm"), params=fields)
    answer.raise_for_status()
    found = answer.json()
    return str(found.get("token") or found["access_token"])


def main() -> None:
    with httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=True) as client:
        digests = {reference: resolved(reference, client) for reference in pins()}
    FILE.write_text(written(FILE.read_text(), digests))


if __name__ == "__main__":
    main()
