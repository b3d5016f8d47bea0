"""Commands for a person to paste anywhere: each names its namespace, and is quoted for a shell."""

import shlex

from sluice_core.api.v1alpha1.modelrollout import ModelRollout


def sluice(command: str, *arguments: str, namespace: str) -> str:
    """`kubectl sluice status digits -n team`."""
    return kubectl("sluice", command, *arguments, namespace=namespace)


def kubectl(*arguments: str, namespace: str) -> str:
    """`kubectl logs digits-0 -n team`."""
    return shlex.join(("kubectl", *arguments, "-n", namespace))


def for_release(rollout: ModelRollout, command: str, *arguments: str) -> str:
    """The command about a release's model."""
    return sluice(command, rollout.spec.model_deployment, *arguments, namespace=rollout.metadata.namespace)


def filled(text: str, *, name: str, namespace: str) -> str:
    """A text with `{retry}`, `{status}` and the like as commands about a model; with `{name}`, and with `{n}` for its
    namespace after another command."""
    return text.format_map(_Words(name=name, n=shlex.join(("-n", namespace)), namespace=namespace))


class _Words(dict[str, str]):
    def __missing__(self, command: str) -> str:
        return sluice(command, self["name"], namespace=self["namespace"])
