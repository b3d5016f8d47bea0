"""Certificates of an organisation's own authority, beside the publicly trusted ones."""

import os
import ssl
from pathlib import Path
from typing import Final

from sluice_storage.console import say
from sluice_storage.failures import DownloadError, Reason

VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
"""Variables for a file of certificates that replaces the clients' own."""


def lend_bundle(bundle: Path) -> None:
    """For all connections of this process. The file is in memory: the root file system is read-only."""
    import certifi  # a dependency of requests

    try:
        own = bundle.read_text()
        ssl.create_default_context(cadata=own)
    except FileNotFoundError:
        say(f"continuing with public certificates only: {bundle} does not exist; create the ConfigMap")
        return
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise DownloadError(
            Reason.DOWNLOAD_FAILED,
            f"config.storageInitializer.caBundle (Helm) has no certificates in PEM ({error}); correct the ConfigMap",
        ) from error
    file = os.memfd_create("certificates")
    os.write(file, f"{Path(certifi.where()).read_text()}\n{own}".encode())
    for variable in VARIABLES:
        os.environ[variable] = f"/proc/self/fd/{file}"
