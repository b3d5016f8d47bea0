"""Builders of core tests' objects: frozen models, and the raw objects of a World.

`manifest(model)` makes the raw object of a model; `make_world` takes either.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

from sluice_core.api.base import API_VERSION
from sluice_core.api.config import AddressGrant, OperatorConfig
from sluice_core.api.v1alpha1.batchinference import BatchInference
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicy
from sluice_core.api.v1alpha1.servingruntime import ServingRuntime
from sluice_core.kernel import naming
from sluice_core.kernel.news import happening
from sluice_core.kernel.plan import Event
from sluice_core.kernel.reasons import AnyReason
from sluice_core.kernel.snapshot import Object, Revision, World
from sluice_core.render import workload
from sluice_judge import timestamps
from sluice_judge.presets import GatewayPreset
from sluice_judge.schema.model import ApiModel

NOW: Final = 1_790_000_000.0
NAME: Final = "digits"
NAMESPACE: Final = "ml"
UID: Final = "6f1c0f2e-0000-4000-8000-000000000001"
EVERY_ADDRESS: Final = AddressGrant(namespaces=["*"], hostnames=["*"], gateways=["*"])
CONFIG: Final = OperatorConfig(allowed_addresses=[EVERY_ADDRESS])
PRESET: Final = GatewayPreset(
    name="contour",
    requests='envoy_cluster_upstream_rq{envoy_cluster_name="{namespace}_{service}_{port}"}',
    code_label="envoy_response_code",
    latency_bucket='envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="{namespace}_{service}_{port}"}',
    latency_unit_millis=1.0,
    freshness="envoy_server_uptime",
    backend="",
    settle_seconds=5.0,
)

Raw: TypeAlias = dict[str, Any]


def manifest(model: ApiModel) -> Raw:
    """The raw object of a kind's model, as the API server would send it."""
    kind = getattr(model, "kind")  # noqa: B009  only the kinds have it, not their parts
    return {"apiVersion": API_VERSION, "kind": kind, **model.to_wire()}


def make_model_deployment(
    *,
    name: str = NAME,
    namespace: str = NAMESPACE,
    uid: str = UID,
    generation: int = 1,
    created: float = NOW - 3600,
    uri: str = "s3://models/digits/1",
    model: Mapping[str, Any] | None = None,
    spec: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
) -> ModelDeployment:
    """A ModelDeployment; `model` adds to spec.model, `spec` to spec (camelCase, as a user writes it)."""
    return ModelDeployment.model_validate(
        {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": uid,
                "generation": generation,
                "creationTimestamp": timestamps.rfc3339(created),
            },
            "spec": {"model": {"format": "onnx", "uri": uri, **(model or {})}, **(spec or {})},
            "status": status or {},
        }
    )


