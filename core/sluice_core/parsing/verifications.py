"""The signer of a pod's model, from its downloader's termination message after success."""

import re
from typing import Final

from sluice_core.api.v1alpha1.verification import VerificationStatus
from sluice_core.kernel import figures
from sluice_core.kernel.rawobjects import Object
from sluice_core.parsing.podproblems import podstate
from sluice_core.render.pod import podnames

SAID: Final = "verification"
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def verification(pod: Object) -> VerificationStatus | None:
    """The model's verification, with its first unverified adapter; None if not required, or not all is known yet."""
    statuses = podstate.statuses(pod, "initContainerStatuses")
    fields = {podnames.field_of(str(status.get("name"))): status for status in statuses}
    ends = {field: podstate.last_end(status) for field, status in fields.items() if field}
    if podnames.MODEL_FIELD not in ends or any(end.get("exitCode") != 0 for end in ends.values()):
        return None
    said = {field: _read(end.get("message") or "") for field, end in ends.items()}
    model = said.pop(podnames.MODEL_FIELD)
    unverified = next(((field, found) for field, found in said.items() if found is None or not found.verified), None)
    if model is None or not model.verified or unverified is None:
        return model
    field, found = unverified
    why = found.problem if found is not None else ""
    return model.model_copy(
        update={"verified": False, "problem": f"{field}: {why or 'its downloader says nothing of a signature'}"}
    )


def _read(text: str) -> VerificationStatus | None:
    if SAID not in text:  # its log, from an older image
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
