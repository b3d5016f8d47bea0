"""Pod fields that users write as in Kubernetes: passed through unread, but typed and bounded in the CRD.

The API server prunes what these schemas do not name, so nothing of another shape and nothing nested deeper is stored.
In memory they stay plain objects: what is passed on, and so the hash of a revision, is what was written. The API server
checks the values when it checks the pod.
"""

from typing import Annotated, Final, TypeAlias

from pydantic import Field, WithJsonSchema

from sluice_core.api.base import OpaqueObject
from sluice_core.api.v1alpha1 import shapes
from sluice_core.api.v1alpha1.shapes import Schema
from sluice_judge.schema import cel
from sluice_judge.schema.cel import Cel


def _requirements(description: str) -> Schema:
    requirement = shapes.fields(
        "One requirement.",
        key=shapes.text("The label or field.", shapes.LONGEST_KEY),
        operator=shapes.text("In, NotIn, Exists or DoesNotExist; for nodes also Gt and Lt."),
        values=shapes.texts("The values to compare with.", shapes.VALUES),
    )
    return shapes.listed(description, requirement)


def _label_selector(description: str) -> Schema:
    labels = {
        "type": "object",
        "maxProperties": shapes.LISTED,
        "description": "Labels with exactly these values.",
        "additionalProperties": shapes.text("The value."),
    }
    return shapes.fields(description, matchLabels=labels, matchExpressions=_requirements("Requirements of labels."))


def _node_selector_term(description: str) -> Schema:
    return shapes.fields(
        description,
        matchExpressions=_requirements("Requirements of the node's labels."),
        matchFields=_requirements("Requirements of the node's fields."),
    )


def _pod_term(description: str) -> Schema:
    return shapes.fields(
        description,
        labelSelector=_label_selector("The pods."),
        namespaceSelector=_label_selector("The namespaces, by their labels."),
        namespaces=shapes.texts("The namespaces, by name."),
        topologyKey=shapes.text("The node label that defines the topology domains.", shapes.LONGEST_KEY),
        matchLabelKeys=shapes.texts("Labels that must have the pod's own values."),
        mismatchLabelKeys=shapes.texts("Labels that must not have the pod's own values."),
    )


def _preferred(term: str, preference: Schema) -> Schema:
    entry = shapes.fields("One preference.", weight=shapes.number("Its weight, from 1 to 100."))
    entry["properties"][term] = preference
    return shapes.listed("What the scheduler prefers.", entry)


def _pod_affinity(description: str) -> Schema:
    return shapes.fields(
        description,
        requiredDuringSchedulingIgnoredDuringExecution=shapes.listed(
            "What must hold.", _pod_term("One of these terms.")
        ),
        preferredDuringSchedulingIgnoredDuringExecution=_preferred("podAffinityTerm", _pod_term("What is preferred.")),
    )


AFFINITY: Final = shapes.fields(
    "Scheduling affinity (Kubernetes Affinity).",
    nodeAffinity=shapes.fields(
        "The nodes.",
        requiredDuringSchedulingIgnoredDuringExecution=shapes.fields(
            "What must hold.",
            nodeSelectorTerms=shapes.listed("One of these terms is enough.", _node_selector_term("A term.")),
        ),
        preferredDuringSchedulingIgnoredDuringExecution=_preferred(
            "preference", _node_selector_term("What is preferred.")
        ),
    ),
    podAffinity=_pod_affinity("Near which pods."),
    podAntiAffinity=_pod_affinity("Away from which pods."),
)

TOLERATION: Final = shapes.fields(
    "A Kubernetes Toleration.",
    key=shapes.text("The taint's key.", shapes.LONGEST_KEY),
    operator=shapes.text("Equal, the default, or Exists."),
    value=shapes.text("The taint's value."),
    effect=shapes.text("NoSchedule, PreferNoSchedule or NoExecute; default: all."),
    tolerationSeconds=shapes.number("How long NoExecute is tolerated; default: for ever."),
)


def _key_of(description: str) -> Schema:
    return shapes.fields(
        description,
        name=shapes.text("Its name."),
        key=shapes.text("The entry."),
        optional=shapes.flag("Whether it may be absent."),
    )


