"""Repositories of a Hugging Face hub."""

import fnmatch
import logging
import os
import shutil
from pathlib import Path
from typing import Any, Final

from sluice_storage import failures, kserve
from sluice_storage.failures import DownloadError, Reason, Store
from sluice_storage.source import Version

TOKEN: Final = "HF_TOKEN"
ENDPOINT: Final = "HF_ENDPOINT"
# The hub's client keeps its notes in the folder that it downloads to.
NOTES: Final = ".cache"
SETTINGS: Final = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",  # plain HTTP has ranges, and needs no second cache on the disk
}


class HF:
    """A Source. Files that are whole stay for the next attempt; within one the client continues where it was cut."""

    resumable = True

    def __init__(self, uri: str) -> None:
        repository, _, self._revision = uri.removeprefix("hf://").partition("@")
        parts = repository.strip("/").split("/")
        if len(parts) < 2 or not all(parts):
            raise DownloadError(
                Reason.UNSUPPORTED_MODEL,
                f"spec.model.uri {uri!r} does not name a repository; use hf://organisation/name[/path][@revision]",
            )
        self._uri = uri
        self._repository = "/".join(parts[:2])
        path = "/".join(parts[2:])
        self._patterns = (path, f"{path}/*") if path else ()
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        self._commit = ""

    def version(self) -> Version:
        try:
            info = self._asked()
        except Exception as error:
            raise self._explained(error) from error
        files = [file for file in info.siblings or () if self._wanted(file.rfilename)]
        if not files:
            raise DownloadError(
                Reason.OBJECT_NOT_FOUND, f"{self._uri}: the repository has no such file; check spec.model.uri"
            )
        self._commit = str(info.sha)
        sizes = [file.size for file in files]
        return Version(self._commit, None if None in sizes else sum(sizes))

    def fetch(self, folder: Path) -> str:
        for left in folder.glob(f"{NOTES}/**/*.incomplete"):
            left.unlink()  # the client does not go on with what another process began
        try:
            kserve.download(f"hf://{self._repository}:{self._commit}", folder, self._patterns)
        except Exception as error:  # the library raises RuntimeError, and what the client raises
            raise self._explained(error) from error
        shutil.rmtree(folder / NOTES, ignore_errors=True)
        return self._commit

    def _asked(self) -> Any:
        from huggingface_hub import HfApi

        logging.getLogger("huggingface_hub").handlers.clear()  # it says everything a second time, and URLs in full
        return HfApi().model_info(self._repository, revision=self._revision or None, files_metadata=True, timeout=30)

    def _wanted(self, file: str) -> bool:
        return not self._patterns or any(fnmatch.fnmatch(file, pattern) for pattern in self._patterns)

    def _explained(self, error: Exception) -> DownloadError:
        store = Store(os.environ.get(ENDPOINT, ""), keys=f"the key {TOKEN}", endpoint_key=ENDPOINT, hides=True)
        return failures.explained(error, uri=self._uri, store=store)
