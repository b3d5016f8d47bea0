"""Made-up ModelDeployments and releases, for views and the command line."""

from typing import Any

from sluice_core.api.v1alpha1.modeldeployment import ModelDeployment
from sluice_core.api.v1alpha1.modelrollout import ModelRollout

T0 = 1_772_366_400.0
"""2026-03-01T12:00:00Z."""
STABLE, CANDIDATE = "digits-1111111111", "digits-2222222222"


def condition(type_: str, status: str, reason: str = "Made", message: str = "", generation: int = 2) -> dict[str, Any]:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-03-01T12:00:00Z",
        "observedGeneration": generation,
    }


HEALTHY = [
    condition("Ready", "True"),
    condition("Current", "True"),
    condition("Stalled", "False"),
    condition("Reconciling", "False"),
    condition("MetricsAvailable", "True"),
]
RELEASING = [condition("Ready", "True"), condition("Current", "False", "Releasing"), condition("Reconciling", "True")]
ROLLED_BACK = [condition("Ready", "True"), condition("Current", "False", "RolledBack", "accuracy: 40 of 80 failed")]


MOVED: dict[str, Any] = {
    "revision": "digits-aaa",
    "drift": {
        "features": 10,
        "noticed": "2026-03-01T11:58:00Z",
        "moved": [
            {
                "name": "age",
                "since": "2026-03-01T11:50:00Z",
                "index": "0.27",
                "rows": 1200,
                "bins": [
                    {"name": "<18", "reference": "10.0%", "now": "31.2%"},
                    {"name": "<b>&", "reference": "0.0%", "now": "0.02%"},
                    {"name": "(missing)", "reference": "0.0%", "now": "whatever"},
                ],
            }
        ],
    },
}
"""What the watch has seen of a model whose inputs have moved."""


def make_deployment(
    *,
    conditions: list[dict[str, Any]] = HEALTHY,
    generation: int = 2,
    observed: int = 2,
    name: str = "digits",
    **status: Any,
) -> ModelDeployment:
    return ModelDeployment.model_validate(
        {
            "metadata": {"name": name, "namespace": "default", "generation": generation, "uid": "u"},
            "spec": {"model": {"format": "onnx", "uri": "s3://models/digits/2"}},
            "status": {
                "observedGeneration": observed,
                "url": f"http://{name}.default.models.local",
                "conditions": conditions,
                "stable": {"revision": STABLE, "weight": 75, "readyReplicas": 1, "replicas": 1},
                **status,
            },
        }
    )


def make_rollout(
    *,
    created: str = "2026-03-01T12:00:00Z",
    sequence: int = 1,
    attempt: int = 1,
    first: bool = False,
    intent: dict[str, Any] | None = None,
    target: str = CANDIDATE,
    rules: dict[str, Any] | None = None,
    **status: Any,
) -> ModelRollout:
    """A release with the default rules; `rules` replaces fields of its spec."""
    spec: dict[str, Any] = {
        "modelDeployment": "digits",
        "sequence": sequence,
        "attempt": attempt,
        "to": {"revision": target, "inputHash": "h2", "uri": "s3://models/digits/2", "modelVersion": "two"},
        "steps": [{"weight": weight} for weight in (5, 25, 50, 100)],
        "objectives": [{"name": "errors", "failureRatio": {"events": "ServerErrors", "maximum": "2%"}}],
        "falseRollbackProbability": "1%",
        "falseAdvanceProbability": "5%",
        "scrapeIntervalSeconds": 5,
        "blindSeconds": 60,
        "idleSeconds": 3600,
        "progressDeadlineSeconds": 86400,
        "onDeadline": "Hold",
        "bakeSeconds": 30,
    }
    if not first:
        spec["from"] = {"revision": STABLE, "inputHash": "h1", "uri": "s3://models/digits/1"}
    if intent is not None:
        spec["intent"] = intent
    spec |= rules or {}
    return ModelRollout.model_validate(
        {
            "metadata": {
                "name": f"{target}-{attempt}",
                "namespace": "default",
                "creationTimestamp": created,
                "resourceVersion": "7",
            },
            "spec": spec,
            "status": {"startTime": created, **status},
        }
    )


ERRORS = {
    "name": "errors",
    "stable": {"requests": 4021, "failures": 12, "ratio": "0.30%"},
    "candidate": {"requests": 212, "failures": 1, "ratio": "0.47%"},
    "ratio": "1.58",
    "ratioLow": "0.2",
    "ratioHigh": "6.1",
    "rollbackLog10": "0.11",
    "rollbackThresholdLog10": "2.00",
    "advanceLog10": "0.91",
    "advanceThresholdLog10": "1.30",
    "proven": False,
    "requestsNeeded": 340,
}
LATENCY = {
    "name": "latency",
    "boundaryMillis": "50",
    "stable": {"requests": 4021, "failures": 8},
    "candidate": {"requests": 212, "failures": 0},
    "rollbackLog10": "-0.20",
    "rollbackThresholdLog10": "2.00",
    "advanceLog10": "1.61",
    "advanceThresholdLog10": "1.30",
    "proven": True,
}
ACCURACY = {
    "name": "accuracy",
    "stable": {"requests": 3900, "failures": 190, "ratio": "4.87%"},
    "candidate": {"requests": 83, "failures": 46, "ratio": "55.42%"},
    "ratio": "11.4",
    "ratioLow": "7.1",
    "ratioHigh": "16.0",
    "rollbackLog10": "4.75",
    "rollbackThresholdLog10": "2.00",
    "advanceLog10": "-3.1",
    "advanceThresholdLog10": "1.30",
}
PROBE = {
    "permille": 500,
    "stablePods": 1,
    "why": "errors: 9 of 10 failed",
    "startTime": "2026-03-01T11:50:00Z",
    "deadlineTime": "2026-03-01T12:05:00Z",
}
RUNNING: dict[str, Any] = {
    "verdict": "Wait",
    "reason": "GatheringEvidence",
    "message": "errors: 0.47 % of 212 requests, not proven",
    "step": 2,
    "permille": 250,
    "weight": 25,
    "requestsNeeded": 340,
    "estimatedCompletionTime": "2026-03-01T12:02:14Z",
    "objectives": [ERRORS, LATENCY],
    "steps": [
        {
            "permille": 50,
            "startTime": "2026-03-01T12:00:05Z",
            "endTime": "2026-03-01T12:01:00Z",
            "candidateRequests": 120,
            "stableRequests": 2300,
        },
        {"permille": 250, "startTime": "2026-03-01T12:01:00Z", "candidateRequests": 92, "stableRequests": 1721},
    ],
    "timeline": [
        {"time": "2026-03-01T12:00:05Z", "what": "Weight5", "why": "the candidate is ready"},
        {"time": "2026-03-01T12:01:00Z", "actor": "alice", "what": "Weight25", "why": "proven [all]"},
    ],
}
BAD: dict[str, Any] = {
    "outcome": "RolledBack",
    "verdict": "RollBack",
    "reason": "WorseThanStable",
    "message": "accuracy: 46 of 83 failed (55.42 %), stable 4.87 %",
    "endTime": "2026-03-01T12:01:00Z",
    "step": 1,
    "objectives": [ERRORS, ACCURACY],
    "steps": [{"permille": 50, "startTime": "2026-03-01T12:00:05Z", "candidateRequests": 83, "stableRequests": 1700}],
}
