"""What the observer reads of real bodies, and what it makes of hostile ones."""

import contextlib
import gzip
import json
import random
import sys
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[3] / "serving-runtime" / "observer"))

from sluice_observer import bodies
from sluice_observer.reference import Feature

from tests.support import effort

BIG = 1 << 20
"""The largest body that is looked at."""


def number(name: str, place: int = 0, *, tensor: str = "", index: int | None = None) -> Feature:
    raw = {
        "name": name,
        "edges": [10, 50],
        "bins": {"<10": 1, "10 to 50": 1, ">=50": 1, "(not a number)": 0, "(missing)": 0},
    }
    return Feature({**raw, **({"input": tensor} if tensor else {}), "index": index}, place)


def category(name: str, place: int = 0) -> Feature:
    return Feature(
        {
            "name": name,
            "values": ["de", "true", "3"],
            "bins": {"de": 1, "true": 1, "3": 1, "(other)": 0, "(missing)": 0},
        },
        place,
    )


AGE, LAND = number("age"), category("land", 1)
PAIR = (number("a", 0, tensor="x", index=0), number("b", 1, tensor="x", index=1))


def bins(
    body: Any,
    features: Sequence[Feature] = (AGE, LAND),
    *,
    read: Any = bodies.request,
    headers: dict[str, str] | None = None,
) -> list[dict[str, int]]:
    """What each feature has counted, without what is 0."""
    counts = [[0] * len(feature.names) for feature in features]
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert bodies.counted(read(raw, headers or {}, features), features, counts)
    return [
        {name: count for name, count in zip(feature.names, found, strict=True) if count}
        for feature, found in zip(features, counts, strict=True)
    ]


def by_triton(arrays: dict[str, Any], *, binary: bool) -> tuple[bytes, dict[str, str]]:
    """As NVIDIA's own client writes it."""
    inputs = []
    for name, array in arrays.items():
        kind = {
            "float32": "FP32",
            "float64": "FP64",
            "float16": "FP16",
            "int64": "INT64",
            "uint8": "UINT8",
            "bool": "BOOL",
        }
        tensor = triton.InferInput(name, list(array.shape), kind.get(str(array.dtype), "BYTES"))
        tensor.set_data_from_numpy(array, binary_data=binary)
        inputs.append(tensor)
    body, size = triton.InferenceServerClient.generate_request_body(inputs)
    return bytes(body), {} if size is None else {"inference-header-content-length": str(size)}


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "uint8"])
def test_v2_of_tritons_client(dtype: str, binary: bool) -> None:
    if dtype == "float16" and not binary:
        pytest.skip("the client writes FP16 as bytes only")
    body, headers = by_triton({"x": np.array([[5, 60], [20, 70], [30, 8]], dtype)}, binary=binary)
    assert bins(body, PAIR, headers=headers) == [{"<10": 1, "10 to 50": 2}, {">=50": 2, "<10": 1}]


@pytest.mark.parametrize("binary", [False, True])
def test_v2_text_and_truth_by_name(binary: bool) -> None:
    arrays = {
        "age": np.array([[5.0], [20.0]], "float32"),
        "land": np.array([["de"], ["ch"]], np.object_),
        "member": np.array([[True], [False]]),
    }
    body, headers = by_triton(arrays, binary=binary)
    found = bins(body, (AGE, LAND, category("member", 2)), headers=headers)
    assert found == [{"<10": 1, "10 to 50": 1}, {"de": 1, "(other)": 1}, {"true": 1, "(other)": 1}]


def test_v2_mixed_json_and_binary() -> None:
    inputs = [triton.InferInput("age", [2], "FP32"), triton.InferInput("land", [2], "BYTES")]
    inputs[0].set_data_from_numpy(np.array([5, 99], "float32"), binary_data=True)
    inputs[1].set_data_from_numpy(np.array(["de", "de"], np.object_), binary_data=False)
    body, size = triton.InferenceServerClient.generate_request_body(inputs)
    headers = {"inference-header-content-length": str(size)}
    assert bins(bytes(body), headers=headers) == [{"<10": 1, ">=50": 1}, {"de": 2}]


def test_v2_bfloat16() -> None:
    content = b"".join(np.float32(value).tobytes()[2:] for value in (5, 60))
    head = json.dumps(
        {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "BF16", "parameters": {"binary_data_size": 4}}]}
    ).encode()
    headers = {"inference-header-content-length": str(len(head))}
    assert bins(head + content, PAIR, headers=headers) == [{"<10": 1}, {">=50": 1}]


