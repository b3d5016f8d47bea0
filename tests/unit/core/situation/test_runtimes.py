"""Which ServingRuntime a model gets, and what is said where there is none."""

from collections.abc import Mapping
from typing import Any

import pytest

from sluice_core.kernel.reasons import Reason
from sluice_core.situation.situation import Blocked, find_runtime
from tests.support.cases.builders import make_model_deployment, make_runtime

RUNTIMES = (
    make_runtime(name="triton", formats=("onnx", "triton"), priority=1),
    make_runtime(name="fast", formats=("onnx",), priority=2),
    make_runtime(name="also-fast", formats=("onnx",), priority=2),
    make_runtime(name="by-hand", formats=("sklearn",), priority=0),
)


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        pytest.param({}, "also-fast", id="the highest priority, then the first name"),
        pytest.param({"runtime": {"name": "triton"}}, "triton", id="the named one"),
        pytest.param({"model": {"format": "triton", "uri": "s3://m/1"}}, "triton", id="the only one of the format"),
        pytest.param(
            {"model": {"format": "sklearn", "uri": "s3://m/1"}, "runtime": {"name": "by-hand"}},
            "by-hand",
            id="without priority only by name",
        ),
    ],
)
def test_runtime_is_chosen(spec: Mapping[str, Any], want: str) -> None:
    runtime = find_runtime(make_model_deployment(spec=spec).spec, RUNTIMES)

    assert not isinstance(runtime, Blocked)
    assert runtime.metadata.name == want


@pytest.mark.parametrize(
    ("spec", "reason", "message"),
    [
        pytest.param(
            {"runtime": {"name": "vllm"}},
            Reason.RUNTIME_NOT_FOUND,
            "there is no ServingRuntime 'vllm'; available: also-fast, by-hand, fast, triton",
            id="no such runtime",
        ),
        pytest.param(
            {"runtime": {"name": "by-hand"}},
            Reason.FORMAT_NOT_SUPPORTED,
            "ServingRuntime 'by-hand' does not run 'onnx'; it runs sklearn",
            id="of another format",
        ),
        pytest.param(
            {"model": {"format": "sklearn", "uri": "s3://m/1"}},
            Reason.FORMAT_NOT_SUPPORTED,
            "no ServingRuntime runs 'sklearn'; supported formats: onnx, sklearn, triton",
            id="none without being named",
        ),
        pytest.param(
            {"model": {"format": "onx", "uri": "s3://m/1"}},
            Reason.FORMAT_NOT_SUPPORTED,
            "no ServingRuntime runs 'onx'; did you mean onnx? Supported formats: onnx, sklearn, triton",
            id="a typo",
        ),
    ],
)
def test_missing_runtime_is_told_with_what_there_is(spec: Mapping[str, Any], reason: Reason, message: str) -> None:
    blocked = find_runtime(make_model_deployment(spec=spec).spec, RUNTIMES)

    assert isinstance(blocked, Blocked)
    assert (blocked.reason, message in blocked.message) == (reason, True)
