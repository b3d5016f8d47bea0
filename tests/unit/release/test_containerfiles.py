"""What a package manager writes down while an image is built differs each time."""

import re

import pytest

from release import images
from release.source import ROOT

LEFT = ("/var/lib/apt/lists/*", "/var/cache/apt/*", "/var/cache/ldconfig/*", "/var/log/*")


every_image = pytest.mark.parametrize("recipe", images.recipes(ROOT).values(), ids=lambda recipe: recipe.name)


def steps(recipe: images.Recipe) -> list[str]:
    """Those that install something."""
    text = (ROOT / recipe.containerfile).read_text()
    found = re.findall(r"^RUN (?:.*\\\n|\s*#.*\n)*.*$", text, re.MULTILINE)
    return [step for step in found if "apt-get install" in step]


@every_image
def test_an_image_keeps_no_log_of_its_build(recipe: images.Recipe) -> None:
    for step in steps(recipe):
        assert [path for path in LEFT if path not in step.partition("rm -rf")[2]] == []


@every_image
def test_an_image_has_no_keystore_with_the_time_of_its_build(recipe: images.Recipe) -> None:
    """What installs Java writes /etc/ssl/certs/java/cacerts, with a date for each authority."""
    for step in steps(recipe):
        after_java = step.partition("openjdk-")[2]
        assert not after_java or re.search(
            r"SOURCE_DATE_EPOCH=\d+ trust extract .*/etc/ssl/certs/java/cacerts", after_java
        )
