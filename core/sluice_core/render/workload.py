"""Revisions, and the Deployment that runs one.

user's fields --input_hash--> known? --yes--> the pinned template of its ControllerRevision
                                |
                                no --new_revision--> template rendered now, pinned, named after its hash
"""

import math
from typing import Any, Final

from sluice_core.api.config import OperatorConfig
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.routing import Exposed, Timeouts
from sluice_core.api.v1alpha1.servingruntime import Protocol, ServingRuntime
from sluice_core.kernel import naming
from sluice_core.kernel.resolutions import Resolved
from sluice_core.kernel.snapshot import Object, Revision, Served
from sluice_core.render import common
from sluice_core.render.pod import podtemplate
from sluice_core.render.traffic import exposure
from sluice_judge import hashing, memo, timestamps

NOT_IN_A_POD: Final = {"autoscaling", "observer", "replicas", "routing", "rollout", "variants"}
"""Fields of a ModelDeployment's spec that do not affect pods, and so create no revision."""

RESOLVED: Final = ("uri", "pinned", "version", "source", "digest")
"""The parts of a registry's answer that a ControllerRevision keeps."""

LABEL_LENGTH: Final = 12

JSON_PROTOCOLS: Final = (Protocol.V2, Protocol.V1)
"""Protocols that a caller can speak without the server's own client library."""

PROGRESS_DEADLINE_SECONDS: Final = 600


def input_hash(deployment: ModelDeployment, resolved: Resolved | None = None) -> str:
    """Hash of the user's fields that affect pods, and of the version that a registry named.

    Only values that differ from their default count: a field of a later version of the API, or an empty block, must not
    restart a running model. The alias that names the version does not count.
    """
    if resolved is None or resolved.pinned == resolved.source:  # the ModelDeployment itself names exactly this version
        return _input_hash(deployment)
    return hashing.stable_hash({**_inputs(deployment), "resolved": [resolved.pinned, resolved.digest]})


@memo.by_identity(memo.MODELS)
def _input_hash(deployment: ModelDeployment) -> str:
    return hashing.stable_hash(_inputs(deployment))


def _inputs(deployment: ModelDeployment) -> dict[str, Any]:
    spec = deployment.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=NOT_IN_A_POD)
    return {key: value for key, value in spec.items() if value not in (None, {}, [])}


@memo.by_identity(64)
def runtime_hash(runtime: ServingRuntime) -> str:
    """Hash of a ServingRuntime's spec, to see whether a revision was rendered from an older one."""
    return hashing.stable_hash(runtime.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True))


def served_by(deployment: ModelDeployment, runtime: ServingRuntime) -> Served:
    """How a runtime's server serves the ModelDeployment's model."""
    spec = deployment.spec
    return Served(
        format=spec.model.format,
        name=common.served_name(deployment),
        protocol=next((known.value for known in runtime.spec.protocols if known in JSON_PROTOCOLS), ""),
        own_image=spec.runtime is not None and spec.runtime.image is not None,
    )


def new_revision(
    deployment: ModelDeployment,
    runtime: ServingRuntime,
    config: OperatorConfig,
    number: int,
    resolved: Resolved | None = None,
) -> Revision:
    """Renders the pod template and pins it; `number` counts the revisions of the ModelDeployment from 1.

    resolved: the registry's answer, if the ModelDeployment names its files in place of the registry.

    The hash covers the template with a placeholder for the revision's name; and the namespace, so that counters of two
    models with the same name and spec in two namespaces never mix under one revision. Raises
    `placeholders.UnknownPlaceholder`.
    """
    inputs = input_hash(deployment, resolved)
    unnamed = podtemplate.render_template(deployment, runtime, config)
    name = naming.revision_name(
        deployment.metadata.name,
        hashing.stable_hash({"inputHash": inputs, "template": unnamed, "namespace": deployment.metadata.namespace}),
    )
    return Revision(
        name=name,
        input_hash=inputs,
        number=number,
        uri=resolved.pinned if resolved is not None else deployment.spec.model_uri,
        model_version=deployment.spec.model.version or _label(resolved),
        template=podtemplate.render_template(deployment, runtime, config, name),
        port=common.served_port(deployment.spec, runtime.spec),
        runtime=runtime.metadata.name,
        runtime_hash=runtime_hash(runtime),
        grpc_port=runtime.spec.grpc_port,
        served=served_by(deployment, runtime),
        timeouts=runtime.spec.timeouts,
        exposed=exposure.pinned(deployment, runtime),
        resolved=resolved,
    )


