"""Which RolloutPolicy a model's releases follow."""

from typing import Any

import pytest

from sluice_core.situation import situation
from tests.support.cases import builders

BOTH = [{"name": name, "bucket": "b{ {{pods}} }"} for name in ("TimeToFirstToken", "InterTokenLatency")]
POLICIES = ("default", "default-streaming")


def chat(metrics: dict[str, Any] | None, *, protocols: tuple[str, ...] = ("OpenAI",)) -> Any:
    more = {} if metrics is None else {"metrics": {"port": 8000, **metrics}}
    return builders.make_runtime(name="chat", formats=("huggingface",), protocols=list(protocols), **more)


@pytest.mark.parametrize(
    ("runtime", "ref", "known", "want"),
    [
        pytest.param(chat({"histograms": BOTH}), None, POLICIES, "default-streaming", id="a server that streams"),
        pytest.param(chat({"preset": "OpenTelemetryGenAI"}), None, POLICIES, "default-streaming", id="by the preset"),
        pytest.param(chat({"histograms": BOTH}), "mine", POLICIES, "mine", id="a policy of one's own"),
        pytest.param(chat({"histograms": BOTH}), None, ("default",), "default", id="no such policy"),
        pytest.param(chat({"histograms": BOTH[:1]}), None, POLICIES, "default", id="half of the histograms"),
        pytest.param(chat({"latencyBucket": "b"}), None, POLICIES, "default", id="another histogram"),
        pytest.param(chat(None), None, POLICIES, "default", id="no metrics"),
        pytest.param(chat({"histograms": BOTH}, protocols=("V2",)), None, POLICIES, "default", id="another protocol"),
        pytest.param(builders.make_runtime(), None, POLICIES, "default", id="no server for the format"),
    ],
)
def test_wanted_policy(runtime: Any, ref: str | None, known: tuple[str, ...], want: str) -> None:
    spec: dict[str, Any] = {"model": {"format": "huggingface", "uri": "s3://models/chat/1"}}
    if ref is not None:
        spec["rollout"] = {"policyRef": {"name": ref}}
    deployment = builders.make_model_deployment(spec=spec)
    assert situation.wanted_policy(deployment, (runtime,), known) == want
