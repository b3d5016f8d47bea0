"""Triton's settings and statistics."""

from typing import Any

import pytest

from kubectl_sluice.loadgen import triton

CONFIG: dict[str, Any] = {
    "name": "m",
    "max_batch_size": 0,
    "input": [{"name": "x", "dims": [-1, 64]}],
    "output": [{"name": "y", "dims": [-1]}],
    "instance_group": [{"name": "m_0", "kind": "KIND_CPU", "count": 1}],
}


def setting(batching: str = "as is", micros: int = 0, instances: int | None = None) -> dict[str, Any]:
    return {"batching": batching, "delayMicros": micros, "instances": instances}


def test_batching_takes_the_open_dimension_for_the_batch() -> None:
    changed = triton.overridden(CONFIG, setting("on", 100), 16)
    assert changed["max_batch_size"] == 16
    assert changed["input"] == [{"name": "x", "dims": [64]}]
    assert changed["output"] == [{"name": "y", "dims": [1], "reshape": {"shape": []}}]
    assert changed["dynamic_batching"] == {"max_queue_delay_microseconds": 100}
    assert changed["instance_group"] == CONFIG["instance_group"]


def test_a_model_that_batches_keeps_its_shapes() -> None:
    config = {**CONFIG, "max_batch_size": 8, "input": [{"name": "x", "dims": [64]}]}
    changed = triton.overridden(config, setting("on"), 16)
    assert (changed["max_batch_size"], changed["input"]) == (8, config["input"])


def test_a_closed_first_dimension_cannot_be_batched_over() -> None:
    with pytest.raises(ValueError, match=r"x of shape .* has no open first dimension"):
        triton.overridden({**CONFIG, "input": [{"name": "x", "dims": [3, 64]}]}, setting("on"), 16)


def test_what_is_not_asked_for_stays() -> None:
    assert triton.overridden(CONFIG, setting("off"), 16) == CONFIG
    assert "dynamic_batching" not in triton.overridden({**CONFIG, "dynamic_batching": {}}, setting("off"), 16)
    groups = triton.overridden(CONFIG, setting(instances=3), 16)["instance_group"]
    assert groups == [{"name": "m_0", "kind": "KIND_CPU", "count": 3}]


def stats(requests: int, executions: int, queue: int, batches: dict[int, int]) -> dict[str, Any]:
    nothing = {"ns": 0}
    return {
        "model_stats": [
            {
                "inference_count": requests,
                "execution_count": executions,
                "inference_stats": {
                    "success": {"count": requests},
                    "queue": {"ns": queue},
                    "compute_input": nothing,
                    "compute_infer": nothing,
                    "compute_output": nothing,
                },
                "batch_stats": [{"batch_size": n, "compute_infer": {"count": c}} for n, c in batches.items()],
            }
        ]
    }


def test_statistics_are_differences() -> None:
    before = triton.counted([stats(10, 10, 1000, {1: 10})])
    after = triton.counted([stats(40, 20, 9000, {1: 12, 4: 8})])
    assert before is not None
    assert after is not None
    found = triton.difference(before, after)
    assert (found["requests"], found["inferences"], found["executions"], found["queue"]) == (30, 30, 10, 8000)
    assert found["batches"] == {"1": 2, "4": 8}
    assert triton.difference(after, before) == before, "a reload begins anew"


def test_the_steps_of_an_ensemble_are_one_request() -> None:
    found = triton.counted([stats(10, 10, 1000, {}), stats(10, 5, 3000, {})])
    assert found is not None
    assert (found["requests"], found["queue"]) == (10, 4000)
    assert triton.counted([stats(10, 10, 1000, {}), None]) is None
