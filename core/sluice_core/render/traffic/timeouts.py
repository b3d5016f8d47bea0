"""How long a gateway waits for an answer: the limits in the rules of an HTTPRoute.

    spec.routing.timeouts  >  spec.routing.timeoutSeconds  >  pinned with the revision: the ServingRuntime's  >  30s

The two limits of a rule must fit each other, or the API server refuses the whole route: if they do not, the limit that
the model does not set follows the one that it sets.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Final

from sluice_core.api.v1alpha1.routing import TIMEOUT_SECONDS, Routing, Timeouts

DEFAULT: Final = f"{TIMEOUT_SECONDS}s"
UNSAID: Final = Timeouts()
"""The limits of a server that names none."""
_PART: Final = re.compile(r"([0-9]+)(ms|h|m|s)")
_UNITS: Final[Mapping[str, float]] = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def seconds(duration: str) -> float:
    """A duration of the Gateway API, in seconds."""
    return math.fsum(int(number) * _UNITS[unit] for number, unit in _PART.findall(duration))


def longest(limits: Iterable[Timeouts | None]) -> Timeouts:
    """The limits of the version on a route that may take longest; a version without limits has the default."""
    known = (UNSAID if each is None else each for each in limits)
    whole = (each if each.request else each.model_copy(update={"request": DEFAULT}) for each in known)
    return max(whole, key=lambda each: _limit(each.request or DEFAULT), default=Timeouts(request=DEFAULT))


def of_rule(routing: Routing, servers: Timeouts) -> dict[str, str]:
    """The field `timeouts` of a rule. servers: the limits of the versions on the route, including `request`."""
    own = _own(routing)
    request, attempt = own.request or servers.request or DEFAULT, own.backend_request or servers.backend_request
    if attempt is None:
        return {"request": request}
    if seconds(attempt) > _limit(request):
        request, attempt = (request, request) if own.request else (attempt, attempt)
    return {"request": request, "backendRequest": attempt}


def longest_answer_seconds(routing: Routing, limits: Iterable[Timeouts | None]) -> float:
    """How long a request may be in flight on a route of versions with these limits; infinite without a limit."""
    return _limit(of_rule(routing, longest(limits))["request"])


def _own(routing: Routing) -> Timeouts:
    own = routing.timeouts or UNSAID
    if own.request or routing.timeout_seconds == TIMEOUT_SECONDS:
        return own
    return own.model_copy(update={"request": f"{routing.timeout_seconds}s"})


def _limit(request: str) -> float:
    """The limit of a whole request in seconds; no limit counts as the longest."""
    return seconds(request) or math.inf