def make_container(**fields: Any) -> Raw:
    """The model server's container of `make_runtime`."""
    return {
        "name": "triton",
        "image": "nvcr.io/nvidia/tritonserver:24.10-py3",
        "args": ["tritonserver", "--model-repository={{model.path}}", "--load-model={{model.name}}"],
        "ports": [{"name": "http", "containerPort": 8000, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/v2/models/{{model.name}}/ready", "port": 8000}, "periodSeconds": 1},
        **fields,
    }


def make_runtime(
    *,
    name: str = "triton",
    formats: Sequence[str] = ("onnx", "triton"),
    priority: int = 1,
    containers: Sequence[Mapping[str, Any]] | None = None,
    **spec: Any,
) -> ServingRuntime:
    """A ServingRuntime for Triton; `spec` adds fields by their Python names."""
    return ServingRuntime.model_validate(
        {
            "metadata": {"name": name, "uid": f"uid-{name}", "generation": 1},
            "spec": {
                "formats": [{"name": format_, "priority": priority} for format_ in formats],
                "model_layout": "TritonRepository",
                "port": 8000,
                "containers": list(containers) if containers is not None else [make_container()],
                **spec,
            },
        }
    )


def make_policy(*, name: str = "default", **spec: Any) -> RolloutPolicy:
    """A RolloutPolicy with the API's defaults; `spec` sets fields by their Python names."""
    return RolloutPolicy.model_validate(
        {"metadata": {"name": name, "uid": f"uid-{name}", "generation": 1}, "spec": spec}
    )


def make_revision(
    *,
    uri: str = "s3://models/digits/1",
    number: int = 1,
    deployment: ModelDeployment | None = None,
    runtime: ServingRuntime | None = None,
    config: OperatorConfig = CONFIG,
    **observed: Any,
) -> Revision:
    """A revision as the operator would make it; `observed` sets its running state, such as replicas."""
    wanted = deployment or make_model_deployment(uri=uri)
    revision = workload.new_revision(wanted, runtime or make_runtime(), config, number)
    return replace(revision, **observed)


def make_end(revision: Revision) -> Raw:
    """One side of a release, for a ModelRollout's spec."""
    end = {"revision": revision.name, "inputHash": revision.input_hash, "uri": revision.uri}
    return end if revision.model_version is None else {**end, "modelVersion": revision.model_version}


def make_rollout(
    *,
    target: Revision | None = None,
    source: Revision | None = None,
    attempt: int = 1,
    created: float = NOW - 600,
    policy: RolloutPolicy | None = None,
    deployment: ModelDeployment | None = None,
    intent: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    **spec: Any,
) -> ModelRollout:
    """A ModelRollout to `target` (from `source`, absent for a first version), by the rules of `policy`.

    `spec` sets further fields (camelCase).
    """
    owner = deployment or make_model_deployment()
    to = target or make_revision(uri="s3://models/digits/2", number=2)
    rules = (policy or make_policy()).spec.to_wire()
    return ModelRollout.model_validate(
        {
            "metadata": {
                "name": naming.rollout_name(to.name, attempt),
                "namespace": owner.metadata.namespace,
                "uid": f"uid-{to.name}-{attempt}",
                "generation": 1,
                "creationTimestamp": timestamps.rfc3339(created),
                "labels": naming.owned_labels(owner.metadata.name, to.name),
            },
            "spec": {
                **rules,
                "modelDeployment": owner.metadata.name,
                "attempt": attempt,
                "from": None if source is None else make_end(source),
                "to": make_end(to),
                "intent": intent,
                **spec,
            },
            "status": status or {},
        }
    )


def make_event(reason: AnyReason, message: str = "", **fields: Any) -> Event:
    """An event about the model as recorded in its status, with a name made of reason, message and time."""
    time = fields.setdefault("time", NOW)
    fields.setdefault("id", happening(UID, reason, message, int(time)))
    return Event(reason, message, **{"record": (ModelDeployment.kind, NAME), **fields})


def make_gateway(*, name: str = "models", namespace: str = "gateway", programmed: bool = True) -> Raw:
    """A raw Gateway."""
    condition = {
        "type": "Programmed",
        "status": "True" if programmed else "False",
        "reason": "Programmed" if programmed else "AddressNotAssigned",
        "message": "valid" if programmed else "no address",
        "observedGeneration": 1,
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": namespace, "generation": 1},
        "status": {"conditions": [condition]},
    }


def make_route_status(
    route: Raw, *, accepted: bool = True, resolved: bool = True, generation: int | None = None
) -> Raw:
    """The raw HTTPRoute with the answer of its Gateway's controller."""
    metadata = {"generation": 1, **route["metadata"]}
    conditions = [
        {
            "type": type_,
            "status": "True" if good else "False",
            "reason": type_ if good else f"Not{type_}",
            "message": "",
            "observedGeneration": metadata["generation"] if generation is None else generation,
        }
        for type_, good in (("Accepted", accepted), ("ResolvedRefs", resolved))
    ]
    parent = {
        "controllerName": "projectcontour.io/gateway-controller",
        "parentRef": route["spec"]["parentRefs"][0],
        "conditions": conditions,
    }
    return {**route, "metadata": metadata, "status": {"parents": [parent]}}


def make_pod(
    revision: Revision,
    *,
    index: int = 0,
    name: str = NAME,
    ready: bool = True,
    restarts: int = 0,
    created: float = NOW - 300,
    terminating: bool = False,
    server: Mapping[str, Any] | None = None,
    downloader: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
) -> Raw:
    """A raw pod of a revision; `server` and `downloader` replace fields of the containers' statuses."""
    started = timestamps.rfc3339(created + 2)
    metadata = {
        "name": f"{revision.name}-7d9c5b6f4-{index:05d}",
        "namespace": NAMESPACE,
        "creationTimestamp": timestamps.rfc3339(created),
        "labels": naming.owned_labels(name, revision.name),
    }
    if terminating:
        metadata["deletionTimestamp"] = timestamps.rfc3339(NOW)
    spec = revision.template["spec"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec,
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Ready", "status": "True" if ready else "False"},
            ],
            "initContainerStatuses": [
                {
                    "name": spec["initContainers"][0]["name"],
                    "ready": True,
                    "restartCount": 0,
                    "state": {"terminated": {"exitCode": 0, "reason": "Completed"}},
                    **(downloader or {}),
                }
            ],
            "containerStatuses": [
                {
                    "name": spec["containers"][0]["name"],
                    "ready": ready,
                    "restartCount": restarts,
                    "state": {"running": {"startedAt": started}},
                    **(server or {}),
                }
            ],
            **(status or {}),
        },
    }


