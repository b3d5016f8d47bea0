"""Fields of a pod that users write as Kubernetes has them: passed through unread, but typed and bounded in the CRD.

The API server prunes what these schemas do not name, so nothing of another shape, and nothing nested any deeper, is
stored. In memory they stay plain objects: what is passed on, and so the hash of a revision, is what was written. Which
values make sense is left to the API server when it checks the pod.
"""

from typing import Annotated, Any, Final, TypeAlias

from pydantic import WithJsonSchema

from sluice.api.base import QUANTITY, OpaqueObject

Schema: TypeAlias = dict[str, Any]

LONGEST_NAME: Final = 253
LONGEST_KEY: Final = 317
"""Of a label: a prefix of 253, a slash and 63."""
LONGEST_PATH: Final = 1024
LONGEST_VALUE: Final = 32_768
"""Of an environment variable."""
LISTED: Final = 64
"""Entries of a list that people write by hand."""
VALUES: Final = 512
"""Values of one requirement, such as names of nodes."""


def _text(description: str, longest: int = LONGEST_NAME) -> Schema:
    return {"type": "string", "maxLength": longest, "description": description}


def _number(description: str) -> Schema:
    return {"type": "integer", "description": description}


def _flag(description: str) -> Schema:
    return {"type": "boolean", "description": description}


def _object(description: str, *, required: tuple[str, ...] = (), **fields: Schema) -> Schema:
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "description": description, "properties": fields, **needed}


def _list(description: str, item: Schema, most: int = LISTED) -> Schema:
    return {"type": "array", "maxItems": most, "description": description, "items": item}


def _texts(description: str, most: int = LISTED) -> Schema:
    return _list(description, _text("One of them.", LONGEST_KEY), most)


def _requirements(description: str) -> Schema:
    requirement = _object(
        "One requirement.",
        key=_text("The label or field.", LONGEST_KEY),
        operator=_text("In, NotIn, Exists or DoesNotExist; for nodes also Gt and Lt."),
        values=_texts("What its value is compared with.", VALUES),
    )
    return _list(description, requirement)


def _label_selector(description: str) -> Schema:
    labels = {
        "type": "object",
        "maxProperties": LISTED,
        "description": "Labels with exactly these values.",
        "additionalProperties": _text("The value."),
    }
    return _object(description, matchLabels=labels, matchExpressions=_requirements("Requirements of labels."))


def _node_selector_term(description: str) -> Schema:
    return _object(
        description,
        matchExpressions=_requirements("Requirements of the node's labels."),
        matchFields=_requirements("Requirements of the node's fields."),
    )


def _pod_term(description: str) -> Schema:
    return _object(
        description,
        labelSelector=_label_selector("Which pods."),
        namespaceSelector=_label_selector("In which namespaces, by their labels."),
        namespaces=_texts("In which namespaces, by name."),
        topologyKey=_text("The label of nodes that makes a place.", LONGEST_KEY),
        matchLabelKeys=_texts("Labels whose values are those of the pod itself."),
        mismatchLabelKeys=_texts("Labels whose values are not those of the pod itself."),
    )


def _preferred(term: str, preference: Schema) -> Schema:
    entry = _object("One preference.", weight=_number("How much it counts, from 1 to 100."))
    entry["properties"][term] = preference
    return _list("What the scheduler prefers.", entry)


def _pod_affinity(description: str) -> Schema:
    return _object(
        description,
        requiredDuringSchedulingIgnoredDuringExecution=_list("What must hold.", _pod_term("One of these terms.")),
        preferredDuringSchedulingIgnoredDuringExecution=_preferred("podAffinityTerm", _pod_term("What is preferred.")),
    )


AFFINITY: Final = _object(
    "Scheduling affinity (Kubernetes Affinity).",
    nodeAffinity=_object(
        "Which nodes.",
        requiredDuringSchedulingIgnoredDuringExecution=_object(
            "What must hold.",
            nodeSelectorTerms=_list("One of these terms is enough.", _node_selector_term("A term.")),
        ),
        preferredDuringSchedulingIgnoredDuringExecution=_preferred(
            "preference", _node_selector_term("What is preferred.")
        ),
    ),
    podAffinity=_pod_affinity("Near which pods."),
    podAntiAffinity=_pod_affinity("Away from which pods."),
)

TOLERATION: Final = _object(
    "A Kubernetes Toleration.",
    key=_text("The taint's key.", LONGEST_KEY),
    operator=_text("Equal, the default, or Exists."),
    value=_text("The taint's value."),
    effect=_text("NoSchedule, PreferNoSchedule or NoExecute; default: all of them."),
    tolerationSeconds=_number("For how long NoExecute is tolerated; default: always."),
)


def _key_of(description: str) -> Schema:
    return _object(
        description,
        name=_text("Its name."),
        key=_text("The entry."),
        optional=_flag("Whether it may be absent."),
    )


ENV_VAR: Final = _object(
    "A Kubernetes EnvVar.",
    required=("name",),
    name={**_text("Name of the variable."), "minLength": 1},
    value=_text("Its value.", LONGEST_VALUE),
    valueFrom=_object(
        "Where its value comes from.",
        configMapKeyRef=_key_of("An entry of a ConfigMap."),
        secretKeyRef=_key_of("An entry of a Secret."),
        fieldRef=_object(
            "A field of the pod.",
            apiVersion=_text("The version of the pod's API."),
            fieldPath=_text("The field, such as status.podIP.", LONGEST_PATH),
        ),
        resourceFieldRef=_object(
            "What a container may take.",
            containerName=_text("The container."),
            resource=_text("The resource, such as limits.memory."),
            divisor={
                "x-kubernetes-int-or-string": True,
                "maxLength": 32,
                "pattern": QUANTITY,
                "description": "The unit of the value.",
            },
        ),
        fileKeyRef=_object(
            "An entry of a file.",
            volumeName=_text("The volume with the file."),
            path=_text("The file in the volume.", LONGEST_PATH),
            key=_text("The entry."),
            optional=_flag("Whether it may be absent."),
        ),
    ),
)

Affinity: TypeAlias = Annotated[OpaqueObject, WithJsonSchema(AFFINITY)]
"""A Kubernetes Affinity."""
Toleration: TypeAlias = Annotated[OpaqueObject, WithJsonSchema(TOLERATION)]
"""A Kubernetes Toleration."""
EnvVar: TypeAlias = Annotated[OpaqueObject, WithJsonSchema(ENV_VAR)]
"""A Kubernetes EnvVar."""
