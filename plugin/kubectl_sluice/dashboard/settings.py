"""Settings of the page at its start."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import yaml
from pydantic import Field, ValidationError

from sluice_core.adapters import gateways
from sluice_core.api.config import OperatorConfig
from sluice_judge.gateways import UnknownPreset
from sluice_judge.presets import GatewayPreset
from sluice_judge.schema.model import ApiModel

SECURE: Final = "https"


class UnusableSettings(Exception):
    """The page cannot start with these settings; the message says where and what to do."""


class BoardLink(ApiModel):
    """A link to another page about a model."""

    name: str = Field(max_length=80)
    url: str = Field(pattern=r"^https?://", max_length=2000)
    """With `{namespace}`, `{model}` and `{release}` as placeholders."""

    def filled(self, *, namespace: str, model: str, release: str) -> str:
        """The address for one release."""
        values = {"namespace": namespace, "model": model, "release": release}
        url = self.url
        for name, value in values.items():
            url = url.replace(f"{{{name}}}", quote(value, safe=""))
        return url


class DashboardConfig(ApiModel):
    """The file that the chart mounts."""

    url: str = Field(default="", pattern=r"^(https?://[^/]+)?$")
    """The page's public address. With it, other Host headers are refused, and cookies are Secure if it is https."""
    token_header: str = Field(default="", pattern=r"^[A-Za-z0-9-]*$")
    """A header in which a proxy passes on the reader's token, such as X-Forwarded-Access-Token; empty: none is
    trusted."""
    links: list[BoardLink] = Field(default_factory=list, max_length=16)
    """Shown with each release."""
    docs_url: str = Field(default="", pattern=r"^(https?://.+)?$")
    """Where the folder `docs` is published; empty: its pages are named, not linked."""


@dataclass(frozen=True, slots=True)
class DashboardSettings:
    """The file, and the operator's own settings of the surroundings."""

    page: DashboardConfig
    operator: OperatorConfig
    prometheus_credentials: Path | None = None

    @property
    def preset(self) -> GatewayPreset:
        """Raises `UnusableSettings`."""
        try:
            return gateways.preset_of(self.operator)
        except UnknownPreset as error:
            raise UnusableSettings(str(error)) from None

    @property
    def host(self) -> str:
        """The only accepted Host header; empty: any."""
        return urlsplit(self.page.url).netloc

    @property
    def secure(self) -> bool:
        """Whether readers come by https."""
        return urlsplit(self.page.url).scheme == SECURE


def read(path: Path, model: type[ApiModel]) -> Any:
    """A file of settings; raises `UnusableSettings`."""
    try:
        raw = yaml.safe_load(path.read_text()) or {}
        return model.model_validate(raw)
    except OSError as error:
        raise UnusableSettings(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValidationError) as error:
        raise UnusableSettings(f"{path}: {error}") from error
