"""What can go wrong at the border, as the shell sees it."""


class ApiError(Exception):
    """A write to the Kubernetes API that did not succeed; the message names object, status and cause."""


class NoCluster(Exception):
    """There are no credentials for a cluster, or they cannot be read."""


class Refused(ApiError):
    """The API server finds the object invalid (400, 422): trying again without a change is useless."""


class Conflict(ApiError):
    """Somebody else was faster (409): look again."""


class Occupied(ApiError):
    """An object that is not ours has the name of one of ours: the message says whose it is."""


class Denied(ApiError):
    """No permission (401, 403): the message names verb and resource."""


class Missing(ApiError):
    """The kind or the namespace does not exist (404)."""


class UnreadableObject(ApiError):
    """An object of another version of its kind: the message names it and the field that is not understood."""


class Unavailable(ApiError):
    """The API server did not answer or asked for patience (5xx, 429, time-out): try again later."""
