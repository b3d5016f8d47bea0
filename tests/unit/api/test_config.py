"""The operator's configuration and the chart's values are the same thing said twice."""

from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml

from sluice.api.config import OperatorConfig
from sluice.api.v1alpha1.rolloutpolicy import RolloutPolicySpec

VALUES: dict[str, Any] = yaml.safe_load(
    (Path(__file__).resolve().parents[3] / "charts" / "sluice" / "values.yaml").read_text()
)


def test_chart_writes_the_defaults() -> None:
    assert OperatorConfig.model_validate(VALUES["config"]) == OperatorConfig()


def test_chart_names_no_field_that_does_not_exist() -> None:
    assert set(VALUES["config"]) <= set(OperatorConfig().model_dump(by_alias=True))


def test_default_policy_of_the_chart_parses() -> None:
    policy = RolloutPolicySpec.model_validate(VALUES["defaultPolicy"]["spec"])
    assert [objective.name for objective in policy.objectives] == ["errors", "rejections", "latency"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prometheusUrl", "prometheus:9090"),
        ("historyLimit", 0),
        ("logLevel", "LOUD"),
        ("gateway", {"name": "models"}),
        ("gatewaySeries", {"job": 'envoy"} or up{job="x'}),
        ("gatewaySeries", {'job="envoy"} or up{x': "y"}),
        ("gatewaySeries", {"job": "{service}"}),
        ("gatewaySeries", {"job": "envoy\\"}),
        ("gatewaySeries", {"job": ""}),
        ("queryNamespaceLabel", 'a="b"} or up{c'),
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
