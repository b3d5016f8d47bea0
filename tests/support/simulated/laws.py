"""The laws that every plan must keep, checked on every reconcile of every simulated rollout."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sluice_core.api.v1alpha1.common import CapacityMode
from sluice_core.api.v1alpha1.modelrollout import Outcome
from sluice_core.kernel import naming
from sluice_core.kernel.plan import Apply, ApplyStatus, Plan
from sluice_core.kernel.reasons import Reason
from sluice_core.kernel.snapshot import Revision, Snapshot
from sluice_core.render import common
from sluice_core.render.traffic import sharedservice
from sluice_core.rollout.routing import weights
from sluice_core.situation.situation import interpret
from sluice_judge import timestamps

if TYPE_CHECKING:
    from tests.support.simulated.cluster import Cluster

ROUTES: Final = ("HTTPRoute", "GRPCRoute")
FEW_ANSWERS: Final = 20
"""A version with at most this in Prometheus counts as unseen."""
SUFFIXES: Final = tuple(f"-{suffix}" for suffix in (*common.SUFFIXES, naming.OBSERVER))


@dataclass
class Laws:
    """Checks a cluster's plans."""

    cluster: "Cluster"
    weight_history: list[dict[str, int]] = field(default_factory=list)
    """The number of all routes written."""

    def check(self, plan: Plan) -> None:
        """Raises AssertionError with the law that the plan breaks."""
        for write in plan.writes:
            if isinstance(write, Apply) and write.manifest["kind"] in ROUTES:
                self._check_extra_paths(write)
                if _is_address(write.manifest):
                    self._check_route(write)
            if isinstance(write, ApplyStatus) and write.manifest["kind"] == "ModelDeployment":
                self._check_current(write)
        self._check_order(plan)

    def _check_route(self, write: Apply) -> None:
        key = write.manifest["kind"], write.manifest["metadata"]["name"]
        places, had = _backends(write.manifest), _backends(self.cluster.objects.get(key, {}))
        after, before = weights.added(places), weights.added(had)
        assert sum(after.values()) == 1000, f"weights do not sum to the whole: {after}"
        assert len(places) <= weights.MOST_BACKENDS, f"too many backends: {after}"
        if before:
            # A version without a Service answers nothing, and invalidates the route of the others.
            positive_before = {n for n, w in before.items() if w and ("Service", n) in self.cluster.objects}
            if all(before[n] <= weights.TRACE for n in positive_before):
                positive_before = set()  # and nothing is taken from a trace
            positive_after = {n for n, w in after.items() if w}
            assert positive_before & positive_after or not positive_before, (
                f"complete swap in one write: {before} -> {after}"
            )
        if len(places) == len(after) and len(had) == len(before):  # no backend appears twice
            kept = [n for n in before if n in after]
            assert [n for n in after if n in before] == kept, f"backends changed places: {before} -> {after}"
        self.weight_history.append(after)

    def _check_extra_paths(self, write: Apply) -> None:
        """Copies, previews and testers' requests go to Services that have a ready endpoint when the rule is written."""
        key = write.manifest["kind"], write.manifest["metadata"]["name"]
        before = _extra_services(self.cluster.objects.get(key, {}))
        for service in _extra_services(write.manifest) - before:
            assert self.cluster.has_endpoint(service), f"{service} gets requests without a ready endpoint"

    def _check_current(self, write: ApplyStatus) -> None:
        """A client that waits for `Current` must not see it before the requested version is the stable one."""
        status = write.manifest["status"]
        if any(entry["type"] == "Current" and entry["status"] == "True" for entry in status["conditions"]):
            snapshot = self.cluster.snapshot(write.manifest["metadata"]["name"])
            assert isinstance(snapshot, Snapshot)
            requested = interpret(snapshot).requested
            assert isinstance(requested, Revision), f"Current, and what is asked for cannot be released: {requested}"
            assert requested.name == status["stable"]["revision"], f"Current, and {requested.name} is not stable"

    def _check_order(self, plan: Plan) -> None:
        kinds = [
            ("status of " if isinstance(w, ApplyStatus) else "") + w.manifest["kind"]
            for w in plan.writes
            if not hasattr(w, "ref")
        ]
        if "status of ModelRollout" in kinds and "HTTPRoute" in kinds:
            assert kinds.index("status of ModelRollout") < kinds.index("HTTPRoute"), "the route moved before its record"
        if "status of ModelDeployment" in kinds:
            assert kinds[-1] == "status of ModelDeployment", "the status is not the last write"


def nobody_is_raised_in_vain(cluster: "Cluster", plan: Plan) -> None:
    """No write gives more to a revision without ready endpoints while another one that users reach has some.

    Except Recreate: there the new version must go before there is room for the old one. Every simulated world checks it
    on every reconcile. Raises AssertionError.
    """
    for write in plan.writes:
        if isinstance(write, Apply) and _is_address(write.manifest):
            key = write.manifest["kind"], write.manifest["metadata"]["name"]
            after, had = weights.added(_shares(write.manifest)), weights.added(_shares(cluster.objects.get(key, {})))
            for name in raised(had, after):
                served = [other for other in {**had, **after} if other != name and cluster.has_endpoint(other)]
                assert cluster.has_endpoint(name) or not served or name in _recreated(cluster, key[1]), (
                    f"{name} is raised without a ready endpoint, and {served} have some: {had} -> {after}"
                )


