"""Profiles of language models: what the generator says, what it means, and what would help."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from kubectl_sluice.offline.profile import advice, bottleneck, sweep
from kubectl_sluice.offline.profile.bottleneck import Bottleneck
from kubectl_sluice.offline.profile.model import Point, TextFigures
from kubectl_sluice.views.reports import profile, profileplot
from sluice_core.api.v1alpha1.servingruntime import RuntimeMetrics
from tests.unit.plugin.offline.profile.builders import make_measurements, make_point


def text_point(concurrency: int, rate: float, *, first: float = 50, **text: Any) -> Point:
    """Answers of ten tokens."""
    figures = {
        "tokens_per_second": 10 * rate, "first_p50_millis": first, "first_p95_millis": 2 * first, "token_millis": 20.0,
        "running": None, "waiting": None, "kv_cache": None, **text,
    }  # fmt: skip
    return make_point(concurrency, rate, split=None, text=TextFigures(**figures))


POINTS = (text_point(1, 2), text_point(4, 6), text_point(8, 6.1, first=400))


@pytest.mark.parametrize(
    ("name", "points", "kind", "said"),
    [
        ("a full cache", (text_point(1, 2, kv_cache=0.2), text_point(4, 6, kv_cache=0.95, waiting=3, running=2)),
         Bottleneck.KV_CACHE, "KV cache: with 4 at once the server's cache is 95 % full"),
        ("a full batch", (text_point(1, 2, running=1, waiting=0), text_point(8, 6, running=4, waiting=4, kv_cache=0.1)),
         Bottleneck.BATCH, "with 8 at once the server computes 4 requests together and lets 4 wait, and its KV cache is 10 % full"),
        ("a full batch of a server without such a gauge", (text_point(1, 2), text_point(8, 6, running=4, waiting=4)),
         Bottleneck.BATCH, "computes 4 requests together and lets 4 wait."),
        ("neither", POINTS, Bottleneck.UNKNOWN, "More than 4 at once bring no more"),
    ],
)  # fmt: skip
def test_what_holds_it_back(name: str, points: tuple[Point, ...], kind: Bottleneck, said: str) -> None:
    found = bottleneck.bottleneck(make_measurements(*points))
    assert found.kind is kind, name
    assert said in found.sentence


def test_answers_that_are_longer_than_a_point_are_no_failures() -> None:
    long = text_point(8, 6.2)
    points = (text_point(1, 2), text_point(4, 6), dataclasses.replace(long, requests=0))
    found = make_measurements(*points)
    assert bottleneck.bottleneck(found).kind is Bottleneck.UNKNOWN
    assert "no more than 60.0 tokens/s" in bottleneck.bottleneck(found).sentence
    only = make_measurements(dataclasses.replace(long, requests=0))
    assert not any(
        "answers 0 requests" in each.sentence
        for each in advice.advise(only, Bottleneck.NOT_REACHED, rate=None, environment=())
    )


def test_how_many_requests_a_pod_is_to_have() -> None:
    first, *_ = advice.advise(make_measurements(*POINTS), Bottleneck.BATCH, rate=None, environment=())
    assert first.sentence.startswith(
        "Let a pod have 4 requests at a time: 60.0 tokens/s, with 100 ms to the first one (p95) and then 20.0 ms a token; 8 get "
        "61.0 tokens/s, and wait 800 ms for the first one."
    )
    assert "{metric: InFlightRequests, value: 4}" in first.sentence


def test_one_point_is_compared_with_nothing() -> None:
    only = text_point(2, 5, token_millis=None)
    first, *_ = advice.advise(make_measurements(only), Bottleneck.NOT_REACHED, rate=None, environment=())
    assert "to the first one (p95). Set spec" in first.sentence


def test_the_table_is_that_of_streams() -> None:
    about = profile.About("chat", "ml", "chat-1")
    points = (*POINTS, text_point(16, 6.1, running=4, waiting=12, kv_cache=0.5))
    view = profile.profile_view(about, make_measurements(*points), rate=None, environment=())
    assert profileplot.headings(view) == profileplot.TEXT_HEADINGS
    cells = profileplot.cells(view.rows[-1])
    assert len(cells) == len(profileplot.TEXT_HEADINGS)
    assert cells[1:7] == ("16", "61.0", "6.10", "50.0", "100", "20.0")
    assert cells[8:11] == ("4", "12", "50")
    assert "<th>tokens/s</th>" in profileplot.page(view)
    assert not any("queue and compute" in note for note in view.notes)
    other = profile.profile_view(about, make_measurements(make_point()), rate=None, environment=())
    assert profileplot.headings(other) == profileplot.HEADINGS


@pytest.mark.parametrize(
    ("name", "metrics", "want"),
    [
        ("no metrics", None, None),
        ("no gauges", {"port": 8000}, None),
        (
            "some",
            {"port": 8000, "runningRequests": "vllm:num_requests_running{ {{pods}} }", "kvCacheUsage": "{a='b'}"},
            {"port": 8000, "path": "/metrics", "names": {"running": "vllm:num_requests_running"}},
        ),
    ],
)
def test_the_generator_is_told_the_runtimes_gauges(name: str, metrics: Any, want: Mapping[str, Any] | None) -> None:
    assert sweep.gauges(RuntimeMetrics.model_validate(metrics) if metrics else None) == want, name
