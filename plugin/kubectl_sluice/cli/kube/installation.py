"""Where the operator is installed, and which of its settings apply here.

A tenant may label objects as the operator's. So the first in sort order is never just taken:

    what                          the namespace is named    one candidate in the cluster    candidates in several namespaces
    addresses, presets, defaults  taken                     taken                           an error that lists them
    where credentials go, images  taken                     not taken                       an error that lists them
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import yaml
from pydantic import ValidationError

from kubectl_sluice.adapters import kubectl
from kubectl_sluice.cli.console import Failure
from sluice_core import errors
from sluice_core.adapters import kinds
from sluice_core.adapters.kinds import Resource
from sluice_core.api.reach import Reach
from sluice_core.kernel import rawobjects
from sluice_core.kernel.rawobjects import Object

if TYPE_CHECKING:
    from sluice_core.api.config import OperatorConfig

SELECTOR: Final = "app.kubernetes.io/name=sluice,app.kubernetes.io/part-of=sluice"
"""Finds the operator's Deployment, whatever its Helm release and namespace are called."""
CONFIG_MAPS: Final = Resource("v1", "ConfigMap", "configmaps")
CONFIG_VOLUME: Final = "config"
CONFIG_KEY: Final = "config.yaml"
NAME_IT: Final = "--operator-namespace NAMESPACE, or SLUICE_OPERATOR_NAMESPACE"
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, if present, is ten times as fast
_Part = TypeVar("_Part", bound=Reach)


class Installation(NamedTuple):
    """An operator, as far as it is visible from here."""

    named: bool = False
    """Whether the user named its namespace."""
    place: str = ""
    """Namespace and name of its Deployment; empty: none is visible."""
    raw: Object | None = None
    """Its configuration; None: it cannot be read."""

    def part(self, part: type[_Part]) -> _Part:
        """A part of the configuration; the defaults where it cannot be read."""
        try:
            return part.model_validate(self.raw or {})
        except ValidationError:
            return part()

    @property
    def config(self) -> "OperatorConfig":
        from sluice_core.api.config import OperatorConfig  # thirty models, and most commands need only `Reach`

        return self.part(OperatorConfig)


async def fetch(api: kubectl.Kubectl) -> Installation:
    """The cluster's operator, or the one in the namespace that the user named. Raises `Failure`."""
    named = bool(api.operator_namespace)
    try:
        deployments = await fetch_deployments(api)
        configs = [(each, await _config(api, each)) for each in deployments]
    except errors.Denied as error:
        if named:
            raise Failure(f"--operator-namespace: {error}") from error
        return Installation()
    if not configs:
        return Installation()
    deployment, raw = min(configs, key=lambda each: _is_for_others(each[1], api.namespace))
    return Installation(named, _place(deployment), raw)


async def fetch_deployments(api: kubectl.Kubectl) -> tuple[Object, ...]:
    """The operator's Deployments, all of one namespace. Raises `Failure`, and `Denied`."""
    namespace = api.operator_namespace
    listed = await api.fetch_all(kinds.BY_KIND["Deployment"], namespace=namespace, selector=SELECTOR)
    deployments = tuple(each for each in listed if _config_map(each))
    if namespace and not deployments:
        raise Failure(f"--operator-namespace: there is no Deployment of the operator in {namespace!r} ({SELECTOR})")
    if len({rawobjects.namespace(each) for each in deployments}) > 1:
        raise Failure(
            f"several Deployments say that they are the operator: {', '.join(map(_place, deployments))}; name the "
            f"namespace of the one that you trust: {NAME_IT}"
        )
    return deployments


async def _config(api: kubectl.Kubectl, deployment: Object) -> Object | None:
    """The operator's configuration; None where it is missing. `Denied` where it may not be read."""
    try:
        found = await api.fetch(CONFIG_MAPS, rawobjects.namespace(deployment), _config_map(deployment))
        loaded = yaml.load((found.get("data") or {}).get(CONFIG_KEY) or "", _LOADER)  # noqa: S506 - safe
    except (errors.Missing, yaml.YAMLError):
        return None
    return loaded if isinstance(loaded, Mapping) else None


def _config_map(deployment: Object) -> str:
    """The ConfigMap that the pods mount as configuration; empty: none."""
    volumes: list[Any] = deployment["spec"]["template"]["spec"].get("volumes") or []
    return next((v["configMap"]["name"] for v in volumes if v["name"] == CONFIG_VOLUME and v.get("configMap")), "")


def _is_for_others(config: Object | None, namespace: str) -> bool:
    namespaces = (config or {}).get("watchNamespaces") or ()
    return bool(namespaces) and namespace not in namespaces


def _place(deployment: Object) -> str:
    return f"{rawobjects.namespace(deployment)}/{rawobjects.name(deployment)}"
