"""Where the lab keeps things: pins in the checkout, caches per user, state of the running node per machine."""

import os
from pathlib import Path
from typing import Final

LAB: Final = Path(__file__).resolve().parent
REPOSITORY: Final = LAB.parent
TOOLS_SOURCE: Final = LAB / "tools"
MANIFESTS: Final = REPOSITORY / "manifests" / "quickstart"

BUILD: Final = REPOSITORY / "build" / "lab"
KUBECONFIG: Final = BUILD / "kubeconfig"

# One node a machine, whatever checkout started it: bridge, node port range and kubelet folders exist once.
STATE: Final = Path("/var/lib/sluice-lab")


def cache() -> Path:
    """Folder of built programs and images, shared by all checkouts of a user."""
    return Path(os.environ.get("SLUICE_CACHE") or Path.home() / ".cache" / "sluice")
