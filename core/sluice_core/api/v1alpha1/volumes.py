"""Volumes that users give to a model's pods, and where they are mounted; passed through unread, like `podfields`.

What is never allowed is missing from these schemas, and so pruned: tokens and certificates of the pod, volumes of other
namespaces, mount propagation, claims bound to a volume by name. The platform may allow hostPath and csi.
"""

from typing import Annotated, Final, TypeAlias

from pydantic import WithJsonSchema

from sluice_core.api.base import OpaqueObject
from sluice_core.api.v1alpha1 import shapes
from sluice_core.api.v1alpha1.shapes import Schema
from sluice_judge.schema import cel
from sluice_judge.schema.cel import Cel

OUR_VOLUMES: Final = (
    "models", "adapters", "tmp", "shm", "source", "cache", "certificates", "payload",
    "scratch", "input", "output", "executor", "driver-token",
)  # fmt: skip
"""Names of volumes that Sluice adds to pods, including batch inference."""
OUR_PREFIXES: Final = ("source-", "sluice-")
"""Prefixes of adapters' volumes, and of volumes that Sluice may add in future: users' existing volumes keep their
names.
"""
OUR_PATHS: Final = (
    "/models", "/adapters", "/mnt/model", "/mnt/adapters", "/tmp",  # noqa: S108 - of the pod
    "/dev", "/proc", "/sys", "/run/secrets", "/var/run/secrets",
)  # fmt: skip
"""Where a model server finds what Sluice and Kubernetes mount: users mount nothing above or below."""


def is_ours(name: str) -> bool:
    """Whether a volume of this name is Sluice's own."""
    return name in OUR_VOLUMES or name.startswith(OUR_PREFIXES)


VOLUME_SOURCES: Final = (
    "configMap", "csi", "emptyDir", "ephemeral", "hostPath", "persistentVolumeClaim", "projected", "secret",
)  # fmt: skip
PROJECTED_SOURCES: Final = ("configMap", "downwardAPI", "secret")
"""No token of a ServiceAccount and no certificate of the pod: they are identities."""


def _items(description: str) -> Schema:
    item = shapes.fields(
        "One entry.",
        required=("key", "path"),
        key=shapes.text("Its name."),
        path=shapes.text("The file's path.", shapes.LONGEST_PATH),
        mode=shapes.number("The file's permissions."),
    )
    return shapes.listed(description, item)


def _files(description: str, name: str = "name") -> Schema:
    """Entries of a ConfigMap or a Secret. name: the field with its name."""
    files = shapes.fields(
        description,
        items=_items("The entries; default: all."),
        optional=shapes.flag("Whether it may be absent."),
    )
    files["properties"][name] = shapes.text("Its name.")
    return files


def _volume_files(description: str, name: str = "name") -> Schema:
    files = _files(description, name)
    files["properties"]["defaultMode"] = shapes.number("The files' permissions.")
    return files


EPHEMERAL: Final = shapes.fields(
    "A claim created for each pod and deleted with it (Kubernetes EphemeralVolumeSource).",
    required=("volumeClaimTemplate",),
    volumeClaimTemplate=shapes.fields(
        "The claim.",
        required=("spec",),
        spec=shapes.fields(
            "What is claimed.",
            required=("accessModes", "resources"),
            accessModes=shapes.texts("ReadWriteOnce, mostly, or ReadWriteOncePod."),
            storageClassName=shapes.text("The StorageClass; default: the cluster's."),
            resources=shapes.fields(
                "How much.",
                required=("requests",),
                requests=shapes.fields("How much.", required=("storage",), storage=shapes.quantity("Such as 200Gi.")),
            ),
        ),
    ),
)