ENV_VAR: Final = shapes.fields(
    "A Kubernetes EnvVar.",
    required=("name",),
    name={**shapes.text("Name of the variable."), "minLength": 1},
    value=shapes.text("Its value.", shapes.LONGEST_VALUE),
    valueFrom=shapes.fields(
        "Where its value comes from.",
        configMapKeyRef=_key_of("An entry of a ConfigMap."),
        secretKeyRef=_key_of("An entry of a Secret."),
        fieldRef=shapes.fields(
            "A field of the pod.",
            apiVersion=shapes.text("The version of the pod's API."),
            fieldPath=shapes.text("The field, such as status.podIP.", shapes.LONGEST_PATH),
        ),
        resourceFieldRef=shapes.fields(
            "What a container may take.",
            containerName=shapes.text("The container."),
            resource=shapes.text("The resource, such as limits.memory."),
            divisor=shapes.quantity("The unit of the value."),
        ),
        fileKeyRef=shapes.fields(
            "An entry of a file.",
            volumeName=shapes.text("The volume with the file."),
            path=shapes.text("The file in the volume.", shapes.LONGEST_PATH),
            key=shapes.text("The entry."),
            optional=shapes.flag("Whether it may be absent."),
        ),
    ),
)

SPREAD: Final = shapes.fields(
    "A Kubernetes TopologySpreadConstraint.",
    required=("maxSkew", "topologyKey", "whenUnsatisfiable"),
    maxSkew=shapes.number("The maximum difference in pods between two domains."),
    topologyKey=shapes.text("The node label that defines the topology domains.", shapes.LONGEST_KEY),
    whenUnsatisfiable=shapes.text("DoNotSchedule or ScheduleAnyway."),
    labelSelector=_label_selector("Which pods are counted; default: those of the revision."),
    matchLabelKeys=shapes.texts("Labels that must have the pod's own values."),
    minDomains=shapes.number("The minimum number of domains with pods."),
    nodeAffinityPolicy=shapes.text("Whether nodeSelector and affinity exclude nodes from the count: Honor or Ignore."),
    nodeTaintsPolicy=shapes.text(
        "Whether taints that are not tolerated exclude nodes from the count: Honor or Ignore."
    ),
)

RESOURCE_CLAIM: Final = cel.with_rules(
    shapes.fields(
        "A Kubernetes PodResourceClaim.",
        required=("name",),
        name=shapes.name("Its name in the pod."),
        resourceClaimName=shapes.text("A ResourceClaim of the namespace, which all pods share."),
        resourceClaimTemplateName=shapes.text("A ResourceClaimTemplate of the namespace: a claim for each pod."),
    ),
    (
        Cel(
            "has(self.resourceClaimName) != has(self.resourceClaimTemplateName)",
            message="set exactly one of resourceClaimName and resourceClaimTemplateName",
        ),
    ),
)

TopologySpreadConstraint: TypeAlias = Annotated[OpaqueObject, WithJsonSchema(SPREAD)]
"""A Kubernetes TopologySpreadConstraint."""
PodResourceClaim: TypeAlias = Annotated[OpaqueObject, WithJsonSchema(RESOURCE_CLAIM)]
"""A Kubernetes PodResourceClaim."""

OUR_LABEL_PREFIXES: Final = ("sluice.dev/", "batch.kubernetes.io/")
OUR_LABELS: Final = (
    "app.kubernetes.io/managed-by", "app.kubernetes.io/name", "controller-revision-hash", "controller-uid", "job-name",
    "pod-template-hash",
)  # fmt: skip
"""Labels by which Sluice and the controllers of Kubernetes find pods."""

PodLabels: TypeAlias = Annotated[
    dict[str, Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]],
    Field(max_length=32),
    Cel(
        f"self.all(key, !(key in {list(OUR_LABELS)}) && "
        + " && ".join(f"!key.startsWith('{prefix}')" for prefix in OUR_LABEL_PREFIXES)
        + ")",
        message=f"{', '.join((*OUR_LABELS, *(f'{prefix}*' for prefix in OUR_LABEL_PREFIXES)))} belong to Sluice and "
        "Kubernetes; use other labels",
    ),
]
"""Labels of pods."""

Affinity: TypeAlias = Annotated[OpaqueObject, WithJsonSchema(AFFINITY)]
"""A Kubernetes Affinity."""
Toleration: TypeAlias = Annotated[OpaqueObject, WithJsonSchema(TOLERATION)]
"""A Kubernetes Toleration."""
EnvVar: TypeAlias = Annotated[OpaqueObject, WithJsonSchema(ENV_VAR)]
"""A Kubernetes EnvVar."""
