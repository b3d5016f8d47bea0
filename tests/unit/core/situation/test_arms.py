"""What is known of the pods of an arm, and of what they count themselves."""

from dataclasses import replace
from typing import Any

import pytest

from sluice.core.judge.model import OwnCounters
from sluice.core.kernel.snapshot import Pod
from sluice.core.situation import arms
from tests.support import builders
from tests.support.moments import STABLE
from tests.support.situations import make_situation


def pod(name: str, *, ready: bool = True, terminating: bool = False, since: float | None = 7.0) -> Pod:
    return Pod(name, ready=ready, restarts=0, terminating=terminating, ready_since=since)


def test_since_when_its_ready_pods_are_ready() -> None:
    pods = (pod("a"), pod("b", ready=False), pod("c", terminating=True), pod("d", since=None), pod("e", since=9.0))
    arm = arms.arm_of(replace(STABLE, ready_endpoints=3, pods=pods), None)
    assert (arm.pods, arm.ready) == (3, (7.0, 9.0))


MATCHERS = f'namespace="{builders.NAMESPACE}",pod=~"{STABLE.name}-[a-z0-9]+(-[a-z0-9]+)?"'


@pytest.mark.parametrize(
    ("metrics", "want"),
    [
        pytest.param(
            {"port": 8002, "requests": "n{ {{pods}} }", "failures": 'x{a="b", {{pods}} }'},
            OwnCounters(requests=f"n{{ {MATCHERS} }}", failures=f'x{{a="b", {MATCHERS} }}', latency_unit_millis=1000.0),
            id="requests and failures",
        ),
        pytest.param(
            {"port": 8002, "latencyBucket": "b{ {{pods}} }", "latencyUnit": "Microseconds"},
            OwnCounters(latency_bucket=f"b{{ {MATCHERS} }}", latency_unit_millis=0.001),
            id="a histogram",
        ),
        pytest.param(
            {"port": 8002, "latencyBucket": "b", "latencyUnit": "Milliseconds"},
            OwnCounters(latency_bucket="b", latency_unit_millis=1.0),
            id="another unit",
        ),
        pytest.param(None, OwnCounters(), id="no metrics"),
    ],
)
def test_what_a_runtime_names_is_asked_of_the_stable_versions_pods(
    metrics: dict[str, Any] | None, want: OwnCounters
) -> None:
    found = own(metrics)
    assert replace(found, lacks="") == want
    assert "does not say how its server counts" in found.lacks


def test_an_unknown_placeholder_is_named() -> None:
    assert own({"port": 8002, "requests": "n{ {{pod}} }"}).lacks == (
        f'ServingRuntime {STABLE.runtime}: spec.metrics: unknown placeholder "{{{{pod}}}}"; use one of {{{{pods}}}}'
    )


def own(metrics: dict[str, Any] | None) -> OwnCounters:
    runtime = builders.make_runtime(name=STABLE.runtime, **({} if metrics is None else {"metrics": metrics}))
    snapshot = replace(make_situation().snapshot, runtimes=(runtime,))
    return arms.own_counters(snapshot.runtimes, snapshot.namespace, STABLE)
