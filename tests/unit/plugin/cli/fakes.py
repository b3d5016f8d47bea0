"""A cluster that answers like the adapter `kubectl.Kubectl`, from raw objects in memory."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import yaml

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.views.serviceaddress import ServiceAddress
from sluice_core import errors
from sluice_core.adapters import exchange
from sluice_core.adapters.kinds import Resource
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.kernel import naming
from sluice_core.kernel.snapshot import Revision
from sluice_core.render import workload

Raw = dict[str, Any]
NOTHING = exchange.Answer(404, b"")


def _selected(raw: Raw, selector: str) -> bool:
    """Whether it has all labels of a selector, each with its value if one is named."""
    labels = raw["metadata"].get("labels", {})
    wanted = [each.partition("=") for each in selector.split(",") if each]
    return all(labels.get(label) == value if named else label in labels for label, named, value in wanted)


def operator(config: Raw, *, namespace: str = "sluice-system", name: str = "sluice") -> list[Raw]:
    """The operator's Deployment and configuration, as the chart makes them."""
    labels = {"app.kubernetes.io/name": "sluice", "app.kubernetes.io/part-of": "sluice"}
    volumes = [{"name": "config", "configMap": {"name": f"{name}-config"}}]
    return [
        {
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"template": {"spec": {"serviceAccountName": name, "volumes": volumes}}},
            "status": {"readyReplicas": 1},
        },
        {
            "kind": "ConfigMap",
            "metadata": {"name": f"{name}-config", "namespace": namespace, "labels": labels},
            "data": {"config.yaml": yaml.safe_dump(config)},
        },
    ]


@dataclass
class FakeCluster:
    """`objects` as the API server would send them."""

    objects: list[Raw]
    denied: frozenset[str] = frozenset()
    """Kinds that we may not list."""
    forbidden: frozenset[str] = frozenset()
    """`verb plural` that nobody may do."""
    operator_namespace: str = ""
    refuses: str = ""
    """Why the API server refuses a manifest."""
    namespace: str = "default"
    asked_for: list[tuple[str, str]] = field(default_factory=list)
    """(verb, subject) of each question for permissions."""

    through_service: exchange.Answer | Exception = NOTHING
    """What the API server's proxy answers, whatever is asked."""
    asked_services: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """(path, query) of each request to it."""

    @property
    def typed(self) -> kubectl.Kubectl:
        return cast("kubectl.Kubectl", self)

    async def fetch(self, kind: Resource, namespace: str, name: str) -> Raw:
        for raw in await self.fetch_all(kind, namespace=namespace):
            if raw["metadata"]["name"] == name:
                return raw
        raise kubectl.NotFound(f"cannot get {kind.full_name} {namespace}/{name}")

    async def fetch_all(self, kind: Resource, *, namespace: str = "", selector: str = "") -> tuple[Raw, ...]:
        if kind.kind in self.denied:
            raise errors.Denied(f"no permission to list {kind.full_name}")
        return tuple(
            raw
            for raw in self.objects
            if raw["kind"] == kind.kind
            and (not namespace or not kind.namespaced or raw["metadata"].get("namespace") == namespace)
            and _selected(raw, selector)
        )

    async def fetch_deployment(self, namespace: str, name: str) -> ModelDeployment:
        return ModelDeployment.model_validate(await self._one("ModelDeployment", namespace, name))

    async def fetch_names(self, kind: str, namespace: str) -> list[str]:
        return [raw["metadata"]["name"] for raw in self._of(kind, namespace)]

    async def fetch_rollouts(self, namespace: str, deployment: str) -> list[ModelRollout]:
        owned = self._of("ModelRollout", namespace)
        return [ModelRollout.model_validate(raw) for raw in owned if raw["spec"]["modelDeployment"] == deployment]

    async def fetch_revisions(self, namespace: str, deployment: str) -> tuple[Revision, ...]:
        if "ControllerRevision" in self.denied:
            raise errors.Denied("no permission to list controllerrevisions.apps")
        owned = [
            workload.read_controller_revision(raw)
            for raw in self._of("ControllerRevision", namespace)
            if raw["metadata"]["labels"][naming.LABEL_OWNER] == deployment
        ]
        return tuple(sorted(owned, key=lambda revision: revision.number, reverse=True))

    async def fetch_user(self) -> str:
        return "alice"

    async def may(self, verb: str, kind: Resource, *, namespace: str = "", subject: str = "") -> bool:
        self.asked_for.append((verb, subject))
        return f"{verb} {kind.plural}" not in self.forbidden

    async def ask_service(
        self, address: ServiceAddress, path: str, query: dict[str, str], *, at_most_bytes: float
    ) -> exchange.Answer:
        self.asked_services.append((f"{address.proxy_path}{path}", query))
        if isinstance(self.through_service, Exception):
            raise self.through_service
        return self.through_service

    async def dry_run(self, manifest: Raw, *, existing: Raw | None) -> Raw:
        if "dry-run" in self.denied:
            raise errors.Denied("no permission to update modeldeployments")
        if self.refuses:
            raise errors.Refused(self.refuses)
        return manifest

    def _of(self, kind: str, namespace: str) -> Iterable[Raw]:
        return [raw for raw in self.objects if raw["kind"] == kind and raw["metadata"].get("namespace") == namespace]

    async def _one(self, kind: str, namespace: str, name: str) -> Raw:
        found = [raw for raw in self._of(kind, namespace) if raw["metadata"]["name"] == name]
        if not found:
            raise kubectl.NotFound(f"there is no {kind} {namespace}/{name}")
        return found[0]
