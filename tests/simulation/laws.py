"""The laws that every plan must keep, checked on every pass of every simulated rollout."""

from dataclasses import dataclass, field

from sluice.core.plan import Apply, ApplyStatus, Plan
from tests.simulation.cluster import Cluster


@dataclass
class Laws:
    """Watches a cluster's plans."""

    cluster: Cluster
    weight_history: list[dict[str, int]] = field(default_factory=list)

    def check(self, plan: Plan) -> None:
        """Raises AssertionError naming the law that the plan breaks."""
        for write in plan.writes:
            if isinstance(write, Apply) and write.manifest["kind"] == "HTTPRoute":
                self._check_route(write)
        self._check_order(plan)

    def _check_route(self, write: Apply) -> None:
        backends = write.manifest["spec"]["rules"][0]["backendRefs"]
        weights = {b["name"]: b["weight"] for b in backends}
        assert sum(weights.values()) == 1000, f"weights do not sum to the whole: {weights}"
        before = self.cluster.weights() if ("HTTPRoute", "digits") in self.cluster.objects else {}
        for name, weight in weights.items():
            if weight > before.get(name, 0) and before:
                empty = not self.cluster._has_endpoint(name)
                others_empty = not any(self.cluster._has_endpoint(other) for other in weights if other != name)
                assert not empty or others_empty, f"{name} is raised to {weight} without a ready endpoint"
        if before:
            positive_before = {n for n, w in before.items() if w}
            positive_after = {n for n, w in weights.items() if w}
            assert positive_before & positive_after, f"complete swap in one write: {before} -> {weights}"
            kept = [n for n in before if n in weights]
            assert [n for n in weights if n in before] == kept, f"backends changed places: {before} -> {weights}"
        self.weight_history.append(weights)

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