def make_endpoint_slice(revision: Revision, *, ready: int = 1, not_ready: int = 0, name: str = NAME) -> Raw:
    """A raw EndpointSlice of a revision's Service."""
    endpoints = [
        {
            "addresses": [f"10.88.0.{index + 10}"],
            "conditions": {"ready": index < ready, "serving": index < ready, "terminating": False},
            "targetRef": {"kind": "Pod", "name": f"{revision.name}-{index}", "uid": f"{revision.name}-{index}"},
        }
        for index in range(ready + not_ready)
    ]
    labels = {**naming.owned_labels(name, revision.name), "kubernetes.io/service-name": revision.name}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{revision.name}-x7k2p", "namespace": NAMESPACE, "labels": labels},
        "addressType": "IPv4",
        "endpoints": endpoints,
    }


def make_world(
    *,
    deployment: ModelDeployment | Object | None = None,
    owned: Iterable[ApiModel | Object] = (),
    runtimes: Iterable[ApiModel | Object] | None = None,
    policies: Iterable[ApiModel | Object] | None = None,
    gateways: Iterable[Object] | None = None,
    rivals: Iterable[ApiModel | Object] = (),
    rival_routes: Iterable[Object] = (),
    now: float = NOW,
    config: OperatorConfig = CONFIG,
    preset: GatewayPreset = PRESET,
    gateway_api: bool = True,
    forbidden: tuple[str, ...] = (),
) -> World:
    """A World of one ModelDeployment, by default with a runtime, the default policy and a working Gateway."""
    return World(
        now=now,
        deployment=_raw(deployment if deployment is not None else make_model_deployment()),
        owned=tuple(_raw(object_) for object_ in owned),
        runtimes=tuple(_raw(object_) for object_ in ((make_runtime(),) if runtimes is None else runtimes)),
        policies=tuple(_raw(object_) for object_ in ((make_policy(),) if policies is None else policies)),
        gateways=tuple((make_gateway(),) if gateways is None else gateways),
        rivals=tuple(_raw(object_) for object_ in rivals),
        rival_routes=tuple(rival_routes),
        config=config,
        preset=preset,
        gateway_api=gateway_api,
        forbidden=forbidden,
    )


def _raw(object_: ApiModel | Object) -> Object:
    return manifest(object_) if isinstance(object_, ApiModel) else object_


def make_spark_batch(**spec: Any) -> BatchInference:
    """A BatchInference of engine Spark."""
    data = {"uri": "s3://data/in", "format": "Parquet", "credentialsSecretRef": {"name": "data"}}
    wanted = {
        "modelDeploymentRef": {"name": "digits"},
        "input": data,
        "output": {**data, "uri": "s3://data/out"},
        "engine": {"type": "Spark", "executors": 3, "serviceAccountName": "spark"},
        **spec,
    }
    metadata = {"name": "churn", "namespace": NAMESPACE, "uid": "uid-1", "generation": 1}
    return BatchInference.model_validate({"metadata": metadata, "spec": wanted})
