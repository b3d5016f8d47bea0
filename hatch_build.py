"""What the operator's distribution requires of this repository: by path from a checkout, so that `pip install .` finds it, and
by version from a release, where SLUICE_RELEASE is set."""

import os
import tomllib
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class Siblings(MetadataHookInterface):
    """Completes `dependencies` by the folders that `siblings` names, and makes an extra of each folder in `extras`."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        siblings = [self._requirement(Path(self.root) / folder) for folder in self.config["siblings"]]
        metadata["dependencies"] = [*self.config["dependencies"], *siblings]
        extras = self.config["extras"].items()
        metadata["optional-dependencies"] = {name: [self._requirement(Path(self.root) / home)] for name, home in extras}

    def _requirement(self, folder: Path) -> str:
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        if "SLUICE_RELEASE" in os.environ:
            return f"{project['name']}=={project['version']}"
        return f"{project['name']} @ {folder.as_uri()}"
