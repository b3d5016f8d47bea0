"""The operator's configuration and the chart's values are the same thing said twice."""

import json
from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml

from sluice_core.api.config import MOST_NAMESPACES, OperatorConfig, VerificationGrant, without_credentials
from sluice_core.api.v1alpha1.rolloutpolicy import RolloutPolicySpec

CHART = Path(__file__).resolve().parents[4] / "charts" / "sluice"
SCHEMA = CHART / "values.schema.json"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())


def test_chart_writes_the_defaults() -> None:
    assert OperatorConfig.model_validate(VALUES["config"]) == OperatorConfig()


def test_chart_names_no_field_that_does_not_exist() -> None:
    assert set(VALUES["config"]) <= set(OperatorConfig().model_dump(by_alias=True))


def test_default_policy_of_the_chart_parses() -> None:
    policy = RolloutPolicySpec.model_validate(VALUES["defaultPolicy"]["spec"])
    assert [objective.name for objective in policy.objectives] == ["errors", "rejections", "latency"]


def test_streaming_policy_of_the_chart_judges_what_a_reader_feels() -> None:
    policy = RolloutPolicySpec.model_validate(VALUES["defaultPolicy"]["streamingSpec"])
    assert [each.latency.measure for each in policy.objectives if each.latency] == [
        "TimeToFirstToken",
        "InterTokenLatency",
    ]
    assert [each.name for each in policy.objectives if not each.required] == ["broken-streams"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("watchNamespaces", ["a", "a"]),
        ("watchNamespaces", ["No"]),
        ("prometheusUrl", "prometheus:9090"),
        ("prometheusSecretName", "a/b"),
        ("kedaPrometheusUrl", "prometheus:9090"),
        ("historyLimit", 0),
        ("logLevel", "LOUD"),
        ("gateway", {"name": "models"}),
        ("gatewaySeries", {"job": 'envoy"} or up{job="x'}),
        ("gatewaySeries", {'job="envoy"} or up{x': "y"}),
        ("gatewaySeries", {"job": "{service}"}),
        ("gatewaySeries", {"job": "envoy\\"}),
        ("gatewaySeries", {"job": ""}),
        ("queryNamespaceLabel", 'a="b"} or up{c'),
        ("allowedFormats", [{"namespaces": ["a"], "formats": []}]),
        ("allowedFormats", [{"namespaces": ["a"], "formats": ["ONNX"]}]),
        ("allowedFormats", [{"namespaces": [], "formats": ["onnx"]}]),
        ("allowedAddresses", [{"namespaces": []}]),
        ("allowedAddresses", [{"namespaces": ["shop"], "hostnames": ["a.*.example.com"]}]),
        ("allowedAddresses", [{"namespaces": ["shop"], "hostnames": ["*example.com"]}]),
        ("allowedAddresses", [{"namespaces": ["shop"], "gateways": ["edge"]}]),
        ("allowedAddresses", [{"namespaces": ["shop"], "gateways": ["*/edge"]}]),
    ],
)
def test_mistake_names_its_field(field: str, value: Any) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        OperatorConfig.model_validate({field: value})
    assert caught.value.errors()[0]["loc"][0] == field


def test_too_many_namespaces_have_a_remedy() -> None:
    most = [f"team-{number}" for number in range(MOST_NAMESPACES)]
    assert OperatorConfig(watch_namespaces=most).watch_namespaces == most
    with pytest.raises(pydantic.ValidationError, match=r"at most 30 namespaces, not 31.*leave the list empty"):
        OperatorConfig(watch_namespaces=[*most, "another"])


def test_the_chart_takes_as_many_namespaces_as_the_operator() -> None:
    schema = json.loads(SCHEMA.read_text())["properties"]["config"]["properties"]["watchNamespaces"]
    assert schema["maxItems"] == MOST_NAMESPACES


def test_the_chart_takes_the_signers_that_the_operator_takes() -> None:
    """A key that is none is refused before the operator is replaced by one that does not start."""
    chart = json.loads(SCHEMA.read_text())["properties"]["config"]["properties"]["verification"]["items"]
    operator = VerificationGrant.model_json_schema()
    assert limits(chart["properties"]) == limits(operator["properties"])
    identity = chart["properties"]["identities"]["items"]
    assert limits(identity["properties"]) == limits(operator["$defs"]["SignerIdentity"]["properties"])


def limits(properties: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By field: what text of it must be like, and how many there may be; of a list also of what is in it."""
    names = ("pattern", "minLength", "maxLength", "maxItems")
    found = {}
    for name, node in properties.items():
        parts = (node, node.get("items", {}), *node.get("anyOf", ()))
        found[name] = {key: part[key] for part in parts for key in names if key in part}
    return found


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://prometheus:9090", "http://prometheus:9090"),
        ("https://a:b@prometheus/x", "https://prometheus/x"),
        ("https://a:b@c@prometheus/x", "https://prometheus/x"),
    ],
)
def test_without_credentials(url: str, shown: str) -> None:
    assert without_credentials(url) == shown
