"""Prometheus through the API server: what is asked, and what each answer becomes."""

import json
from typing import Any

import pytest

from kubectl_sluice.adapters import prometheusproxy
from kubectl_sluice.views import serviceaddress
from sluice_core import errors
from sluice_core.adapters import exchange
from sluice_judge.model import Answered, Failed, Question
from tests.unit.plugin.cli.fakes import FakeCluster

FOUND = serviceaddress.parsed("http://prometheus.monitoring:9090/prometheus")
assert FOUND is not None
ADDRESS: serviceaddress.ServiceAddress = FOUND
QUESTIONS = (Question("up", "up", 900), Question("sources", "count(x)", 900, step_seconds=60))
SERIES = {"metric": {"job": "envoy"}, "values": [[1.0, "1"], [2.0, "NaN"]]}


def answer(status: int = 200, **document: Any) -> exchange.Answer:
    return exchange.Answer(status, json.dumps(document).encode())


def matrix(*series: Any) -> exchange.Answer:
    return answer(status=200, data={"result": list(series)})


async def test_each_question_is_asked_behind_the_services_path() -> None:
    cluster = FakeCluster([], through_service=matrix(SERIES))
    found = await prometheusproxy.answers(cluster.typed, ADDRESS, QUESTIONS)
    assert [(path, query["query"]) for path, query in cluster.asked_services] == [
        ("/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/prometheus/api/v1/query", "up[900s]"),
        ("/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/prometheus/api/v1/query", "count(x)[900s:60s]"),
    ]
    assert isinstance(up := found["up"], Answered)
    assert [(series.labels, series.points) for series in up.series] == [({"job": "envoy"}, ((1.0, 1.0),))]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (answer(status=400, error="parse error: unexpected end"), "HTTP status 400: parse error: unexpected end"),
        (exchange.Answer(503, b"upstream connect error"), "HTTP status 503: upstream connect error"),
        (exchange.Answer(500, b"{}"), "HTTP status 500: without a reason"),
        (answer(status=401), "the API server passes no credentials on"),
        (exchange.Answer(403, b"<html>"), "the API server passes no credentials on"),
        (exchange.Answer(200, b"<html>"), "this is not an answer of Prometheus' query API"),
        (answer(data={"result": [{"metric": {"job": 7}, "values": []}]}), "this is not an answer"),
        (answer(data={"result": 5}), "this is not an answer"),
        (errors.Missing('services "prometheus" not found'), 'services "prometheus" not found'),
        (errors.Unavailable("no endpoints available"), "no endpoints available"),
        (exchange.TooLong(), "more than 8 MiB"),
    ],
)
async def test_what_is_no_answer(said: exchange.Answer | Exception, words: str) -> None:
    found = await prometheusproxy.answers(FakeCluster([], through_service=said).typed, ADDRESS, QUESTIONS[:1])
    assert isinstance(failed := found["up"], Failed)
    assert words in failed.message


async def test_who_may_not_pass_is_told_so() -> None:
    denied = errors.Denied("no permission to get services/proxy monitoring/prometheus")
    with pytest.raises(prometheusproxy.NotLetThrough, match="services/proxy"):
        await prometheusproxy.answers(FakeCluster([], through_service=denied).typed, ADDRESS, QUESTIONS)


@pytest.mark.parametrize(
    ("host", "known"), [("localhost", True), ("prometheus.invalid", False), ("a" * 70 + ".b", False)]
)
async def test_names_that_mean_something_here(host: str, known: bool) -> None:
    address = serviceaddress.ServiceAddress("http", "p", "m", 9090, host=host)
    assert await prometheusproxy.is_known_here(address) is known
