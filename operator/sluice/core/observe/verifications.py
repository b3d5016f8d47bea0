"""Who signed the model of a pod, as its downloader found out: its last words where it ended well."""

import re
from typing import Final

from sluice.api.v1alpha1.verification import VerificationStatus
from sluice.core.kernel import figures
from sluice.core.kernel.rawobjects import Object
from sluice.core.observe.podproblems import podstate
from sluice.core.render import podnames

SAID: Final = "verification"
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def verification(pod: Object) -> VerificationStatus | None:
    """None where nobody asked, or it is not known yet."""
    for status in podstate.statuses(pod, "initContainerStatuses"):
        end = podstate.last_end(status)
        if status.get("name") == podnames.STORAGE_INITIALIZER and end.get("exitCode") == 0:
            return _read(end.get("message") or "")
    return None


def _read(text: str) -> VerificationStatus | None:
    if SAID not in text:  # its log, with an image of before
        return None
    try:
        said = figures.parsed(text).get(SAID)
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    digest, signer, problem = (podstate.quoted(said.get(name)) for name in ("digest", "signer", "problem"))
    moment = str(said.get("time"))
    return VerificationStatus(
        verified=bool(digest and signer and not problem),
        digest=digest,
        signer=signer,
        time=moment if _TIME.fullmatch(moment) else None,
        problem=problem,
    )
