"""A bill of materials of the serving version: model, adapters, server image, validation data, and signers.

CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/), from the cluster's objects: the pinned revision, the records of
the releases, and the signatures that the pods verified. Unknown facts are left out.
"""

import itertools
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sluice_core.api.v1alpha1 import sources
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout, Outcome
from sluice_core.api.v1alpha1.verification import VerificationStatus
from sluice_core.kernel.snapshot import Revision
from sluice_core.render.pod import podnames

NAMES: Final = uuid.UUID("6f0f1f0e-8a5c-5d55-9a3e-2b3f2c1d4e5f")
"""The namespace of the serial numbers: the same content has the same one."""
PREFIX: Final = "sluice.dev"
SHA256: Final = "sha256:"


def bom(deployment: ModelDeployment, rollouts: Sequence[ModelRollout], revision: Revision) -> dict[str, Any]:
    """The document of a revision that serves. rollouts: of the model, in any order."""
    stable = deployment.status.stable
    verification = stable.verification if stable is not None and stable.revision == revision.name else None
    release = _release(rollouts, revision)
    parts = [
        *_fetched(deployment, revision, verification, release),
        *_images(revision),
    ]
    this = {
        "type": "application",
        "bom-ref": revision.name,
        "name": deployment.metadata.name,
        "group": deployment.metadata.namespace,
        "version": revision.name,
    }
    found: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": this | _properties(release=release.metadata.name if release is not None else "")},
        "components": parts,
        "dependencies": [{"ref": revision.name, "dependsOn": [part["bom-ref"] for part in parts]}],
    }
    return {**found, "serialNumber": f"urn:uuid:{uuid.uuid5(NAMES, repr(found))}"}


def _release(rollouts: Sequence[ModelRollout], revision: Revision) -> ModelRollout | None:
    """The newest release that brought a revision to serve."""
    promoted = [
        each
        for each in rollouts
        if each.status.outcome is Outcome.PROMOTED
        and (each.status.winner or each.spec.target.revision) == revision.name
    ]
    return max(promoted, key=lambda each: each.spec.sequence, default=None)


def _fetched(
    deployment: ModelDeployment,
    revision: Revision,
    verification: VerificationStatus | None,
    release: ModelRollout | None,
) -> Iterator[dict[str, Any]]:
    """The downloads of init containers: the model first."""
    for container in revision.template["spec"].get("initContainers") or ():
        field = podnames.field_of(str(container.get("name")))
        arguments: list[str] = container.get("args") or []
        said = {name: value.replace("$$", "$") for name, value in itertools.pairwise(arguments)}
        if field == podnames.MODEL_FIELD:
            yield _model(deployment, revision, said, verification, release)
        elif field:
            yield _component("machine-learning-model", field, said["--destination"].rpartition("/")[2], said)


def _model(
    deployment: ModelDeployment,
    revision: Revision,
    said: Mapping[str, str],
    verification: VerificationStatus | None,
    release: ModelRollout | None,
) -> dict[str, Any]:
    name = revision.served.name if revision.served is not None else deployment.metadata.name
    digest = verification.digest if verification is not None else ""
    card: dict[str, Any] = {}
    batch = release.spec.validation.batch if release is not None and release.spec.validation is not None else None
    if batch is not None:
        data = {"type": "dataset", "name": "validation", "contents": {"url": batch.input.uri}}
        card = {"modelCard": {"modelParameters": {"datasets": [data]}}}
    return {
        **_component("machine-learning-model", "model", name, said, digest),
        **({"version": revision.model_version} if revision.model_version else {}),
        **card,
        **_properties(
            registry=revision.uri if revision.resolved is not None else "",
            format=revision.served.format if revision.served is not None else "",
            verified="" if verification is None else str(verification.verified).lower(),
            signer=verification.signer if verification is not None else "",
            verifiedAt=(verification.time or "") if verification is not None else "",
        ),
    }


def _component(kind: str, ref: str, name: str, said: Mapping[str, str], digest: str = "") -> dict[str, Any]:
    uri = said.get("--uri", "")
    sha256 = digest or said.get("--sha256") or uri.partition(f"@{SHA256}")[2]
    return {
        "type": kind,
        "bom-ref": ref,
        "name": name,
        **({"hashes": [{"alg": "SHA-256", "content": sha256.removeprefix(SHA256)}]} if sha256 else {}),
        "externalReferences": [{"type": "distribution", "url": sources.shown(uri)}],
    }


def _images(revision: Revision) -> Iterator[dict[str, Any]]:
    """The images of the servers, each once."""
    images = [str(each["image"]) for each in revision.template["spec"]["containers"]]
    for image in dict.fromkeys(images):
        name, _, digest = image.partition(f"@{SHA256}")
        yield {
            "type": "container",
            "bom-ref": image,
            "name": name,
            **({"hashes": [{"alg": "SHA-256", "content": digest}]} if digest else {}),
        }


def _properties(**values: str) -> dict[str, Any]:
    listed = [{"name": f"{PREFIX}:{name}", "value": value} for name, value in values.items() if value]
    return {"properties": listed} if listed else {}
