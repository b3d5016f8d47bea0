"""A/B tests that the API server refuses or accepts. Rows as in `admission`."""

from typing import Any, Final

from tests.support.cases.objects import Object, deployment

OBJECTIVES: Final = [
    {
        "name": "accuracy",
        "failureRatio": {
            "source": "Query",
            "total": 'feedback_total{revision="{{revision}}"}',
            "failures": 'feedback_total{revision="{{revision}}",correct="false"}',
            "maximum": "10%",
        },
    },
    {"name": "errors", "failureRatio": {"events": "ServerErrors", "maximum": "2%"}},
    {"name": "latency", "latency": {"percentile": 95, "maximumMillis": 50}},
]


def _decided_by(metric: str, **more: Any) -> Object:
    arms = [{"name": "b", "weight": 10, "model": {"uri": "s3://models/2"}}]
    return deployment({"rollout": {"strategy": "ABTest", "abTest": {"metric": metric, "arms": arms}, **more}})


REFUSED: Final[list[tuple[str, Object, str, str]]] = [
    (
        f"a test by {metric}",
        _decided_by(metric, objectives=OBJECTIVES),
        "spec.rollout.abTest.metric",
        "must name one of spec.rollout.objectives that counts users",
    )
    for metric in ("clicks", "errors", "latency")
]

ACCEPTED: Final[list[tuple[str, Object]]] = [
    ("a test by what counts users", _decided_by("accuracy", objectives=OBJECTIVES)),
    ("a test by an objective of the policy", _decided_by("clicks")),
]
