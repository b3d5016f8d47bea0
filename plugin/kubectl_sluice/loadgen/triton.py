"""Triton: a model's configuration with a setting of ours, and its statistics."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

STAGES: Final = ("queue", "compute_input", "compute_infer", "compute_output")
ENSEMBLE: Final = "ensemble"


def overridden(config: Mapping[str, Any], setting: Mapping[str, Any], maximum_batch: int) -> dict[str, Any]:
    """Triton's configuration of a model with a setting of ours; equal to `config` where nothing changes.

    A model without batching must have an open first dimension everywhere, which becomes the batch. Raises ValueError
    otherwise.
    """
    changed = dict(config)
    if setting["batching"] == "off":
        changed.pop("dynamic_batching", None)
    elif setting["batching"] == "on":
        if not changed.get("max_batch_size"):
            changed["max_batch_size"] = maximum_batch
            for side in ("input", "output"):
                changed[side] = [_without_batch(tensor) for tensor in changed.get(side, ())]
        changed["dynamic_batching"] = {"max_queue_delay_microseconds": setting["delayMicros"]}
    if setting["instances"] is not None:
        groups = changed.get("instance_group") or [{"kind": "KIND_AUTO"}]
        changed["instance_group"] = [{**groups[0], "count": setting["instances"]}]
    return changed


def _without_batch(tensor: Mapping[str, Any]) -> dict[str, Any]:
    first, *others = (int(size) for size in tensor["dims"])
    if first != -1:
        raise ValueError(f"{tensor['name']} of shape {tensor['dims']} has no open first dimension to batch over")
    # Triton requires at least one dimension beside the batch.
    return {**tensor, "dims": others} if others else {**tensor, "dims": [1], "reshape": {"shape": []}}


def measured_models(config: Mapping[str, Any], model: str) -> list[str]:
    """The models whose statistics count: the steps of an ensemble, or the model itself."""
    if config.get("platform") != ENSEMBLE:
        return [model]
    return [step["model_name"] for step in config.get("ensemble_scheduling", {}).get("step", ())]


def counted(answers: Sequence[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """Triton's cumulative statistics of a model, or of the steps of an ensemble; None where one is missing.

    answers: those of `/v2/models/NAME/stats`. Nanoseconds and counts; `batches` counts executions by batch size, and
    `requests` those to the whole: each step of an ensemble gets each request once.
    """
    total: dict[str, Any] = {"requests": 0, "inferences": 0, "executions": 0, **dict.fromkeys(STAGES, 0), "batches": {}}
    for answer in answers:
        if not (models := (answer or {}).get("model_stats")):
            return None
        for version in models:
            said = version.get("inference_stats", {})
            total["requests"] += int(said.get("success", {}).get("count", 0))
            total["inferences"] += int(version.get("inference_count", 0))
            total["executions"] += int(version.get("execution_count", 0))
            for stage in STAGES:
                total[stage] += int(said.get(stage, {}).get("ns", 0))
            for batch in version.get("batch_stats", ()):
                size, times = str(batch["batch_size"]), int(batch["compute_infer"]["count"])
                total["batches"][size] = total["batches"].get(size, 0) + times
    total["requests"] /= len(answers)
    return total


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The difference between two looks at cumulative statistics, which a reload in between resets."""
    if after["requests"] < before["requests"]:
        return dict(after)
    counts = {key: after[key] - before[key] for key in after if key != "batches"}
    batches = {size: times - before["batches"].get(size, 0) for size, times in after["batches"].items()}
    return {**counts, "batches": {size: times for size, times in batches.items() if times > 0}}
