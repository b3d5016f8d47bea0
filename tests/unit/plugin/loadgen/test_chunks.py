"""Streams of language models, as servers really write them, and as they end too early."""

import json

import pytest

from kubectl_sluice.loadgen.chunks import BrokenAnswer, StreamedAnswer, completion, request

CHAT = (
    'data: {"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": null}]}',
    "",
    ": keep the connection open",
    'data: {"choices": [{"delta": {"content": "He"}, "finish_reason": null}]}',
    'data:{"choices": [{"delta": {"content": "llo"}, "finish_reason": null}]}',
    'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}',
    'data: {"choices": [], "usage": {"completion_tokens": 5}}',
    "data: [DONE]",
)
COMPLETION = (
    'data: {"choices": [{"text": "He"}]}',
    'data: {"choices": [{"text": "llo", "finish_reason": "length"}]}',
)


def read(*lines: str, seconds: float = 1.0) -> tuple[str, StreamedAnswer]:
    """One line a second, the first one so many seconds after the request."""
    answer = StreamedAnswer(100.0)
    text = "".join(answer.take(line, 100 + seconds + number) for number, line in enumerate(lines))
    return text, answer


def test_a_chat() -> None:
    text, answer = read(*CHAT)
    assert (text, answer.problem(), answer.pieces, answer.tokens, answer.counted) == ("Hello", "", 2, 5, True)
    assert answer.first_seconds == 4, "what says only who speaks is not a token"
    assert answer.tokens_per_second == 4


def test_a_completion_whose_server_counts_nothing() -> None:
    text, answer = read(*COMPLETION)
    assert (text, answer.problem(), answer.tokens, answer.counted) == ("Hello", "", 2, False)
    assert (answer.first_seconds, answer.tokens_per_second) == (1, 1)


def test_what_a_model_thinks_is_text_as_well() -> None:
    text, answer = read('data: {"choices": [{"delta": {"reasoning_content": "hm"}}]}')
    assert (text, answer.first_seconds) == ("hm", 1)


@pytest.mark.parametrize("lines", [(), ("data: [DONE]",), COMPLETION[:1], ("event: ping",)])
def test_no_speed_is_made_up(lines: tuple[str, ...]) -> None:
    assert read(*lines)[1].tokens_per_second is None


@pytest.mark.parametrize(
    ("lines", "said"),
    [((), "the answer broke off before any text"), (CHAT[:5], "the answer broke off after 2 pieces")],
)
def test_an_answer_that_ends_too_early(lines: tuple[str, ...], said: str) -> None:
    assert read(*lines)[1].problem() == said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('data: {"error": {"message": "out of\\nmemory", "code": 500}}', "^out of memory$"),
        ('data: {"error": "engine died"}', "^engine died$"),
        ("data: <html>", "no JSON object: <html>"),
        ("data: [1]", "no JSON object"),
    ],
)
def test_an_event_that_breaks_it_off(line: str, said: str) -> None:
    with pytest.raises(BrokenAnswer, match=said):
        read(COMPLETION[0], line)


@pytest.mark.parametrize(
    "line",
    [
        'data: {"choices": 1}',
        'data: {"choices": [2]}',
        'data: {"usage": 3}',
        'data: {"usage": {"completion_tokens": "x"}}',
    ],
)
def test_what_is_odd_is_no_text(line: str) -> None:
    text, answer = read(line)
    assert (text, answer.pieces, answer.counted) == ("", 0, False)


@pytest.mark.parametrize(
    ("name", "body", "want"),
    [
        ("a chat", {"messages": []}, ("/v1/chat/completions", {"model": "m", "stream": True, "stream_options": {"include_usage": True}})),
        ("a completion", {"prompt": "x"}, ("/v1/completions", {"model": "m"})),
        ("an adapter", {"prompt": "x", "model": "sql"}, ("/v1/completions", {"model": "sql", "stream": True})),
        ("own options", {"prompt": "x", "stream_options": {}}, ("/v1/completions", {"stream_options": {}})),
        ("no stream", {"prompt": "x", "stream": False}, ("/v1/completions", {"stream": False, "stream_options": None})),
        ("V2", {"inputs": []}, None),
        ("no object", [1], None),
    ],
)  # fmt: skip
def test_a_request_for_text_is_streamed(name: str, body: object, want: tuple[str, dict[str, object]] | None) -> None:
    made = request(json.dumps(body).encode(), "m")
    if want is None:
        assert made is None, name
        return
    assert made is not None
    asked = json.loads(made[1])
    assert made[0] == want[0]
    assert {key: asked.get(key) for key in want[1]} == want[1]


def test_what_is_no_json_is_no_request() -> None:
    assert request(b"mine", "m") is None
    assert json.loads(completion("m", "Hi", 3)) == {"model": "m", "prompt": "Hi", "max_tokens": 3}
