"""Errors at the border, as the shell sees them."""


class ApiError(Exception):
    """A write to the Kubernetes API that did not succeed; the message names object, status and cause."""


class NoCluster(Exception):
    """Credentials for a cluster are missing or unreadable."""


class Refused(ApiError):
    """The API server finds the object invalid (400, 422): a retry without a change is useless."""


class Conflict(ApiError):
    """The object has changed since it was read (409): read it again."""


class Occupied(ApiError):
    """Another owner's object has the name of one of ours: the message names the owner."""


class Denied(ApiError):
    """No permission (401, 403): the message names verb and resource."""


class Missing(ApiError):
    """The kind or the namespace does not exist (404)."""


class UnreadableObject(ApiError):
    """An object of another version of its kind: the message names it and the field that cannot be read."""


class Unavailable(ApiError):
    """The API server did not answer or asked for a retry (5xx, 429, time-out): try again later."""
