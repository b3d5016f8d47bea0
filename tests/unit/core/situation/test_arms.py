"""What is known of the pods of an arm, and of what they count themselves."""

from dataclasses import replace
from typing import Any

import pytest

from sluice_core.kernel.snapshot import Pod
from sluice_core.situation import arms
from sluice_judge.model import OwnCounters, ServerTimes
from tests.support.cases import builders
from tests.support.cases.moments import STABLE
from tests.support.cases.situations import make_situation


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
            OwnCounters(requests=f"n{{ {MATCHERS} }}", failures=f'x{{a="b", {MATCHERS} }}'),
            id="requests and failures",
        ),
        pytest.param(
            {"port": 8002, "latencyBucket": "b{ {{pods}} }", "latencyUnit": "Microseconds"},
            OwnCounters(
                latency_bucket=f"b{{ {MATCHERS} }}",
                latency_unit_millis=0.001,
                histograms=(ServerTimes("EndToEnd", f"b{{ {MATCHERS} }}", 0.001),),
            ),
            id="a histogram",
        ),
        pytest.param(
            {"port": 8002, "latencyBucket": "b", "latencyUnit": "Milliseconds"},
            OwnCounters(latency_bucket="b", histograms=(ServerTimes("EndToEnd", "b", 1.0),)),
            id="another unit",
        ),
        pytest.param(
            {
                "port": 8000,
                "latencyBucket": "old{ {{pods}} }",
                "histograms": [
                    {"name": "EndToEnd", "bucket": "e{ {{pods}} }", "unit": "Milliseconds", "promptLabel": "prompt"}
                    | {"computedLabel": "computed"}
                ],
            },
            OwnCounters(
                latency_bucket=f"e{{ {MATCHERS} }}",
                histograms=(ServerTimes("EndToEnd", f"e{{ {MATCHERS} }}", 1.0, "prompt", "computed"),),
            ),
            id="a listed one comes before latencyBucket",
        ),
        pytest.param(
            {
                "port": 8000,
                "promptTokens": "p{ {{pods}} }",
                "computedTokens": "c{ {{pods}} }",
                "streams": "s{ {{pods}} }",
                "brokenStreams": 's{outcome="Broken", {{pods}} }',
            },
            OwnCounters(
                prompt_tokens=f"p{{ {MATCHERS} }}",
                computed_tokens=f"c{{ {MATCHERS} }}",
                streams=f"s{{ {MATCHERS} }}",
                broken_streams=f's{{outcome="Broken", {MATCHERS} }}',
            ),
            id="prompts and streams",
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


def test_the_preset_names_what_is_not_listed() -> None:
    found = own(
        {
            "port": 8000,
            "preset": "OpenTelemetryGenAI",
            "histograms": [{"name": "TimeToFirstToken", "bucket": "first{ {{pods}} }", "promptLabel": "prompt_bucket"}],
        }
    )
    assert [(each.name, each.bucket, each.prompt_label) for each in found.histograms] == [
        ("TimeToFirstToken", f"first{{ {MATCHERS} }}", "prompt_bucket"),
        ("InterTokenLatency", f"gen_ai_server_time_per_output_token_seconds_bucket{{ {MATCHERS} }}", ""),
        ("TimePerOutputToken", f"gen_ai_server_time_per_output_token_seconds_bucket{{ {MATCHERS} }}", ""),
        ("EndToEnd", f"gen_ai_server_request_duration_seconds_bucket{{ {MATCHERS} }}", ""),
    ]
    assert found.latency_bucket == found.histograms[-1].bucket


@pytest.mark.parametrize(
    ("says", "measure", "want"),
    [
        pytest.param({}, "TimeToFirstToken", True, id="a language model's server"),
        pytest.param({}, "EndToEnd", False, id="any other"),
        pytest.param({"prefixCache": False}, "TimeToFirstToken", False, id="started without"),
        pytest.param({"prefixCache": True}, "EndToEnd", True, id="it says so"),
    ],
)
def test_which_servers_keep_prefixes(says: dict[str, bool], measure: str, want: bool) -> None:
    found = own({"port": 8000, "histograms": [{"name": measure, "bucket": "b{ {{pods}} }"}], **says})
    assert found.prefix_cache is want


def test_a_runtime_that_went_is_named() -> None:
    snapshot = replace(make_situation().snapshot, runtimes=())
    found = arms.own_counters(snapshot.runtimes, snapshot.namespace, STABLE)
    assert found.where == f"ServingRuntime {STABLE.runtime}, which is not there any more,"


def test_an_unknown_placeholder_is_named() -> None:
    assert own({"port": 8002, "requests": "n{ {{pod}} }"}).lacks == (
        f'ServingRuntime {STABLE.runtime}: spec.metrics: unknown placeholder "{{{{pod}}}}"; use one of {{{{pods}}}}'
    )


def own(metrics: dict[str, Any] | None) -> OwnCounters:
    runtime = builders.make_runtime(name=STABLE.runtime, **({} if metrics is None else {"metrics": metrics}))
    snapshot = replace(make_situation().snapshot, runtimes=(runtime,))
    return arms.own_counters(snapshot.runtimes, snapshot.namespace, STABLE)


@pytest.mark.parametrize(
    ("metrics", "want"),
    [
        pytest.param(
            {"port": 8000, "latencyBucket": "b{ {{pods}} }"},
            ServerTimes("EndToEnd", f"b{{ {MATCHERS} }}", 1000.0),
            id="a histogram of whole answers",
        ),
        pytest.param(
            {"port": 8000, "histograms": [{"name": "TimeToFirstToken", "bucket": "first"}]}, None, id="of others alone"
        ),
        pytest.param(None, None, id="no metrics"),
    ],
)
def test_how_long_answers_take_is_asked_where_the_server_counts_it(
    metrics: dict[str, Any] | None, want: ServerTimes | None
) -> None:
    runtime = builders.make_runtime(**({} if metrics is None else {"metrics": metrics}))
    assert arms.whole_answers(runtime, builders.NAMESPACE, STABLE.name) == want