VOLUME: Final = cel.with_rules(
    shapes.fields(
        "A Kubernetes Volume, of the sources that the restricted Pod Security Standard knows; hostPath and csi only where the "
        "platform allows it.",
        required=("name",),
        name=shapes.name("Its name."),
        configMap=_volume_files("Entries of a ConfigMap."),
        secret=_volume_files("Entries of a Secret.", "secretName"),
        emptyDir=shapes.fields(
            "A folder that is empty at first and deleted with the pod.",
            required=("sizeLimit",),
            medium=shapes.text("Memory, which counts for the container's limit; default: the node's disk."),
            sizeLimit=shapes.quantity("How much it may take; a pod that takes more is evicted."),
        ),
        persistentVolumeClaim=shapes.fields(
            "A PersistentVolumeClaim of the namespace.",
            required=("claimName",),
            claimName=shapes.text("Its name."),
            readOnly=shapes.flag("Whether it is mounted read-only."),
        ),
        ephemeral=EPHEMERAL,
        projected=shapes.fields(
            "Several of these in one folder.",
            defaultMode=shapes.number("The files' permissions."),
            sources=shapes.listed(
                "What is in it.",
                shapes.fields(
                    "One of them.",
                    configMap=_files("Entries of a ConfigMap."),
                    secret=_files("Entries of a Secret."),
                    downwardAPI=shapes.fields(
                        "Fields of the pod.",
                        items=shapes.listed(
                            "The files.",
                            shapes.fields(
                                "One file.",
                                required=("path", "fieldRef"),
                                path=shapes.text("Its path.", shapes.LONGEST_PATH),
                                mode=shapes.number("Its permissions."),
                                fieldRef=shapes.fields(
                                    "The field.",
                                    apiVersion=shapes.text("The version of the pod's API."),
                                    fieldPath=shapes.text("Such as metadata.labels.", shapes.LONGEST_PATH),
                                ),
                            ),
                        ),
                    ),
                ),
                most=16,
            ),
        ),
        csi=shapes.fields(
            "A volume that a CSI driver creates for the pod, if the platform allows this driver (config.allowedVolumes).",
            required=("driver",),
            driver=shapes.text("The driver."),
            readOnly=shapes.flag("Whether it is mounted read-only."),
            fsType=shapes.text("The file system."),
            nodePublishSecretRef=shapes.fields("A Secret for the driver.", name=shapes.text("Its name.")),
            volumeAttributes={
                "type": "object",
                "maxProperties": shapes.LISTED,
                "description": "Attributes for the driver.",
                "additionalProperties": shapes.text("The value.", shapes.LONGEST_PATH),
            },
        ),
        hostPath=shapes.fields(
            "A folder of the node, if the platform allows it (config.allowedVolumes).",
            required=("path",),
            path=shapes.text("The folder.", shapes.LONGEST_PATH),
            type=shapes.text("Directory, DirectoryOrCreate, or empty for no check."),
        ),
    ),
    (
        Cel(
            f"[{', '.join(f'has(self.{source})' for source in VOLUME_SOURCES)}].exists_one(given, given)",
            message=f"set exactly one of {', '.join(VOLUME_SOURCES)}",
        ),
        Cel(
            f"!(self.name in {list(OUR_VOLUMES)}) && "
            + " && ".join(f"!self.name.startsWith('{prefix}')" for prefix in OUR_PREFIXES),
            message=f"{', '.join(OUR_VOLUMES)}, {' and '.join(f'{each}*' for each in OUR_PREFIXES)} are names of Sluice's own volumes: use another one",
            field_path=".name",
        ),
    ),
)

PLAIN_PATH: Final = r"^(/([^/:\s.][^/:\s]*|[.][^/:\s.][^/:\s]*|[.][.][^/:\s]+))+$"
"""An absolute path without `.`, `..`, an empty part, a colon or a trailing slash."""

VOLUME_MOUNT: Final = cel.with_rules(
    shapes.fields(
        "A Kubernetes VolumeMount.",
        required=("name", "mountPath"),
        name=shapes.name("One of spec.volumes."),
        mountPath=shapes.text("The path in the model server's container.", shapes.LONGEST_PATH),
        readOnly=shapes.flag("Whether it is read-only."),
        subPath=shapes.text("The path in the volume; default: the whole volume.", shapes.LONGEST_PATH),
        subPathExpr=shapes.text("The same, with variables of the container as $(NAME).", shapes.LONGEST_PATH),
    ),
    (
        Cel(
            "self.mountPath.matches('{}')".format(PLAIN_PATH.replace("\\", "\\\\")),
            message="must be a path from the root such as /cache, without ., .., //, a colon, or a slash at its end",
            field_path=".mountPath",
        ),
        Cel(
            f"!{list(OUR_PATHS)}.exists(ours, (self.mountPath + '/').startsWith(ours + '/') || "
            "(ours + '/').startsWith(self.mountPath + '/'))",
            message=f"{', '.join(OUR_PATHS)}, what is above and what is below, belong to Sluice and Kubernetes; use another "
            "path (and spec.sharedMemory for /dev/shm, spec.model.volume for /models)",
            field_path=".mountPath",
        ),
    ),
)

Volume: TypeAlias = Annotated[OpaqueObject, WithJsonSchema(VOLUME)]
"""A Kubernetes Volume."""
VolumeMount: TypeAlias = Annotated[OpaqueObject, WithJsonSchema(VOLUME_MOUNT)]
"""A Kubernetes VolumeMount."""
Ephemeral: TypeAlias = Annotated[OpaqueObject, WithJsonSchema(EPHEMERAL)]
"""A Kubernetes EphemeralVolumeSource."""
