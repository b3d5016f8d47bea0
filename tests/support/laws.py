"""The laws that every plan must keep, checked on every pass of every simulated rollout."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sluice.api.v1alpha1.common import CapacityMode
from sluice.core.kernel.plan import Apply, ApplyStatus, Plan
from sluice.core.kernel.snapshot import Revision, Snapshot
from sluice.core.render import common
from sluice.core.situation.situation import interpret
from tests.support.cluster import Cluster

SUFFIXES: Final = tuple(f"-{suffix}" for suffix in common.SUFFIXES)


@dataclass
class Laws:
    """Watches a cluster's plans."""

    cluster: Cluster
    weight_history: list[dict[str, int]] = field(default_factory=list)

    def check(self, plan: Plan) -> None:
        """Raises AssertionError naming the law that the plan breaks."""
        for write in plan.writes:
            if isinstance(write, Apply) and write.manifest["kind"] == "HTTPRoute":
                self._check_extra_paths(write)
                if write.manifest["metadata"]["name"] == "digits":
                    self._check_route(write)
            if isinstance(write, ApplyStatus) and write.manifest["kind"] == "ModelDeployment":
                self._check_current(write)
        self._check_order(plan)

    def _check_route(self, write: Apply) -> None:
        backends = write.manifest["spec"]["rules"][0]["backendRefs"]
        weights = {b["name"]: b["weight"] for b in backends}
        assert sum(weights.values()) == 1000, f"weights do not sum to the whole: {weights}"
        before = self.cluster.weights() if ("HTTPRoute", "digits") in self.cluster.objects else {}
        for name, weight in weights.items():
            if weight > before.get(name, 0) and before:
                empty = not self.cluster.has_endpoint(name)
                others_empty = not any(self.cluster.has_endpoint(other) for other in weights if other != name)
                assert not empty or others_empty or self._recreating(), (
                    f"{name} is raised to {weight} without a ready endpoint"
                )
        if before:
            positive_before = {n for n, w in before.items() if w}
            positive_after = {n for n, w in weights.items() if w}
            assert positive_before & positive_after, f"complete swap in one write: {before} -> {weights}"
            kept = [n for n in before if n in weights]
            assert [n for n in weights if n in before] == kept, f"backends changed places: {before} -> {weights}"
        self.weight_history.append(weights)

    def _recreating(self) -> bool:
        """The way back of Recreate: the new version must go before there is room for the old one."""
        return self.cluster.newest().spec.capacity is CapacityMode.RECREATE

    def _check_extra_paths(self, write: Apply) -> None:
        """Copies, previews and testers' requests go to Services that have a ready endpoint when the rule is written."""
        name = write.manifest["metadata"]["name"]
        before = _extra_services(self.cluster.objects.get(("HTTPRoute", name), {}))
        for service in _extra_services(write.manifest) - before:
            assert self.cluster.has_endpoint(service), f"{service} gets requests without a ready endpoint"

    def _check_current(self, write: ApplyStatus) -> None:
        """Whoever waits for `Current` must not be told so before what was asked for is the stable version."""
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


def _extra_services(route: Mapping[str, Any]) -> set[str]:
    """The Services with a suffix that a route leads to."""
    found = set()
    for rule in route.get("spec", {}).get("rules", ()):
        mirrors = [f["requestMirror"]["backendRef"] for f in rule.get("filters", ()) if "requestMirror" in f]
        found |= {ref["name"] for ref in (*rule["backendRefs"], *mirrors)}
    return {name for name in found if name.endswith(SUFFIXES)}
