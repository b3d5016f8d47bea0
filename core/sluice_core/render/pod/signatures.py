"""The signatures that a model needs, as arguments of its downloader (`config.verification`, `spec.model.verify`).

    config.verification  the entry that names the namespace, otherwise the one with `*`
    spec.model.verify    one requirement more; without keys of its own, by the keys of the platform

The requirements are pinned with the revision, in the arguments of its init containers, out of a tenant's reach.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sluice_core.api.config import EVERYTHING, OperatorConfig, VerificationGrant
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.verification import ModelVerification, SignatureTrust, VerificationMode
from sluice_core.render.pod import formats, podnames

ARGUMENT: Final = "--verification"
PLATFORM: Final = "config.verification"
SPEC: Final = "spec.model.verify"


def policy(namespace: str, config: OperatorConfig) -> VerificationGrant | None:
    """The platform's requirement for the models of a namespace; None: none."""
    named = next((each for each in config.verification if namespace in each.namespaces), None)
    found = named or next((each for each in config.verification if EVERYTHING in each.namespaces), None)
    return None if found is None or found.mode is VerificationMode.OFF else found


def arguments(deployment: ModelDeployment, config: OperatorConfig, *, adapter: bool = False) -> dict[str, str]:
    """A downloader's arguments; none if nothing is required. adapter: whether it fetches one, with its own name."""
    platform, own = policy(deployment.metadata.namespace, config), deployment.spec.model.verify
    wanted = [] if platform is None else [_platform(platform)]
    if own is not None and own.mode is not VerificationMode.OFF:
        trust = own if own.names_somebody or platform is None else platform
        wanted.append(_requirement(SPEC, own.mode, trust, {} if adapter else _what(own)))
    return {ARGUMENT: _text(wanted)} if wanted else {}


def fetched(deployment: ModelDeployment, config: OperatorConfig) -> OperatorConfig:
    """The configuration for its pod: an image that the node mounts cannot be verified."""
    if not config.storage_initializer.image_volumes or not arguments(deployment, config):
        return config
    initializer = config.storage_initializer.model_copy(update={"image_volumes": False})
    return config.model_copy(update={"storage_initializer": initializer})


def problem(deployment: ModelDeployment, config: OperatorConfig) -> str:
    """Why a model cannot be verified as required, and what to do; empty: it can."""
    namespace, model = deployment.metadata.namespace, deployment.spec.model
    platform, own = policy(namespace, config), model.verify
    if own is not None and own.mode is not VerificationMode.OFF and platform is None and not own.names_somebody:
        return f"{SPEC}: it names no signer; set publicKeys, or identities with authorities or trustedRoot"
    if own is not None and own.mode is VerificationMode.ENFORCE and model.uri is None:
        return f"{SPEC}: the server's image carries the model, and nobody verifies it there; set spec.model.uri"
    if platform is None or platform.mode is not VerificationMode.ENFORCE:
        return ""
    if model.uri is None:
        return (
            f"spec.model.uri: models of namespace {namespace} must be signed, and nobody verifies one that its server's image "
            "carries; set uri"
        )
    brought = [*(["spec.model.format"] if model.format == formats.CUSTOM else []), *formats.brought(deployment)]
    if brought and formats.CUSTOM not in formats.named(namespace, config):
        return (
            f"{brought[0]}: models of namespace {namespace} must be signed, and what a spec adds to its server can serve "
            f"anything else; remove it, or have the platform name format {formats.CUSTOM} for the namespace in "
            "config.allowedFormats"
        )
    return ""


def pinned_problem(template: Mapping[str, Any], namespace: str, config: OperatorConfig) -> str:
    """Why a revision may not begin to serve again; empty: its pods verify what the platform requires today."""
    platform = policy(namespace, config)
    if platform is None or platform.mode is not VerificationMode.ENFORCE:
        return ""
    fetching = [
        each.get("args") or () for each in template["spec"].get("initContainers", ()) if podnames.field_of(each["name"])
    ]
    if fetching and all(_meets(each, platform) for each in fetching):
        return ""
    return (
        f"its pods do not verify what {PLATFORM} wants of namespace {namespace} today; change spec.model, so that a new "
        "revision is made"
    )


def _meets(given: Sequence[str], platform: VerificationGrant) -> bool:
    said = dict(itertools.pairwise(given)).get(ARGUMENT, "[]")
    return _platform(platform) in json.loads(said.replace("$$", "$"))


def _platform(grant: VerificationGrant) -> dict[str, Any]:
    return _requirement(PLATFORM, grant.mode, grant, {})


def _what(own: ModelVerification) -> dict[str, str]:
    return {key: value for key, value in (("name", own.name), ("digest", own.digest)) if value is not None}


def _requirement(by: str, mode: VerificationMode, trust: SignatureTrust, what: Mapping[str, str]) -> dict[str, Any]:
    signers: dict[str, Any] = {
        "publicKeys": trust.public_keys,
        "authorities": trust.authorities,
        "identities": [each.to_wire() for each in trust.identities],
    }
    if trust.trusted_root is not None:
        signers["trustedRoot"] = json.loads(trust.trusted_root)
    return {"by": by, "mode": str(mode), "trust": signers, **what}


def _text(wanted: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(wanted, sort_keys=True, separators=(",", ":"))
