"""Whatever Prometheus, a model server or a batch pod answers is a value, or a failure in words."""

import asyncio
import io
import json
import math
from typing import Any

import pytest
import requests
import urllib3
from hypothesis import strategies as st

from kubectl_sluice.adapters import v2
from kubectl_sluice.views import example
from sluice_core.adapters import deepjson, prometheus
from sluice_judge.model import Answered, Failed, Question
from tests.support.fuzzing import CHANGES, bodies, examples, run, spoiled

QUESTION = Question("up", 'up{job="envoy"}', 20)
SERIES = {"metric": {"__name__": "up", "job": "envoy"}, "values": [[1.5, "1"], [2.5, "NaN"], [3.5, "2e6"]]}
MATRIX = {"status": "success", "data": {"resultType": "matrix", "result": [SERIES, {**SERIES, "metric": {"job": "b"}}]}}
TENSOR = {"name": "x", "datatype": "FP32", "shape": [-1, 4]}
METADATA = {"name": "digits", "inputs": [TENSOR, {**TENSOR, "datatype": "BYTES"}], "outputs": [TENSOR]}
MANY_DIMENSIONS = {**METADATA, "inputs": [{**TENSOR, "shape": [1] * 2_000}]}
NEARLY_METADATA = st.builds(spoiled, st.sampled_from([METADATA, MANY_DIMENSIONS]), CHANGES)
ADDRESS = example.Address("http://127.0.0.1:1", "digits.default", "digits")


class Raw(io.BytesIO):
    """A body that knows how much of it was read."""

    bytes_read = 0

    def read1(self, size: int | None = -1, /) -> bytes:
        part = super().read1(size)
        self.bytes_read += len(part)
        return part


@examples
def test_answers_of_prometheus(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[tuple[int, Raw]] = []

    def send(_: object, request: requests.PreparedRequest, *__: object, **___: object) -> requests.Response:
        response = requests.Response()
        response.status_code, body = answers[-1]
        response.raw = urllib3.HTTPResponse(body, preload_content=False)
        response.request, response.url = request, request.url or ""
        return response

    monkeypatch.setattr(prometheus.adapters.HTTPAdapter, "send", send)
    monkeypatch.setattr(prometheus, "QUERY_BYTES", 2**20)
    metrics = prometheus.PrometheusMetrics("http://127.0.0.1:1")

    def check(status: int, body: bytes, again: bool) -> None:
        answers.append((status, Raw(body * (1 + again * 2**21 // (1 + len(body))))))
        [answer] = asyncio.run(metrics.answer([QUESTION])).values()
        assert answers.pop()[1].bytes_read <= 2**20 + 2**17, "no more is read than may be kept"
        if isinstance(answer, Failed):
            assert len(answer.message) <= 300
            return
        assert isinstance(answer, Answered)
        for series in answer.series:
            assert all(isinstance(text, str) for pair in series.labels.items() for text in pair)
            assert series.points
            assert all(math.isfinite(number) for point in series.points for number in point)

    statuses = st.sampled_from([200, 200, 200, 400, 422, 500, 503])
    try:
        run(
            count,
            check,
            status=statuses,
            body=bodies(st.builds(spoiled, st.just(MATRIX), CHANGES)),
            again=st.sampled_from([False] * 9 + [True]),
        )
    finally:
        metrics.close()


@examples
def test_answers_of_a_model_server(count: int) -> None:
    def check(status: int, body: bytes) -> None:
        said = v2.read_metadata(status, body)
        if said is None:
            return
        assert example.curl_metadata(ADDRESS)
        if not example.too_long(said):
            assert json.dumps(example.sample_body(said))
        example.curl_infer(ADDRESS, said).encode()

    run(count, check, status=st.sampled_from([200, 200, 200, 404]), body=bodies(NEARLY_METADATA))


@examples
def test_metadata_that_a_client_has_read(count: int) -> None:
    def check(raw: Any) -> None:
        try:
            v2.metadata(raw)
        except (KeyError, TypeError, ValueError):
            return

    run(count, check, raw=NEARLY_METADATA)


@examples
def test_json_of_any_depth(count: int) -> None:
    def check(body: bytes) -> None:
        try:
            deepjson.loads(body)
        except ValueError:
            return

    run(count, check, body=bodies(NEARLY_METADATA))