def _label(resolved: Resolved | None) -> str | None:
    """The name of a registry's version for people: its number; for a commit or a digest, its beginning."""
    return resolved.version.removeprefix("sha256:")[:LABEL_LENGTH] if resolved is not None else None


def desired_controller_revision(revision: Revision, deployment: ModelDeployment) -> dict[str, Any]:
    """The ControllerRevision that pins a revision; its data never change."""
    data = {
        "inputHash": revision.input_hash,
        "uri": revision.uri,
        "port": revision.port,
        "runtime": revision.runtime,
        "runtimeHash": revision.runtime_hash,
        "template": revision.template,
    }
    if revision.model_version is not None:
        data["modelVersion"] = revision.model_version
    if revision.grpc_port is not None:
        data["grpcPort"] = revision.grpc_port
    if revision.served is not None:
        data["served"] = {
            "format": revision.served.format,
            "name": revision.served.name,
            "protocol": revision.served.protocol,
            "ownImage": revision.served.own_image,
        }
    if revision.timeouts is not None:
        data["timeouts"] = revision.timeouts.to_wire()
    if revision.exposed is not None:
        data["exposed"] = revision.exposed.to_wire()
    if revision.resolved is not None:
        data["resolved"] = {field: getattr(revision.resolved, field) for field in RESOLVED}
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": common.child_metadata(deployment, revision.name, revision.name),
        "revision": revision.number,
        "data": data,
    }


@memo.by_identity(memo.VERSIONS)
def read_controller_revision(controller_revision: Object) -> Revision:
    """The revision in a ControllerRevision, without running objects; ValueError if it is not one of ours."""
    name = controller_revision["metadata"]["name"]
    try:
        data = controller_revision["data"]
        return Revision(
            name=name,
            input_hash=data["inputHash"],
            number=int(controller_revision["revision"]),
            uri=data["uri"],
            model_version=data.get("modelVersion"),
            template=data["template"],
            port=int(data["port"]),
            runtime=data["runtime"],
            runtime_hash=data["runtimeHash"],
            grpc_port=int(data["grpcPort"]) if "grpcPort" in data else None,
            served=_read_served(data["served"]) if "served" in data else None,
            timeouts=Timeouts.model_validate(data["timeouts"]) if "timeouts" in data else None,
            exposed=Exposed.model_validate(data["exposed"]) if "exposed" in data else None,
            resolved=Resolved(**{field: str(data["resolved"][field]) for field in RESOLVED})
            if "resolved" in data
            else None,
            stable_since=_read_mark(controller_revision),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"ControllerRevision {name}: not written by this operator: {error!r}") from error


def _read_mark(controller_revision: Object) -> int | None:
    """The mark; a broken value counts as absent."""
    mark = (controller_revision["metadata"].get("annotations") or {}).get(naming.ANNOTATION_STABLE_SINCE, "")
    return int(mark) if mark.isdecimal() else None


def _read_served(data: Object) -> Served:
    return Served(data["format"], data["name"], data["protocol"], bool(data["ownImage"]))


def desired_deployment(
    revision: Revision, replicas: int | None, deployment: ModelDeployment, drain_until: float | None = None
) -> dict[str, Any]:
    """The Deployment that runs a revision.

    The pods come from the pinned template alone, so that an upgrade of the operator restarts nothing. `replicas` is
    None if an autoscaler decides. `drain_until` (seconds since the epoch, rounded up) marks when the requests of a
    revision without weight have ended.
    """
    metadata = common.child_metadata(deployment, revision.name, revision.name)
    if drain_until is not None:
        metadata["annotations"] = {naming.ANNOTATION_DRAIN_UNTIL: timestamps.rfc3339(math.ceil(drain_until))}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            **({} if replicas is None else {"replicas": replicas}),
            "selector": {"matchLabels": {naming.LABEL_REVISION: revision.name}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "progressDeadlineSeconds": PROGRESS_DEADLINE_SECONDS,
            "template": revision.template,
        },
    }
