"""What an error of the API server means to a person, and what to do about it."""

from typing import Final

from sluice_core import errors
from sluice_core.adapters import exchange
from sluice_core.api.base import GROUP, VERSION

OF_NO_ROLE: Final = ("create pods", "delete pods", "get pods/log", "get services/proxy", "get configmaps")
"""Permissions that no role of Sluice gives: the caller says what to do."""


class NotFound(errors.Missing):
    """The kind exists, an object of this name does not."""


class CredentialsRefused(errors.Denied):
    """The API server does not know these credentials, or no longer does (401)."""


def error_of(answer: exchange.Answer) -> type[errors.ApiError] | None:
    if answer.status < 400:
        return None
    if answer.status == 401:
        return CredentialsRefused
    names_object = (answer.document.get("details") or {}).get("name")
    return NotFound if answer.status == 404 and names_object else answer.error


def message(what: str, answer: exchange.Answer) -> str:
    """The message about a failure, with what to do about it."""
    said = answer.document.get("message") or answer.document.get("reason") or "without a reason"
    error = error_of(answer)
    if answer.status == 401:
        return f"cannot {what}: the API server does not accept the credentials of this context; log in again"
    if error is errors.Denied and not what.startswith(OF_NO_ROLE):  # a quota or an admission policy also answers 403
        return (
            f"no permission to {what}: {said}; ask for the ClusterRole sluice-view (to steer releases: sluice-releaser)"
        )
    if error is errors.Missing and answer.status == 404:
        return (
            f"cannot {what}: this cluster does not serve it; for {GROUP}/{VERSION} install Sluice: "
            "helm install sluice charts/sluice"
        )
    if error is errors.Conflict:
        return f"cannot {what}: the object has changed in the meantime; try again"
    if error is errors.Unavailable:
        return f"cannot {what}: the API server answered {answer.status} {said}; try again later"
    return f"cannot {what}: {said}"
