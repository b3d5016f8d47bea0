"""A ServingRuntime with a placeholder that does not exist is refused: kstatus would call it good, for it has no status."""

import re
from typing import Any

import pytest

from sluice_core.render.pod import podtemplate
from tests.integration.api import test_manifests
from tests.support.cases import builders
from tests.support.cases.objects import runtime
from tests.support.live.kube import Kube, wait_until

SERVER = {"name": "server", "image": "server:1"}
UNKNOWN = [
    pytest.param({"containers": [{**SERVER, "args": ["--model={{model.pth}}"]}]}, "{{model.pth}}", id="an argument"),
    pytest.param({"containers": [{**SERVER, "command": ["sh", "-c", "{{ .Path }}"]}]}, "{{ .Path }}", id="a command"),
    pytest.param(
        {"containers": [{**SERVER, "env": [{"name": "A", "value": "{{modelpath}}"}]}]}, "{{modelpath}}", id="a variable"
    ),
    pytest.param(
        {"containers": [SERVER], "initContainers": [{**SERVER, "name": "first", "args": ["{{x}}"]}]},
        "{{x}}",
        id="an init container",
    ),
]
KNOWN = {"containers": [{**SERVER, "args": ["{{model.path}}", "{{ port }}", '{"a":{"b":1}}', "{{"]}]}


@pytest.mark.parametrize(("spec", "said"), UNKNOWN)
def test_an_unknown_placeholder_is_refused(installed: Kube, spec: dict[str, Any], said: str) -> None:
    given = runtime(spec, name="typo")
    wait_until(lambda: installed.create(given, dry_run=True).status_code == 422)
    message = installed.create(given, dry_run=True).json()["message"]
    assert f"spec.containers: unknown placeholder {said}; use one of {{{{accelerator.count}}}}, " in message


def test_those_that_are_filled_in_are_taken(installed: Kube) -> None:
    installed.create(runtime(KNOWN, name="right"), dry_run=True).raise_for_status()


def test_the_policy_knows_those_of_the_renderer() -> None:
    rendered = test_manifests.documents(test_manifests.helm("template", "sluice", "charts/sluice"))
    policy = next(each for each in rendered if each["metadata"]["name"] == "sluice-placeholders")
    deployment = builders.make_model_deployment()
    known = podtemplate.placeholder_values(deployment, builders.make_runtime().spec, "digits-1")
    said = policy["spec"]["validations"][0]["messageExpression"]
    (matched,) = re.findall(r"\((accelerator.*?)\)", str(policy["spec"]["variables"]))
    assert re.findall(r"\{\{(.*?)\}\}", said) == sorted(known)
    assert matched.replace("[.]", ".").split("|") == sorted(known)
