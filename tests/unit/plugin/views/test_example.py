"""Example requests must run as they are printed."""

import json
import shlex

import pytest

from kubectl_sluice.views import example
from kubectl_sluice.views.example import Address, ModelMetadata, TensorMetadata

ADDRESS = Address(gateway="http://127.0.0.1:8080/", host="digits.default.models.local", model="digits")


def metadata(*inputs: TensorMetadata) -> ModelMetadata:
    return ModelMetadata("digits", inputs, ())


@pytest.mark.parametrize(
    ("tensor", "want"),
    [
        (TensorMetadata("x", "FP32", (-1, 3)), {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [0, 0, 0]}),
        (TensorMetadata("x", "BYTES", (1,)), {"name": "x", "shape": [1], "datatype": "BYTES", "data": [""]}),
        (TensorMetadata("x", "BOOL", (2,)), {"name": "x", "shape": [2], "datatype": "BOOL", "data": [False, False]}),
        (TensorMetadata("x", "INT64", ()), {"name": "x", "shape": [], "datatype": "INT64", "data": [0]}),
    ],
)
def test_sample_body(tensor: TensorMetadata, want: dict[str, object]) -> None:
    assert example.sample_body(metadata(tensor)) == {"inputs": [want]}


def test_curl_survives_the_shell() -> None:
    tensor = TensorMetadata("it's", "FP32", (-1, 2))
    words = shlex.split(example.curl_infer(ADDRESS, metadata(tensor)))
    assert "http://127.0.0.1:8080/v2/models/digits/infer" in words
    assert "Host: digits.default.models.local" in words
    assert json.loads(words[words.index("-d") + 1]) == example.sample_body(metadata(tensor))


def test_a_large_body_comes_from_a_file() -> None:
    image = metadata(TensorMetadata("image", "FP32", (-1, 3, 224, 224)))
    assert example.too_long(image)
    assert shlex.split(example.curl_infer(ADDRESS, image))[-1] == "@body.json"


@pytest.mark.parametrize(
    ("url", "want"),
    [("http://a.b.models.local", "a.b.models.local"), ("https://a.example.com:8443/", "a.example.com:8443"), ("", "")],
)
def test_host_of(url: str, want: str) -> None:
    assert example.host_of(url) == want
