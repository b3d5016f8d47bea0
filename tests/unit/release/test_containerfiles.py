"""What a package manager writes down while an image is built differs each time."""

import re

import pytest

from release import images
from release.source import ROOT

LEFT = ("/var/lib/apt/lists/*", "/var/cache/apt/*", "/var/cache/ldconfig/*", "/var/log/*")


@pytest.mark.parametrize("recipe", images.recipes(ROOT).values(), ids=lambda recipe: recipe.name)
def test_an_image_keeps_no_log_of_its_build(recipe: images.Recipe) -> None:
    text = (ROOT / recipe.containerfile).read_text()
    for step in re.findall(r"^RUN (?:.*\\\n|\s*#.*\n)*.*$", text, re.MULTILINE):
        if "apt-get install" in step:
            assert [path for path in LEFT if path not in step.partition("rm -rf")[2]] == []
