"""The Spark operator of the lab: one version, and an image that follows the one with Spark."""

import re
from pathlib import Path

import pytest

from demo import cluster
from lab import baseimages, gotools, images, lifecycle, paths, processes, sparkoperator
from sluice_core.render.jobs import sparkapplication
from tests.unit.lab.test_gateways import stopped_lab
from tests.unit.lab.test_pins import module_version


def test_the_image_is_tagged_with_the_version_that_is_built() -> None:
    assert module_version(sparkoperator.NAME, sparkoperator.MODULE) == f"v{sparkoperator.VERSION}"
    assert gotools.TOOLS[sparkoperator.NAME].on_demand


def test_it_stands_on_the_image_of_the_drivers_with_the_spark_that_they_are_said_to_have() -> None:
    assert cluster.FURTHER_IMAGES["spark"].tag == sparkoperator.IMAGE.base
    requirements = (paths.REPOSITORY / "serving-runtime" / "spark" / "requirements.txt").read_text()
    assert re.search(rf"^pyspark=={re.escape(sparkapplication.SPARK_VERSION)} ", requirements, flags=re.MULTILINE)


def test_the_chart_gets_the_image_in_its_three_parts() -> None:
    values = dict(value.partition("=")[2].split("=") for value in sparkoperator.image_values())
    name = f"{values['image.registry']}/{values['image.repository']}:{values['image.tag']}"
    assert name == sparkoperator.IMAGE.local


def test_it_is_built_anew_when_its_base_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program"
    program.touch()
    built: dict[str, str] = {sparkoperator.SPARK_IMAGE: "one"}
    monkeypatch.setattr(gotools, "program", lambda _: program)
    monkeypatch.setattr(images, "folder", lambda: tmp_path)
    monkeypatch.setattr(images, "inputs_key", lambda tag: built.get(tag, ""))
    monkeypatch.setattr(images, "is_built", lambda tag, key: built.get(tag) == key)
    monkeypatch.setattr(images, "build_as", lambda key, _context, tag, _arguments, **_: built.update({tag: key}))
    baseimages.ensure_program_image(sparkoperator.IMAGE)
    first = built[sparkoperator.IMAGE.local]
    built[sparkoperator.SPARK_IMAGE] = "two"
    baseimages.ensure_program_image(sparkoperator.IMAGE)
    assert built[sparkoperator.IMAGE.local] != first


def test_without_spark_s_image_it_is_said_how_to_build_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "status", stopped_lab("running"))
    monkeypatch.setattr(images, "folder", lambda: tmp_path)
    with pytest.raises(processes.LabError, match=r"serving-runtime/stage\.sh spark"):
        sparkoperator.up()
