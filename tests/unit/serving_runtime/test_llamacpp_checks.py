"""What the launcher of llama.cpp says of a model before it is loaded."""

import contextlib
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo import languagemodels
from demo.languagemodels import Adapter, Shape
from tests.support.live import badmodels

sys.path.insert(0, str(Path(__file__).parents[3] / "serving-runtime" / "llamacpp"))

from sluice_llamacpp import checks, header, options, reading
from sluice_llamacpp.counting import computed_bucket
from sluice_llamacpp.problems import NotLoadable
from sluice_llamacpp.reading import Refused

MODEL = badmodels.gguf()


def given_options(*arguments: str) -> Any:
    return options.parsed(["--model=model.gguf", "--alias=net", *arguments])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(MODEL)
    return path


def check(path: Path, *arguments: str) -> Any:
    return checks.checked(options.parsed([f"--model={path}", "--alias=net", *arguments]))


def problem(path: Path, *arguments: str) -> str:
    with pytest.raises(NotLoadable) as refused:
        check(path, *arguments)
    text = str(refused.value)
    assert "\n" not in text
    return text


def test_a_good_model_is_a_file_or_the_only_one_of_a_folder(model: Path) -> None:
    found = check(model)
    assert (found.path, found.context) == (model, 4096)
    assert check(model.parent).path == model
    assert check(model, "--context-length=32768").context == 32768


def test_of_a_split_model_the_first_part_is_taken_and_none_may_be_missing(model: Path) -> None:
    first, second = (model.with_name(f"big-0000{i}-of-00002.gguf") for i in (1, 2))
    model.rename(first)
    assert f"1 of its 2 parts are missing: {second.name}" in problem(first.parent)
    second.write_bytes(MODEL)
    assert check(first.parent).path == first


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(badmodels.GARBAGE, "it begins with b'this'; a GGUF file begins with b'GGUF'", id="garbage"),
        pytest.param(b"", "it begins with b''", id="empty"),
        pytest.param(b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "GGUF version 1 is not supported", id="old"),
        pytest.param(b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), "at most", id="endless"),
        pytest.param(MODEL[:1000], "its header is cut: the file ends after 1000 bytes", id="cut header"),
        pytest.param(badmodels.cut_gguf(), f"is cut: it has {len(MODEL) // 2} bytes, and its tensors end at", id="cut"),
        pytest.param(badmodels.gguf(tokenizer=False), "tokenizer.ggml.tokens missing from its metadata", id="tokens"),
    ],
)
def test_a_file_that_is_no_whole_model_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    assert said in problem(path)