def test_v2_nested_flat_and_a_single_row_without_its_dimension() -> None:
    nested = {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [[5, 60], [20, 8]]}]}
    flat = {"inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [5, 60]}]}
    assert bins(nested, PAIR) == [{"<10": 1, "10 to 50": 1}, {">=50": 1, "<10": 1}]
    assert bins(flat, PAIR) == [{"<10": 1}, {">=50": 1}]


def test_a_tensor_of_one_row_is_that_of_all() -> None:
    inputs = [
        {"name": "age", "shape": [3, 1], "datatype": "FP32", "data": [1, 20, 60]},
        {"name": "land", "shape": [1], "datatype": "BYTES", "data": ["de"]},
    ]
    assert bins({"inputs": inputs})[1] == {"de": 3}


@pytest.mark.parametrize(
    ("instances", "features", "want"),
    [
        pytest.param([[5, 60], [20, 8]], PAIR, [{"<10": 1, "10 to 50": 1}, {">=50": 1, "<10": 1}], id="lists"),
        pytest.param([[[5, 60]]], PAIR, [{"<10": 1}, {">=50": 1}], id="lists in lists"),
        pytest.param([{"age": 5, "land": "de"}, {"age": 99}], (AGE, LAND), [{"<10": 1, ">=50": 1}, {"de": 1, "(missing)": 1}], id="objects"),
        pytest.param([{"x": [5, 60]}], PAIR, [{"<10": 1}, {">=50": 1}], id="a tensor by name"),
        pytest.param([5, 20], (AGE,), [{"<10": 1, "10 to 50": 1}], id="values"),
        pytest.param([["5", "x"]], PAIR, [{"(not a number)": 1}, {"(not a number)": 1}], id="text"),
        pytest.param([{"age": float("nan"), "land": True}, {"age": float("inf"), "land": 3.0}], (AGE, LAND), [{"(missing)": 1, ">=50": 1}, {"true": 1, "3": 1}], id="nan, inf and truth"),
    ],
)  # fmt: skip
def test_v1(instances: list[Any], features: Sequence[Feature], want: list[dict[str, int]]) -> None:
    assert bins({"instances": instances}, features) == want


CHAT = {"model": "net", "messages": [{"role": "system", "content": "abc"}, {"role": "user", "content": [{"type": "text", "text": "wie geht es dir"}, {"type": "image_url", "image_url": {"url": "x"}}]}], "max_tokens": 60, "temperature": 0.5}  # fmt: skip


def test_openai_chat_gives_figures_and_never_the_text() -> None:
    features = [
        number(name, n)
        for n, name in enumerate(("prompt_characters", "messages", "max_tokens", "temperature", "top_p"))
    ]
    assert bins(CHAT, features) == [{"10 to 50": 1}, {"<10": 1}, {">=50": 1}, {"<10": 1}, {"(missing)": 1}]


@pytest.mark.parametrize(
    "body", [{"prompt": "x" * 60}, {"prompt": ["x" * 30, "y" * 30]}, {"input": "x" * 60, "model": "e"}]
)
def test_openai_completions_and_embeddings(body: dict[str, Any]) -> None:
    assert bins(body, [number("prompt_characters"), number("messages", 1)]) == [{">=50": 1}, {"<10": 1}]


def test_other_json_by_its_fields() -> None:
    assert bins({"age": 20, "land": "de"}) == [{"10 to 50": 1}, {"de": 1}]
    assert bins({"x": [5, 60]}, PAIR) == [{"<10": 1}, {">=50": 1}]


def test_answers_of_all_protocols() -> None:
    out = number("y")
    v2 = {"outputs": [{"name": "y", "shape": [2, 1], "datatype": "FP32", "data": [5, 60]}]}
    assert bins(v2, [out], read=bodies.answer) == [{"<10": 1, ">=50": 1}]
    assert bins({"predictions": [5, 60, 70]}, [out], read=bodies.answer) == [{"<10": 1, ">=50": 2}]
    openai = {"choices": [{"finish_reason": "stop", "message": {}}], "usage": {"completion_tokens": 30}}
    stop = Feature({"name": "finish_reason", "values": ["stop"], "bins": {"stop": 1, "(other)": 0, "(missing)": 0}}, 1)
    features = [number("completion_tokens"), stop]
    assert bins(openai, features, read=bodies.answer) == [{"10 to 50": 1}, {"stop": 1}]
    events = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in (
        {"choices": [{"delta": {"content": "a"}, "finish_reason": None}]}, openai,
    )) + b"data: [DONE]\n\n"  # fmt: skip
    stream = {"content-type": "text/event-stream; charset=utf-8"}
    assert bins(events, features, read=bodies.answer, headers=stream) == [{"10 to 50": 1}, {"stop": 1}]


def test_of_many_rows_some_are_counted() -> None:
    rolls = random.Random(1)
    [found] = bins({"instances": [{"age": rolls.random() * 100} for _ in range(10_000)]}, [AGE])
    assert 128 <= sum(found.values()) <= bodies.MOST_ROWS
    assert found["<10"] / sum(found.values()) == pytest.approx(0.1, abs=0.06)


def test_compressed_bodies() -> None:
    packed = gzip.compress(json.dumps({"age": 20, "land": "de"}).encode())
    assert bins(packed, headers={"content-encoding": "gzip"}) == [{"10 to 50": 1}, {"de": 1}]