def nobody_carries_too_much(cluster: "Cluster", plan: Plan) -> None:
    """A candidate is raised beyond its step only while no pod of stable is ready, to what its own pods bear, never to
    the whole, and not where a third version answers all the rest; one that was given up is raised to at most the trace
    of a swap in two writes.

    Checked like the law above. Raises AssertionError.
    """
    for write in plan.writes:
        if not isinstance(write, Apply) or write.manifest["kind"] not in ROUTES or not _is_address(write.manifest):
            continue
        model = write.manifest["metadata"]["name"]
        newest, deployment = cluster.rollouts_of(model)[-1:], cluster.objects["ModelDeployment", model]
        if not newest or newest[0].spec.source is None or newest[0].spec.ab_test is not None:
            continue
        told, candidate, stable = newest[0].status, newest[0].spec.target.revision, newest[0].spec.source.revision
        written = [each.manifest for each in plan.writes if isinstance(each, ApplyStatus)]
        status = next((each["status"] for each in written if each["metadata"]["name"] == newest[0].metadata.name), {})
        outcome = status.get("outcome", told.outcome)
        granted, after = status.get("permille", told.permille), weights.added(_shares(write.manifest))
        had = weights.added(_shares(cluster.objects.get((write.manifest["kind"], model), {})))
        if outcome == Outcome.PROMOTED or candidate not in raised(had, after):
            continue
        if after[candidate] <= max(granted, weights.TRACE):
            continue
        if outcome is not None and candidate == (cluster.status(model).get("stable") or {}).get("revision"):
            continue
        said = f"{candidate} is raised beyond the {granted} of its step: {had} -> {after}"
        assert outcome is None, f"{said}, and was given up ({outcome})"
        assert not cluster.has_endpoint(stable), f"{said}, and {stable} answers"
        unanswered = sum(permille for name, permille in had.items() if not cluster.has_endpoint(name))
        assert unanswered > weights.TRACE, f"{said}, and others answer all the rest"
        assert after.get(stable, 0) >= weights.TRACE, f"{said}, all of it in one write"
        bears = 1000 * len(cluster.objects["EndpointSlice", candidate]["endpoints"])
        if "autoscaling" not in deployment["spec"]:
            assert after[candidate] * deployment["spec"].get("replicas", 1) <= bears, f"{said}, more than its pods bear"


def nobody_is_passed_on_unseen(cluster: "Cluster", plan: Plan) -> None:
    """A bake makes its version the stable one only if Prometheus answers now, and has shown requests of it while it had
    all; a superseded bake, only if most of them were answered. Except a version that a person rolled back to, and one
    whose deadline has passed.

    Checked like the law above. Raises AssertionError.
    """
    for write in plan.writes:
        told = write.manifest["status"] if isinstance(write, ApplyStatus) else {}
        passed_on = told.get("reason") == Reason.SUPERSEDED_IN_BAKE
        if not passed_on and (told.get("reason") != Reason.PROMOTED or told.get("outcome") != Outcome.PROMOTED):
            continue
        key = write.manifest["kind"], write.manifest["metadata"]["name"]
        spec, before = cluster.objects[key]["spec"], cluster.objects[key].get("status", {})
        over = cluster.now + cluster.clock_ahead_seconds >= timestamps.seconds(told["deadlineTime"])
        if not spec.get("analysed", True) or before.get("outcome") or (over and not passed_on):
            continue
        revision = told.get("winner") or spec["to"]["revision"]
        bake = cluster.bakes.get(revision)
        answers, failures = bake.scraped if bake is not None else (0, 0)
        seen = f"{revision} becomes stable in its bake, of which {failures} failures of {answers} requests were seen"
        assert cluster.prometheus_up, f"{seen}, and nobody looks"
        assert answers > max(FEW_ANSWERS, 2 * failures) if passed_on else revision in cluster.baked, seen


def addresses(cluster: "Cluster") -> Iterator[dict[str, int]]:
    """For each model, permille by revision, as users reach them."""
    for kind in ("HTTPRoute", "Service"):
        for one in cluster.of_kind(kind):
            if _is_address(one):
                yield weights.added(_shares(one))


def raised(before: Mapping[str, int], after: Mapping[str, int]) -> Iterator[str]:
    """Revisions whose share of the requests exceeds their share among the remaining backends, in whole permille:
    foreign weights may sum to anything, and 7 of 1007 are 7 of 1000."""
    whole = sum(permille for name, permille in before.items() if name in after)
    return (name for name, permille in after.items() if whole and (permille - 1) * whole >= 1000 * before.get(name, 0))


def _is_address(manifest: Mapping[str, Any]) -> bool:
    """Whether users reach a model through it."""
    return manifest["kind"] in (*ROUTES, "Service") and (
        manifest["metadata"]["name"] == manifest["metadata"]["labels"][naming.LABEL_OWNER]
    )


def _shares(address: Mapping[str, Any]) -> weights.Weights:
    if address.get("kind") == "Service":
        return sharedservice.read_paths(address).weights
    return _backends(address)


def _backends(route: Mapping[str, Any]) -> weights.Weights:
    """(revision, permille) by position."""
    backends = route["spec"]["rules"][0]["backendRefs"] if route else ()
    return tuple((backend["name"], backend["weight"]) for backend in backends)


def _recreated(cluster: "Cluster", model: str) -> set[str]:
    """Two versions that do not fit at the same time."""
    newest = cluster.rollouts_of(model)[-1:]
    ends = [
        end
        for each in newest
        if each.spec.capacity is CapacityMode.RECREATE
        for end in (each.spec.source, each.spec.target)
    ]
    return {end.revision for end in ends if end is not None}


def _extra_services(route: Mapping[str, Any]) -> set[str]:
    """The suffixed Services that a route leads to."""
    found = set()
    for rule in route.get("spec", {}).get("rules", ()):
        mirrors = [f["requestMirror"]["backendRef"] for f in rule.get("filters", ()) if "requestMirror" in f]
        found |= {ref["name"] for ref in (*rule["backendRefs"], *mirrors)}
    return {name for name in found if name.endswith(SUFFIXES)}
