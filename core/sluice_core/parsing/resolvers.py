"""A namespace's resolver and its answers: a tenant's word, of which only well-formed parts are accepted.

GET  /resolved?uri=…&uri=…  ──>  {"resolved": [{"uri", "version", "source", "digest"} | {"uri", "problem"}, …]}
    POST /outcome  {"name", "version", "tags"}  ──>  {} | {"problem"}
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from sluice_core.api.v1alpha1 import registry, sources
from sluice_core.kernel import naming, rawobjects
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.resolutions import OutcomeReport, Reported, Resolution, Resolved, ResolverPod, Unresolved
from sluice_core.kernel.snapshot import Object
from sluice_core.parsing import podproblems
from sluice_core.render import resolver

DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
COMMIT: Final = re.compile(r"[0-9a-f]{40}")
VERSION: Final = re.compile(r"[1-9][0-9]{0,9}")
NAMED: Final = (
    "the Secret that config.registry.secretName of the operator's configuration names, sluice-registry by default"
)
PROBLEMS: Final[Mapping[str, tuple[Reason, str]]] = {
    "NotFound": (Reason.NOT_IN_REGISTRY, "the registry has no such alias, version, branch or tag; make it, or name another one"),
    "NotReady": (Reason.NOT_IN_REGISTRY, "the registry has not taken in the whole version yet; see its status there"),
    "NotNamed": (Reason.REGISTRY_NOT_NAMED, f"nobody says where the registry is: put MLFLOW_TRACKING_URI into {NAMED}"),
    "NotAllowed": (Reason.REGISTRY_REFUSES, f"the registry refuses the credentials of {NAMED}; they need to read the model, which must be there"),
    "OtherHost": (Reason.REGISTRY_REFUSES, f"the registry is not to be asked by the name that {NAMED} has for it; start MLflow's server with --allowed-hosts=NAME:PORT"),
    "Unreachable": (Reason.REGISTRY_UNREACHABLE, f"the registry does not answer; check it, and its address in {NAMED}"),
}  # fmt: skip
"""The resolver's error codes. Messages for people are ours: they change only with the cause."""
REPORTING: Final = {
    "NotAllowed": f"it refuses tags: grant EDIT to the user of {NAMED}, or set config.registry.writeOutcomes to false"
}
"""The same when an outcome is to be written."""


def pod(owned: Iterable[Object]) -> ResolverPod | None:
    """The ready one among a model's objects; None: there is none."""
    for each in rawobjects.of_kind(owned, "Pod"):
        aside = naming.is_aside(str(rawobjects.labels(each).get(naming.LABEL_OWNER, "")), naming.RESOLVER)
        address, ready = (
            each.get("status", {}).get("podIP"),
            podproblems.condition(each, "Ready").get("status") == "True",
        )
        if aside and ready and address and not rawobjects.is_going(each):
            host = f"[{address}]" if ":" in address else address
            return ResolverPod(f"http://{host}:{resolver.PORT}", rawobjects.uid(each))
    return None


def question(where: ResolverPod, uris: Sequence[str]) -> str:
    """The URL that asks for all of them."""
    return f"{where.url}/resolved?{urlencode([('uri', uri) for uri in uris])}"


def read(text: str, uris: Sequence[str]) -> tuple[Resolution, ...]:
    """The resolution of each. Raises ValueError for a malformed answer."""
    try:
        said = {str(entry["uri"]): entry for entry in json.loads(text)["resolved"]}
        return tuple(_resolution(uri, said[uri]) for uri in uris)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not what a resolver says: {error!r}") from error


def messages(report: OutcomeReport) -> tuple[bytes, ...]:
    """The messages to the resolver, in order."""
    return tuple(
        json.dumps({"name": each.name, "version": each.version, "tags": dict(each.tags)}).encode()
        for each in report.versions
    )


def read_reported(text: str, report: OutcomeReport) -> Reported:
    """The result of the report. Raises ValueError for a malformed answer."""
    try:
        problem = json.loads(text).get("problem")
        if problem is None or problem == "NotFound":  # no version exists (any more) that could have tags
            return Reported(report.release)
        return Reported(report.release, REPORTING.get(str(problem)) or PROBLEMS[str(problem)][1])
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not what a resolver says: {error!r}") from error


def _resolution(uri: str, entry: Mapping[str, Any]) -> Resolution:
    if (problem := entry.get("problem")) is not None:
        reason, message = PROBLEMS[str(problem)]
        return Unresolved(uri, reason, f"{uri}: {message}")
    version, source, digest = (str(entry[field]) for field in ("version", "source", "digest"))
    match sources.scheme(uri):
        case "hf" if COMMIT.fullmatch(version):
            pinned = source = registry.pinned_commit(uri, version)
        case "oci" if DIGEST.fullmatch(version):
            pinned = source = registry.pinned_digest(uri, version)
        case "models" if VERSION.fullmatch(version) and DIGEST.fullmatch(digest):
            pinned = registry.pinned(registry.name_of(uri), version)
            if uri != pinned and not registry.names_alias(uri):
                raise ValueError(f"{pinned} for {uri}")
        case _:
            raise ValueError(f"version {version[:80]!r} with digest {digest[:80]!r} for {uri}")
    if said := sources.refusal(source):
        message = f"{uri}: the files of version {version} are where no pod fetches them: {said}"
        return Unresolved(uri, Reason.ARTIFACT_NOT_SUPPORTED, f"{message}; store the registry's artifacts there")
    return Resolved(uri, pinned, version, source, digest)
