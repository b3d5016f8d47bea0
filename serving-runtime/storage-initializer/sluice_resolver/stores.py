"""Resolves branches of a hub and tags of an image registry like the downloader."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sluice_storage.failures import DownloadError, Reason
from sluice_storage.stores import hf, oci

KEYS: Final = {"HF_TOKEN": hf.TOKEN, "HF_ENDPOINT": hf.ENDPOINT, ".dockerconfigjson": oci.LOGINS}
"""The Secret's keys, with the variables that the clients read."""
WORDS: Final = {
    Reason.OBJECT_NOT_FOUND: "NotFound",
    Reason.UNSUPPORTED_MODEL: "NotFound",
    Reason.ACCESS_DENIED: "NotAllowed",
}


def lend(credentials: Path) -> None:
    """Passes the Secret's current values to the clients."""
    for key, variable in KEYS.items():
        try:
            os.environ[variable] = (credentials / key).read_text().strip()
        except (OSError, ValueError):
            os.environ.pop(variable, None)


def resolve(uri: str, plain_http: Iterable[str]) -> dict[str, str]:
    """What a URI names now: a commit, or a digest."""
    try:
        if uri.startswith("hf://"):
            found = hf.HF(uri).commit()
        else:
            registry = uri.removeprefix("oci://").partition("/")[0]
            found = oci.Image(uri, plain_http=registry in plain_http).digest()
    except DownloadError as error:
        return {"uri": uri, "problem": WORDS.get(error.reason, "Unreachable")}
    return {"uri": uri, "version": found, "source": uri, "digest": found}
