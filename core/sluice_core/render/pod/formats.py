"""The model formats that a namespace may use (`config.allowedFormats`).

A model of most formats is a program by the file's author, which its server runs when it loads it. So is what a spec
adds to its server (an image, arguments, variables or files by volumeMounts), whatever the format: these count as format
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
    """Whether some format is not allowed there, so that a model must really have its declared format."""
    return EVERYTHING not in named(namespace, config)


def problem(deployment: ModelDeployment, config: OperatorConfig) -> str:
    """What the namespace may not use in a model, and what to do; empty: nothing."""
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
    """The spec fields that add something of their own to the server."""
    runtime = deployment.spec.runtime
    added = runtime.model_dump(include={"image", "args", "env"}, exclude_defaults=True) if runtime is not None else {}
    return [
        *(f"spec.runtime.{name}" for name in added),
        *(["spec.volumeMounts"] * bool(deployment.spec.volume_mounts)),
    ]


def pinned_problem(wanted: str, *, own_image: bool, namespace: str, config: OperatorConfig) -> str:
    """The same for a revision. own_image: whether its image differs from its ServingRuntime's."""
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
