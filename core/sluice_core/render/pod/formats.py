"""Which formats of models a namespace may have (`config.allowedFormats`).

A model of most formats is a program, by whoever made the file: its server runs it when it loads it. So is what a spec adds
to its server, an image, arguments, variables or files (volumeMounts), whatever the format is called: they count as format
custom.
"""

from typing import Final

from sluice_core.api.config import EVERYTHING, OperatorConfig
from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment

CUSTOM: Final = "custom"


def named(namespace: str, config: OperatorConfig) -> frozenset[str]:
    """The formats that models of a namespace may have; `*`: any."""
    return frozenset(name for each in config.allowed_formats if each.is_for(namespace) for name in each.formats)


def held(namespace: str, config: OperatorConfig) -> bool:
    """Whether some format is not allowed there, so that a model must be of the format that it is said to be."""
    return EVERYTHING not in named(namespace, config)


def problem(deployment: ModelDeployment, config: OperatorConfig) -> str:
    """What of a model its namespace may not have, and what to do; empty: nothing."""
    namespace = deployment.metadata.namespace
    may = named(namespace, config)
    if EVERYTHING in may:
        return ""
    wanted = deployment.spec.model.format
    if wanted not in may:
        return _refusal("spec.model.format", wanted, namespace, may)
    fields = brought(deployment)
    if fields and CUSTOM not in may:
        return _refusal(f"{fields[0]} counts as format {CUSTOM}", CUSTOM, namespace, may)
    return ""


def brought(deployment: ModelDeployment) -> list[str]:
    """The fields of a spec that add something of its own to the server."""
    runtime = deployment.spec.runtime
    added = runtime.model_dump(include={"image", "args", "env"}, exclude_defaults=True) if runtime is not None else {}
    return [
        *(f"spec.runtime.{name}" for name in added),
        *(["spec.volumeMounts"] * bool(deployment.spec.volume_mounts)),
    ]


def pinned_problem(wanted: str, *, own_image: bool, namespace: str, config: OperatorConfig) -> str:
    """The same of a revision. own_image: whether it has not its ServingRuntime's image."""
    may = named(namespace, config)
    for name in (wanted, *([CUSTOM] if own_image else [])):
        if not {EVERYTHING, name} & may:
            return _refusal("its model", name, namespace, may)
    return ""


def _refusal(what: str, wanted: str, namespace: str, may: frozenset[str]) -> str:
    usable = f"use {' or '.join(sorted(may))}" if may else "it may use none"
    return (
        f"{what}: models of namespace {namespace} may not be of format {wanted!r}; {usable}, or have the platform add it "
        "to config.allowedFormats"
    )
