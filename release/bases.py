"""The pins of `release/bases.toml`, and what renews them: `python -m release.bases`."""

import re
import tomllib
from pathlib import Path
from typing import Final

import httpx

from lab.processes import LabError
from release.login import HOSTS, Login

FILE: Final = Path(__file__).with_name("bases.toml")
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
ARGUMENT: Final = re.compile(r"^ARG BASE=(\S+)$", re.MULTILINE)
ACCEPTED: Final = ", ".join(
    f"application/vnd.{kind}"
    for kind in (
        "oci.image.index.v1+json",
        "docker.distribution.manifest.list.v2+json",
        "oci.image.manifest.v1+json",
        "docker.distribution.manifest.v2+json",
    )
)
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
    answer = client.head(url, headers={"Accept": ACCEPTED}, auth=Login())
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


def main() -> None:
    with httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=True) as client:
        digests = {reference: resolved(reference, client) for reference in pins()}
    FILE.write_text(written(FILE.read_text(), digests))


if __name__ == "__main__":
    main()
