"""A format that nothing of the chart runs: kubectl shows a warning, also in a dry run, and nobody's own is refused."""

from typing import Any

import pytest
import yaml

from tests.integration.api import test_manifests
from tests.integration.conftest import REPOSITORY
from tests.support.cases.objects import batch, deployment
from tests.support.live.kube import Kube, wait_until

OWN_MODEL = {"modelDeploymentRef": None, "model": {"format": "onx", "uri": "s3://models/digits/1"}}


def warnings(kube: Kube, given: dict[str, Any]) -> list[str]:
    answer = kube.create(given, dry_run=True).raise_for_status()
    return answer.headers.get_list("Warning")


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(deployment({"model": {"format": "onx"}}, name="typo"), id="ModelDeployment"),
        pytest.param(batch(OWN_MODEL, name="typo"), id="BatchInference"),
    ],
)
def test_a_typo_is_warned_of(installed: Kube, given: dict[str, Any]) -> None:
    wait_until(lambda: bool(warnings(installed, given)))
    (said,) = warnings(installed, given)
    assert "spec.model.format: onx is none of bento, custom, " in said
    assert "it needs a ServingRuntime of your own" in said


@pytest.mark.parametrize("given", [deployment(name="right"), batch(name="right")], ids=["format", "no model"])
def test_what_is_right_is_not(installed: Kube, given: dict[str, Any]) -> None:
    assert warnings(installed, given) == []


def test_every_format_of_the_chart_is_known() -> None:
    """All that its runtimes may run, whether they are installed or not."""
    values = yaml.safe_load((REPOSITORY / "charts/sluice/values.yaml").read_text())
    created = [part for name in values["runtimes"] for part in ("--set", f"runtimes.{name}.create=true")]
    rendered = test_manifests.documents(test_manifests.helm("template", "sluice", "charts/sluice", *created))
    runtimes = [each for each in rendered if each["kind"] == "ServingRuntime"]
    policy = next(each for each in rendered if each["metadata"]["name"] == "sluice-format")
    formats = {entry["name"] for each in runtimes for entry in each["spec"]["formats"]}
    assert len(runtimes) >= len(values["runtimes"])
    assert [name for name in sorted(formats) if f'"{name}"' not in str(policy["spec"]["validations"])] == []