@given(length=st.integers(0, len(MODEL) - 1))
def test_wherever_a_file_is_cut_it_is_refused(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.gguf"
    path.write_bytes(MODEL[:length])
    assert str(path) in problem(path)


@given(place=st.integers(4, 12_000), value=st.integers(0, 255))
def test_whatever_a_header_says_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.gguf"
    path.write_bytes(MODEL[:place] + bytes([value]) + MODEL[place + 1 :])
    with contextlib.suppress(header.NotGguf):
        assert header.read(path).end > 0


@pytest.mark.parametrize(
    ("names", "said"), [((), "has 0 models (none)"), (("a", "b"), "has 2 models (a.gguf, b.gguf)")]
)
def test_a_folder_must_have_one_model(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    for name in names:
        (tmp_path / f"{name}.gguf").write_bytes(MODEL)
    assert said in problem(tmp_path)


def test_no_such_file(tmp_path: Path) -> None:
    assert "no such file or folder" in problem(tmp_path / "x.gguf")


def test_a_context_longer_than_the_models_is_refused_unless_positions_are_scaled(model: Path) -> None:
    said = problem(model, "--context-length=40000")
    assert "--context-length=40000: model.gguf was trained for 32768 tokens; use at most 32768" in said
    assert check(model, "--context-length=40000", "--set=rope_freq_scale=0.5").context == 40000


def test_a_cache_larger_than_the_memory_is_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.kv_bytes(header.read(model)) == 2 * 64 * 2 * 2, "layers, width, keys and values, F16"
    monkeypatch.setattr(checks, "memory_limit", lambda: 32 * 2**20)
    said = problem(model, "--context-length=32768", "--parallel=4")
    assert "the KV cache takes 64 MiB, out of memory with 32 MiB; use at most --context-length=16384" in said
    assert check(model, "--context-length=16384", "--parallel=4")


def test_the_containers_memory_counts_and_otherwise_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(checks, "LIMITS", (tmp_path / "none", limit))
    limit.write_text("1048576\n")
    assert checks.memory_limit() == 2**20
    limit.write_text("max\n")
    assert checks.memory_limit() > 2**28
    monkeypatch.setattr(checks, "MEMORY", tmp_path / "none")
    assert checks.memory_limit() == 0


@pytest.mark.parametrize(
    ("adapter", "said"),
    [
        (Shape(width=128), "its blk.0.attn_q.weight has 128 values, the model's 64"),
        (Shape(layers=3), "it changes blk.2.attn_q.weight, which the model does not have"),
    ],
)
def test_an_adapter_of_another_base_is_refused(model: Path, adapter: Shape, said: str) -> None:
    path = languagemodels.write_adapter(model.with_name("adapter"), Adapter(adapter))
    told = problem(model, f"--lora=poet={path}")
    assert f"--lora poet={path} was made for another base: {said}; name an adapter of this model in spec" in told


def test_an_adapter_is_no_model_and_a_model_no_adapter(model: Path) -> None:
    adapter = languagemodels.write_adapter(model.with_name("adapter"))
    assert check(model, f"--lora=poet={adapter}")
    assert "is an adapter (LoRA); spec.model.uri must point to its base" in problem(adapter)
    assert "general.type is 'model'; an adapter's is 'adapter'" in problem(model, f"--lora=poet={model}")
    assert "no such file" in problem(model, "--lora=poet=/none")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--context-length=0",), "'0' is not a whole number of at least 1"),
        (("--lora=poet",), "--lora poet: write NAME=PATH"),
        (("--lora=a=1", "--lora=a=2"), "a is given twice"),
        (("--lora=net=1",), "--alias has this name"),
    ],
)
def test_a_wrong_option_is_refused(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        given_options(*arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_computed_tokens_fall_into_a_few_buckets() -> None:
    found = {computed_bucket(count) for count in range(0, 50_000, 7)}
    assert found == {*(str(2**power) for power in range(4, 15)), "more"}
    assert [computed_bucket(count) for count in (0, 16, 17, 16_384, 16_385)] == ["16", "16", "32", "16384", "more"]


@pytest.mark.parametrize(
    ("said", "bytes_"),
    [
        ("ä", 2),
        (["ab", "c"], 3),
        ([1, 2, 3], 3),
        ([{"type": "text", "text": "four"}, {"type": "image_url", "image_url": {"url": "x"}}], 4),
        (None, 1),
    ],
)
def test_a_prompt_is_counted_in_all_its_forms(said: object, bytes_: int) -> None:
    assert reading.text_bytes(said) == bytes_


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"no json", 400),
        (b"[" * 100_000, 400),
        (b"[]", 400),
        (b'{"stream": 1}', 400),
        (b'{"model": "other"}', 404),
        (b'{"model": ["net"]}', 404),
    ],
)
def test_a_body_that_nobody_can_answer_is_refused(body: bytes, status: int) -> None:
    with pytest.raises(Refused) as refused:
        reading.read(body, chat=True, alias="net", adapters=("poet",))
    assert refused.value.status == status


def test_an_adapter_is_asked_for_by_its_name() -> None:
    base = reading.read(b'{"prompt": "a"}', chat=False, alias="net", adapters=("poet", "cook"))
    cook = reading.read(b'{"prompt": "a", "model": "cook"}', chat=False, alias="net", adapters=("poet", "cook"))
    assert b'"lora": [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 0.0}]' in base.body
    assert b'"lora": [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 1.0}]' in cook.body
