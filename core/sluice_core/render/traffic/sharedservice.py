"""The single Service of a model without a gateway (`routing: Service`).

    one version has requests     selector: the model and this revision
    two versions share them      selector: the model; each ready pod has an equal part

A selector cannot express shares: annotations do, for the next reconcile. How close the pods come to them is up to
`capacity`.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from sluice_core.api.base import GROUP
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.kernel import naming, rawobjects
from sluice_core.kernel.snapshot import Object, Paths, Revision
from sluice_core.render import common
from sluice_core.render.traffic import service

ANNOTATION_WEIGHTS: Final = f"{GROUP}/weights"
"""`<revision>=<permille>,…`: the desired shares."""
ANNOTATION_PREVIEW: Final = f"{GROUP}/preview"
"""The revision with a preview under its own Service `<revision>-pre`."""


PERMILLE: Final = re.compile("[0-9]{1,4}")


def hostname(deployment: ModelDeployment) -> str:
    """The model's address within the cluster."""
    return f"{deployment.metadata.name}.{deployment.metadata.namespace}.svc"


def desired_shared_service(deployment: ModelDeployment, paths: Paths, revisions: Iterable[Revision]) -> dict[str, Any]:
    """The Service for these shares; its ports are those of the revision with the largest share, of the remaining ones."""
    known = {revision.name: revision for revision in revisions}
    largest, _ = max((weight for weight in paths.weights if weight[0] in known), key=lambda weight: weight[1])
    taking, *others = selected(paths)
    weights = ",".join(f"{name}={permille}" for name, permille in paths.weights)
    manifest = service.desired_service(known[largest], deployment)
    owner = {naming.LABEL_OWNER: deployment.metadata.name}
    return {
        **manifest,
        "metadata": {
            **common.child_metadata(deployment, deployment.metadata.name),
            "annotations": {ANNOTATION_WEIGHTS: weights}
            | ({ANNOTATION_PREVIEW: paths.preview} if paths.preview is not None else {}),
        },
        "spec": {
            **manifest["spec"],
            "selector": owner if others else {**owner, naming.LABEL_REVISION: taking},
        },
    }


def selected(paths: Paths) -> tuple[str, ...]:
    """The revisions that have requests."""
    return tuple(dict.fromkeys(name for name, permille in paths.weights if permille > 0))


def read_paths(raw: Object) -> Paths:
    """The paths in the annotations of an existing Service; broken ones are restored by the next write."""
    annotations = rawobjects.annotations(raw)
    pairs = (pair.partition("=") for pair in annotations.get(ANNOTATION_WEIGHTS, "").split(",") if pair)
    weights = tuple((name, int(permille)) for name, _, permille in pairs if PERMILLE.fullmatch(permille))
    return Paths(weights, preview=annotations.get(ANNOTATION_PREVIEW))