@pytest.mark.parametrize("body", [{"inputs": [{"name": "other", "shape": [1], "datatype": "FP32", "data": [1]}]}, {"instances": [{"q": 1}]}, {"q": 1}, {"instances": []}, {"inputs": []}])  # fmt: skip
def test_another_schema_is_told_apart(body: Any) -> None:
    counts = [[0] * 5, [0] * 5]
    read = bodies.request(json.dumps(body).encode(), {}, (AGE, LAND))
    assert not bodies.counted(read, (AGE, LAND), counts)
    assert counts == [[0] * 5, [0] * 5]


def v2(**changed: Any) -> bytes:
    return json.dumps({"inputs": [{"name": "age", "shape": [1], "datatype": "FP32", "data": [1], **changed}]}).encode()


BOMB = gzip.compress(b"[" + b" " * (64 << 20) + b"]")
HOSTILE = {
    "nothing": (b"", {}),
    "not json": (b"\x00\xff\xfe", {}),
    "deep": (b"[" * BIG, {}),
    "deep data": (v2(data=json.loads("[" * 300 + "]" * 300)), {}),
    "deep objects": (b'{"a":' * 100_000, {}),
    "long number": (b'{"age": ' + b"9" * (BIG - 20) + b"}", {}),
    "a shape that is none": (v2(shape=["a"]), {}),
    "a shape that is true": (v2(shape=[True]), {}),
    "a negative shape": (v2(shape=[-1, -1]), {}),
    "a huge shape": (v2(shape=[2147483647] * 16), {}),
    "many dimensions": (v2(shape=[1] * 100_000), {}),
    "less data": (v2(shape=[1000, 1000]), {}),
    "no name": (b'{"inputs": [{}]}', {}),
    "a name that is a list": (v2(name=[1]), {}),
    "binary size too large": (v2(parameters={"binary_data_size": 1 << 60}), {}),
    "binary size is a text": (v2(parameters={"binary_data_size": "4"}), {}),
    "header too large": (v2(), {"inference-header-content-length": "99999999"}),
    "header is negative": (v2(), {"inference-header-content-length": "-1"}),
    "header is no number": (v2(), {"inference-header-content-length": "x" * 5000}),
    "unknown datatype": (v2(datatype="FP99", parameters={"binary_data_size": 0}), {}),
    "unpacks to 64 MiB": (BOMB, {"content-encoding": "gzip"}),
    "cut gzip": (gzip.compress(b"{}")[:-3], {"content-encoding": "gzip"}),
    "unknown coding": (b"{}", {"content-encoding": "br"}),
    "surrogates": (b'{"messages": [1, 2, {"content": {}}]}', {}),
    "a list": (b"[1, 2]", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_are_refused_soon_and_say_nothing_of_what_was_in_them(name: str) -> None:
    body, headers = HOSTILE[name]

    def refused() -> None:
        bodies.counted(bodies.request(body, headers, (AGE, LAND)), (AGE, LAND), [[0] * 5, [0] * 5])

    def refuse() -> None:
        with contextlib.suppress(bodies.NotReadable):
            refused()

    assert effort.is_within(200, refuse)
    with pytest.raises(bodies.NotReadable) as said:
        refused()
    assert len(str(said.value)) < 40
    assert said.value.__cause__ is None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"instances": [' + b"[]," * 340_000 + b"[]]}", id="empty lists"),
        pytest.param(b'{"instances": [' + b"1," * 520_000 + b"1]}", id="numbers"),
        pytest.param(b'{"instances": [{"x": [' + b"[1]," * 250_000 + b"[1]]}]}", id="lists in a list"),
        pytest.param(json.dumps({f"k{n}": n for n in range(60_000)}).encode(), id="fields"),
        pytest.param(json.dumps({"messages": [{"content": "x"}] * 50_000}).encode(), id="messages"),
    ],
)
def test_the_largest_bodies_are_bounded_in_time_and_memory(body: bytes) -> None:
    assert len(body) < BIG * 1.1

    def count() -> None:
        bodies.counted(bodies.request(body, {}, PAIR), PAIR, [[0] * 5, [0] * 5])

    tracemalloc.start()
    try:
        count()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 << 20
    assert effort.is_within(100, count)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["inputs", "instances", "messages", "prompt", "name", "shape", "data", "datatype", "parameters",
                         "content", "age", "land", "x", "tools", "binary_data_size", "text"]), inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


@given(body=JSON | st.binary(max_size=200), read=st.sampled_from([bodies.request, bodies.answer]))
def test_whatever_comes_is_counted_or_refused(body: Any, read: Any) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    counts = [[0] * 5 for _ in range(4)]
    features = (AGE, LAND, *PAIR)
    try:
        said = bodies.counted(read(raw, {}, features), features, counts)
    except bodies.NotReadable:
        said = False
    rows = {sum(each) for each in counts}
    assert len(rows) == 1
    assert said == (rows != {0})
