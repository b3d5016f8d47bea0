"""Remedies for failed writes."""

from typing import Final

from sluice_core.errors import ApiError, Denied, Missing, Occupied, Refused
from sluice_core.kernel.reasons import Reason

RETRY_SECONDS: Final = 60.0
LONGEST_CAUSE: Final = 300
REMEDIES: Final[tuple[tuple[type[ApiError], Reason, str], ...]] = (
    (
        Denied,
        Reason.FORBIDDEN,
        "the operator lacks this permission: upgrade the Helm chart, or add the permission to its ClusterRole (with "
        "config.watchNamespaces: to its Role in this namespace)",
    ),
    (
        Refused,
        Reason.REFUSED,
        "correct the field in the manifest, or in its ServingRuntime, which only a new version follows; if it is a "
        "status, look for an admission webhook or policy that refuses it, and for CRDs of another version",
    ),
    (
        Occupied,
        Reason.NAME_TAKEN,
        "it is left as it is; delete or rename it, or apply this manifest under another name",
    ),
    (Missing, Reason.MISSING, "check that the kind is installed and that the namespace exists"),
)
"""What a person must do about a failed write, by the kind of failure."""
POLICY: Final = "denied request"
"""How the API server says that an admission policy or webhook refused what RBAC allows."""
OF_A_POLICY: Final = "an admission policy of the cluster refuses it: correct what it names, or change the policy"


def remedy_of(error: ApiError) -> tuple[Reason, str] | None:
    """Reason and message of a write that retries do not cure; None for temporary failures."""
    for kind, reason, remedy in REMEDIES:
        if isinstance(error, kind):
            return reason, f"{error}; {OF_A_POLICY if kind is Denied and POLICY in str(error) else remedy}"
    return None


def of_defect(error: Exception) -> str:
    """The condition's message for a defect of the operator itself: always the same for the same failure."""
    cause = f"{type(error).__name__}: {error}".strip(": ")[:LONGEST_CAUSE]
    return (
        f"the operator fails at this object and changes nothing of it ({cause}); undo the last change to it, and "
        "report the traceback in the operator's log"
    )
